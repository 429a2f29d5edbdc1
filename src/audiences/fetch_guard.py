"""Which URLs may be fetched: names that the operator allows, and addresses that the whole internet can reach.

A server that fetches what its callers name can be turned against the network that it stands in (OWASP: server-side
request forgery). So a URL is read by one strict grammar, and what that grammar yields is what is connected to; nobody
parses the text a second time.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
import socket
import string
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, IPv6Network
from urllib.parse import quote

HTTPS_PORT = 443
MAX_NAME = 253  # characters of a DNS name (RFC 1035)

LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
NAME = re.compile(rf"{LABEL}(?:\.{LABEL})*")

# A host whose last label is a number is an IPv4 address in one of its spellings (WHATWG URL, "ends in a number").
NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")

# No user name, no brackets (IPv6), no escapes in the host, no backslash, which some read as a slash.
URL = re.compile(
    r"https://(?P<host>[^/?#@:%\\\[\]\s]+)(?::(?P<port>[0-9]+))?(?P<path>/[^?#]*)?(?P<query>\?[^#]*)?(?:#.*)?",
    re.IGNORECASE,
)

# Not for the public, whatever an older Python says: protocol assignments and documentation (IANA special-purpose
# registries; RFC 6890, RFC 9637).
NOT_PUBLIC = tuple(ipaddress.ip_network(text) for text in ("192.0.0.0/24", "3fff::/20"))

# The one block of which public IPv6 addresses are given out (IANA, IPv6 global unicast address assignments).
GLOBAL_UNICAST = IPv6Network("2000::/3")

# Where a gateway puts an IPv4 address behind 96 bits of its own: RFC 6052, and RFC 8215 for networks' own gateways.
NAT64 = IPv6Network("64:ff9b::/96")
LOCAL_NAT64 = IPv6Network("64:ff9b:1::/48")


@dataclass(frozen=True)
class Link:
    """One https URL, taken apart. `host` is as `host_name` returns it, `target` as a request line takes it."""

    host: str
    port: int
    target: str

    @property
    def authority(self) -> str:
        """Host and port as the header Host has them."""
        return self.host if self.port == HTTPS_PORT else f"{self.host}:{self.port}"

    @property
    def text(self) -> str:
        """The URL, without its fragment."""
        return f"https://{self.authority}{self.target}"

    @property
    def path(self) -> str:
        """The target without its query."""
        return self.target.partition("?")[0]


def read_link(text: str) -> Link:
    """The https URL that `text` is. Raises ValueError."""
    found = URL.fullmatch(text)
    if found is None or not text.isprintable():
        raise ValueError("not an https URL")
    port = HTTPS_PORT if found["port"] is None else read_port(found["port"])
    # Escapes what a request line cannot hold, such as blanks, and leaves every escape that is there.
    target = quote((found["path"] or "/") + (found["query"] or ""), safe=string.punctuation)
    return Link(host_name(found["host"]), port, target)


def read_port(text: str) -> int:
    """The port. Raises ValueError."""
    if re.fullmatch(r"[0-9]{1,5}", text) is None or not 0 < int(text) < 2**16:
        raise ValueError("not a port")
    return int(text)


def host_name(text: str) -> str:
    """A DNS name as names are compared: lower case, IDNA (UTS 46), without a trailing dot.

    Raises ValueError for what is none, and for an IP address in any spelling.
    """
    if len(text) > MAX_NAME + 1:
        raise ValueError("not a host name")
    if not text.isascii():
        import idna

        text = idna.encode(text, uts46=True).decode("ascii")  # its IDNAError is a ValueError
    name = text.lower().removesuffix(".")
    if len(name) > MAX_NAME or NAME.fullmatch(name) is None or NUMBER.fullmatch(name.rpartition(".")[2]):
        raise ValueError("not a host name")
    return name


def read_allowed(text: str) -> str:
    """An allowed host of the settings, as `files.example.com:443` or `*.example.com:443`. Raises ValueError."""
    name, colon, port = text.partition(":")
    host = host_name(name.removeprefix("*."))
    if name.startswith("*.") and "." not in host:
        raise ValueError("a wildcard for a whole top-level domain")
    return f"{'*.' if name.startswith('*.') else ''}{host}:{read_port(port) if colon else HTTPS_PORT}"


def is_allowed(link: Link, allowed: Sequence[str]) -> bool:
    """Whether one of `allowed` (as `read_allowed` returns them) names the link's host and port."""
    place = f"{link.host}:{link.port}"
    return any(place.endswith(name[1:]) if name.startswith("*") else place == name for name in allowed)


def is_public(address: str) -> bool:
    """Whether the whole internet can reach `address`; one that carries another is judged by what it carries."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False
    carried = carried_by(found) if isinstance(found, IPv6Address) else None
    if carried is not None:
        return bool(carried) and all(is_public(str(each)) for each in carried)
    if isinstance(found, IPv6Address) and found not in GLOBAL_UNICAST:
        return False
    known = found.is_global and not (found.is_multicast or found.is_reserved)
    return known and not any(found in network for network in NOT_PUBLIC)


def carried_by(address: IPv6Address) -> Sequence[IPv4Address] | None:
    """The IPv4 addresses inside an IPv6 address of a kind that has them (none where they cannot be told), or None."""
    last = IPv4Address(int(address) & 0xFFFF_FFFF)
    if address.ipv4_mapped is not None:
        return [address.ipv4_mapped]
    if address.sixtofour is not None:
        return [address.sixtofour]
    if address.teredo is not None:
        return address.teredo
    if address in NAT64:
        return [last]
    if address in LOCAL_NAT64:
        # Longer suffixes than 32 bits put the address elsewhere (RFC 6052, 2.2); then these bits are not zero.
        return [last] if int(address) >> 32 & 0xFFFF_FFFF == 0 else []
    return None


async def resolve(host: str, port: int) -> list[str]:
    """The addresses of `host`, the best first. Raises socket.gaierror."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(each[4][0]) for each in found))
