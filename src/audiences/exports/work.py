"""Work in the engine that can be ended at once, waiting or running; its refusals speak of exports."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TypeVar

import anyio
import anyio.to_thread
import duckdb
from duckdb import DuckDBPyConnection

from audiences.engine import Engine
from audiences.errors import DiskFull, EngineFull

# Seconds between two attempts to end a statement that nobody wants any more.
INTERRUPT_S = 0.02

Result = TypeVar("Result")


class Unwanted(Exception):
    """Nobody wants the work any more."""


class Work:
    """Statements one after the other, each on a connection that can be interrupted."""

    def __init__(self) -> None:
        self.started = False
        self.unwanted = False
        self.connection: DuckDBPyConnection | None = None

    @contextmanager
    def connected(self, engine: Engine) -> Iterator[DuckDBPyConnection]:
        """A connection of one's own. Raises Unwanted, and what `connected` does."""
        self.started = True  # before the question: who finds it unset may rely on the answer
        if self.unwanted:
            raise Unwanted
        with connected(engine) as connection:
            self.connection = connection
            try:
                yield connection
            finally:
                self.connection = None

    def interrupt(self) -> None:
        """Ends the statement that runs, if one does."""
        self.unwanted = True
        # It may end between the question and the interruption: then the connection is closed already.
        with suppress(duckdb.ConnectionException):
            if (connection := self.connection) is not None:
                connection.interrupt()


@contextmanager
def connected(engine: Engine) -> Iterator[DuckDBPyConnection]:
    """A connection of one's own. Raises DiskFull, EngineFull or MovedAway, in words about an export."""
    try:
        with engine.connection() as connection:
            yield connection
    except EngineFull as refusal:
        raise EngineFull(
            "The export needs more memory than what is under way leaves. Try again in a minute, or choose fewer rows "
            "by a filter.",
            headers=refusal.headers,
        ) from None
    except DiskFull:
        raise DiskFull("The server ran out of room while it made the export. Try later.") from None


async def carried_out(
    engine: Engine, threads: anyio.CapacityLimiter, ask: Callable[[DuckDBPyConnection], Result]
) -> Result:
    """What `ask` returns, in a thread; where the waiting is cancelled, its statements are ended."""
    work = Work()

    def run() -> Result:
        with work.connected(engine) as connection:
            return ask(connection)

    made = asyncio.ensure_future(anyio.to_thread.run_sync(run, limiter=threads))
    try:
        await asyncio.wait([made])  # which leaves it alone, should the waiting be cancelled
        return made.result()
    finally:
        with anyio.CancelScope(shield=True):
            await ended([(work, made)])


async def ended(under_way: Sequence[tuple[Work, asyncio.Future[Result]]]) -> None:
    """Returns when none of it runs any more; what it raised is of no interest."""
    left = [made for _, made in under_way]
    while left and not all(made.done() for made in left):
        for work, made in under_way:
            work.interrupt()
            if not work.started:
                made.cancel()  # it waits for a thread; should it get one this moment, it finds itself unwanted
        await asyncio.wait(left, timeout=INTERRUPT_S)
    for made in left:
        if not made.cancelled():
            made.exception()
