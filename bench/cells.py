"""What is measured: uploads of one file, beside bare libraries, in turns (A B A B …); and a start."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench import floors, process, service
from bench.client import Client
from bench.customers import File
from bench.record import Between, Record, Target
from bench.service import Server

MB = 1e6
MIB = 1024**2
MILLION = 1_000_000

# Runs of each side in every cell, at least.
ROUNDS = 3

# The default of AUDIENCES_MEMORY_LIMIT.
MEMORY_LIMIT_BYTES = 1024**3


@dataclass(frozen=True)
class Plan:
    """How much is measured: `scale` times the rows, `rounds` runs of each; all files go into `folder`."""

    folder: Path
    quick: bool = False
    scale: float = 1.0

    def rounds(self, usual: int = ROUNDS) -> int:
        """Runs of each side, of which the median counts."""
        return min(ROUNDS, usual) if self.quick else usual

    def rows(self, rows: int) -> int:
        """So many rows, scaled."""
        return int(rows * self.scale / (10 if self.quick else 1))


Cell = Callable[[Plan, Record], None]


@dataclass(frozen=True)
class Uploads:
    """A cell of uploads of one file: ours on one warm server, and bare libraries, in turns.

    `goals` are what the ratio to a library has to be. Where there is a file of `smaller` size, it takes its turns, too,
    and a row of the larger one has to take as long.
    """

    make: Callable[[int], File]
    rows: int
    rounds: int = ROUNDS
    floors: Sequence[str] = ("duckdb-csv", "polars-csv")
    goals: tuple[tuple[str, float], ...] = ()
    smaller: int = 0

    def __call__(self, plan: Plan, record: Record) -> None:
        """Measures it."""
        file = self.make(plan.rows(self.rows))
        smaller = self.make(plan.rows(self.smaller)) if self.smaller else None
        folder = plan.folder / record.cell
        key = service.prepared(folder)
        with service.served(folder, key) as server, server.client() as client:
            client.checked_upload(file)
            for _ in range(plan.rounds(self.rounds)):
                upload(server, client, file, record)
                bare(self.floors, file, plan, record)
                if smaller is not None:
                    upload(server, client, smaller, record, smaller_name(smaller))
        self.tell(file, record)
        if smaller is not None:
            tell_linear(record, smaller_name(smaller))

    def tell(self, file: File, record: Record) -> None:
        """The lines of the table."""
        goals = dict(self.goals)
        remark = f"{file.rows:,} rows, {file.bytes / MB:,.1f} MB"
        for name in self.floors:
            target = Target("at most", goals[name]) if name in goals else None
            record.compare(f"upload / bare {name}", name, target, remark)
        memory_line(record)


def smaller_name(file: File) -> str:
    """Who a smaller file's uploads are in the record."""
    return f"ours, {file.rows:,} rows"


def bare(names: Sequence[str], file: File, plan: Plan, record: Record) -> None:
    """A run of each of these libraries."""
    for name in names:
        settle()
        record.add(name, rows=file.rows, **floors.run(name, file.path, plan.folder / "floor.parquet"))


def tell_linear(record: Record, smaller: str) -> None:
    """The line that holds the time a row takes in a large and in a smaller file against each other."""
    linear = Between(0.85, 1.15)
    record.compare("time a row / in a smaller file", smaller, linear, unit="ns", field="row_seconds", size=1e-9)


def memory_line(record: Record, who: Sequence[str] = ("ours",)) -> None:
    """The line that holds the highest peak of all uploads, of the server and its children, against the memory limit."""
    peak, limit = max(record.highest(one, "peak_bytes") for one in who) / MB, MEMORY_LIMIT_BYTES / MB
    record.line(
        "peak memory / memory limit", "MB", peak,
        other_name="limit", other=limit, ratio=peak / limit, target=Target("at most", 1.0),
    )  # fmt: skip


def upload(server: Server, client: Client, file: File, record: Record, who: str = "ours") -> None:
    """One run of ours."""
    settle()
    client.connect_anew()
    with service.watched(server) as cost:
        sent = client.upload(file.path)
    client.check(sent.data["id"], file)
    add_upload(record, who, file, sent.seconds, cost)
    if who == "ours":
        record.profile.add(1, sent.seconds, cost.steps)


def add_upload(record: Record, who: str, file: File, seconds: float, cost: service.Cost) -> None:
    """Takes down a run of a file."""
    figures = {"rows": file.rows, "file_bytes": file.bytes, "row_seconds": seconds / file.rows}
    record.add(who, seconds=seconds, **figures, **cost.figures())


def settle() -> None:
    """Lets what earlier runs wrote reach the disk, so that no run pays for another's."""
    os.sync()


# Seconds after a start in which a server has done what it left for later, and is idle.
IDLE_S = 3.0


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
            server.until_ready()
            seconds = time.perf_counter() - begun
            time.sleep(IDLE_S)
            idle = process.resident_bytes(server.pid)
            record.add("ours", seconds=seconds, cpu_seconds=server.cpu_seconds(), idle_bytes=idle)
    record.line("exec to first answer", "s", record.median("ours"), target=Target("at most", 0.7))
    idle_mib = record.median("ours", "idle_bytes") / MIB
    record.line("idle resident memory", "MiB", idle_mib, target=Target("at most", 120.0))
