"""Erases one number from all stored files of an account, in one step that everybody sees whole or not at all.

Each file that holds the number is written anew beside the one there is. Then one transaction makes the new ones count,
if no file has changed or come meanwhile; else those are looked at, and it is tried again. A crash before it leaves the
old state, one after it the new state; and files that no row refers to, which the sweeper takes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from duckdb import DuckDBPyConnection
from sqlalchemy import Connection

from audiences.engine import MovedAway
from audiences.errors import Refusal
from audiences.models import Erased
from audiences.people import erased as erased_rows
from audiences.people.erased import Found
from audiences.people.rows import Sought
from audiences.reports import FileRecord
from audiences.store import people as stored
from audiences.store import reads
from audiences.store.people import Objects

if TYPE_CHECKING:
    from audiences.people import Kept, People

# What a caller adds to the transaction: called with what was erased.
Commit = Callable[[Connection, Erased], None]


@dataclass(frozen=True)
class Looked:
    """A file that was looked through: what was stored of it then, what was found, and what its row has to be now."""

    audience: int
    objects: Objects
    found: Found | None = None
    values: dict[str, object] = field(default_factory=dict)

    def of(self, name: str) -> list[str]:
        """The stored names that were replaced (`old`), or that replace them (`new`)."""
        new = (self.values.get("contacts_object"), self.values.get("rejects_object"))
        pairs = zip(self.objects, new, strict=True) if self.values else ()
        changed = [pair for pair in pairs if pair[0] != pair[1]]
        return [str(pair[name == "new"]) for pair in changed if pair[name == "new"] is not None]


class Erasure:
    """One number's erasure from one account; `folder` is a place in the spool."""

    def __init__(self, people: People, account: int, sought: Sought, folder: Path) -> None:
        self.people = people
        self.database, self.files = people.database, people.files
        self.account = account
        self.sought = sought
        self.folder = folder
        self.looked: dict[int, Looked] = {}

    def carry_out(self, commit: Commit, *, suppressed: bool) -> Erased:
        """What was erased. Raises a Refusal, and then nothing is."""
        try:
            while True:
                self.look()
                erased = self.publish(commit, suppressed=suppressed)
                if erased is not None:
                    break
        except (Refusal, OSError):
            # Whatever else goes wrong, it is not known whether the transaction was committed; the sweeper will.
            self.remove(name for looked in self.looked.values() for name in looked.of("new"))
            raise
        self.remove_replaced()
        return erased

    def look(self) -> None:
        """Looks through every file that has not been looked through as it is now."""
        with self.database.read() as connection:
            files, _ = self.people.kept(connection, self.account)
        self.forget({file.row["id"]: objects_of(file) for file in files})
        for file in files:
            if file.row["id"] not in self.looked:
                try:
                    with self.people.engine.connection() as connection_to_engine:
                        self.looked[file.row["id"]] = self.look_through(connection_to_engine, file)
                except (MovedAway, FileNotFoundError):
                    if self.is_still(file):
                        raise

    def forget(self, there: dict[int, Objects]) -> None:
        """Forgets the files that are no longer what they were when they were looked through."""
        for file_id in [key for key, looked in self.looked.items() if there.get(key) != looked.objects]:
            self.remove(self.looked.pop(file_id).of("new"))

    def is_still(self, file: Kept) -> bool:
        """Whether the catalog has the file as it was."""
        with self.database.read() as connection:
            return stored.objects(connection, self.account).get(file.row["id"]) == objects_of(file)

    def look_through(self, connection: DuckDBPyConnection, file: Kept) -> Looked:
        """Looks for the number in a file, and writes without it what holds it."""
        looked = Looked(file.row["audience_id"], objects_of(file))
        found = erased_rows.find(connection, file.source, self.sought)
        if not found:
            return looked
        record = erased_rows.lessened(msgspec.convert(file.row["report"], FileRecord), found.tally)
        contacts, rejects = self.rewrite(connection, file, found, record)
        names = [name for name in (contacts, rejects) if name is not None]
        values: dict[str, object] = {
            "accepted": record.file.accepted,
            "report": msgspec.to_builtins(record),
            "contacts_object": contacts,
            "rejects_object": rejects,
            "stored_bytes": sum(self.files.local(name).stat().st_size for name in names),
        }
        return Looked(looked.audience, looked.objects, found, values)

    def rewrite(self, connection: DuckDBPyConnection, file: Kept, found: Found, record: FileRecord) -> Objects:
        """Stores what is left of a file's contacts and rejects; the names of what is stored of it now."""
        contacts, rejects = objects_of(file)
        source, counts = file.source, record.file
        path = self.folder / "rows.parquet"
        if found.in_contacts and source.contacts is not None:
            contacts = None
            if counts.accepted:
                erased_rows.write_contacts(connection, source.contacts, self.sought, found, counts.accepted, path)
                contacts = self.files.put(path, "contacts")
        if found.tally.rejects:
            rejects = None
            left = counts.duplicates + counts.suppressed + counts.rejected
            if left:
                erased_rows.write_rejects(connection, source, self.sought, left, path)
                rejects = self.files.put(path, "rejects")
        return contacts, rejects

    def publish(self, commit: Commit, *, suppressed: bool) -> Erased | None:
        """The commit point; what was erased, or None if a file has changed or come since it was looked for."""
        with self.database.write() as connection:
            there = stored.objects(connection, self.account)
            if any(key not in self.looked or self.looked[key].objects != names for key, names in there.items()):
                return None
            gone = {key: looked for key, looked in self.looked.items() if looked.values and key in there}
            for file_id, looked in gone.items():
                stored.change_file(connection, file_id, looked.values)
            stored.remove_quoting_answers(connection, self.account)
            erased = sum_of(gone.values(), suppressed=suppressed)
            commit(connection, erased)
            return erased

    def remove_replaced(self) -> None:
        """Removes the files that hold the number, but for those that are being read: the sweeper takes them."""
        names = [name for looked in self.looked.values() for name in looked.of("old")]
        with self.database.read() as connection:
            held = reads.held(connection, names, self.people.clock())
        self.remove(name for name in names if name not in held)
        self.database.empty_log()

    def remove(self, names: Iterable[str]) -> None:
        """Removes stored files; what cannot be removed is left to the sweeper, since all else has been decided."""
        for name in names:
            with suppress(OSError):
                self.files.remove(name)


def objects_of(file: Kept) -> Objects:
    """The names of what is stored of a file's contacts and rejects."""
    return file.row["contacts_object"], file.row["rejects_object"]


def sum_of(changed: Iterable[Looked], *, suppressed: bool) -> Erased:
    """What was erased from these files together."""
    pairs = [(looked.audience, looked.found) for looked in changed if looked.found is not None]
    return Erased(
        audiences=len({audience for audience, _ in pairs}),
        contacts=sum(found.tally.contacts for _, found in pairs),
        rejects=sum(found.tally.rejects for _, found in pairs),
        cells=sum(sum(found.cells.values()) for _, found in pairs),
        suppressed=suppressed,
    )
