"""Hostile requests one by one, each with the answer it has to get and whether the connection goes on behind it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from campaigns.http_requests import FORM, MULTIPART, Caller, chunks, get, head


@dataclass(frozen=True)
class Case:
    """What is sent, and the statuses that come back; `goes_on` where the next request is to be answered, too."""

    name: str
    sent: bytes
    statuses: tuple[int, ...]
    goes_on: bool = False
    methods: tuple[str, ...] = ()


def cases(caller: Caller) -> Iterator[Case]:
    """All of them."""
    for family in (framings, fields, targets, methods, versions, offers, chunkings):
        yield from family(caller)


def framings(caller: Caller) -> Iterator[Case]:
    """Requests that two servers could end in two places."""
    begun = (b"Host: x", caller.authorization, MULTIPART)
    both = (b"Transfer-Encoding: chunked", b"Content-Length: 5")
    for order in (both, both[::-1]):
        yield Case(
            f"{order[0]!r} before the other", head(b"POST /audiences HTTP/1.1", *begun, *order) + chunks(FORM), (400,)
        )
    codings = (
        b"chunked, identity",
        b"identity, chunked",
        b"xchunked",
        b"gzip, chunked",
        b"chunked, chunked",
        b"chunked;q=1",
    )
    spelled = (b"\x0bchunked", b'"chunked"', b"identity", b"", b",chunked", b"chunked\r\nTransfer-Encoding: chunked")
    for coding in (*codings, *spelled):
        sent = head(b"POST /audiences HTTP/1.1", *begun, b"Transfer-Encoding: " + coding) + chunks(FORM)
        yield Case(f"Transfer-Encoding: {coding!r}", sent, (400,))
    for coding in (b"chunked", b"Chunked", b"chunked ", b"\tchunked"):
        sent = head(b"POST /audiences HTTP/1.1", *begun, b"Transfer-Encoding:" + coding) + chunks(FORM)
        yield Case(f"Transfer-Encoding:{coding!r}", sent, (201,), goes_on=True)
    lengths = (
        b"+5",
        b"-5",
        b"0x5",
        b"5,5",
        b"5, 5",
        b"5_0",
        b"",
        b"\xb25",
        b"1e1",
        b"5;",
        b"5 5",
        b"9" * 23,
        b"18446744073709551621",
    )
    for length in (*lengths, b"5\r\nContent-Length: 5", b"5\r\nContent-Length: 6"):
        yield Case(f"Content-Length: {length!r}", get(b"/healthz", b"Content-Length: " + length) + b"abcde", (400,))
    for length in (b"5 ", b"05", b" 5", b"0" * 30 + b"5"):
        sent = get(b"/healthz", b"Content-Length: " + length) + b"abcde"
        yield Case(f"Content-Length: {length!r}", sent, (200,), goes_on=True)


def fields(caller: Caller) -> Iterator[Case]:
    """Header fields that are none, that are many, that are odd."""
    broken = {
        "a blank before the colon": b"X : y",
        "Content-Length with a blank before the colon": b"Content-Length : 5",
        "Transfer-Encoding with a blank before the colon": b"Transfer-Encoding : chunked",
        "a folded line": b"X: y\r\n z",
        "a folded Transfer-Encoding": b"Transfer-Encoding:\r\n chunked",
        "a fold in front": b" X: y",
        "a bare LF": b"X: y\nZ: w",
        "a bare CR": b"X: y\rZ: w",
        "a NUL in a value": b"X: a\0b",
        "a NUL in a name": b"X\0: a",
        "an empty name": b": a",
        "no colon": b"Xa",
        "a name beyond ASCII": b"X\xe9: a",
        "control characters": b"X: \x01\x7f",
        "a tab in a name": b"X\ty: 1",
        "a second Host": b"Host: y",
        "two Content-Types": b"Content-Type: a/b\r\nContent-Type: c/d",
        "two keys": caller.authorization + b"\r\n" + caller.authorization,
    }
    for name, field in broken.items():
        yield Case(name, get(b"/healthz", field), (400,))
    yield Case("no Host", head(b"GET /healthz HTTP/1.1"), (400,))
    yield Case("a Host that is none", head(b"GET /healthz HTTP/1.1", b"Host: x/../y"), (400,))
    yield Case("lines that end with LF", b"GET /healthz HTTP/1.1\nHost: x\n\n", (400,))
    yield Case("10,000 headers", get(b"/healthz", *[b"a:"] * 10_000), (413,))
    yield Case("a value of 64 KB", get(b"/healthz", b"X: " + b"a" * 65536), (413,))
    yield Case("a name of 64 KB", get(b"/healthz", b"X" * 65536 + b": a"), (413,))
    fine = {
        "8,000 headers of a byte": [b"a:"] * 8000,
        "a value beyond ASCII": [b"X: \xe9\xff"],
        "an empty value": [b"X:"],
        "Expect: 100-continue with no body": [b"Expect: 100-continue"],
        "an Expect of something else": [b"Expect: 200-ok"],
        "two Expects": [b"Expect: 100-continue", b"Expect: x"],
        "an id that could do harm in a log": [b'X-Request-ID: "}{\\'],
    }
    for name, several in fine.items():
        yield Case(name, get(b"/healthz", *several), (200,), goes_on=True)
    yield Case("a key beyond ASCII", get(b"/audiences", b"Authorization: Bearer \xe9\xff"), (401,), goes_on=True)
    yield Case("a key of 16 KB", get(b"/audiences", b"Authorization: Bearer " + b"a" * 16_000), (401,), goes_on=True)
    waiting = head(b"POST /audiences HTTP/1.1", b"Host: x", MULTIPART, b"Content-Length: 0", b"Expect: 100-continue")
    yield Case("Expect: 100-continue that is refused", waiting, (401,), goes_on=True)


def targets(caller: Caller) -> Iterator[Case]:
    """What stands where a path belongs."""
    for target in (
        b"http://x",
        b"x:443",
        b"/a b",
        b"healthz",
        b"/\xe9",
        b"file:///etc/passwd",
        b"http:/x",
        b"\\",
        b"?",
        b"",
    ):
        yield Case(f"target {target!r}", caller.get(target), (400,))
    found = (
        b"http://x/healthz",
        b"HTTP://x:80/healthz",
        b"https://evil.example/healthz",
        b"http://u:p@x/healthz",
        b"/HEALTHZ",
    )
    for target in (*found, b"/healthz?", b"/healthz?a=%00%ff", b"/healthz#x"):
        yield Case(f"target {target!r}", caller.get(target), (200,), goes_on=True)
    up = (
        b"/../../etc/passwd",
        b"/%2e%2e/healthz",
        b"/static/..%2f..%2fetc/passwd",
        b"/docs/static/%2e%2e/x",
        b"/audiences/..;/x",
    )
    odd = (
        b"*",
        b"//healthz",
        b"/%00",
        b"/%c0%ae%c0%ae/",
        b"/%ff",
        b"/healthz/",
        b"/healthz;x",
        b"/%",
        b"/%zz",
        b"/" + b"a" * 30_000,
    )
    for target in (*up, *odd, b"/audiences/-1", b"/audiences/" + b"9" * 30, b"/audiences/%F0%9D%9F%99"):
        yield Case(f"target {target[:40]!r}", caller.get(target), (404,), goes_on=True)
    for query in (
        b"limit=%00",
        b"limit=" + b"9" * 30,
        b"limit=-1",
        b"limit=1&limit=2",
        b"cursor=%ff",
        b"nothing=1",
        b"limit",
    ):
        yield Case(f"query {query[:40]!r}", caller.get(b"/audiences?" + query), (400,), goes_on=True)


def methods(caller: Caller) -> Iterator[Case]:
    """What stands where a method belongs."""
    for method in (b"OPTIONS", b"TRACE", b"CONNECT", b"PATCH", b"PURGE", b"LINK", b"QUERY", b"M-SEARCH", b"DELETE"):
        yield Case(f"{method!r}", head(method + b" /audiences HTTP/1.1", b"Host: x"), (405,), goes_on=True)
    for method in (b"get", b"PRI", b"BREW", b"G\0T", b"G T", b"", b"GET" * 1000):
        yield Case(f"{method[:20]!r}", head(method + b" /audiences HTTP/1.1", b"Host: x"), (400,))
    yield Case("HTTP/2's preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", (400,))
    yield Case("OPTIONS *", head(b"OPTIONS * HTTP/1.1", b"Host: x"), (404,), goes_on=True)
    yield Case("CONNECT to an authority", head(b"CONNECT x:443 HTTP/1.1", b"Host: x:443"), (400,))
    asked = head(b"HEAD /audiences HTTP/1.1", b"Host: x", caller.authorization)
    yield Case("HEAD", asked, (200,), goes_on=True, methods=("HEAD",))
    yield Case("a GET with a body", get(b"/healthz", b"Content-Length: 5") + b"GET /", (200,), goes_on=True)


def versions(caller: Caller) -> Iterator[Case]:
    """Versions of HTTP, and what is none."""
    for version in (
        b"HTTP/0.9",
        b"HTTP/1.2",
        b"HTTP/2.0",
        b"http/1.1",
        b"HTTP/1.1 ",
        b"HTTP/11",
        b"HTTP/1.1x",
        b"HTTP/1.",
        b"",
    ):
        yield Case(f"version {version!r}", head(b"GET /healthz " + version, b"Host: x"), (400,))
    yield Case("HTTP/1.0", head(b"GET /healthz HTTP/1.0"), (200,))
    yield Case(
        "HTTP/1.0 that would keep its connection", head(b"GET /healthz HTTP/1.0", b"Connection: keep-alive"), (200,)
    )
    coded = head(b"POST /audiences HTTP/1.0", caller.authorization, MULTIPART, b"Transfer-Encoding: chunked")
    yield Case("HTTP/1.0 in chunks", coded + chunks(FORM), (400,))
    old = caller.upload(FORM, b"Expect: 100-continue").replace(b"HTTP/1.1", b"HTTP/1.0", 1)
    yield Case("HTTP/1.0 that expects a 100", old, (201,))


def offers(caller: Caller) -> Iterator[Case]:
    """Offers of another protocol, which may be passed over."""
    h2c = (b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABkAAQAAP__")
    socket = (
        b"Connection: Upgrade",
        b"Upgrade: websocket",
        b"Sec-WebSocket-Version: 13",
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZQ==",
    )
    for name, offer in {"h2c": h2c, "a websocket": socket}.items():
        yield Case(f"an offer of {name}", get(b"/healthz", *offer), (200,), goes_on=True)
        yield Case(f"an offer of {name} with an upload", caller.upload(FORM, *offer), (201,), goes_on=True)
        yield Case(f"an offer of {name} with chunks", caller.upload_in_chunks(FORM, *offer), (201,), goes_on=True)
    yield Case("1,000 offers in a pipeline", get(b"/healthz", *h2c) * 1000, (200,) * 21)


def chunkings(caller: Caller) -> Iterator[Case]:
    """Chunks that are none, and what may stand beside them."""
    begun = head(
        b"POST /audiences HTTP/1.1", b"Host: x", caller.authorization, MULTIPART, b"Transfer-Encoding: chunked"
    )
    whole = b"%x" % len(FORM)
    sizes = (b"-" + whole, b"+" + whole, b"0x" + whole, whole + b" ", b"", b" " + whole, b"F" * 17, whole + b"\x0b")
    for size in sizes:
        yield Case(f"a chunk of size {size!r}", begun + size + b"\r\n" + FORM + b"\r\n0\r\n\r\n", (400,))
    ends = {
        "CR LF missing": b"0\r\n\r\n",
        "two bytes too many": b"XX\r\n0\r\n\r\n",
        "a lone CR at the end": b"\r\n0\r\n\r\r",
    }
    for name, end in ends.items():
        yield Case(f"a chunk with {name}", begun + whole + b"\r\n" + FORM + end, (400,))
    yield Case("a chunk size that ends with LF", begun + whole + b"\n" + FORM + b"\r\n0\r\n\r\n", (400,))
    fine = {
        "zeros in front of its size": (b"0" * 20 + whole, b"0\r\n\r\n"),
        "an extension": (whole + b';a=b;c="d e"', b"0\r\n\r\n"),
        "a trailer": (whole, b"0\r\nX: y\r\n\r\n"),
    }
    for name, (size, end) in fine.items():
        yield Case(f"a chunk with {name}", begun + size + b"\r\n" + FORM + b"\r\n" + end, (201,), goes_on=True)
    yield Case("an extension with a line break", begun + whole + b';a="\r\n"\r\n' + FORM + b"\r\n0\r\n\r\n", (400,))
    yield Case("an extension without end", begun + whole + b";" + b"a" * 10**6, (400,))
    yield Case("a trailer without end", begun + whole + b"\r\n" + FORM + b"\r\n0\r\nX: " + b"a" * 10**6, (400,))
    yield Case(
        "a trailer with a length", begun + whole + b"\r\n" + FORM + b"\r\n0\r\nContent-Length: 5\r\n\r\n", (400,)
    )
