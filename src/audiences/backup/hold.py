"""Hold the files of a backup in the store until they are copied, as `leases` does it for requests."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Collection
from itertools import islice
from types import TracebackType
from typing import Self

from sqlalchemy import Connection

from audiences import leases
from audiences.clock import MINUTE, Clock
from audiences.store import reads
from audiences.store.database import Database
from audiences.store.files import FileStore

# Longer than a request's, since a first backup holds very many files, and each renewal writes a row for each of them.
# So long are files kept for a backup that was killed.
LEASE = 10 * MINUTE
RENEWAL_S = 150.0

BATCH = 500


class Hold:
    """A hold that is renewed by a thread of its own, from the begin of its block to the end."""

    def __init__(self, database: Database, files: FileStore, now: Clock) -> None:
        self.database = database
        self.files = files
        self.now = now
        self.id = secrets.token_hex(16)
        self.names: Collection[str] = ()
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.renew, name="hold", daemon=True)

    def begin(self, connection: Connection, names: Collection[str]) -> None:
        """Holds the files in the transaction of the caller, which has made sure that they are there."""
        reads.add(connection, self.id, names, self.now() + LEASE)
        self.names = names

    def renew(self) -> None:
        """Renews the hold until it is over; a renewal that fails is logged, and the next one tries again."""
        while not self.over.wait(RENEWAL_S):
            leases.logged("lease_not_renewed", self.renew_once)

    def renew_once(self) -> None:
        """Renews it once."""
        with self.database.write() as connection:
            reads.renew(connection, self.id, self.names, self.now() + LEASE)

    def end(self) -> None:
        """Ends it, and removes what nobody wants any more: the server may have waited for that."""
        with self.database.write() as connection:
            names = reads.remove(connection, self.id)
        left = iter(names)
        while batch := list(islice(left, BATCH)):
            leases.remove_unused(self.database, self.files, batch, self.now())

    def __enter__(self) -> Self:
        self.thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.over.set()
        self.thread.join()
        leases.logged("lease_not_ended", self.end)
