"""Exports: rows a second, the time to the first byte, and the memory that a whole audience in one stream takes."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import duckdb
import fastexcel

from bench import customers, floors, process, service
from bench.cells import MILLION, Plan, settle
from bench.client import Client, Exported, WrongAnswer
from bench.customers import File
from bench.record import Record, Target
from bench.service import Server

MIB = 1024**2
WARM_UP_ROWS = 1000
WARM_UPS = 3

# Seconds that a server is left alone before its idle memory is read.
IDLE_S = 1.0

FLOORS = ("duckdb-export", "duckdb-export-given")


@dataclass(frozen=True)
class Format:
    """A format of exports: who it is in the record, what the request says, and how a file of it ends."""

    who: str
    accept: str
    suffix: str
    coding: str = "identity"

    @property
    def name(self) -> str:
        """What it is called in the table."""
        return self.who.removeprefix("ours, ")


CSV = Format("ours, CSV", "text/csv", ".csv")
OTHERS = (
    Format("ours, NDJSON", "application/x-ndjson", ".ndjson"),
    Format("ours, CSV, zstd", "text/csv", ".csv.zst", "zstd"),
    Format("ours, Parquet", "application/vnd.apache.parquet", ".parquet"),
)
WORKBOOK = Format("ours, xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", ".xlsx")


@dataclass(frozen=True)
class Exporter:
    """What exports are measured with: a server that was idle at `idle_bytes` of resident memory, and its caller."""

    server: Server
    client: Client
    idle_bytes: int
    record: Record

    def run(self, audience: str, form: Format, rows: int) -> Exported:
        """One run: seconds, CPU seconds of server and client, peak resident memory of the server and its child."""
        settle()
        with service.watched(self.server) as cost:
            exported = self.client.export(audience, form.accept, form.coding)
        figures = {name: value for name, value in cost.figures().items() if name != "stored_bytes"}
        self.record.add(
            form.who,
            seconds=exported.seconds,
            first_byte_seconds=exported.first_byte_seconds,
            client_cpu_seconds=exported.client_cpu_seconds,
            above_idle_peak_bytes=cost.peak_bytes - self.idle_bytes,
            stream_bytes=exported.bytes,
            rows=rows,
            **figures,
        )
        return exported

    def check(self, audience: str, form: Format, contacts: int, folder: Path) -> int:
        """The bytes of an export that is not timed. Raises WrongAnswer unless it has so many rows."""
        path = folder / f"export{form.suffix}"
        with path.open("wb") as file:
            exported = self.client.export(audience, form.accept, form.coding, keep=file.write)
        rows = rows_in(path)
        if rows != contacts:
            raise WrongAnswer(f"The export {path.name} has {rows} rows, the audience {contacts} contacts.")
        return exported.bytes


def rows_in(path: Path) -> int:
    """How many rows an exported file has; its ending says what it is."""
    if path.suffix == ".xlsx":
        return fastexcel.read_excel(path).load_sheet(0).height
    with duckdb.connect() as connection:
        ((rows,),) = connection.execute(f"SELECT count(*) FROM '{path}'").fetchall()
    return int(rows)


def export(plan: Plan, record: Record) -> None:
    """All contacts of an audience in one stream, in each format; CSV against the bare copy of the stored file."""
    file = customers.contacts_file(plan.rows(2 * MILLION))
    smaller = customers.contacts_file(plan.rows(200_000))
    folder = plan.folder / record.cell
    key = service.prepared(folder)
    with service.served(folder, key) as server, server.client() as client:
        audience, sheet = (client.checked_upload(one).data["id"] for one in (file, smaller))
    with warm(folder, key, record) as exporter:
        csv_runs(plan, exporter, audience, file)
    for form in OTHERS:
        with warm(folder, key, record) as exporter:
            other_runs(plan, exporter, audience, form, file)
    with warm(folder, key, record) as exporter:
        other_runs(plan, exporter, sheet, WORKBOOK, smaller)
    csv_lines(record, file)
    for form in OTHERS:
        line(record, form, file)
    line(record, WORKBOOK, smaller)


@contextmanager
def warm(folder: Path, key: str, record: Record) -> Iterator[Exporter]:
    """A server started again, and idle: memory that uploads or other formats left would hide what an export takes."""
    with service.served(folder, key) as server, server.client() as client:
        yield Exporter(server, client, idle_bytes(server, client), record)


def idle_bytes(server: Server, client: Client) -> int:
    """Resident memory after a few small uploads and a pause."""
    warm_up = customers.csv_file(WARM_UP_ROWS)
    for _ in range(WARM_UPS):
        client.checked_upload(warm_up)
    settle()
    time.sleep(IDLE_S)
    return process.resident_bytes(server.pid)


def csv_runs(plan: Plan, exporter: Exporter, audience: str, file: File) -> None:
    """Runs of ours and of the floors in turns; then one that is read for its rows, and the others must be as long."""
    stored = stored_contacts(plan.folder / exporter.record.cell)
    runs = []
    for _ in range(plan.rounds(5)):
        runs.append(exporter.run(audience, CSV, file.counts["accepted"]))
        for name in FLOORS:
            settle()
            exporter.record.add(
                name, rows=file.counts["accepted"], **floors.run(name, stored, plan.folder / "floor.csv")
            )
    check_same(exporter.check(audience, CSV, file.counts["accepted"], plan.folder), runs)


def other_runs(plan: Plan, exporter: Exporter, audience: str, form: Format, file: File) -> None:
    """Three runs in a format, and one that is read for its rows."""
    runs = [exporter.run(audience, form, file.counts["accepted"]) for _ in range(plan.rounds())]
    check_same(exporter.check(audience, form, file.counts["accepted"], plan.folder), runs)


def check_same(size: int, runs: Sequence[Exported]) -> None:
    """Raises WrongAnswer unless all runs have the bytes of the one that was read, but for a hundredth."""
    sizes = [run.bytes for run in runs]
    if any(abs(one - size) > size / 100 for one in sizes):
        raise WrongAnswer(f"The same export has {size} bytes, and other times {sizes}.")


def stored_contacts(folder: Path) -> Path:
    """The largest Parquet file of contacts in a data folder: the large audience's own."""
    return max(folder.glob("files/**/contacts-*.parquet"), key=lambda path: path.stat().st_size)


