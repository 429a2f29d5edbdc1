"""Hold stored files while they are read: none of them is removed before the read ends, or its node has died."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

import anyio
import anyio.to_thread
from sqlalchemy import Connection

from audiences.clock import SECOND, Clock
from audiences.store import reads
from audiences.store.database import Database

# A hold lapses so long after its node's last sign of life.
LEASE = 60 * SECOND
RENEWAL_S = 20.0

Found = TypeVar("Found")


class Leases:
    """The holds of one catalog."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self.database = database
        self.clock = clock

    @asynccontextmanager
    async def held(self, find: Callable[[Connection], tuple[Found, list[str]]]) -> AsyncIterator[Found]:
        """What `find` finds, whose files (the names that it returns, too) are held as long as the block lasts.

        `find` is called in the transaction that holds them, so that no file it names can be gone by then.
        """
        read_id = secrets.token_hex(16)
        found = await anyio.to_thread.run_sync(self.hold, read_id, find)
        renewal = asyncio.create_task(self.renew(read_id))
        try:
            yield found
        finally:
            renewal.cancel()
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(self.let_go, read_id)

    def hold(self, read_id: str, find: Callable[[Connection], tuple[Found, list[str]]]) -> Found:
        """One transaction: what is found, and the hold on its files."""
        with self.database.write() as connection:
            found, names = find(connection)
            reads.add(connection, read_id, names, self.clock() + LEASE)
            return found

    def let_go(self, read_id: str) -> None:
        """Ends a hold."""
        with self.database.write() as connection:
            reads.remove(connection, read_id)

    async def renew(self, read_id: str) -> None:
        """Renews the lease until cancelled."""
        while True:
            await asyncio.sleep(RENEWAL_S)
            await anyio.to_thread.run_sync(self.renew_once, read_id)

    def renew_once(self, read_id: str) -> None:
        """Renews the lease."""
        with self.database.write() as connection:
            reads.renew(connection, read_id, self.clock() + LEASE)
