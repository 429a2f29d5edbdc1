"""What passes over a network unencrypted, by the operator's own settings: told at the start, and nothing is refused.

A proxy, a tunnel or a network of containers may well encrypt it where this program cannot see it. So it is a line of
the log that can be looked for, and the server starts.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping
from urllib.parse import parse_qs, urlsplit

from audiences.browsers import is_public_https
from audiences.settings import Settings

# Of PostgreSQL's ways those that know whom they speak to; the others take any certificate, or none.
VERIFYING = frozenset({"verify-ca", "verify-full"})

# Who the other side is, and what to do.
CALLERS = "callers", "Put a proxy with TLS in front, and set AUDIENCES_PUBLIC_URL to its https address."
CATALOG = "catalog", "Add sslmode=verify-full to AUDIENCES_DATABASE_URL."
COUNTERS = "counters", "Let AUDIENCES_REDIS_URL begin with rediss://."
STORAGE = "storage", "Let AWS_ENDPOINT_URL begin with https://."
METRICS = "metrics", "Let AUDIENCES_METRICS_ADDRESS be 127.0.0.1, or a network that is the operator's alone."


def unencrypted(settings: Settings, host: str, environment: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Whoever is spoken to in the clear beyond this machine, each with what to do; `host` is listened on."""
    if not is_here(host) and not is_public_https(settings):
        yield CALLERS
    if settings.metrics_address is not None and not is_here(settings.metrics_address[0]):
        yield METRICS
    if leaves(settings.database_url) and sslmode(settings.database_url or "", environment) not in VERIFYING:
        yield CATALOG
    if leaves(settings.redis_url, "redis"):
        yield COUNTERS
    endpoint = environment.get("AWS_ENDPOINT_URL_S3") or environment.get("AWS_ENDPOINT_URL") or ""
    if settings.storage_url is not None and leaves(endpoint, "http"):
        yield STORAGE


def leaves(address: str | None, scheme: str | None = None) -> bool:
    """Whether the address, of that scheme if one is given, leads off this machine; a socket's path does not."""
    parts = urlsplit(address or "")
    host = parts.netloc.rpartition("@")[2]
    return bool(host) and scheme in {None, parts.scheme.lower()} and not is_here(without_port(host))


def without_port(host: str) -> str:
    """The host of an address; of several, separated by commas, the text as it stands."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host if host.count(":") > 1 else host.partition(":")[0]


def sslmode(address: str, environment: Mapping[str, str]) -> str:
    """How PostgreSQL's client treats the server's certificate: by the address, or the environment."""
    asked = parse_qs(urlsplit(address).query).get("sslmode", [])
    return asked[-1] if asked else environment.get("PGSSLMODE", "prefer")


def is_here(host: str) -> bool:
    """Whether what is said to the host stays on this machine."""
    name = host.strip("[]").lower()
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name == "localhost" or name.endswith(".localhost")
