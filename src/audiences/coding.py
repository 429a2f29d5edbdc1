"""Content codings: a body goes out compressed where the client reads that (RFC 9110, section 12.5.3).

Measured on 120 MB of contacts as CSV, on one core: zstd at level 1 makes 410 MB/s and a fifth of the bytes, gzip at
level 1 makes 175 MB/s and a quarter. Higher levels cost more than the bytes that they save. To flush behind every
piece of a stream costs neither time nor bytes that could be measured.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Protocol

import anyio.to_thread
import zstandard
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import Message, Scope, Send

from audiences import accept
from audiences.errors import NotAcceptable

ZSTD, GZIP, IDENTITY = "zstd", "gzip", "identity"

# What can be offered; the earlier of two that the client likes as much.
OFFERED = (ZSTD, GZIP, IDENTITY)

# identity needs no mention to be acceptable; anything that is mentioned comes first. The smallest quality is 0.001.
UNMENTIONED = 0.0001

LEVEL = 1

# A shorter answer fits a packet or two anyway.
LEAST_BYTES = 1024

# Up to here the event loop compresses by itself, in less than half a millisecond: about what a thread costs. Pieces
# of exports are larger; in threads four streams hold the loop for 0.5 ms instead of 16, and use more than one core.
THREAD_BYTES = 64 * 1024

# What shrinks. Parquet, workbooks and pictures are compressed already. Pages (text/html) go as they are: they will
# hold secrets beside text that a stranger chose, and the length of the two compressed together tells (BREACH, 2013).
SHRINKS = frozenset({"application/json", "application/x-ndjson", "text/csv", "text/css", "text/javascript"})

BODILESS = frozenset({204, 304})


def acceptable(headers: Headers) -> list[str]:
    """The codings that an answer may have by `Accept-Encoding`, the best first; none if not even identity will do.

    Without the field any would do; identity is what every client reads.
    """
    lines = headers.getlist("accept-encoding")
    if not lines:
        return [IDENTITY]
    given: dict[str, float] = {}
    for part in ",".join(lines).split(","):
        name, quality = accept.parse(part)
        name = GZIP if name == "x-gzip" else name  # RFC 9110, section 8.4.1.3
        given[name] = max(given.get(name, 0.0), quality)
    others = given.get("*")
    unlisted = {ZSTD: others or 0.0, GZIP: others or 0.0, IDENTITY: UNMENTIONED if others is None else others}
    qualities = {coding: given.get(coding, unlisted[coding]) for coding in OFFERED}
    return sorted((coding for coding in OFFERED if qualities[coding] > 0), key=lambda coding: -qualities[coding])


def refuse_unacceptable(headers: Headers) -> None:
    """Raises NotAcceptable if the request's `Accept-Encoding` leaves no coding that there is."""
    if not acceptable(headers):
        known = ", ".join(OFFERED)
        raise NotAcceptable(f"Answers come as {known}. Allow one of them in Accept-Encoding.", field="Accept-Encoding")


class Stream(Protocol):
    """What zlib's and zstandard's compressors have in common."""

    def compress(self, data: bytes, /) -> bytes:
        """What can be said of the data so far."""

    def flush(self, mode: int, /) -> bytes:
        """What was held back."""


@dataclass(frozen=True)
class Coder:
    """One body being compressed: one gzip member or one zstd frame, as some clients read the first only."""

    stream: Stream
    between: int
    finish: int

    def encode(self, piece: bytes, *, last: bool) -> bytes:
        """The piece, compressed; nothing of it is held back, so that a client reads what a slow stream has so far."""
        return self.stream.compress(piece) + self.stream.flush(self.finish if last else self.between)


