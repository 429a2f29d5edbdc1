"""The files that an erasure has stored and holds: whether all of them are there, before rows refer to them.

A hold lapses if its node stands still; then the sweeper may take the file, and a later renewal is a hold on nothing.
The file store is slow to ask, and others wait for a transaction that writes. So each file is looked for outside of it,
and from then on the catalog is enough: a file that was there is there as long as its hold had no gap.
"""

from __future__ import annotations

import time
from collections.abc import Set as AbstractSet

from sqlalchemy import Connection

from audiences.clock import SECOND, Clock
from audiences.errors import out_of_reach
from audiences.store import reads
from audiences.store.database import Database
from audiences.store.files import FileStore

# So often the holds are looked at while files are looked for: far more often than they could lapse.
EVERY = 5 * SECOND

# Files have to be held so long still when their rows are written: until these are committed.
TO_COMMIT = 10 * SECOND

# A hold that lapsed is there again with its next renewal. So often, so many seconds apart, it is looked for.
TRIES, PAUSE_S = 120, 0.5


class NewFiles:
    """The new files of one erasure. `seen` are those that were there since when no hold had a gap."""

    def __init__(self, database: Database, files: FileStore, clock: Clock) -> None:
        self.database, self.files, self.clock = database, files, clock
        self.seen: set[str] = set()
        self.held_until = 0
        self.looked = 0

    def missing(self, names: AbstractSet[str]) -> set[str]:
        """Those of the held files that are not in the file store, which is asked once for each. Raises NotReady."""
        missing = set()
        self.wait_for_holds(names)
        for name in names - self.seen:
            if self.clock() >= self.looked + EVERY:
                self.wait_for_holds(names)
            if self.files.exists(name):
                self.seen.add(name)
            else:
                missing.add(name)
        return missing

    def wait_for_holds(self, names: AbstractSet[str]) -> None:
        """Returns once all of them are held. Raises NotReady if their holds are not renewed."""
        for _ in range(TRIES):
            with self.database.read() as connection:
                if self.are_held(connection, names):
                    return
            time.sleep(PAUSE_S)
        raise out_of_reach("its catalog")

    def are_safe(self, connection: Connection, names: AbstractSet[str]) -> bool:
        """Whether all of them are there, and will be when the transaction commits."""
        return self.are_held(connection, names) and names <= self.seen

    def are_held(self, connection: Connection, names: AbstractSet[str]) -> bool:
        """Whether all of them are held until a commit; if there was a gap, no file counts as seen any more."""
        if not names:
            return True
        self.looked = self.clock()
        if self.looked >= self.held_until:
            self.seen.clear()
        self.held_until = reads.held_until(connection, names)
        return self.held_until > self.looked + TO_COMMIT
