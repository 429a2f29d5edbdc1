"""The use case: one received file in, one audience out; or, for a dry run, its report.

    read table → normalise phones → keep → publish

Publish puts the Parquet files on stable storage first and inserts the audience's row second. That row is the commit
point: before it nothing is visible, after it everything survives a crash.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict

import msgspec
from duckdb import DuckDBPyConnection
from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from audiences import contacts, layout, pages, phones, reports, tables
from audiences.clock import Clock
from audiences.contacts import Kept
from audiences.engine import Engine
from audiences.errors import InvalidField, QuotaExceeded, Refusal
from audiences.inbox import Upload
from audiences.layout import Layout
from audiences.models import CheckWithSamples
from audiences.names import check_name
from audiences.pages import Filters, Stored
from audiences.reports import FileRecord
from audiences.settings import Settings
from audiences.store import audiences as stored
from audiences.store.database import Database
from audiences.store.files import FileStore
from audiences.tables import Table
from audiences.watch import Metrics

SAMPLES = 100

# Twelve random digits: they tell nothing about how many others there are, and a guess hits one in a million millions.
LOWEST_ID, HIGHEST_ID = 10**11, 10**12 - 1
ID_TRIES = 5

Commit = Callable[[Connection, int], None]


@dataclass(frozen=True)
class Instructions:
    """What the form said beside the file."""

    name: str
    phone_column: str = "phone1"
    default_region: str | None = None
    sheet: str | None = None
    dry_run: bool = False


@dataclass(frozen=True)
class Judged:
    """A file that was read, judged and written into its upload's folder; nothing is stored yet."""

    record: FileRecord
    layout: Layout
    kept: Kept


