"""Erases one number from all stored files of an account, in one step that everybody sees whole or not at all.

Each file that holds the number is written anew beside the one there is. Then one transaction makes the new ones count,
if no file has changed or come meanwhile; else those are looked at, and it is tried again. A crash before it leaves the
old state, one after it the new state; and files that no row refers to, which the sweeper takes. It may take longer than
the sweeper waits, so the new files are held until then (`new_files`).

Files under check in the console, and uploads that are kept, lie as they were sent, in any encoding and packed. They are
not looked through: with an erasure all of the account's go.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from duckdb import DuckDBPyConnection
from sqlalchemy import Connection

from audiences import leases, repeats
from audiences.engine import MovedAway
from audiences.errors import NotReady
from audiences.leases import Hold
from audiences.models import Erased
from audiences.people import erased as erased_rows
from audiences.people.erased import Found
from audiences.people.new_files import NewFiles
from audiences.people.rows import Sought
from audiences.reports import FileRecord
from audiences.store import drafts, uploads
from audiences.store import people as stored
from audiences.store.files import left_to_the_sweeper
from audiences.store.people import Objects
from audiences.watch import log_fault

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
    """One number's erasure from one account; `folder` is a place in the spool, `hold` keeps what is stored."""

    def __init__(self, people: People, account: int, sought: Sought, folder: Path, hold: Hold) -> None:
        self.people = people
        self.database, self.files = people.database, people.files
        self.account = account
        self.sought = sought
        self.folder = folder
        self.hold = hold
        self.looked: dict[int, Looked] = {}
        self.drafts: list[str] = []
        self.uploads: list[str] = []
        self.new = NewFiles(self.database, self.files, people.clock)

    def carry_out(self, commit: Commit, *, suppressed: bool) -> Erased:
        """What was erased. Raises a Refusal, and then nothing is; whoever made `hold` removes what was stored."""
        while True:
            self.look()
            self.write_again(self.new.missing(self.new_of(self.looked.values())))
            repeats.forget_most_rows(self.database, self.account)
            erased = self.publish(commit, suppressed=suppressed)
            if erased is not None:
                break
        replaced = [name for looked in self.looked.values() for name in looked.of("old")]
        leases.remove_unused(self.database, self.files, replaced + self.uploads, self.people.clock())
        for name in self.drafts:
            with left_to_the_sweeper():
                self.files.remove(name)
        self.database.empty_log()
        return erased

    def look(self) -> None:
        """Looks through every file that has not been looked through as it is now. Raises NotReady."""
        with self.database.read() as connection:
            files, _ = self.people.kept(connection, self.account)
        there = {file.row["id"]: objects_of(file) for file in files}
        self.looked = {key: looked for key, looked in self.looked.items() if there.get(key) == looked.objects}
        for file in files:
            if file.row["id"] not in self.looked:
                try:
                    with self.people.engine.connection() as connection_to_engine:
                        self.looked[file.row["id"]] = self.look_through(connection_to_engine, file)
                except (MovedAway, FileNotFoundError) as error:
                    if self.is_still(file):
                        raise lost(file, error) from None

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
                contacts = self.put(path, "contacts")
        if found.tally.rejects:
            rejects = None
            left = counts.duplicates + counts.suppressed + counts.rejected
            if left:
                erased_rows.write_rejects(connection, source, self.sought, left, path)
                rejects = self.put(path, "rejects")
        return contacts, rejects

    def new_of(self, changed: Iterable[Looked]) -> set[str]:
        """The names of what was stored in place of these files."""
        return {name for looked in changed for name in looked.of("new")}

    def write_again(self, lost_names: Collection[str]) -> None:
        """Has those files looked through again in whose place these were stored."""
        gone = frozenset(lost_names)
        self.looked = {key: looked for key, looked in self.looked.items() if gone.isdisjoint(looked.of("new"))}

    def publish(self, commit: Commit, *, suppressed: bool) -> Erased | None:
        """The commit point; what was erased, or None if a file has changed, come, or got lost since then."""
        with self.database.write(self.account) as connection:
            there = stored.objects(connection, self.account)
            if any(key not in self.looked or self.looked[key].objects != names for key, names in there.items()):
                return None
            gone = {key: looked for key, looked in self.looked.items() if looked.values and key in there}
            if not self.new.are_safe(connection, self.new_of(gone.values())):
                return None
            for file_id, looked in gone.items():
                stored.change_file(connection, file_id, looked.values)
            repeats.forget_rows(connection, self.account)
            self.drafts = drafts.remove_all(connection, self.account)
            self.uploads = uploads.remove_all(connection, self.account)
            erased = sum_of(gone.values(), suppressed=suppressed)
            commit(connection, erased)
            return erased

    def put(self, path: Path, kind: str) -> str:
        """Stores a file, and holds it until a row refers to it; its name."""
        name = self.files.put(path, kind)
        self.hold(name)
        return name


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


def lost(file: Kept, error: Exception) -> NotReady:
    """The refusal, and the line in the log, where a file of the catalog is not in the store.

    It may come back with a disk or a backup, and the number with it: to go on without it would be to promise too much.
    """
    log_fault("stored_file_missing", error, audience=str(file.row["audience_id"]), file=file.row["position"])
    return NotReady(
        f"Stored rows of audience {file.row['audience_id']} are out of reach, so nothing can be said or erased. "
        "Try again in a minute; if it stays so, tell the operator, whose log says stored_file_missing.",
        headers={"Retry-After": "60"},
    )
