"""Judge a received file: read table → normalise phones → keep. All of it lies in the upload's own folder afterwards."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from duckdb import DuckDBPyConnection

from audiences import layout, pages, reports, tracing
from audiences.engine import Engine
from audiences.errors import InvalidField
from audiences.inbox import Upload
from audiences.layout import PHONE_COLUMNS, Layout, Stored
from audiences.models import Check, CheckWithSamples
from audiences.names import check_name
from audiences.pages import Filters
from audiences.parquet import Extent
from audiences.regions import check_region
from audiences.reports import FileRecord
from audiences.set_aside import Against
from audiences.settings import Settings
from audiences.watch import Metrics

if TYPE_CHECKING:
    from audiences.contacts import Kept
    from audiences.tables import Bounds, Table

SAMPLES = 100


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
        from audiences import tables

        asked, steps = tables.Wanted(wanted.phone_column, wanted.sheet), Steps()
        readings = tables.readings(connection, upload.path, upload.folder, asked, self.bounds())
        try:
            while True:
                with steps.traced("sniff"):
                    table = next(readings)
                with suppress(tables.Untidy):
                    return self.judge_table(connection, upload, table, wanted, against, steps)
        finally:
            steps.tell(self.metrics)

    def judge_table(
        self,
        connection: DuckDBPyConnection,
        upload: Upload,
        table: Table,
        wanted: Instructions,
        against: Against,
        steps: Steps,
    ) -> Judged:
        """The same of a file in one reading of it. Raises Untidy where that is the wrong one."""
        from audiences import contacts, verdicts
        from audiences.set_aside import set_aside

        reading = verdicts.Reading(self.engine.plan, wanted.default_region, table.exact_numbers)
        extent, room = Extent(len(table.columns)), self.engine.verdict_room
        said = verdicts.Verdicts(upload.folder, room, extent, self.engine.check_writable)
        try:
            with tracing.span("read"):
                verdicts.judge(table, reading, said, steps.step)
            with steps.traced("deduplicate"):
                aside = set_aside(connection, said, against)
            plan = layout.plan(table.columns, table.phone)
            with self.engine.writing(extent), steps.traced("write"):
                keeping = contacts.Keeping(table, plan, upload.folder, other_phones(table), reading)
                kept = contacts.keep(keeping, said, aside)
        finally:
            said.forget()
            table.pieces.forget()
        return Judged(reports.of_file(upload, table, kept), plan, kept, against.file)

    def bounds(self) -> Bounds:
        """The limits of reading a file."""
        from audiences.tables import Bounds

        chosen = self.settings
        memory, timeout = chosen.workbook_memory_bytes, chosen.workbook_timeout_s
        return Bounds(chosen.max_upload_bytes, self.engine.piece_room, memory, timeout, self.engine.workbook_turn)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Times a step, and traces it."""
        steps = Steps()
        try:
            with steps.traced(name):
                yield
        finally:
            steps.tell(self.metrics)


class Steps:
    """How long the steps of one upload took; one that is taken for each piece counts once, with all its seconds."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self.turn = threading.Lock()

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Times a step."""
        begun = time.perf_counter()
        try:
            yield
        finally:
            with self.turn:
                self.seconds[name] += time.perf_counter() - begun

    @contextmanager
    def traced(self, name: str) -> Iterator[None]:
        """Times a step that is taken once, and traces it."""
        with tracing.span(name), self.step(name):
            yield

    def tell(self, metrics: Metrics) -> None:
        """Puts them into the metrics."""
        for name, seconds in self.seconds.items():
            metrics.steps.labels(name).observe(seconds)


def samples(connection: DuckDBPyConnection, judged: Judged) -> dict[str, Any]:
    """Up to 100 contacts and rejects of a file that is not stored."""

    def first(path: Path | None, read: Callable[..., pages.Page]) -> msgspec.Raw:
        files = [Stored.at(judged.file, path, judged.layout)] if path is not None else []
        return msgspec.Raw(read(connection, files, Filters(), SAMPLES, (0, 0)).items)

    return {
        "sample_contacts": first(judged.kept.contacts, pages.contacts),
        "sample_rejects": first(judged.kept.rejects, pages.rejects),
    }


def other_phones(table: Table) -> tuple[int, ...]:
    """The indexes of `phone2` … `phone9`, found whatever their case and surrounding blanks."""
    names = [name.strip().casefold() for name in table.columns]
    return tuple(index for index, name in enumerate(names) if name in PHONE_COLUMNS and index != table.phone)


def instructions(fields: Mapping[str, str]) -> Instructions:
    """What the form's fields ask for. Raises InvalidField."""
    region = fields.get("default_region", "").strip()
    sheet = fields.get("sheet", "").strip()
    return Instructions(
        name=check_name(fields["name"]),
        phone_column=fields.get("phone_column", "").strip() or "phone1",
        default_region=check_region(region) if region else None,
        sheet=sheet or None,
        dry_run=check_flag("dry_run", fields.get("dry_run", "")),
    )


def check_flag(field: str, text: str) -> bool:
    """Whether a form's or query's flag is set."""
    known = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False, "": False}
    if text.strip().lower() not in known:
        raise InvalidField(f"{field} takes true or false.", field=field)
    return known[text.strip().lower()]
