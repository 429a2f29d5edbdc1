"""Drafts: files that a user of the console has uploaded and not yet made an audience of.

A draft is one file in the store, as it was sent, and a row that says whose it is and how it is to be read. It is its
user's alone, lasts an hour, and counts in the account's quota. As with audiences, the file goes first and the row
second; on its way out the row goes first. So a crash leaves a file without a row at worst, which the sweeper takes.

A draft is not looked through for people who are erased: with an erasure, all drafts of its account go (`people`).
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection
from sqlalchemy.engine import RowMapping

from audiences import judging, quota
from audiences.clock import HOUR, Clock
from audiences.creation import Commit, Creation
from audiences.errors import Conflict, NotFound
from audiences.inbox import Upload
from audiences.names import MAX_NAME
from audiences.settings import Settings
from audiences.store import drafts as stored
from audiences.store.database import Database
from audiences.store.files import DRAFT, FileStore, left_to_the_sweeper, stored_together

LIFE = 1 * HOUR

# Live drafts of a user: more than a person looks at within their hour, too few to fill a disk unnoticed.
MOST = 20

# What a user says of a file under check; the rest of an upload's form is not for drafts.
FIELDS = ("name", "phone_column", "default_region", "sheet")

# What a file's name has at its end that the audience's needs not: its format, and that it was packed.
ENDING = re.compile(r"(\.(csv|tsv|txt|tab|xlsx|xlsm|xlsb|xls|ods))?(\.(gz|zip))?$", re.IGNORECASE)


class UnknownDraft(NotFound):
    """The user has no such file under check: created, thrown away, gone with an erasure, or its hour is over."""

    def __init__(self) -> None:
        super().__init__("There is no such file under check.")


class TooManyDrafts(Conflict):
    """The user has as many files under check as there may be."""

    step = "Create or throw away one of them, then upload this one."

    def __init__(self) -> None:
        super().__init__(f"You have {MOST} files under check, and there may be no more.")


@dataclass(frozen=True)
class Draft:
    """A file under check. `fields` are those of `FIELDS`, the name always among them; times in milliseconds."""

    id: str
    account: int
    user: str
    object: str
    file_name: str
    size: int
    sha256: bytes
    fields: Mapping[str, str]
    created_time: int

    @property
    def expires_time(self) -> int:
        """When it will be gone."""
        return self.created_time + LIFE


class Drafts:
    """The drafts of one catalog and file store."""

    def __init__(self, settings: Settings, database: Database, files: FileStore, spool: Path, clock: Clock) -> None:
        self.settings = settings
        self.database = database
        self.files = files
        self.spool = spool
        self.clock = clock

    def add(self, account: int, user: str, upload: Upload) -> Draft:
        """Takes the upload's file over as a draft; its number is bounded here, however many come at once.

        Raises TooManyDrafts, QuotaExceeded, DiskFull, or OSError; then nothing stays.
        """
        row = {"id": secrets.token_hex(16), "account_id": account, "user_id": user, "file_name": upload.file_name}
        row |= {"stored_bytes": upload.size, "sha256": upload.sha256, "created_time": self.clock()}
        row |= {"fields": {"name": proposed_name(upload.file_name)}}
        with stored_together(self.files, {DRAFT: upload.path}) as objects:
            row |= {"object": objects[DRAFT]}
            with self.database.write(account) as connection:
                self.check_count(connection, account, user)
                quota.check(connection, self.settings, account, upload.size)
                stored.add(connection, row)
                objects.check_age()
        return draft_of(row)

    def refuse_full(self, account: int, user: str) -> None:
        """Raises TooManyDrafts while the user can have no further one; to be asked before a file is received."""
        with self.database.read() as connection:
            self.check_count(connection, account, user)

    def check_count(self, connection: Connection, account: int, user: str) -> None:
        """The same in the caller's transaction."""
        if stored.count(connection, account, user, self.clock() - LIFE) >= MOST:
            raise TooManyDrafts

    def find(self, account: int, user: str, draft_id: str) -> Draft:
        """The user's draft. Raises UnknownDraft, also where only the sweeper has not come yet."""
        with self.database.read() as connection:
            row = stored.find(connection, account, user, draft_id, self.clock() - LIFE)
        if row is None:
            raise UnknownDraft
        return draft_of(row)

    def listed(self, account: int, user: str) -> list[Draft]:
        """The user's drafts, newest first."""
        with self.database.read() as connection:
            return [draft_of(row) for row in stored.listed(connection, account, user, self.clock() - LIFE)]

    def change(self, draft: Draft, fields: Mapping[str, str]) -> Draft:
        """Keeps how the file is to be read; the draft as it is then."""
        with self.database.write(draft.account) as connection:
            stored.change(connection, draft.id, fields)
        return Draft(**{**vars(draft), "fields": dict(fields)})

    def remove(self, draft: Draft) -> None:
        """Throws the draft away. Raises UnknownDraft."""
        with self.database.write(draft.account) as connection:
            take(connection, draft)
        with left_to_the_sweeper():
            self.files.remove(draft.object)

    @contextmanager
    def opened(self, draft: Draft) -> Iterator[Upload]:
        """The draft as an upload in a folder of the spool, which ends with the block. Raises UnknownDraft.

        The upload's file is a second name of the stored one: no bytes are copied, and it stays readable should the
        draft be removed meanwhile.
        """
        folder = self.spool / secrets.token_hex(16)
        folder.mkdir()
        try:
            link(self.files, draft.object, folder / "upload")
            yield Upload(folder, folder / "upload", draft.file_name, draft.size, draft.sha256, draft.fields)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def publish(self, draft: Draft, creation: Creation, commit: Commit) -> int:
        """Makes an audience of the draft, which ends with that; the audience's id.

        Raises what `Creation.create` raises, and UnknownDraft where somebody else was first: nothing is stored then.
        """
        with self.opened(draft) as upload:
            wanted = judging.instructions(draft.fields)
            audience_id = OfDraft(creation, draft).create(draft.account, upload, wanted, commit)
        with left_to_the_sweeper():
            self.files.remove(draft.object)
        return audience_id