def csv_lines(record: Record, file: File) -> None:
    """Lines with targets for CSV, and those of the floors."""
    contacts, size = file.counts["accepted"], record.median(CSV.who, "stream_bytes") / MIB
    speed = contacts / record.median(CSV.who)
    remark = f"{contacts:,} contacts, 6 columns, {size:.0f} MiB"
    record.line("CSV", "rows/s", speed, target=Target("at least", 2.0 * MILLION), remark=remark)
    first = record.median(CSV.who, "first_byte_seconds") * 1000
    record.line("CSV, first byte", "ms", first, target=Target("at most", 100.0))
    peak = record.highest(CSV.who, "above_idle_peak_bytes") / MIB
    record.line(
        "CSV, peak resident above idle", "MiB", peak, target=Target("at most", 256.0), remark="highest of all runs"
    )
    record.compare(
        "CSV / bare DuckDB copy of the stored file", FLOORS[0], None, "copied with our four columns", who=CSV.who
    )
    record.compare("CSV / the same without our columns", FLOORS[1], who=CSV.who)


def line(record: Record, form: Format, file: File) -> None:
    """One line for another format: rows a second, with the first byte and the memory beside it."""
    contacts = file.counts["accepted"]
    first = record.median(form.who, "first_byte_seconds") * 1000
    peak = record.highest(form.who, "above_idle_peak_bytes") / MIB
    child = record.highest(form.who, "children_peak_bytes") / MIB
    remark = f"{contacts:,} contacts, first byte {first:.0f} ms, {peak:.0f} MiB above idle"
    remark += f", {child:.0f} of them the child's" if child else ""
    record.line(form.name, "rows/s", contacts / record.median(form.who), remark=remark)
