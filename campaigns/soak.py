"""Soak: at 80 % of what the server can do, everything at once, for long: nothing grows, and nothing is wrong."""

from __future__ import annotations

import argparse
import http.client
import os
import queue
import random
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from sqlalchemy import func, select

from audiences.parts import opened_catalog
from audiences.settings import Settings
from audiences.store.files import OWNER
from audiences.store.schema import audience_files, suppression_lists
from campaigns import soak_watch
from campaigns.leftovers import referred_to
from campaigns.outcome import Outcome
from campaigns.serving import Server, new_keys, serving, settled
from campaigns.soak_client import Client
from campaigns.soak_files import Maker
from campaigns.soak_watch import Watch, size_of
from campaigns.soak_work import WORKS, Account, ComeAgain, Unexpected, Work, upload

# Of the capacity, as the issue of this campaign has it.
SHARE = 0.8

# Clients while the capacity is measured, and at most afterwards; audiences of each account before.
BUSY, PATIENT, AUDIENCES = 8, 40, 15

# Seconds between two sweeps, which a server makes every ten minutes by itself.
SWEEP_S = 60.0


@dataclass(frozen=True)
class Sizes:
    """How long and how much; a `rate` (requests a second) saves measuring the capacity."""

    seconds: float = 1200.0
    capacity_seconds: float = 30.0
    accounts: int = 4
    rate: float | None = None
    verdict: bool = True


@dataclass
class Soak:
    """A server under load, and what came of it."""

    server: Server
    accounts: Sequence[Account]
    outcome: Outcome
    maker: Maker = field(default_factory=Maker)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def do(self, what: Callable[[Work], None], client: Client, account: Account, chance: random.Random) -> bool:
        """One piece of work; whether it was carried out."""
        client.key = account.key
        try:
            what(Work(client, account, self.maker, chance))
        except LookupError:  # there are few audiences just now
            return False
        except ComeAgain:
            self.count("told to come again")
            return False
        except Unexpected as error:
            self.lose(f"{what.__name__}: {error}")
        except (OSError, http.client.HTTPException) as error:
            self.lose(f"{what.__name__}: {type(error).__name__}: {error}")
        self.count("pieces of work")
        return True

    def count(self, what: str) -> None:
        """Counts, from any thread."""
        with self.lock:
            self.outcome.count(what)

    def lose(self, what: str) -> None:
        """Notes a loss, from any thread."""
        with self.lock:
            self.outcome.losses.append(what)


def choose(chance: random.Random) -> Callable[[Work], None]:
    """A kind of work, as often as it is done."""
    return chance.choices(list(WORKS), list(WORKS.values()))[0]


def fill(soak: Soak, chance: random.Random) -> None:
    """Audiences to begin with."""
    for account in soak.accounts:
        with Client(soak.server.address, account.key) as client:
            for _ in range(AUDIENCES):
                soak.do(upload, client, account, chance)


def capacity(soak: Soak, seconds: float, chance: random.Random) -> float:
    """Pieces of work a second of as many clients as keep the server busy, each with the next when one is done."""
    end, seeds, done = time.monotonic() + seconds, [chance.random() for _ in range(BUSY)], [0] * BUSY

    def work(number: int) -> None:
        own = random.Random(seeds[number])
        with Client(soak.server.address, "") as client:
            while time.monotonic() < end:
                done[number] += soak.do(choose(own), client, own.choice(soak.accounts), own)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(BUSY)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(done) / seconds


