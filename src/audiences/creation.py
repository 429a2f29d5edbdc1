"""The use case: one received file in; one audience out, or a new version of one; or, for a dry run, its report.

    judge (read table → normalise phones → keep) → publish

Publish puts the Parquet files on stable storage first and inserts the audience's row second. That row is the commit
point: before it nothing is visible, after it everything survives a crash. A new version is a row, too: readers see the
old one until it is there, and the new one after.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import partial

import msgspec
from sqlalchemy import Connection
from sqlalchemy.engine import RowMapping
from sqlalchemy.exc import IntegrityError

from audiences import kept_uploads, quota, reports, usage
from audiences.clock import Clock
from audiences.engine import MovedAway
from audiences.errors import DynamicAudience
from audiences.inbox import Upload
from audiences.judging import Instructions, Judge, Judged
from audiences.library import Library, Opened, as_number, unknown_audience
from audiences.models import CheckWithSamples
from audiences.set_aside import Against
from audiences.settings import Settings
from audiences.store import audiences as stored
from audiences.store import versions
from audiences.store.files import Overtaken, stored_together
from audiences.suppressions import Suppressions

# Twelve random digits: they tell nothing about how many others there are, and a guess hits one in a million millions.
LOWEST_ID, HIGHEST_ID = 10**11, 10**12 - 1
ID_TRIES = 5

# What the caller adds to the transaction that stores an audience: called with its id.
Commit = Callable[[Connection, int], None]
FileRow = Mapping[str, object]

# Carries out the transaction that makes a file count.
Store = Callable[[FileRow, Commit], int]


class VersionMoved(Overtaken):
    """The audience got another version, or other files, while a file was held against this one."""


class Creation:
    """Makes audiences out of uploads."""

    def __init__(
        self, settings: Settings, clock: Clock, judge: Judge, library: Library, suppressions: Suppressions
    ) -> None:
        self.settings = settings
        self.clock = clock
        self.judge = judge
        self.library = library
        self.suppressions = suppressions
        self.database, self.files = library.database, library.files

    def create(self, account: int, upload: Upload, wanted: Instructions, commit: Commit) -> int:
        """The id of the new audience. `commit` is called with it inside the transaction that stores it.

        Raises a Refusal, NoValidRows among them; then nothing is stored.
        """
        judged = self.judge.judge(upload, wanted, self.against(account))
        return self.publish(account, upload, judged, partial(self.insert, account, wanted.name), commit)

    def replace(self, account: int, audience_id: str, upload: Upload, wanted: Instructions, commit: Commit) -> int:
        """Replaces all contacts of a static audience; its id. Raises as `create` does, and UnknownAudience."""
        judged = self.judge.judge(upload, wanted, self.against(account))
        add = partial(self.add_version, account, audience_id, "replace")
        return self.publish(account, upload, judged, add, commit)

    def append(self, account: int, audience_id: str, upload: Upload, wanted: Instructions, commit: Commit) -> int:
        """Adds a file to a static audience; its id. Raises as `replace` does.

        Should the audience change meanwhile, or a person be erased from it, the file is judged again: what is new in it
        depends on what is there.
        """
        while True:
            opened = self.library.open(account, audience_id)
            add = partial(self.add_version, account, audience_id, "append", seen=opened)
            try:
                judged = self.judge.judge(upload, wanted, self.against(account, opened))
                return self.publish(account, upload, judged, add, commit)
            except VersionMoved:
                continue
            except MovedAway:
                if not self.has_other_files(account, audience_id, opened):
                    raise

    def changeable(self, account: int, audience_id: str) -> Opened:
        """The audience, if files can change it. Raises UnknownAudience or DynamicAudience."""
        opened = self.library.open(account, audience_id)
        static(opened.row)
        return opened

    def check(
        self, account: int, upload: Upload, wanted: Instructions, audience_id: str | None = None
    ) -> CheckWithSamples:
        """The report of a dry run: of a file by itself, or of one to be appended to an audience. Raises a Refusal."""
        while True:
            opened = None if audience_id is None else self.library.open(account, audience_id)
            try:
                return self.judge.check(upload, wanted, self.against(account, opened))
            except MovedAway:
                if audience_id is None or not self.has_other_files(account, audience_id, opened):
                    raise

    def has_other_files(self, account: int, audience_id: str, opened: Opened | None) -> bool:
        """Whether the audience is read from other files than those that were `opened`."""
        return opened is None or self.library.open(account, audience_id).objects != opened.objects

    def against(self, account: int, opened: Opened | None = None) -> Against:
        """What a file is held against: the account's do-not-contact list, and the contacts that `opened` has."""
        suppressed = partial(self.suppressions.current, account)
        if opened is None:
            return Against(suppressed)
        return Against(suppressed, opened.contacts, file=opened.last_file + 1)

    def publish(self, account: int, upload: Upload, judged: Judged, store: Store, commit: Commit) -> int:
        """Stores the files, then calls `store` with the catalog's row that makes them count.

        Where uploads are kept, this one is stored and noted with them. The transaction ends with `commit`, and with a
        look at how long ago the files were stored.
        """
        paths = {"contacts": judged.kept.contacts, "rejects": judged.kept.rejects}
        there = {kind: path for kind, path in paths.items() if path is not None}
        size = sum(path.stat().st_size for path in there.values())
        with ExitStack() as stack:
            with self.judge.step("sync"):
                raw = kept_uploads.to_store(self.settings, upload)
                objects = stack.enter_context(stored_together(self.files, there | raw))

            def finish(connection: Connection, audience_id: int) -> None:
                kept_uploads.note(connection, self.settings, self.clock, account, audience_id, upload, objects)
                commit(connection, audience_id)
                objects.check_age()

            with self.judge.step("commit"):
                return store(row_of(judged, size, objects), finish)

    def insert(self, account: int, name: str, file: FileRow, commit: Commit) -> int:
        """The commit point. An id that was ever used is not used again: the next one is tried."""
        for _ in range(ID_TRIES):
            audience_id = LOWEST_ID + secrets.randbelow(HIGHEST_ID - LOWEST_ID + 1)
            try:
                self.insert_as(audience_id, account, name, file, commit)
            except IntegrityError:
                continue
            return audience_id
        raise RuntimeError("no free id was found")

    def insert_as(self, audience_id: int, account: int, name: str, file: FileRow, commit: Commit) -> None:
        """One transaction: the audience, its file, and whatever `commit` adds. Raises IntegrityError for a used id."""
        now = self.clock()
        row = {"id": audience_id, "account_id": account, "name": name, "type": reports.STATIC, "version": 1}
        with self.database.write(account) as connection:
            self.check_quota(connection, account, int(str(file["stored_bytes"])))
            stored.add(connection, row | {"created_time": now, "updated_time": now})
            stored.add_file(connection, {**file, "audience_id": audience_id, "first_version": 1})
            usage.count_upload(connection, account, rows_of(file), now)
            commit(connection, audience_id)

    def add_version(
        self,
        account: int,
        audience_id: str,
        kind: versions.Kind,
        file: FileRow,
        commit: Commit,
        *,
        seen: Opened | None = None,
    ) -> int:
        """The commit point of a new version. Raises VersionMoved if the current one is no longer as it was `seen`."""
        with self.database.write(account) as connection:
            audience = static(stored.find(connection, account, as_number(audience_id)))
            if seen is not None and seen.has_moved(self.library.open_in(connection, account, audience_id)):
                raise VersionMoved
            self.check_quota(connection, account, int(str(file["stored_bytes"])))
            version = versions.begin(connection, audience, kind, self.clock())
            stored.add_file(connection, {**file, "audience_id": audience["id"], "first_version": version})
            usage.count_upload(connection, account, rows_of(file), self.clock())
            commit(connection, audience["id"])
            return int(audience["id"])

    def refuse_full_account(self, account: int) -> None:
        """Raises QuotaExceeded if there is no room for a single byte more.

        Asked before a file is received, whatever is to become of it: also for a dry run, and for a request that was
        answered before. What a file takes is known when it was judged; then it is asked for that.
        """
        if self.settings.account_bytes is not None:
            with self.database.read() as connection:
                self.check_quota(connection, account, coming=1)

    def check_quota(self, connection: Connection, account: int, coming: int) -> None:
        """Raises QuotaExceeded if so many bytes more are more than the account may store."""
        quota.check(connection, self.settings, account, coming)


def row_of(judged: Judged, size: int, objects: Mapping[str, str]) -> FileRow:
    """The catalog's row of a file, but for the audience and version that it belongs to."""
    return {
        "position": judged.file,
        "accepted": judged.kept.accepted,
        "stored_bytes": size,
        "report": msgspec.to_builtins(judged.record),
        "layout": msgspec.to_builtins(judged.layout),
        "contacts_object": objects.get("contacts"),
        "rejects_object": objects.get("rejects"),
    }


def rows_of(file: FileRow) -> int:
    """How many rows the file had, of which its catalog row tells."""
    return msgspec.convert(file["report"], reports.FileRecord).file.rows


def static(audience: RowMapping | None) -> RowMapping:
    """The audience, if it is one that takes files. Raises UnknownAudience or DynamicAudience."""
    if audience is None:
        raise unknown_audience()
    if audience["type"] != reports.STATIC:
        raise DynamicAudience("This audience is dynamic: its contacts follow from a rule, and no file replaces them.")
    return audience
