"""What the headers of a request must say before anything is made of it, so that nobody reads it in another way.

What one server takes for the end of a request and the next for its middle is how requests are smuggled past a proxy;
RFC 9112 (sections 3.2, 6.1, 6.3) has such a request refused. The parser refuses most of it, and this the rest.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

VERSIONS = frozenset({"1.0", "1.1"})

# A name, or an address, with its port; RFC 3986 allows more, of which nobody makes use.
HOST = re.compile(rb"(?:[A-Za-z0-9._~%-]*|\[[0-9A-Fa-f:.]+\])(?::\d{0,5})?")

# Headers of which a request has one at most: of two, one server would believe the first, another the last.
SINGLE = frozenset({b"host", b"content-type", b"content-length", b"transfer-encoding", b"authorization"})


def fault_in(version: str, headers: Sequence[tuple[bytes, bytes]]) -> str | None:
    """The sentence that refuses a request of such headers (their names in lower case), or None for one that is fine."""
    if version not in VERSIONS:
        return "This server speaks HTTP/1.1 and HTTP/1.0."
    counted = Counter(name for name, _ in headers if name in SINGLE)
    for name, count in counted.items():
        if count > 1:
            return f"The header {name.decode().title()} was sent more than once. Send it once."
    found = {name: value for name, value in headers if name in SINGLE}
    return fault_of_host(version, found.get(b"host")) or fault_of_coding(version, found.get(b"transfer-encoding"))


def fault_of_host(version: str, host: bytes | None) -> str | None:
    """The same for the Host header, which HTTP/1.1 demands."""
    if host is None:
        return "An HTTP/1.1 request needs a Host header." if version == "1.1" else None
    return None if HOST.fullmatch(host) else "The Host header is not the name of a host."


def fault_of_coding(version: str, coding: bytes | None) -> str | None:
    """The same for Transfer-Encoding: `chunked` is the only one there is, and HTTP/1.0 has none."""
    if coding is None:
        return None
    if version == "1.0":
        return "HTTP/1.0 has no Transfer-Encoding. Send Content-Length."
    known = coding.strip(b" \t").lower() == b"chunked"
    return None if known else "This server takes no Transfer-Encoding but chunked."