class OfDraft(Creation):
    """Creation in whose transaction the draft's row goes first: it decides who is first, and frees its bytes."""

    def __init__(self, creation: Creation, draft: Draft) -> None:
        super().__init__(creation.settings, creation.clock, creation.judge, creation.library, creation.suppressions)
        self.draft = draft

    def check_quota(self, connection: Connection, account: int, coming: int) -> None:
        """Whether there is room without the draft. Raises UnknownDraft or QuotaExceeded."""
        take(connection, self.draft)
        super().check_quota(connection, account, coming)


def take(connection: Connection, draft: Draft) -> None:
    """Removes the draft's row. Raises UnknownDraft where it is gone already."""
    if not stored.remove(connection, draft.id):
        raise UnknownDraft


def link(files: FileStore, name: str, target: Path) -> None:
    """Gives a stored file a second name, or copies it where the file system has no such thing. Raises UnknownDraft."""
    try:
        source = files.local(name)
        try:
            os.link(source, target)
        except FileNotFoundError:
            raise
        except OSError:
            shutil.copyfile(source, target)
    except FileNotFoundError:
        raise UnknownDraft from None


def proposed_name(file_name: str) -> str:
    """A name for the audience, from that of its file."""
    stem = ENDING.sub("", file_name).strip()
    return stem[:MAX_NAME].strip() or "New audience"


def draft_of(row: Mapping[str, object] | RowMapping) -> Draft:
    """The draft of a catalog's row."""
    names = {"account_id": "account", "user_id": "user", "stored_bytes": "size"}
    return Draft(**{names.get(name, name): value for name, value in row.items()})  # type: ignore[arg-type]