def coder(coding: str, size: int) -> Coder:
    """The compressor of a body of `size` bytes, -1 where that is not known.

    At this level a zstd frame's window is half a megabyte; a client need not read one above 8 MB (RFC 9659).
    """
    if coding == GZIP:
        gzip = zlib.compressobj(LEVEL, zlib.DEFLATED, zlib.MAX_WBITS | 16)
        return Coder(gzip, zlib.Z_SYNC_FLUSH, zlib.Z_FINISH)
    zstd = zstandard.ZstdCompressor(level=LEVEL).compressobj(size=size)
    return Coder(zstd, zstandard.COMPRESSOBJ_FLUSH_BLOCK, zstandard.COMPRESSOBJ_FLUSH_FINISH)


class Coded:
    """Sends one answer on, in the coding that its request asked for.

    The head waits for the first piece of the body, as its fields depend on that; it is also what makes a fault before
    the first piece answerable.
    """

    def __init__(self, scope: Scope, send: Send) -> None:
        self.codings = acceptable(Headers(scope=scope))
        self.is_head = scope["method"] == "HEAD"
        self.plain_send = send
        self.start: Message | None = None
        self.coder: Coder | None = None

    async def send(self, message: Message) -> None:
        """Takes a part of the answer."""
        if message["type"] == "http.response.start":
            self.start = message
            return
        body, more = message.get("body", b""), message.get("more_body", False)
        start, self.start = self.start, None
        coding = None if start is None else self.choose(start, body, more=more)
        if coding is not None and not self.is_head:
            self.coder = coder(coding, -1 if more else len(body))
        body = await self.encode(body, last=not more)
        if start is not None:
            await self.plain_send(self.head(start, coding, None if more else len(body)))
        if body or not more:
            await self.plain_send({**message, "body": body})

    def choose(self, start: Message, body: bytes, *, more: bool) -> str | None:
        """The coding of the answer to GET that begins so, None to leave it as it is.

        A client that refuses identity gets a coding whatever it costs.
        """
        headers = Headers(raw=start["headers"])
        fixed = start["status"] in BODILESS or "content-encoding" in headers or "content-range" in headers
        best = next(iter(self.codings), IDENTITY)
        if fixed or best == IDENTITY or not (body or more):
            return None
        pays = shrinks(headers) and (more or len(body) >= LEAST_BYTES)
        return best if pays or IDENTITY not in self.codings else None

    async def encode(self, body: bytes, *, last: bool) -> bytes:
        """What goes out for a piece of the body; for HEAD, nothing."""
        if self.is_head:
            return b""
        if self.coder is None or not (body or last):
            return body
        if len(body) <= THREAD_BYTES:
            return self.coder.encode(body, last=last)
        coder = self.coder
        return await anyio.to_thread.run_sync(lambda: coder.encode(body, last=last))

    def head(self, start: Message, coding: str | None, length: int | None) -> Message:
        """The head of the answer, true of the coded body, whose length is known if it comes in one piece.

        HEAD has no `Content-Length` where that of GET is not known (RFC 9110, section 8.6).
        """
        headers = MutableHeaders(raw=[*start["headers"]])
        if shrinks(headers) or coding is not None or start["status"] in BODILESS:
            vary(headers)
        if coding is not None or (self.is_head and headers.get("content-length") == "0"):
            del headers["content-length"]
        if coding is not None and not self.is_head:
            headers["content-encoding"] = coding
            if length is not None:
                headers["content-length"] = str(length)
        return {**start, "headers": headers.raw}


def shrinks(headers: Headers) -> bool:
    """Whether a body of the `Content-Type` among these gets much smaller."""
    return headers.get("content-type", "").partition(";")[0].strip().lower() in SHRINKS


def vary(headers: MutableHeaders) -> None:
    """Adds that the answer depends on `Accept-Encoding`, beside what else it depends on."""
    named = {name.strip().lower() for line in headers.getlist("vary") for name in line.split(",")}
    if not named & {"accept-encoding", "*"}:
        headers["vary"] = ", ".join([*headers.getlist("vary"), "Accept-Encoding"])
