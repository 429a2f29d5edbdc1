"""An export made piece by piece: files in the spool, a few ahead of the reader, each removed when it has been read.

However slow a reader is, it holds no thread and no connection of the engine, and no more of the disk than those few.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import anyio
import anyio.to_thread
import duckdb

from audiences.engine import Engine
from audiences.sql import Query

CHUNK_BYTES = 256 * 1024

# Pieces made while one is being read: with one only, the engine would wait for the reader.
AHEAD = 2

# Seconds between two attempts to end a statement that nobody wants any more.
INTERRUPT_S = 0.02


class Changed(Exception):
    """What an export is made of changed while it was being made."""


@dataclass
class Piece:
    """Statements, of which the last writes the file `path` from what the others left as `scratch`.

    `rows` is how many it should find, where that is known.
    """

    queries: Sequence[Query]
    path: Path
    scratch: Sequence[Path] = ()
    rows: int | None = None
    unwanted: bool = False
    connection: duckdb.DuckDBPyConnection | None = None

    def make(self, engine: Engine) -> None:
        """Runs the statements, unless nobody wants them any more. Raises Changed."""
        found = None
        for query in self.queries:
            if self.unwanted:
                return
            with engine.connection() as connection:
                self.connection = connection
                try:
                    found = connection.execute(query.text, query.bound).fetchone()
                finally:
                    self.connection = None
        for path in self.scratch:
            path.unlink()
        if self.rows is not None and found != (self.rows,):
            raise Changed

    def interrupt(self) -> None:
        """Ends the statement that runs, if one does."""
        self.unwanted = True
        # It may end between the question and the interruption: then the connection is closed already.
        with suppress(duckdb.ConnectionException):
            if (connection := self.connection) is not None:
                connection.interrupt()


class Making:
    """Pieces in their order, of which the first few are under way."""

    def __init__(self, engine: Engine, threads: anyio.CapacityLimiter, pieces: Sequence[Piece]) -> None:
        self.engine = engine
        self.threads = threads
        self.waiting = deque(pieces)
        self.begun: deque[tuple[Piece, asyncio.Future[None]]] = deque()
        self.ahead = 1 if any(piece.scratch for piece in pieces) else AHEAD

    def begin(self, count: int) -> None:
        """Sees to it that so many pieces are under way, or all that are left."""
        while self.waiting and len(self.begun) < count:
            piece = self.waiting.popleft()
            work = anyio.to_thread.run_sync(piece.make, self.engine, limiter=self.threads)
            self.begun.append((piece, asyncio.ensure_future(work)))

    async def first(self) -> None:
        """Returns when the first piece is made, alone and so the sooner. Raises what it raised."""
        self.begin(1)
        await self.ready()

    async def ready(self) -> None:
        """Returns when the next piece is made. Raises what it raised."""
        if self.begun:
            made = self.begun[0][1]
            await asyncio.wait([made])  # which leaves it alone, should the waiting be cancelled
            made.result()

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """The bytes of all pieces, in order."""
        while self.waiting or self.begun:
            self.begin(1)
            await self.ready()
            piece, _ = self.begun.popleft()
            self.begin(self.ahead)
            async with aclosing(contents(piece.path)) as chunks:
                async for chunk in chunks:
                    yield chunk
            piece.path.unlink()

    async def end(self) -> None:
        """Returns when no statement runs any more."""
        self.waiting.clear()
        left = [made for _, made in self.begun]
        while left and not all(made.done() for made in left):
            for piece, _ in self.begun:
                piece.interrupt()
            await asyncio.wait(left, timeout=INTERRUPT_S)
        for made in left:
            made.exception()


@asynccontextmanager
async def making(engine: Engine, threads: anyio.CapacityLimiter, pieces: Sequence[Piece]) -> AsyncIterator[Making]:
    """The pieces, made as they are read; leaving the block ends what is still under way."""
    made = Making(engine, threads, pieces)
    try:
        yield made
    finally:
        with anyio.CancelScope(shield=True):
            await made.end()


async def contents(path: Path) -> AsyncGenerator[bytes, None]:
    """The bytes of a file; between two chunks it takes no thread."""
    with path.open("rb") as file:
        while chunk := await anyio.to_thread.run_sync(file.read, CHUNK_BYTES):
            yield chunk
