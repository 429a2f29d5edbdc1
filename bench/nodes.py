"""Throughput of one process on the embedded stores, and of one and three nodes on PostgreSQL, S3 and Valkey.

python -m bench.nodes [SECONDS]     prints a table: uploads of 1,000 rows by 16 callers, and pages of 100, a second

All of it runs on this one machine, nodes, stores, proxy and callers, so more nodes share the same cores: the table
tells what sharing costs and who uses the cores, not how far a cluster goes. `bench/growth.py` reckons with that.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bench import customers, process, service
from bench.client import Client
from bench.machine import ROOT
from bench.record import quantile

sys.path.insert(0, str(ROOT / "tests"))

from cluster import Cluster, cluster

SECONDS = 8.0
ROUNDS = 3
CALLERS = 16
ROWS = 1000
WARM_UPS = 8

Work = Callable[[Client], object]


@dataclass
class SetUp:
    """Something that takes requests at one or more addresses; `pids` are the processes of each part of it."""

    addresses: list[str]
    key: str
    pids: Mapping[str, list[int]]
    rates: dict[str, list[float]] = field(default_factory=dict)
    waits: dict[str, list[float]] = field(default_factory=dict)
    cores: dict[str, dict[str, float]] = field(default_factory=dict)

    def measure(self, name: str, work: Work, seconds: float) -> None:
        """Has callers do `work` for so long; a caller stays with one node, as with a load balancer's connection."""
        before, begun = self.cpu_seconds(), time.perf_counter()
        deadline = begun + seconds
        with ThreadPoolExecutor(CALLERS) as pool:
            done = list(pool.map(lambda caller: self.call(caller, work, deadline), range(CALLERS)))
        taken = time.perf_counter() - begun
        used = self.cpu_seconds()
        waits = [wait for caller in done for wait in caller]
        self.rates.setdefault(name, []).append(len(waits) / taken)
        self.waits.setdefault(name, []).extend(waits)
        self.cores[name] = {part: (used[part] - before[part]) / taken for part in used}

    def call(self, caller: int, work: Work, deadline: float) -> list[float]:
        """Seconds of each request of one caller."""
        waits = []
        with Client(self.addresses[caller % len(self.addresses)], self.key) as client:
            while (begun := time.perf_counter()) < deadline:
                work(client)
                waits.append(time.perf_counter() - begun)
        return waits

    def cpu_seconds(self) -> dict[str, float]:
        """What each part has used so far."""
        return {part: sum(map(process.family_cpu_seconds, pids)) for part, pids in self.pids.items()}


@contextmanager
def embedded(folder: Path) -> Iterator[SetUp]:
    """One process, as it comes."""
    key = service.prepared(folder)
    with service.served(folder, key) as server:
        yield SetUp([server.address], key, {"nodes": [server.pid]})


def scaled(running: Cluster, nodes: int, key: str) -> SetUp:
    """So many of the cluster's nodes."""
    chosen = running.nodes[:nodes]
    pids = {
        "nodes": [node.process.pid for node in chosen if node.process],
        "PostgreSQL": [running.postgres.process.pid] if running.postgres.process else [],
        "S3": [running.objects.guard.pid] if running.objects.guard else [],
    }
    return SetUp([node.url for node in chosen], key, pids)


def works(setup: SetUp) -> dict[str, Work]:
    """What is measured: uploads, and pages of an audience that is there."""
    file = customers.csv_file(ROWS)
    with Client(setup.addresses[0], setup.key) as client:
        for _ in range(WARM_UPS):
            made = str(client.upload(file.path).data["id"])
    for address in setup.addresses:
        with Client(address, setup.key) as client:
            client.page(made, {})
    return {"uploads": lambda client: client.upload(file.path), "pages": lambda client: client.page(made, {})}


def main() -> None:
    """Measures the three in turn, and prints the table."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else SECONDS
    with tempfile.TemporaryDirectory() as folder, embedded(Path(folder) / "data") as alone, cluster(3) as running:
        key = running.key(running.account())
        setups = {"embedded": alone, "1 node": scaled(running, 1, key), "3 nodes": scaled(running, 3, key)}
        asked = {name: works(setup) for name, setup in setups.items()}
        for _ in range(ROUNDS):
            for name, setup in setups.items():
                for what, work in asked[name].items():
                    setup.measure(what, work, seconds)
                    time.sleep(1)
        report(setups)


def report(setups: Mapping[str, SetUp]) -> None:
    """Prints medians of the rounds, and the cores that each part kept busy in the last one."""
    print(f"{os.cpu_count()} cores, {CALLERS} callers, {threading.active_count()} threads left, medians of {ROUNDS}")
    for what in ("uploads", "pages"):
        for name, setup in setups.items():
            milliseconds = sorted(wait * 1000 for wait in setup.waits[what])
            rate, middle, late = (
                statistics.median(setup.rates[what]),
                quantile(milliseconds, 50),
                quantile(milliseconds, 99),
            )
            cores = ", ".join(f"{part} {busy:.2f}" for part, busy in setup.cores[what].items())
            print(
                f"{what:8} {name:9} {rate:7.1f} a second   p50 {middle:6.1f} ms   p99 {late:7.1f} ms   cores: {cores}"
            )


if __name__ == "__main__":
    main()
