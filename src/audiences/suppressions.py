"""The account's do-not-contact list: what is on it, and how it changes.

A list is one immutable file, replaced as a whole by each change; the catalog's row says which one counts. Of two
changes at once the later one finds that the row has moved, and is made again on what the earlier one left.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, TypeVar

import duckdb
import msgspec
from duckdb import DuckDBPyConnection
from msgspec import Meta
from sqlalchemy import Connection

from audiences import cursors, leases, suppression_file
from audiences.clock import Clock
from audiences.engine import Engine
from audiences.errors import QuotaExceeded
from audiences.store import secret_keys
from audiences.store import suppressions as stored
from audiences.store.database import Database
from audiences.store.files import FileStore, Overtaken, stored_together
from audiences.suppressed import Suppressed, on_current
from audiences.suppression_file import Kind, Written

HASH_KEY = "suppressions"

# Numbers on a list. It is no quota's business, since an opt-out must not be refused for want of bytes; but a change
# writes the whole list, at 0.14 s for each million, and no account reaches more people than a large country has.
MAX_LISTED = 50_000_000

# The list after a change, in the spool.
NEW = "suppressions.parquet"

# What a caller adds to the transaction of a change: called with how many numbers that had an effect on.
Commit = Callable[[Connection, int], None]
Result = TypeVar("Result")
Position = Annotated[int, Meta(ge=0, le=2**63 - 1)]


class ListMoved(Overtaken):
    """The list was changed while this change was made on the one before."""


@dataclass(frozen=True)
class Version:
    """One version of an account's list, of so many numbers; number 0 is that of an account which never had any."""

    number: int = 0
    numbers: int = 0
    listed: Suppressed | None = None


class Suppressions:
    """The lists of one catalog."""

    def __init__(self, database: Database, files: FileStore, engine: Engine, clock: Clock) -> None:
        self.database = database
        self.files = files
        self.engine = engine
        self.clock = clock
        self.key = secret_keys.ensure(database, HASH_KEY)

    def current(self, account: int) -> Suppressed | None:
        """The account's list as it is now, or None if it is empty."""
        return self.newest(account).listed

    def newest(self, account: int) -> Version:
        """The version that counts now."""
        with self.database.read() as connection:
            return self.newest_in(connection, account)

    def newest_in(self, connection: Connection, account: int) -> Version:
        """The same in the caller's transaction."""
        row = stored.find(connection, account)
        if row is None:
            return Version()
        name = row["object"]
        listed = None if name is None else Suppressed(name, row["hashes"], self.key, self.files.local, row["phones"])
        return Version(row["version"], row["phones"] + row["hashes"], listed)

    def page(self, account: int, phone: int | None, limit: int, cursor: str | None) -> tuple[msgspec.Raw, str | None]:
        """Numbers on the list, by number, and the next page's cursor; of `phone` alone if one is given.

        Raises InvalidCursor.
        """
        after = -1 if cursor is None else cursors.decode(cursor, Position)
        with self.engine.connection() as connection:

            def read(listed: Suppressed | None) -> tuple[bytes, int | None]:
                return suppression_file.page(connection, listed, phone, limit, after)

            items, last = on_current(partial(self.current, account), read)
        return msgspec.Raw(items), None if last is None else cursors.encode(last)

    def write_csv(self, account: int, phone: int | None, target: Path) -> None:
        """Writes the whole list to `target`, as `phone1,added_time`; of `phone` alone if one is given."""
        with self.engine.connection() as connection:

            def write(listed: Suppressed | None) -> None:
                suppression_file.write_csv(connection, listed, phone, target)

            on_current(partial(self.current, account), write)

    def check(self, connection: DuckDBPyConnection, account: int, kind: Kind) -> int:
        """On how many of the numbers in the connection's table `wanted` a change would have an effect."""

        def look(listed: Suppressed | None) -> int:
            return suppression_file.changes(connection, listed, kind)

        return on_current(partial(self.current, account), look)

    def change(self, connection: DuckDBPyConnection, account: int, kind: Kind, folder: Path, commit: Commit) -> int:
        """Adds or removes the numbers in the connection's table `wanted`; on how many that had an effect.

        The new list is written in `folder`, a place in the spool. The quota of bytes does not stand in the way of an
        opt-out. Raises QuotaExceeded for a list of more than MAX_LISTED numbers, and then nothing is changed.
        """

        def make(before: Version) -> int:
            changed = suppression_file.changes(connection, before.listed, kind)
            if not changed:
                with self.database.write(account) as catalog:
                    commit(catalog, changed)
                return changed
            if kind == "add" and before.numbers + changed > MAX_LISTED:
                raise QuotaExceeded(f"The list has at most {MAX_LISTED:,} numbers. Take off those of no use any more.")
            written = suppression_file.write(connection, before.listed, kind, folder / NEW, self.clock())
            self.publish(account, before, written, lambda catalog: commit(catalog, changed))
            return changed

        return self.on_newest(account, make)

    def forget(self, connection: DuckDBPyConnection, account: int, phone: int, folder: Path) -> None:
        """Leaves only the keyed hash of the number where it is on the list: it stays suppressed, since when it was.

        A hash is longer than a number; a full quota does not stand in the way of an erasure.
        """

        def make(before: Version) -> None:
            if before.listed is not None:
                written = suppression_file.write_hashed(connection, before.listed, phone, folder / NEW)
                if written is not None:
                    self.publish(account, before, written, lambda _: None)

        self.on_newest(account, make)

    def on_newest(self, account: int, make: Callable[[Version], Result]) -> Result:
        """What `make` returns for the newest version; it is called again where that was replaced meanwhile."""
        while True:
            before = self.newest(account)
            try:
                return make(before)
            except ListMoved:
                continue
            except (duckdb.IOException, FileNotFoundError):
                if self.newest(account) == before:
                    raise

    def publish(self, account: int, before: Version, written: Written, settle: Callable[[Connection], None]) -> None:
        """Makes the list that was written the one that counts, after `before`; `settle` joins the transaction.

        Raises ListMoved, and what `settle` does.
        """
        values: dict[str, object] = {"phones": written.phones, "hashes": written.hashes}
        values |= {"stored_bytes": written.size if written else 0, "updated_time": self.clock()}
        coming = {"suppressions": written.path} if written else {}
        with stored_together(self.files, coming) as objects, self.database.write(account) as catalog:
            values |= {"object": objects.get("suppressions")}
            if not stored.change(catalog, account, before.number, values):
                raise ListMoved
            settle(catalog)
            objects.check_age()
        if before.listed is not None:
            self.engine.known.numbers.discard(before.listed.name)
            leases.remove_unused(self.database, self.files, [before.listed.name], self.clock())
