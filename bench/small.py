"""Small uploads: how long one takes, and how many a second eight callers get through."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

from bench import customers, service
from bench.cells import Plan, settle
from bench.customers import File
from bench.record import Record, Target, quantile
from bench.service import Server

ROWS = 1000
WARM_UPS = 10
CALLERS = 8


def small(plan: Plan, record: Record) -> None:
    """Files of 1,000 rows: one caller after another, then eight at once."""
    file = customers.csv_file(ROWS)
    folder = plan.folder / record.cell
    key = service.prepared(folder)
    with service.served(folder, key) as server:
        settle()
        one_caller(server, file, record, 50 if plan.quick else 300)
        settle()
        many_callers(server, file, record, 3.0 if plan.quick else 10.0)


def one_caller(server: Server, file: File, record: Record, uploads: int) -> None:
    """Quantiles of the milliseconds of single uploads."""
    with server.client() as client:
        for _ in range(WARM_UPS):
            client.checked_upload(file)
        before = server.cpu_seconds()
        sent = [client.upload(file.path) for _ in range(uploads)]
        cpu_ms = (server.cpu_seconds() - before) / uploads * 1000
        for one in sent:
            client.check(one.data["id"], file)
            record.add("ours", seconds=one.seconds)
    milliseconds = sorted(one.seconds * 1000 for one in sent)
    target = Target("at most", 15.0)
    remark = f"{cpu_ms:.1f} ms CPU each"
    record.line("1,000 rows, one caller, p50", "ms", quantile(milliseconds, 50), target=target, remark=remark)
    record.line("1,000 rows, one caller, p95", "ms", quantile(milliseconds, 95))
    record.line("1,000 rows, one caller, p99", "ms", quantile(milliseconds, 99), target=Target("at most", 60.0))


def many_callers(server: Server, file: File, record: Record, seconds: float) -> None:
    """Uploads a second of eight callers, each with a connection of its own."""
    before, begun = server.cpu_seconds(), time.perf_counter()
    deadline = begun + seconds
    barrier = threading.Barrier(CALLERS)
    with ThreadPoolExecutor(CALLERS) as pool:
        done = list(pool.map(lambda _: upload_until(deadline, barrier, server, file), range(CALLERS)))
    taken, cpu_seconds = time.perf_counter() - begun, server.cpu_seconds() - before
    made = [audience for audiences in done for audience in audiences]
    with server.client() as client:
        for audience in made:
            client.check(audience, file)
    record.add("ours, eight callers", seconds=taken, cpu_seconds=cpu_seconds, uploads=len(made))
    remark = f"{cpu_seconds / taken:.2f} cores busy"
    rate = len(made) / taken
    record.line("1,000 rows, eight callers", "uploads/s", rate, target=Target("at least", 80.0), remark=remark)


def upload_until(deadline: float, barrier: threading.Barrier, server: Server, file: File) -> list[str]:
    """The ids of what one caller could upload until then."""
    made: list[str] = []
    with server.client() as client:
        barrier.wait()
        while time.perf_counter() < deadline:
            made.append(client.upload(file.path).data["id"])
    return made
