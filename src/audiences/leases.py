"""Hold stored files while they are read, or before a row refers to them: none of them is removed before the hold ends.

A hold is a lease in the catalog that its node renews; so a node that died holds files for a minute at most. Whoever
lets go of files removes those that nobody wants any more: what an erasure left to its readers goes with the last.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

import anyio
import anyio.to_thread
from sqlalchemy import Connection

from audiences.clock import SECOND, Clock
from audiences.errors import DiskFull, NotReady, Refusal
from audiences.store import audiences, reads
from audiences.store.database import Database
from audiences.store.files import FileStore, left_to_the_sweeper
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
    async def held(self, account: int, find: Find[Found]) -> AsyncIterator[Found]:
        """What `find` finds of the account, whose files are held as long as the block lasts.

        `find` is called in the transaction that holds them, so that no file it names can be gone by then.
        """
        lease = Lease(self.database, account, self.clock)
        async with self.kept(lease):
            yield await anyio.to_thread.run_sync(self.hold, lease, find)

    @asynccontextmanager
    async def growing(self, account: int) -> AsyncIterator[Hold]:
        """Holds files that are stored for the account in the block, from the call with their name to the block's end.

        Those that no row refers to by then are removed. The call blocks; it raises DiskFull. Where the block certainly
        stored nothing, they are removed even if the hold cannot be ended: a full disk has no room to note that.
        """
        lease = Lease(self.database, account, self.clock)
        try:
            async with self.kept(lease):
                yield lease.add
        except NotReady:
            raise
        except Refusal:
            await anyio.to_thread.run_sync(logged, "files_not_removed", partial(self.abandon, lease))
            raise

    @asynccontextmanager
    async def kept(self, lease: Lease) -> AsyncIterator[None]:
        """Renews a hold within the block, and ends it with the block."""
        async with renewed(lease.renew, partial(self.let_go, lease), self.renewal_s):
            yield

    def hold(self, lease: Lease, find: Find[Found]) -> Found:
        """What is found, with the hold on its files. On a full disk there is none, but it is found."""
        try:
            found = lease.hold(find)
        except DiskFull as full:
            # A full disk must not keep anybody from reading. Files go seldom, and a read that misses one says so.
            if not self.told:
                log_fault("lease_without_room", full)
            self.told = True
            with self.database.read() as connection:
                return find(connection)[0]
        self.told = False
        return found

    def let_go(self, lease: Lease) -> None:
        """Ends a hold, and removes the files that are of no use without it."""
        remove_unused(self.database, self.files, lease.end(), self.clock())

    def abandon(self, lease: Lease) -> None:
        """Removes what is still held of the files, unless somebody else wants it."""
        remove_unused(self.database, self.files, lease.names, self.clock(), but=lease.id)


@dataclass(frozen=True)
class Lease:
    """One hold on files of an account."""

    database: Database
    account: int
    clock: Clock
    id: str = field(default_factory=partial(secrets.token_hex, 16))
    # Changed in transactions of the account alone, which take turns: so a renewal puts nothing back behind the end.
    names: set[str] = field(default_factory=set)

    def hold(self, find: Find[Found]) -> Found:
        """What is found, in the transaction that holds its files."""
        with self.database.write(self.account) as connection:
            found, names = find(connection)
            reads.add(connection, self.id, names, self.clock() + LEASE)
            self.names.update(names)
            return found

    def add(self, name: str) -> None:
        """Holds one more file."""
        with self.database.write(self.account) as connection:
            reads.add(connection, self.id, [name], self.clock() + LEASE)
            self.names.add(name)

    def renew(self) -> None:
        """Renews the lease, of marks that somebody else has removed as well."""
        with self.database.write(self.account) as connection:
            reads.renew(connection, self.id, self.names, self.clock() + LEASE)

    def end(self) -> list[str]:
        """Ends the hold; the names of its files, which it keeps where it could not be ended."""
        names = list(self.names)
        try:
            with self.database.write(self.account) as connection:
                reads.remove(connection, self.id)
                self.names.clear()
        except Exception:
            self.names.update(names)
            raise
        return names


def remove_unused(database: Database, files: FileStore, names: Collection[str], now: int, *, but: str = "") -> None:
    """Removes those of the files that no row refers to and nobody `but` that hold has, as far as can be done now."""
    with database.read() as connection:
        used = audiences.objects_in_use(connection, names, now, but=but)
    for name in set(names) - used:
        with left_to_the_sweeper():
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
