"""Judge a received file: read table → normalise phones → keep. All of it lies in the upload's own folder afterwards."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict

import msgspec
from duckdb import DuckDBPyConnection

from audiences import contacts, layout, pages, phones, reports, tables, tracing
from audiences.contacts import Keeping, Kept
from audiences.engine import DUCKDB_SHARE, Engine
from audiences.errors import InvalidField
from audiences.inbox import Upload
from audiences.layout import Layout, Stored
from audiences.models import Check, CheckWithSamples
from audiences.names import check_name
from audiences.pages import Filters
from audiences.reports import FileRecord
from audiences.set_aside import JUDGED, Against
from audiences.settings import Settings
from audiences.tables import Table
from audiences.watch import Metrics

SAMPLES = 100

# What a row of the joins that write contacts takes of the engine's memory. Where half of it is not enough for all rows
# the joins spill and lose the file's order; sorting is then faster than they are without (7 million rows: 6.2 s
# against 8.6 s), and slower where they need not (2 million: 1.3 s against 0.8 s).
JOINED_ROW_BYTES = 40


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
    file: int = 1

    def check(self, name: str) -> Check:
        """The report of this file alone."""
        return reports.of_check(name, [self.record])


class Judge:
    """Judges files on an engine."""

    def __init__(self, settings: Settings, engine: Engine, metrics: Metrics) -> None:
        self.settings = settings
        self.engine = engine
        self.metrics = metrics

    def judge(self, upload: Upload, wanted: Instructions, against: Against) -> Judged:
        """The file, judged. Raises a Refusal, NoValidRows among them."""
        with self.engine.connection() as connection:
            judged = self.judge_on(connection, upload, wanted, against)
            self.metrics.count_file(judged.record.file)
            check = judged.check(wanted.name)
            if check.accepted == 0:
                raise reports.nothing_accepted(check, samples(connection, judged))
            return judged

    def check(self, upload: Upload, wanted: Instructions, against: Against) -> CheckWithSamples:
        """The report of a dry run. Raises a Refusal, but a file without a valid row is a report, too."""
        with self.engine.connection() as connection:
            judged = self.judge_on(connection, upload, wanted, against)
            self.metrics.count_file(judged.record.file)
            return CheckWithSamples(**reports.fields_of(judged.check(wanted.name)), **samples(connection, judged))

    def judge_on(
        self, connection: DuckDBPyConnection, upload: Upload, wanted: Instructions, against: Against
    ) -> Judged:
        """Reads, judges and writes the file on a connection of the caller's."""
        with self.step("read"):
            asked = tables.Wanted(wanted.phone_column, wanted.sheet)
            table = tables.read(connection, upload.path, upload.folder, asked, self.bounds())
        with self.step("judge"):
            how: Reading = {"default_region": wanted.default_region, "exact": table.exact_numbers}
            phones.judge(connection, source=column(table, table.phone), target=JUDGED, **how)
            others = {index: f"normalised_{index}" for index in other_phones(table)}
            for index, target in others.items():
                phones.normalise(connection, source=column(table, index), target=target, **how)
        with self.step("keep"):
            keeping = Keeping(table, layout.plan(table.columns, table.phone), upload.folder, others)
            kept = contacts.keep(connection, keeping, against, sorted_from=self.sorted_from())
        record = reports.of_file(upload, table, kept)
        return Judged(record, keeping.plan, kept, against.file)

    def sorted_from(self) -> int:
        """Rows from which on contacts are sorted as they are written."""
        return int(self.settings.memory_limit * DUCKDB_SHARE / 2 / JOINED_ROW_BYTES)

    def bounds(self) -> tables.Bounds:
        """The limits of reading a file."""
        chosen = self.settings
        memory, timeout = chosen.workbook_memory_bytes, chosen.workbook_timeout_s
        return tables.Bounds(chosen.max_upload_bytes, memory, timeout, self.engine.workbook_turn)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Times a step, and traces it."""
        with tracing.span(name), self.metrics.step(name):
            yield


def samples(connection: DuckDBPyConnection, judged: Judged) -> dict[str, Any]:
    """Up to 100 contacts and rejects of a file that is not stored."""

    def first(path: Path | None, read: Callable[..., pages.Page]) -> msgspec.Raw:
        files = [Stored.at(judged.file, path, judged.layout)] if path is not None else []
        return msgspec.Raw(read(connection, files, Filters(), SAMPLES, (0, 0)).items)

    return {
        "sample_contacts": first(judged.kept.contacts, pages.contacts),
        "sample_rejects": first(judged.kept.rejects, pages.rejects),
    }


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
