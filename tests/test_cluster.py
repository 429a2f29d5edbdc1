"""Several nodes are one service: whatever fails, nothing acknowledged is lost, nothing partial is seen, nothing twice.

The long runs have a command of their own: `./dev test tests/test_cluster.py -m campaign -n 0 -s`. It prints what was
tried and what came of it; CLUSTER_SEED, CLUSTER_UPLOADS (clients at once) and CLUSTER_ROUNDS (faults a run) change it.
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import dataclass

import httpx
import pytest

from audiences import clock
from audiences.answer import Reply
from audiences.errors import out_of_reach
from audiences.repeats import Claim, Repeats
from audiences.store.database import Database
from cluster import Cluster, shared
from cluster_load import File, Load, Tally, summary
from injecting_proxy import Plan

SEED = os.environ.get("CLUSTER_SEED", "1")
UPLOADS = int(os.environ.get("CLUSTER_UPLOADS", "50"))
ROUNDS = int(os.environ.get("CLUSTER_ROUNDS", "3"))

# The suite's share.
FEW = 10

# Threads that ask a node while it stops.
CALLERS = 16

# The number of the one file of a run that is sent to S3 in several parts.
WIDE = 0


@pytest.fixture
def nodes() -> Cluster:
    """Three nodes behind a proxy."""
    return shared().mend()


@dataclass
class Run:
    """A load under which something fails: what a fault needs to know."""

    nodes: Cluster
    chance: random.Random
    tally: Tally

    def wait(self, least_s: float, most_s: float) -> None:
        """Lets some time go by."""
        time.sleep(self.chance.uniform(least_s, most_s))

    def note(self, fault: str) -> None:
        """Notes what was done."""
        self.tally.faults.append(fault)


Fault = Callable[[Run], None]


def kill_a_node(run: Run) -> None:
    """One node is killed, and comes back."""
    node = run.chance.choice(run.nodes.nodes)
    run.wait(0.1, 0.8)
    node.kill()
    run.note("kill -9")
    run.nodes.start(node)


def restart_postgres(run: Run) -> None:
    """PostgreSQL is stopped with a word to its clients, and then without."""
    for at_once in (False, True):
        run.wait(0.1, 0.6)
        run.nodes.postgres.stop(at_once=at_once)
        run.note(f"PostgreSQL stopped {'at once' if at_once else 'fast'}")
        run.wait(0.1, 0.4)
        run.nodes.postgres.start()


def restart_valkey(run: Run) -> None:
    """Valkey is killed, and comes back with nothing."""
    run.wait(0.1, 0.6)
    run.nodes.counters.stop()
    run.note("Valkey stopped")
    run.wait(0.5, 1.0)
    run.nodes.counters.start()


def restart_s3(run: Run) -> None:
    """The S3 server is killed, and comes back."""
    run.wait(0.1, 0.6)
    run.nodes.objects.stop()
    run.note("S3 stopped")
    run.wait(0.5, 1.5)
    run.nodes.objects.start()


def let_s3_fail(run: Run) -> None:
    """S3 is slow and fails by a plan for as long as the load lasts."""
    run.nodes.network.fail(Plan(str(run.chance.random()), share=run.chance.uniform(0.2, 0.6)))


def restart_nodes_in_turn(run: Run) -> None:
    """Each node is stopped in order and started again, one after the other."""
    for node in run.nodes.nodes:
        run.wait(0.1, 0.5)
        begun = time.monotonic()
        status = node.stop()
        run.note(f"SIGTERM: {status} after {time.monotonic() - begun:.1f} s")
        run.nodes.start(node)


# Each with the seconds over which clients begin, which is about as long as it takes.
FAULTS = [
    (kill_a_node, 0.8),
    (restart_postgres, 2.0),
    (restart_valkey, 1.5),
    (restart_s3, 1.5),
    (let_s3_fail, 1.0),
    (restart_nodes_in_turn, 6.0),
]
NAMES = [fault.__name__ for fault, _ in FAULTS]


def carry_out(nodes: Cluster, fault: Fault, seed: str, files: list[File], spread_s: float, *, wait: bool) -> Tally:
    """The fault under load, and what came of it; unless it is to `wait`, marks of requests that died lapse at once."""
    load = Load(nodes, files, seed, spread_s)
    with load.running() as tally:
        fault(Run(nodes, random.Random(seed), tally))
        tally.over = time.monotonic()
        if not wait:
            nodes.lapse()
    tally.injected.update(nodes.network.pass_on())
    return load.check()


@pytest.mark.parametrize(("fault", "spread_s"), FAULTS, ids=NAMES)
def test_whatever_fails_each_client_ends_with_one_audience_that_is_whole(
    nodes: Cluster, fault: Fault, spread_s: float
) -> None:
    files = [File(number, wide=number == WIDE and fault is let_s3_fail) for number in range(FEW)]
    tally = carry_out(nodes, fault, SEED, files, spread_s, wait=False)
    assert not tally.wrong, tally.text()
    if fault is restart_nodes_in_turn:
        assert tally.broken == 0, tally.text()


@pytest.mark.parametrize("kept", [0, None], ids=["a connection a request", "connections that are kept"])
def test_a_node_that_stops_answers_every_request_that_reached_it(nodes: Cluster, kept: int | None) -> None:
    """Whoever comes later is refused the connection; a proxy goes on to another node then, and repeats nothing."""
    node, over, broken = nodes.nodes[0], threading.Event(), Counter[str]()
    header = {"Authorization": f"Bearer {nodes.key(nodes.account())}"}
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=kept)
    answered = Counter[int]()

    def ask(path: str) -> None:
        with suppress(httpx.ConnectError):
            while not over.is_set():
                answered[http.get(path, headers=header).status_code] += 1

    with httpx.Client(base_url=node.url, limits=limits, timeout=60) as http, ThreadPoolExecutor(CALLERS) as threads:
        asking = [threads.submit(ask, path) for path in ("/healthz", "/audiences") * (CALLERS // 2)]
        time.sleep(0.7)
        node.stop()
        over.set()
        broken.update(repr(done.exception()) for done in asking if done.exception())
    nodes.start(node)

    assert not broken
    assert answered.keys() == {200}


def test_a_request_that_an_outage_broke_can_be_repeated_once_the_catalog_answers(nodes: Cluster) -> None:
    """Its node lives and knows that nothing came of it: nobody has to wait for the mark to lapse."""
    account, same = nodes.account(), b"x" * 32
    with closing(Database(nodes.catalog)) as database:
        repeated = Repeats(database, clock.now)

        async def work(_: Claim) -> Reply:
            nodes.postgres.stop(at_once=True)
            raise out_of_reach("its catalog")

        assert asyncio.run(repeated.once(account, "key", same, work)).status == 503
        nodes.postgres.start()

        assert repeated.begin(account, "key", same).replay is None


@pytest.mark.campaign
@pytest.mark.parametrize(("fault", "spread_s"), FAULTS, ids=NAMES)
def test_whatever_fails_again_and_again(nodes: Cluster, fault: Fault, spread_s: float) -> None:
    tallies = []
    for number in range(ROUNDS):
        files = [File(number, wide=number % 25 == WIDE) for number in range(UPLOADS)]
        tallies.append(carry_out(nodes, fault, f"{SEED} {number}", files, spread_s / 2, wait=True))
        tell(f"\n{fault.__name__}, round {number + 1} of seed {SEED}\n{tallies[-1].text()}\n")
    tell(f"\n{fault.__name__}, {ROUNDS} rounds of seed {SEED}: {summary(tallies)}\n")

    for tally in tallies:
        assert not tally.wrong, tally.text()
        if fault is restart_nodes_in_turn:
            assert tally.broken == 0, tally.text()


def tell(what: str) -> None:
    """Prints it for whoever runs the long runs."""
    sys.stdout.write(what)
    sys.stdout.flush()