def load(soak: Soak, watch: Watch, rate: float, seconds: float, chance: random.Random) -> None:
    """Work that becomes due at random moments, `rate` of them a second, whether or not what was due before is done."""
    due: queue.SimpleQueue[tuple[float, float] | None] = queue.SimpleQueue()

    def work() -> None:
        with Client(soak.server.address, "") as client:
            while (task := due.get()) is not None:
                moment, seed = task
                own = random.Random(seed)
                what = choose(own)
                if soak.do(what, client, own.choice(soak.accounts), own):
                    with soak.lock:
                        watch.taken[what.__name__].append((moment, time.monotonic() - moment))

    threads = [threading.Thread(target=work) for _ in range(PATIENT)]
    for thread in threads:
        thread.start()
    moment = time.monotonic()
    end = moment + seconds
    while (moment := moment + chance.expovariate(rate)) < end:
        time.sleep(max(0.0, moment - time.monotonic()))
        due.put((moment, chance.random()))
    for _ in threads:
        due.put(None)
    for thread in threads:
        thread.join()


@contextmanager
def sweeping(soak: Soak) -> Iterator[None]:
    """The sweep, again and again during the block, as an operator may run it beside a server."""
    over = threading.Event()
    command = [sys.executable, "-m", "audiences.cli", "sweep", "--json", "--data", str(soak.server.data)]

    def go_on() -> None:
        while not over.wait(SWEEP_S):
            done = subprocess.run(command, capture_output=True, env=os.environ, check=False)
            soak.count("sweeps")
            if done.returncode:
                soak.lose(f"a sweep failed: {done.stderr[-300:]!r}")

    thread = threading.Thread(target=go_on)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def check_disk(soak: Soak) -> None:
    """The folder of files holds what the catalog refers to, and not a byte more or less."""
    files = soak.server.data / "files"
    there = {path.relative_to(files).as_posix() for path in files.rglob("*") if path.is_file()}
    with opened_catalog(Settings(data=soak.server.data)) as database:
        known = referred_to(database)
        with database.read() as connection:
            # A do-not-contact list may have a number left, whose removal was told to come again.
            said = sum(
                int(connection.execute(select(func.sum(size))).scalar_one() or 0)
                for size in (audience_files.c.stored_bytes, suppression_lists.c.stored_bytes)
            )
    soak.outcome.figures["files on disk"] = len(there)
    soak.outcome.figures["MiB on disk, and as the catalog says"] = f"{size_of(files) >> 20} / {said >> 20}"
    extra = there - known - {OWNER}
    if known - there or extra:
        soak.lose(f"on disk {len(extra)} files are too many and {len(known - there)} missing: {sorted(extra)[:3]}")


def run(outcome: Outcome, sizes: Sizes) -> None:
    """All of it."""
    chance = random.Random(outcome.seed)
    metrics = free_address()
    with serving({"AUDIENCES_METRICS_ADDRESS": metrics}) as server:
        soak = Soak(server, [Account(key) for key in new_keys(server.data, sizes.accounts)], outcome)
        fill(soak, chance)
        rate = sizes.rate
        if rate is None:
            measured = capacity(soak, sizes.capacity_seconds, chance)
            outcome.figures["capacity (pieces of work a second)"] = round(measured, 1)
            rate = measured * SHARE
        watch, before = Watch(server, f"http://{metrics}/metrics"), server.holdings()
        with watch.watching(), sweeping(soak):
            load(soak, watch, rate, sizes.seconds, chance)
        for left in settled(server, before):
            soak.lose(f"afterwards: {left}")
        check_disk(soak)
        outcome.losses += server.faults()
        soak_watch.percentiles(watch, outcome)
        if sizes.verdict:
            soak_watch.minutes(watch, outcome)
            soak_watch.verdict(watch, outcome)


def free_address() -> str:
    """An address on this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


def main(arguments: list[str]) -> int:
    """The campaign; 1 if anything was lost."""
    parser = argparse.ArgumentParser(prog="./dev campaign soak", description=__doc__)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--rate", type=float, help="pieces of work a second, in place of 80 %% of the capacity")
    chosen = parser.parse_args(arguments)
    outcome = Outcome("soak", chosen.seed)
    with suppress(KeyboardInterrupt):
        run(outcome, Sizes(seconds=chosen.minutes * 60, rate=chosen.rate))
    return outcome.ended()
