"""Small uploads: how long one takes, and how many a second eight callers get through."""

from __future__ import annotations

import statistics
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from bench import customers, service
from bench.cells import Plan, bare, memory_line, settle
from bench.client import Client
from bench.customers import File
from bench.record import Record, Target, quantile
from bench.service import Server

ROWS = 1000
WARM_UPS = 10
CALLERS = 8
ROUNDS = 5
FLOORS = ("duckdb-csv", "polars-csv")
MANY = "ours, eight callers"


def small(plan: Plan, record: Record) -> None:
    """Files of 1,000 rows: in each round one caller's, one after another, the bare libraries, then eight at once."""
    file = customers.csv_file(ROWS)
    folder = plan.folder / record.cell
    key = service.prepared(folder)
    with service.served(folder, key) as server:
        with server.client() as client:
            for _ in range(WARM_UPS):
                client.checked_upload(file)
            for _ in range(plan.rounds(ROUNDS)):
                one_caller(server, client, file, record, 30 if plan.quick else 100)
                bare(FLOORS, file, plan, record)
                many_callers(server, file, record, 2.0 if plan.quick else 5.0)
        tell(record)


def one_caller(server: Server, client: Client, file: File, record: Record, uploads: int) -> None:
    """A round of single uploads."""
    settle()
    with service.watched(server) as cost:
        sent = [client.upload(file.path) for _ in range(uploads)]
    for one in sent:
        client.check(one.data["id"], file)
        record.add("ours", seconds=one.seconds, rows=file.rows, file_bytes=file.bytes, **cost.figures(uploads))
    record.profile.add(uploads, sum(one.seconds for one in sent), cost.steps)


def many_callers(server: Server, file: File, record: Record, seconds: float) -> None:
    """A round of eight callers, each with a connection of its own."""
    settle()
    begun = time.perf_counter()
    deadline = begun + seconds
    barrier = threading.Barrier(CALLERS)
    with service.watched(server) as cost, ThreadPoolExecutor(CALLERS) as pool:
        done = list(pool.map(lambda _: upload_until(deadline, barrier, server, file), range(CALLERS)))
        taken = time.perf_counter() - begun
    made = [audience for audiences in done for audience in audiences]
    with server.client() as client:
        for audience in made:
            client.check(audience, file)
    a_second, uploads = {"uploads_a_second": len(made) / taken, "cores": cost.cpu_seconds / taken}, len(made)
    record.add(MANY, seconds=taken / uploads, rows=file.rows, **a_second, **cost.figures(uploads))


def upload_until(deadline: float, barrier: threading.Barrier, server: Server, file: File) -> list[str]:
    """The ids of what one caller could upload until then."""
    made: list[str] = []
    with server.client() as client:
        barrier.wait()
        while time.perf_counter() < deadline:
            made.append(client.upload(file.path).data["id"])
    return made


def tell(record: Record) -> None:
    """The lines of the table."""
    milliseconds = [seconds * 1000 for seconds in record.values("ours")]
    cpu_ms = statistics.fmean(record.values("ours", "cpu_seconds")) * 1000
    remark = f"{len(milliseconds)} uploads, {cpu_ms:.1f} ms CPU each"
    for percent, target in ((50, Target("at most", 15.0)), (95, None), (99, Target("at most", 60.0))):
        measure = f"1,000 rows, one caller, p{percent}"
        record.line(measure, "ms", quantile(milliseconds, percent), target=target, remark=remark)
    rates, cores = record.values(MANY, "uploads_a_second"), record.median(MANY, "cores")
    remark = f"{len(rates)} rounds: {min(rates):.3g} to {max(rates):.3g}; {cores:.2f} cores busy"
    target = Target("at least", 80.0)
    record.line("1,000 rows, eight callers", "uploads/s", statistics.median(rates), target=target, remark=remark)
    memory_line(record, ("ours", MANY))