class Creation:
    """Makes audiences out of uploads."""

    def __init__(
        self,
        settings: Settings,
        engine: Engine,
        database: Database,
        files: FileStore,
        clock: Clock,
        metrics: Metrics,
    ) -> None:
        self.settings = settings
        self.engine = engine
        self.database = database
        self.files = files
        self.clock = clock
        self.metrics = metrics

    def create(self, account: int, upload: Upload, wanted: Instructions, commit: Commit) -> int:
        """The id of the new audience. `commit` is called with it inside the transaction that stores it.

        Raises a Refusal, NoValidRows among them; then nothing is stored.
        """
        with self.engine.connection() as connection:
            judged = self.judge(connection, upload, wanted)
            check = reports.of_check(wanted.name, [judged.record])
            if check.accepted == 0:
                raise reports.nothing_accepted(check, self.samples(connection, judged))
        with self.step("publish"):
            return self.publish(account, wanted.name, judged, commit)

    def check(self, upload: Upload, wanted: Instructions) -> CheckWithSamples:
        """The report of a dry run. Raises a Refusal, but a file without a valid row is a report, too."""
        with self.engine.connection() as connection:
            judged = self.judge(connection, upload, wanted)
            check = reports.of_check(wanted.name, [judged.record])
            return CheckWithSamples(**reports.fields_of(check), **self.samples(connection, judged))

    def judge(self, connection: DuckDBPyConnection, upload: Upload, wanted: Instructions) -> Judged:
        """Reads, judges and writes the file, in the upload's own folder."""
        with self.step("read"):
            asked = tables.Wanted(wanted.phone_column, wanted.sheet)
            table = tables.read(connection, upload.path, upload.folder, asked, self.bounds())
        with self.step("judge"):
            how: Reading = {"default_region": wanted.default_region, "exact": table.exact_numbers}
            phones.judge(connection, source=column(table, table.phone), target=contacts.JUDGED, **how)
            others = {index: f"normalised_{index}" for index in other_phones(table)}
            for index, target in others.items():
                phones.normalise(connection, source=column(table, index), target=target, **how)
        with self.step("keep"):
            plan = layout.plan(table.columns, table.phone)
            kept = contacts.keep(connection, table, plan, upload.folder, others)
        record = reports.of_file(upload, table, kept)
        self.metrics.count_file(record.file)
        return Judged(record, plan, kept)

    def publish(self, account: int, name: str, judged: Judged, commit: Commit) -> int:
        """Stores the files, then the rows that make them an audience."""
        paths = {"contacts": judged.kept.contacts, "rejects": judged.kept.rejects}
        size = sum(path.stat().st_size for path in paths.values() if path is not None)
        objects: dict[str, str] = {}
        try:
            for kind, path in paths.items():
                if path is not None:
                    objects[kind] = self.files.put(path, kind)
            return self.insert(account, name, self.row_of(judged, size, objects), commit)
        except (Refusal, OSError):
            # Whatever else goes wrong, it is not known whether the row was committed; the sweeper will.
            for stored_name in objects.values():
                self.files.remove(stored_name)
            raise

    def row_of(self, judged: Judged, size: int, objects: Mapping[str, str]) -> dict[str, object]:
        """The catalog's row of a first file."""
        return {
            "first_version": 1,
            "position": 1,
            "accepted": judged.kept.accepted,
            "stored_bytes": size,
            "report": msgspec.to_builtins(judged.record),
            "layout": msgspec.to_builtins(judged.layout),
            "contacts_object": objects.get("contacts"),
            "rejects_object": objects.get("rejects"),
        }

    def insert(self, account: int, name: str, file: Mapping[str, object], commit: Commit) -> int:
        """The commit point. An id that was ever used is not used again: the next one is tried."""
        for _ in range(ID_TRIES):
            audience_id = LOWEST_ID + secrets.randbelow(HIGHEST_ID - LOWEST_ID + 1)
            try:
                self.insert_as(audience_id, account, name, file, commit)
            except IntegrityError:
                continue
            return audience_id
        raise RuntimeError("no free id was found")

    def insert_as(self, audience_id: int, account: int, name: str, file: Mapping[str, object], commit: Commit) -> None:
        """One transaction: the audience, its file, and whatever `commit` adds. Raises IntegrityError for a used id."""
        now = self.clock()
        row = {"id": audience_id, "account_id": account, "name": name, "type": reports.STATIC, "version": 1}
        with self.database.write() as connection:
            self.check_quota(connection, account, int(str(file["stored_bytes"])))
            stored.add(connection, row | {"created_time": now, "updated_time": now})
            stored.add_file(connection, {**file, "audience_id": audience_id})
            commit(connection, audience_id)

    def refuse_full_account(self, account: int) -> None:
        """Raises QuotaExceeded if there is no room for a single byte more, before any is received."""
        if self.settings.account_bytes is not None:
            with self.database.read() as connection:
                self.check_quota(connection, account, coming=1)

    def check_quota(self, connection: Connection, account: int, coming: int) -> None:
        """Raises QuotaExceeded if so many bytes more are more than the account may store."""
        quota = self.settings.account_bytes
        if quota is not None and stored.stored_bytes(connection, account) + coming > quota:
            raise QuotaExceeded(
                f"The account's quota of {quota:,} stored bytes is full. Delete audiences, or ask for more."
            )

    def samples(self, connection: DuckDBPyConnection, judged: Judged) -> dict[str, Any]:
        """Up to 100 contacts and rejects of a file that is not stored."""

        def first(path: Path | None, read: Callable[..., pages.Page]) -> msgspec.Raw:
            files = [Stored(1, path, judged.layout)] if path is not None else []
            return msgspec.Raw(read(connection, files, Filters(), SAMPLES, (0, 0)).items)

        return {
            "sample_contacts": first(judged.kept.contacts, pages.contacts),
            "sample_rejects": first(judged.kept.rejects, pages.rejects),
        }

    def bounds(self) -> tables.Bounds:
        """The limits of reading a file."""
        chosen = self.settings
        memory, timeout = chosen.workbook_memory_bytes, chosen.workbook_timeout_s
        return tables.Bounds(chosen.max_upload_bytes, memory, timeout, self.engine.workbook_turn)

    def step(self, name: str) -> AbstractContextManager[None]:
        """Times a step."""
        return self.metrics.step(name)


class Reading(TypedDict):
    """How texts are read as phones."""

    default_region: str | None
    exact: bool


def column(table: Table, index: int) -> str:
    """One column of the records, as `phones` takes it."""
    return f"(SELECT row::BIGINT AS id, c{index + 1} AS text FROM {table.relation})"


def other_phones(table: Table) -> list[int]:
    """The indexes of `phone2` … `phone9`, found whatever their case and surrounding blanks."""
    names = [name.strip().casefold() for name in table.columns]
    return [index for index, name in enumerate(names) if name in phones.PHONE_COLUMNS and index != table.phone]


def instructions(fields: Mapping[str, str]) -> Instructions:
    """What the form's fields ask for. Raises InvalidField."""
    region = fields.get("default_region", "").strip()
    sheet = fields.get("sheet", "").strip()
    return Instructions(
        name=check_name(fields["name"]),
        phone_column=fields.get("phone_column", "").strip() or "phone1",
        default_region=phones.check_region(region) if region else None,
        sheet=sheet or None,
        dry_run=check_flag("dry_run", fields.get("dry_run", "")),
    )


def check_flag(field: str, text: str) -> bool:
    """Whether a form's or query's flag is set."""
    known = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False, "": False}
    if text.strip().lower() not in known:
        raise InvalidField(f"{field} takes true or false.", field=field)
    return known[text.strip().lower()]
