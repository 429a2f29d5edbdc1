"""Who is counted, and how: uploads and reads a key, failed authentications an address, sign-ins an address and email.

`counters` says where they are counted: in this process, or together with all nodes.
"""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Mapping, Sequence

from limits import RateLimitItem, RateLimitItemPerSecond

from audiences import emails
from audiences.counters import Counters, LocalCounters, SharedCounters
from audiences.errors import TooManyRequests
from audiences.settings import RateLimit, Settings
from audiences.watch import Metrics

UPLOADS, READS, FAILED_AUTHENTICATIONS, SIGN_INS = "uploads", "reads", "failed-authentications", "sign-ins"
SIGN_INS_OF_A_USER = "sign-ins-of-a-user"

# From how many addresses at once a user's tries may be used up: one person's machines are fewer.
ADDRESSES = 10

# Whoever has one address of IPv6 has its whole /64.
IPV6_PREFIX = 64


class Throttle:
    """The limits in force and their counters."""

    def __init__(self, settings: Settings, metrics: Metrics | None = None) -> None:
        """Counts in Redis where the settings name one. Raises CannotOpen if that refuses; it may be away for now."""
        self.counters: Counters = LocalCounters()
        if settings.redis_url is not None:
            self.counters = SharedCounters(settings.redis_url, metrics or Metrics())
        self.limits: Mapping[str, RateLimitItem | None] = {
            UPLOADS: as_item(settings.rate_limit),
            READS: as_item(settings.read_rate_limit),
            FAILED_AUTHENTICATIONS: as_item(settings.failed_auth_limit),
            SIGN_INS: as_item(settings.sign_in_limit),
            SIGN_INS_OF_A_USER: as_item(settings.sign_in_limit, times=ADDRESSES),
        }
        self.proxies = [ipaddress.ip_network(network, strict=False) for network in settings.trusted_proxies]

    async def admit(self, policy: str, who: str) -> dict[str, str]:
        """Counts one request of `who` and returns the `RateLimit` fields of its answer.

        Raises TooManyRequests, with `Retry-After` in seconds.
        """
        item = self.limits[policy]
        if item is None:
            return {}
        count = await self.counters.hit(item, policy, who)
        headers = {
            "RateLimit-Policy": f'"{policy}";q={item.amount};w={item.get_expiry()}',
            "RateLimit": f'"{policy}";r={count.remaining};t={count.reset_s}',
        }
        if count.admitted:
            return headers
        raise TooManyRequests(
            f"More than {item.amount} {policy.replace('-', ' ')} in {item.get_expiry()} seconds. "
            f"Try again in {count.reset_s} seconds.",
            headers=headers | {"Retry-After": str(count.reset_s)},
        )

    async def admit_sign_in(self, address: str, email: str) -> None:
        """Counts a try to sign in, for the address that it came from and for the user that it is meant for.

        So neither one machine can try many users, nor many machines one; and no single machine can use up the tries of
        a user, who has ten times as many. The counters may be kept elsewhere, so they hold a hash of the email address.
        Raises TooManyRequests, for users that there are and others alike.
        """
        await self.admit(SIGN_INS, f"address {address}")
        digest = hashlib.sha256(emails.folded(email).encode("utf-8", "surrogatepass")).hexdigest()
        await self.admit(SIGN_INS_OF_A_USER, f"email {digest}")

    async def aclose(self) -> None:
        """Ends the connections that the running event loop has made; to be awaited before that loop ends."""
        await self.counters.aclose()

    def address(self, peer: str | None, forwarded: Sequence[str]) -> str:
        """The address that a request counts for: the connection's, or what a trusted proxy in front of it says.

        `forwarded` are the values of `X-Forwarded-For`; the last address that no trusted proxy has is believed.
        """
        hops = [hop.strip() for value in forwarded for hop in value.split(",")]
        current = as_address(peer)
        while hops and current is not None and any(current in network for network in self.proxies):
            hop = as_address(hops.pop())
            if hop is None:
                break
            current = hop
        if isinstance(current, ipaddress.IPv6Address):
            return str(ipaddress.ip_network((current, IPV6_PREFIX), strict=False))
        return str(current)


def as_item(limit: RateLimit | None, times: int = 1) -> RateLimitItem | None:
    """The library's form of a limit, or of so many times that limit."""
    return None if limit is None else RateLimitItemPerSecond(limit.amount * times, limit.seconds)


def as_address(text: str | None) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The address that `text` writes, or None; an IPv4 address in IPv6's clothes is the IPv4 address."""
    try:
        address = ipaddress.ip_address(text or "")
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
