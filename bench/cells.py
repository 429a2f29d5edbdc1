"""What is measured, a function a cell; each takes turns (A B A B …) where there is somebody to compare with."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench import customers, floors, process, service
from bench.client import Client, WrongAnswer
from bench.customers import File
from bench.record import Record, Target
from bench.service import Server

MB = 1e6
MILLION = 1_000_000

# The default of AUDIENCES_MEMORY_LIMIT.
MEMORY_LIMIT_BYTES = 1024**3


@dataclass(frozen=True)
class Plan:
    """How much is measured: `scale` times the rows, `rounds` runs of each; all files go into `folder`."""

    folder: Path
    quick: bool = False
    scale: float = 1.0

    @property
    def rounds(self) -> int:
        """Runs of each side, of which the median counts."""
        return 3 if self.quick else 5

    def rows(self, rows: int) -> int:
        """So many rows, scaled."""
        return int(rows * self.scale)


def csv(plan: Plan, record: Record) -> None:
    """A large CSV file through HTTP, against the bare conversion to Parquet."""
    file = customers.csv_file(plan.rows(200_000 if plan.quick else 2 * MILLION))
    against_floors(plan, record, file, ["duckdb-csv", "polars-csv"])
    speed = file.rows / record.median("ours") / MILLION
    record.compare(
        "upload / bare DuckDB", "duckdb-csv", Target("at most", 2.0), remark=f"{file.rows:,} rows, {speed:.2f} M rows/s"
    )
    record.compare("upload / bare Polars", "polars-csv")
    resource_lines(record, "duckdb-csv")


def xlsx(plan: Plan, record: Record) -> None:
    """A workbook through HTTP, against reading it into memory."""
    file = customers.workbook(plan.rows(200_000))
    against_floors(plan, record, file, ["fastexcel-xlsx"])
    record.compare("upload / bare fastexcel", "fastexcel-xlsx", Target("at most", 2.0))
    resource_lines(record, "fastexcel-xlsx")


def against_floors(plan: Plan, record: Record, file: File, names: list[str]) -> None:
    """Runs of ours, on one warm server, and of each floor in turns."""
    folder = plan.folder / record.cell
    key = service.prepared(folder)
    target = plan.folder / f"{record.cell}.parquet"
    with service.served(folder, key) as server, server.client() as client:
        client.checked_upload(file)
        for _ in range(plan.rounds):
            upload(server, client, file, record)
            for name in names:
                settle()
                record.add(name, **floors.run(name, file.path, target))


def upload(server: Server, client: Client, file: File, record: Record) -> None:
    """One run of ours."""
    settle()
    before = server.cpu_seconds()
    with process.watched_children(server.pid) as children:
        sent = client.upload(file.path)
    cpu_seconds = server.cpu_seconds() - before
    client.check(sent.data["id"], file)
    record.add(
        "ours",
        seconds=sent.seconds,
        cpu_seconds=cpu_seconds,
        peak_bytes=process.peak_resident_bytes(server.pid),
        children_peak_bytes=children.peak_bytes,
        rows=file.rows,
        file_bytes=file.bytes,
    )


def settle() -> None:
    """Lets what earlier runs wrote reach the disk, so that no run pays for another's."""
    os.sync()


def resource_lines(record: Record, other: str) -> None:
    """Lines on processor time and memory, ours with all children counted."""
    ours, theirs = record.median("ours", "cpu_seconds"), record.median(other, "cpu_seconds")
    record.line("CPU, ours / other", "s", ours, other_name=other, other=theirs, ratio=ours / theirs)
    server, child = record.median("ours", "peak_bytes") / MB, record.median("ours", "children_peak_bytes") / MB
    theirs = record.median(other, "peak_bytes") / MB
    remark = f"server {server:.0f}, child {child:.0f}" if child else ""
    record.line(
        "peak resident, ours / other", "MB", server + child,
        other_name=other, other=theirs, ratio=(server + child) / theirs, remark=remark,
    )  # fmt: skip


def tutorial(plan: Plan, record: Record) -> None:
    """A CSV file of 200,000 rows, against the tutorial way."""
    file = customers.csv_file(plan.rows(200_000))
    folder = plan.folder / record.cell
    key = service.prepared(folder)
    with (
        service.served(folder, key) as server,
        server.client() as client,
        service.tutorial(plan.folder / "peer") as peer,
        peer.client() as peer_client,
    ):
        client.checked_upload(file)
        for _ in range(3):
            upload(server, client, file, record)
            peer_upload(peer, peer_client, file, record)
    record.compare("tutorial / upload", "tutorial", Target("at least", 30.0))
    resource_lines(record, "tutorial")


def peer_upload(peer: Server, client: Client, file: File, record: Record) -> None:
    """One run of the tutorial's."""
    settle()
    before = peer.cpu_seconds()
    sent = client.upload(file.path)
    found = {name: sent.data[name] for name in file.counts}
    if found != file.counts:
        raise WrongAnswer(f"The tutorial says {found}, the file holds {file.counts}.")
    cpu_seconds = peer.cpu_seconds() - before
    record.add(
        "tutorial", seconds=sent.seconds, cpu_seconds=cpu_seconds, peak_bytes=process.peak_resident_bytes(peer.pid)
    )


def memory(plan: Plan, record: Record) -> None:
    """Peak resident memory for 2 and 10 million rows, each in a fresh process."""
    folder = plan.folder / record.cell
    key = service.prepared(folder)
    files = {size: customers.csv_file(plan.rows(size * MILLION)) for size in (2, 10)}
    peaks = Record(record.cell)
    for _ in range(3):
        for size, file in files.items():
            with service.served(folder, key) as server, server.client() as client:
                upload(server, client, file, record)
            peaks.add(f"{size} million", peak_bytes=record.runs[-1]["peak_bytes"])
    small, large = (peaks.median(f"{size} million", "peak_bytes") for size in (2, 10))
    record.line(
        "peak resident, 10 / 2 million rows", "MB", large / MB,
        other_name="2 million rows", other=small / MB, ratio=large / small, target=Target("at most", 1.3),
    )  # fmt: skip
    record.line(
        "peak resident, 10 million rows / memory limit", "MB", large / MB,
        other_name="default limit", other=MEMORY_LIMIT_BYTES / MB, ratio=large / MEMORY_LIMIT_BYTES,
    )  # fmt: skip


def start(plan: Plan, record: Record) -> None:
    """From exec to ready, the numbering plan compiled; and what the server holds when nothing happens."""
    folder = plan.folder / record.cell
    begun = time.perf_counter()
    key = service.prepared(folder)
    record.add("first start and stop, with a key made", seconds=time.perf_counter() - begun)
    for _ in range(5):
        settle()
        begun = time.perf_counter()
        with service.served(folder, key) as server:
            while not server.ready():
                time.sleep(service.POLL_S)
            seconds = time.perf_counter() - begun
            time.sleep(0.5)
            idle = process.resident_bytes(server.pid)
            record.add("ours", seconds=seconds, cpu_seconds=server.cpu_seconds(), idle_bytes=idle)
    record.line("exec to ready", "s", record.median("ours"), target=Target("at most", 1.0))
    record.line("idle resident memory", "MB", record.median("ours", "idle_bytes") / MB)


Cell = Callable[[Plan, Record], None]
