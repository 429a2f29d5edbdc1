"""Answers that are streams: opened when they are sent, and closed when that is over, however it ends."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import anyio
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from audiences.accept import CSV, NDJSON
from audiences.exports import BrokenOff, Export, Exports
from audiences.exports.pieces import contents
from audiences.inbox import ClientGone, left

# The least that a reader takes on average, in bytes a second, beyond the first minute: a slow mobile line. A slower
# one would hold one of the few exports for days, though it never stalls.
SLOWEST_BYTES_S = 16 * 1024
PATIENCE_S = 60.0


@dataclass(frozen=True)
class Bytes:
    """What is sent: chunks, how many bytes they are where that is known, and headers that go with them."""

    chunks: AsyncGenerator[bytes, None]
    length: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


@asynccontextmanager
async def opened(
    source: Exports, folder: Path, export: Export, kind: str, headers: Mapping[str, str]
) -> AsyncIterator[Bytes]:
    """All rows in that format, made in a place of the exports. Raises what `Exports` does."""
    if kind in {CSV, NDJSON}:
        async with source.lines(folder, export, kind) as chunks:
            yield Bytes(chunks, headers=headers)
    else:
        path = await source.file(folder, export, kind)
        yield Bytes(contents(path), path.stat().st_size, headers)


async def paced(
    chunks: AsyncGenerator[bytes, None], seconds: Callable[[], float] = time.monotonic
) -> AsyncGenerator[bytes, None]:
    """The chunks, as long as whoever reads them is fast enough; the time in which they are made does not count.

    Raises BrokenOff.
    """
    waited, taken = 0.0, 0
    async with aclosing(chunks):
        async for chunk in chunks:
            begun = seconds()
            yield chunk
            waited += seconds() - begun
            taken += len(chunk)
            if waited > PATIENCE_S + taken / SLOWEST_BYTES_S:
                raise BrokenOff("slow_reader")


class Download(Response):
    """A stream that is opened when it is sent, and closed when that is over, however it ends.

    What fails while it is opened raises with nothing sent, so that it can be answered. A client that leaves while it
    is being opened ends that.
    """

    def __init__(self, source: AbstractAsyncContextManager[Bytes], kind: str, headers: dict[str, str]) -> None:
        super().__init__(None, media_type=kind, headers=headers)
        self.source = source

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Opens, sends, closes. Raises ClientGone."""
        async with AsyncExitStack() as stack:
            leaving = asyncio.create_task(left(Request(scope, receive)))
            try:
                with anyio.CancelScope() as building:
                    leaving.add_done_callback(lambda _: building.cancel())
                    rows = await stack.enter_async_context(self.source)
            finally:
                leaving.cancel()
            if building.cancel_called:
                raise ClientGone
            del self.headers["content-length"]  # that of no body
            self.headers.update(rows.headers)
            if rows.length is not None:
                self.headers["content-length"] = str(rows.length)
            async with aclosing(paced(rows.chunks)) as chunks:
                stream = StreamingResponse(chunks)
                stream.raw_headers = self.raw_headers
                await stream(scope, receive, send)
