"""An export made piece by piece: files in the spool, a few ahead of the reader, each removed when it has been read.

However slow a reader is, it holds no thread and no connection of the engine, and no more of the disk than those few.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Sequence
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import anyio
import anyio.to_thread

from audiences.engine import Engine
from audiences.exports.work import Work, ended
from audiences.sql import Query

CHUNK_BYTES = 256 * 1024

# Pieces made while one is being read: with one only, the engine would wait for the reader.
AHEAD = 2


class Changed(Exception):
    """What an export is made of changed while it was being made."""


class Piece(Work):
    """Statements, of which the last writes the file `path` from what the others left as `scratch`.

    `rows` is how many it should find, where that is known.
    """

    def __init__(
        self, queries: Sequence[Query], path: Path, scratch: Sequence[Path] = (), rows: int | None = None
    ) -> None:
        super().__init__()
        self.queries = queries
        self.path = path
        self.scratch = scratch
        self.rows = rows

    def make(self, engine: Engine) -> None:
        """Runs the statements. Raises Changed, or Unwanted."""
        found = None
        for query in self.queries:
            with self.connected(engine) as connection:
                found = connection.execute(query.text, query.bound).fetchone()
        for path in self.scratch:
            path.unlink()
        if self.rows is not None and found != (self.rows,):
            raise Changed


def always() -> None:
    """There is room for a piece."""


class Making:
    """Pieces in their order, of which the first few are under way; `coming` are asked for as they are needed.

    `check_room` is called before each, and raises where there is no room for it.
    """

    def __init__(
        self,
        engine: Engine,
        threads: anyio.CapacityLimiter,
        coming: Iterable[Piece],
        check_room: Callable[[], None] = always,
    ) -> None:
        self.engine = engine
        self.threads = threads
        self.coming = iter(coming)
        self.check_room = check_room
        self.begun: deque[tuple[Piece, asyncio.Future[None]]] = deque()

    async def begin(self, count: int) -> None:
        """Sees to it that so many pieces are under way, or all that are left. Raises what `check_room` does."""
        while len(self.begun) < count:
            piece = await anyio.to_thread.run_sync(self.next_piece)
            if piece is None:
                return
            work = anyio.to_thread.run_sync(piece.make, self.engine, limiter=self.threads)
            self.begun.append((piece, asyncio.ensure_future(work)))

    def next_piece(self) -> Piece | None:
        """The next piece, or None behind the last."""
        piece = next(self.coming, None)
        if piece is not None:
            self.check_room()
        return piece

    async def first(self) -> None:
        """Returns when the first piece is made, alone and so the sooner. Raises what it raised."""
        await self.begin(1)
        await self.ready()

    async def ready(self) -> None:
        """Returns when the next piece is made. Raises what it raised."""
        if self.begun:
            made = self.begun[0][1]
            await asyncio.wait([made])  # which leaves it alone, should the waiting be cancelled
            made.result()

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """The bytes of all pieces, in order."""
        await self.begin(1)
        while self.begun:
            await self.ready()
            piece, _ = self.begun.popleft()
            await self.begin(1 if piece.scratch else AHEAD)  # a wide table's piece fills the memory alone
            async with aclosing(contents(piece.path)) as chunks:
                async for chunk in chunks:
                    yield chunk
            piece.path.unlink()

    async def end(self) -> None:
        """Returns when no statement runs any more."""
        await ended(self.begun)


@asynccontextmanager
async def making(
    engine: Engine,
    threads: anyio.CapacityLimiter,
    pieces: Iterable[Piece],
    check_room: Callable[[], None] = always,
) -> AsyncIterator[Making]:
    """The pieces, made as they are read; leaving the block ends what is still under way."""
    made = Making(engine, threads, pieces, check_room)
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
