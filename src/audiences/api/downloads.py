"""Answers that are streams: opened when they are sent, and closed when that is over, however it ends."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from dataclasses import dataclass, field

from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from audiences.accept import CSV, NDJSON
from audiences.exports import Export, Exports
from audiences.exports.pieces import contents


@dataclass(frozen=True)
class Bytes:
    """What is sent: chunks, how many bytes they are where that is known, and headers that go with them."""

    chunks: AsyncGenerator[bytes, None]
    length: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


@asynccontextmanager
async def opened(source: Exports, export: Export, kind: str, headers: Mapping[str, str]) -> AsyncIterator[Bytes]:
    """All rows in that format. Raises what `Exports` does; nothing is left of them behind the block."""
    if kind in {CSV, NDJSON}:
        async with source.lines(export, kind) as chunks:
            yield Bytes(chunks, headers=headers)
    else:
        async with source.file(export, kind) as path:
            yield Bytes(contents(path), path.stat().st_size, headers)


class Download(Response):
    """A stream that is opened when it is sent, and closed when that is over, however it ends.

    What fails while it is opened raises with nothing sent, so that it can be answered.
    """

    def __init__(self, source: AbstractAsyncContextManager[Bytes], kind: str, headers: dict[str, str]) -> None:
        super().__init__(None, media_type=kind, headers=headers)
        self.source = source

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Opens, sends, closes."""
        async with self.source as rows:
            del self.headers["content-length"]  # that of no body
            self.headers.update(rows.headers)
            if rows.length is not None:
                self.headers["content-length"] = str(rows.length)
            async with aclosing(rows.chunks) as chunks:
                stream = StreamingResponse(chunks)
                stream.raw_headers = self.raw_headers
                await stream(scope, receive, send)
