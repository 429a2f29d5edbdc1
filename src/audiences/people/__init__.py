"""What an account holds on one number: found wherever it stands, and erased there.

It is looked for in every stored file of the account: those of current audiences, of old versions, and of deleted
audiences that can still be restored; and on the do-not-contact list. What lies as it was sent is named (`as_sent`).
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal
from weakref import WeakValueDictionary

import anyio
import msgspec
from duckdb import DuckDBPyConnection
from sqlalchemy import Connection
from sqlalchemy.engine import RowMapping

from audiences import clock, suppression_file
from audiences.clock import Clock
from audiences.engine import MovedAway
from audiences.layout import Layout, Stored
from audiences.leases import Hold
from audiences.library import Library
from audiences.models import Erased, Held, HeldAsSent, HeldCell, HeldContact, HeldReject
from audiences.people import as_sent, spellings
from audiences.people import rows as people_rows
from audiences.people.erasure import Commit, Erasure, lost
from audiences.people.rows import Sought, Source
from audiences.sql import Query
from audiences.store import people as stored
from audiences.store.files import FileStore
from audiences.suppressed import Suppressed, on_current
from audiences.suppressions import Suppressions

# What takes a turn.
Work = Literal["disclosure", "erasure"]

# Rows and cells in one answer. A number has a few; one that has more stands in a file that repeats it.
MAX_ROWS = 1000


@dataclass(frozen=True)
class Kept:
    """A file of the account, as the catalog has it and as it is read."""

    row: RowMapping
    files: FileStore

    @property
    def source(self) -> Source:
        """What it is read from. It is made anew each time: who looks through all files holds no more than one."""
        plan = msgspec.convert(self.row["layout"], Layout)

        def part(name: str | None) -> Stored | None:
            return None if name is None else Stored(self.row["position"], partial(self.files.local, name), plan)

        return Source(part(self.row["contacts_object"]), part(self.row["rejects_object"]))

    def at(self, number: int) -> dict[str, Any]:
        """Where the row of that number stands, as answers say it."""
        where = {"audience": str(self.row["audience_id"]), "name": self.row["name"], "state": self.row["state"]}
        return where | {"file": self.row["position"], "row": number}


@dataclass(frozen=True)
class Everything:
    """Where a number may stand: files that are looked through, and others that are not."""

    files: Sequence[Kept]
    not_searched: Sequence[HeldAsSent]


class People:
    """The people in one catalog, by their numbers."""

    def __init__(self, library: Library, suppressions: Suppressions, now: Clock, spool: Path) -> None:
        self.library = library
        self.database, self.files, self.engine = library.database, library.files, library.engine
        self.suppressions = suppressions
        self.clock = now
        self.spool = spool
        self.turns: WeakValueDictionary[tuple[int, Work], anyio.Lock] = WeakValueDictionary()

    def turn(self, account: int, work: Work) -> anyio.Lock:
        """What such work has to hold, since each looks through all files: an account has one of its kind at a time.

        Two erasures would each find that the other had changed their files. A disclosure does not wait for an erasure.
        """
        return self.turns.setdefault((account, work), anyio.Lock())

    def kept(self, connection: Connection, account: int) -> tuple[list[Kept], list[str]]:
        """Every file of the account, and the names of what is stored of them."""
        rows = stored.files(connection, account)
        names = [row[kind] for row in rows for kind in ("contacts_object", "rejects_object") if row[kind] is not None]
        return [Kept(row, self.files) for row in rows], names

    def everything(self, connection: Connection, account: int) -> tuple[Everything, list[str]]:
        """All of the account as it is at that moment, and the names of what is stored of the files."""
        files, names = self.kept(connection, account)
        return Everything(files, as_sent.every(connection, account, self.clock(), MAX_ROWS + 1)), names

    def held(self, account: int, phone: int, there: Everything) -> Held:
        """All that the account holds on the number; at most `MAX_ROWS` rows and cells, and files. Raises NotReady."""
        with self.engine.connection() as connection:
            country, line_type, time_zones = self.engine.plan.place_of(phone)
            since = self.suppressed_since(connection, account, phone)
            found = Held(
                phone=str(phone),
                country=country,
                line_type=line_type,
                time_zones=time_zones,
                suppressed=since is not None,
                suppressed_time=None if since is None else clock.in_seconds(since),
                contacts=[],
                rejects=[],
                cells=[],
                more=False,
                not_searched=list(there.not_searched[:MAX_ROWS]),
            )
            sought = Sought(phone, spellings.pattern(self.engine.plan.patterns, phone))
        for file in there.files:
            if found.more:
                break
            try:
                with self.engine.connection() as connection:
                    add_rows(connection, file, sought, found)
            except (MovedAway, FileNotFoundError) as error:
                raise lost(file, error) from None
        found.more |= len(there.not_searched) > MAX_ROWS
        return found

    def is_valid(self, phone: int) -> bool:
        """Whether the numbering plan has the number."""
        return self.engine.plan.place_of(phone)[0] is not None

    def erase(self, account: int, phone: int, hold: Hold, commit: Commit) -> Erased:
        """Erases the number from everything that the account holds; what was erased.

        `hold` is called with the name of each file that is stored for it. `commit` is called with what was erased
        inside the transaction from which on nobody finds the number any more. Raises NotReady.
        """
        with tempfile.TemporaryDirectory(dir=self.spool) as name:
            folder = Path(name)
            with self.engine.connection() as connection:
                self.suppressions.forget(connection, account, phone, folder)
                since = self.suppressed_since(connection, account, phone)
                sought = Sought(phone, spellings.pattern(self.engine.plan.patterns, phone))
            return Erasure(self, account, sought, folder, hold).carry_out(commit, suppressed=since is not None)

    def suppressed_since(self, connection: DuckDBPyConnection, account: int, phone: int) -> int | None:
        """When the number was put on the do-not-contact list, in milliseconds; None if it is not there."""

        def read(listed: Suppressed | None) -> int | None:
            if listed is None:
                return None
            query = Query()
            statement = f"SELECT min(added_time) FROM ({suppression_file.chosen(listed, phone, query)})"
            ((since,),) = connection.execute(statement, query.bound).fetchall()
            return since  # type: ignore[no-any-return]

        return on_current(partial(self.suppressions.current, account), read)


def add_rows(connection: DuckDBPyConnection, file: Kept, sought: Sought, found: Held) -> None:
    """Adds what a file holds on the number, as far as there is room; then `more` says if there is more."""

    def room() -> int:
        return MAX_ROWS + 1 - len(found.contacts) - len(found.rejects) - len(found.cells)

    source = file.source
    if source.contacts is not None:
        for contact in people_rows.contacts(connection, source.contacts, sought, room()):
            found.contacts.append(HeldContact(**file.at(contact.row), columns=contact.columns))
        for row, column, text in people_rows.cells(connection, source.contacts, sought, room()):
            found.cells.append(HeldCell(**file.at(row), column=column, text=text))
    if source.rejects is not None:
        for one in people_rows.rejects(connection, source, sought, room()):
            reject = HeldReject(**file.at(one.row), reason=one.reason, columns=one.columns, raw=one.raw)
            found.rejects.append(reject)
    if room() == 0:
        found.more = True
        last = next(rows for rows in (found.rejects, found.cells, found.contacts) if rows)
        last.pop()
