"""What is measured, a function a cell; each takes turns (A B A B …) where there is somebody to compare with."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench import customers, floors, peers, process, service
from bench.client import Client, WrongAnswer
from bench.customers import File
from bench.record import Record, Target
from bench.service import Server

MB = 1e6
MIB = 1024**2
MILLION = 1_000_000

# The default of AUDIENCES_MEMORY_LIMIT.
MEMORY_LIMIT_BYTES = 1024**3


@dataclass(frozen=True)
class Plan:
    """How much is measured: `scale` times the rows, `rounds` runs of each; all files go into `folder`."""

    folder: Path
    quick: bool = False
    scale: float = 1.0

    def rounds(self, usual: int) -> int:
        """Runs of each side, of which the median counts."""
        return min(2, usual) if self.quick else usual

    def rows(self, rows: int) -> int:
        """So many rows, scaled."""
        return int(rows * self.scale / (10 if self.quick else 1))


Cell = Callable[[Plan, Record], None]


@dataclass(frozen=True)
class Uploads:
    """A cell of uploads of one file: ours on one warm server, and bare libraries, in turns.

    `goals` are what the ratio to a library has to be.
    """

    make: Callable[[int], File]
    rows: int
    rounds: int
    floors: Sequence[str] = ("duckdb-csv", "polars-csv")
    goals: tuple[tuple[str, float], ...] = ()

    def __call__(self, plan: Plan, record: Record) -> None:
        """Measures it."""
        file = self.make(plan.rows(self.rows))
        folder = plan.folder / record.cell
        key = service.prepared(folder)
        with service.served(folder, key) as server, server.client() as client:
            client.checked_upload(file)
            for _ in range(plan.rounds(self.rounds)):
                upload(server, client, file, record)
                for name in self.floors:
                    settle()
                    record.add(name, **floors.run(name, file.path, plan.folder / "floor.parquet"))
            record.steps = service.steps(server)
        self.tell(file, record)

    def tell(self, file: File, record: Record) -> None:
        """The lines of the table."""
        seconds = record.median("ours")
        remark = f"{file.rows:,} rows, {file.bytes / MB:,.1f} MB"
        record.line("upload", "s", seconds, remark=f"{remark}, {file.rows / seconds / MILLION:.2f} M rows/s")
        goals = dict(self.goals)
        for name in self.floors:
            target = Target("at most", goals[name]) if name in goals else None
            record.compare(f"upload / bare {name}", name, target)
        other = self.floors[0] if self.floors else None
        for what, field, unit, size in (
            ("CPU", "cpu_seconds", "s", 1.0),
            ("peak resident, largest child added", "peak_bytes", "MB", MB),
        ):
            ours = record.median("ours", field) / size
            if other is None:
                record.line(what, unit, ours)
                continue
            theirs = record.median(other, field) / size
            record.line(what, unit, ours, other_name=other, other=theirs, ratio=ours / theirs)
        record.line("stored", "MB", record.median("ours", "stored_bytes") / MB)


def upload(server: Server, client: Client, file: File, record: Record) -> None:
    """One run of ours."""
    settle()
    process.reset_peak(server.pid)
    before, stored = server.cpu_seconds(), server.stored_bytes()
    with process.watched_children(server.pid) as children:
        sent = client.upload(file.path)
    cpu_seconds = server.cpu_seconds() - before
    client.check(sent.data["id"], file)
    record.add(
        "ours",
        seconds=sent.seconds,
        cpu_seconds=cpu_seconds,
        peak_bytes=process.peak_resident_bytes(server.pid) + children.peak_bytes,
        children_peak_bytes=children.peak_bytes,
        stored_bytes=server.stored_bytes() - stored,
        rows=file.rows,
        file_bytes=file.bytes,
    )


def settle() -> None:
    """Lets what earlier runs wrote reach the disk, so that no run pays for another's."""
    os.sync()


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
        for _ in range(plan.rounds(2)):
            upload(server, client, file, record)
            peer_upload(peer, peer_client, file, record)
    record.compare("tutorial / upload", "tutorial", remark=f"{file.rows:,} rows", faster=True)


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


def postgres(plan: Plan, record: Record) -> None:
    """A CSV file of a million rows, against PostgreSQL's COPY into columns of text: no checks, no duplicates found."""
    file = customers.csv_file(plan.rows(MILLION))
    folder = plan.folder / record.cell
    key = service.prepared(folder)
    with service.served(folder, key) as server, server.client() as client, peers.postgres() as database:
        client.checked_upload(file)
        for _ in range(plan.rounds(3)):
            upload(server, client, file, record)
            settle()
            record.add("COPY", seconds=database.copy(file.path))
    record.compare("PostgreSQL COPY / upload", "COPY", remark=f"{file.rows:,} rows", faster=True)


def datasette(plan: Plan, record: Record) -> None:
    """A CSV file of 100,000 rows, against datasette-upload-csvs, once: it takes its time."""
    file = customers.csv_file(plan.rows(100_000))
    folder = plan.folder / record.cell
    key = service.prepared(folder)
    with service.served(folder, key) as server, server.client() as client:
        client.checked_upload(file)
        upload(server, client, file, record)
        settle()
        record.add("datasette-upload-csvs", seconds=peers.datasette(file.path, file.rows, plan.folder / "datasette"))
    record.compare("datasette-upload-csvs / upload", "datasette-upload-csvs", remark=f"{file.rows:,} rows", faster=True)


def start(plan: Plan, record: Record) -> None:
    """From exec to the first answer, the numbering plan compiled; and what the server holds when nothing happens."""
    folder = plan.folder / record.cell
    begun = time.perf_counter()
    key = service.prepared(folder)
    record.add("first start and stop, with a key made", seconds=time.perf_counter() - begun)
    for _ in range(plan.rounds(5)):
        settle()
        begun = time.perf_counter()
        with service.served(folder, key) as server:
            while not server.ready():
                time.sleep(service.POLL_S)
            seconds = time.perf_counter() - begun
            time.sleep(0.5)
            idle = process.resident_bytes(server.pid)
            record.add("ours", seconds=seconds, cpu_seconds=server.cpu_seconds(), idle_bytes=idle)
    record.line("exec to first answer", "s", record.median("ours"), target=Target("at most", 0.7))
    idle_mib = record.median("ours", "idle_bytes") / MIB
    record.line("idle resident memory", "MiB", idle_mib, target=Target("at most", 120.0))
