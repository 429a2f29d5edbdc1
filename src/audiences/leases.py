"""Hold stored files while they are read, or before a row refers to them: none of them is removed before the hold ends.

A hold is a lease in the catalog that its node renews; so a node that died holds files for a minute at most. Whoever
lets go of files removes those that nobody wants any more: what an erasure left to its readers goes with the last.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import TypeVar

import anyio
import anyio.to_thread
from sqlalchemy import Connection

from audiences.clock import SECOND, Clock
from audiences.errors import DiskFull
from audiences.store import audiences, reads
from audiences.store.database import Database
from audiences.store.files import FileStore
from audiences.watch import log_fault

# A hold lapses so long after its node's last sign of life.
LEASE = 60 * SECOND
RENEWAL_S = 20.0

Found = TypeVar("Found")

# Finds something in a transaction, and the names of its files.
Find = Callable[[Connection], tuple[Found, list[str]]]

# Holds one more file.
Hold = Callable[[str], None]


class Leases:
    """The holds of one catalog."""

    def __init__(self, database: Database, files: FileStore, clock: Clock, renewal_s: float = RENEWAL_S) -> None:
        self.database = database
        self.files = files
        self.clock = clock
        self.renewal_s = renewal_s
        self.told = False

    @asynccontextmanager
    async def held(self, find: Find[Found]) -> AsyncIterator[Found]:
        """What `find` finds, whose files are held as long as the block lasts.

        `find` is called in the transaction that holds them, so that no file it names can be gone by then.
        """
        read_id = secrets.token_hex(16)
        async with self.kept(read_id):
            yield await anyio.to_thread.run_sync(self.hold, read_id, find)

    @asynccontextmanager
    async def growing(self) -> AsyncIterator[Hold]:
        """Holds files that are stored within the block, from the call with their name to its end.

        Those that no row refers to by then are removed. The call blocks; it raises DiskFull.
        """
        read_id = secrets.token_hex(16)
        async with self.kept(read_id):
            yield partial(self.add, read_id)

    @asynccontextmanager
    async def kept(self, read_id: str) -> AsyncIterator[None]:
        """Renews a hold within the block, and ends it with the block."""
        async with renewed(partial(self.renew, read_id), partial(self.let_go, read_id), self.renewal_s):
            yield

    def hold(self, read_id: str, find: Find[Found]) -> Found:
        """One transaction: what is found, and the hold on its files. On a full disk there is none, but it is found."""
        try:
            with self.database.write() as connection:
                found, names = find(connection)
                reads.add(connection, read_id, names, self.clock() + LEASE)
        except DiskFull as full:
            # A full disk must not keep anybody from reading. Files go seldom, and a read that misses one says so.
            if not self.told:
                log_fault("lease_without_room", full)
            self.told = True
            with self.database.read() as connection:
                return find(connection)[0]
        self.told = False
        return found

    def add(self, read_id: str, name: str) -> None:
        """Holds one more file."""
        with self.database.write() as connection:
            reads.add(connection, read_id, [name], self.clock() + LEASE)

    def renew(self, read_id: str) -> None:
        """Renews the lease."""
        with self.database.write() as connection:
            reads.renew(connection, read_id, self.clock() + LEASE)

    def let_go(self, read_id: str) -> None:
        """Ends a hold, and removes the files that are of no use without it."""
        with self.database.write() as connection:
            names = reads.remove(connection, read_id)
        remove_unused(self.database, self.files, names, self.clock())


def remove_unused(database: Database, files: FileStore, names: Collection[str], now: int) -> None:
    """Removes those of the files that no row refers to and nobody holds.

    What cannot be removed is left to the sweeper: what made the files useless has been decided, and must not look as if
    it had failed.
    """
    with database.read() as connection:
        used = audiences.objects_in_use(connection, names, now)
    for name in set(names) - used:
        with suppress(OSError):
            files.remove(name)


@asynccontextmanager
async def renewed(renew: Callable[[], object], release: Callable[[], object], every_s: float) -> AsyncIterator[None]:
    """Calls `renew` every so many seconds within the block, and `release` behind it; both in threads.

    A release that fails is logged and no more: the lease lapses by itself.
    """
    renewal = asyncio.create_task(renew_on(renew, every_s))
    try:
        yield
    finally:
        renewal.cancel()
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(logged, "lease_not_ended", release)


async def renew_on(renew: Callable[[], object], every_s: float) -> None:
    """Renews until cancelled; one that fails is logged, and the next one tries again."""
    while True:
        await asyncio.sleep(every_s)
        await anyio.to_thread.run_sync(logged, "lease_not_renewed", renew)


def logged(event: str, step: Callable[[], object]) -> None:
    """Does the step; what it raises is logged and goes no further."""
    try:
        step()
    except Exception as error:  # noqa: BLE001 - a locked catalog, a full disk: the lease outlives a few of them
        log_fault(event, error)
