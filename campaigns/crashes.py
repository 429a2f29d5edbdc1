"""Crashes: kill -9 at random moments of all that changes audiences; what was acknowledged is there, whole."""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from campaigns.ledger import Audience, Change
from campaigns.leftovers import swept
from campaigns.load import Clients, acknowledged, compare, connected, send, unsettled
from campaigns.outcome import Outcome
from campaigns.serving import Server, begun, new_keys, serving_on

# Seconds under load before a kill; a start is killed within so many.
UNDER_LOAD_S, STARTING_S = (0.02, 0.9), 0.8

# One kill in so many hits a start; so many audiences that nobody touched are looked at after each.
START_IN, UNTOUCHED = 10, 10

# One request in so many whose answer was lost is sent again, with the same Idempotency-Key.
AGAIN_IN = 2

OK, IN_PROGRESS = 200, 409


@dataclass
class Crashing:
    """One data folder, and all that its clients know.

    `start_s` is the most that a start may take; a kill comes within `load_s` of a start's end.
    """

    folder: Path
    outcome: Outcome
    start_s: float
    load_s: float
    key: str = ""
    audiences: list[Audience] = field(default_factory=list)
    slowest: float = 0.0

    @property
    def data(self) -> Path:
        """The data folder."""
        return self.folder / "data"

    @contextmanager
    def restarted(self) -> Iterator[Server]:
        """A server, up; how long it took is noted."""
        begin = time.monotonic()
        with serving_on(self.folder) as server:
            ready = httpx.get(f"{server.url}/readyz")
            took = time.monotonic() - begin
            self.slowest = max(self.slowest, took)
            if ready.status_code != OK or took > self.start_s:
                self.lose(f"a start took {took:.2f} s, and /readyz said {ready.status_code}")
            yield server

    def lose(self, *losses: str) -> None:
        """Notes what must not be."""
        self.outcome.losses += losses

    def round(self, number: int, chance: random.Random) -> None:
        """Looks at what the kill before left, makes load, and kills the server in its midst."""
        with self.restarted() as server, connected(server.url, self.key) as http:
            self.look(http, chance)
            clients = Clients(server.url, self.key, chance.randrange(1 << 30))
            clients.audiences = self.audiences
            clients.begin(self.audiences)
            time.sleep(chance.uniform(UNDER_LOAD_S[0], self.load_s))
            server.process.kill()
            self.outcome.count("kills")
            clients.join()
            self.lose(*clients.wrong, *server.faults())
            self.outcome.count("requests acknowledged", clients.requests)
            self.outcome.count("requests cut off", len(unsettled(self.audiences)))
        if number % START_IN == START_IN - 1:
            self.kill_a_start(chance)

    def kill_a_start(self, chance: random.Random) -> None:
        """Kills a server that is just starting on what another left."""
        process = begun(self.folder)
        time.sleep(chance.uniform(0.05, STARTING_S))
        process.kill()
        process.wait()
        self.outcome.count("kills")
        self.outcome.count("kills of a start")

    def look(self, http: httpx.Client, chance: random.Random) -> None:
        """Holds what is there against the ledger, and leaves nothing under way."""
        cut = [(audience, audience.under_way) for audience in unsettled(self.audiences)]
        known = min(UNTOUCHED, len(self.audiences))
        self.lose(*compare(http, self.audiences, chance.sample(self.audiences, known)))
        for audience, change in cut:
            assert change is not None
            happened = change in audience.changes
            self.outcome.count("of these carried out whole" if happened else "of these not carried out at all")
            if chance.randrange(AGAIN_IN) == 0:
                self.send_again(http, audience, change, happened=happened)
        self.sweep()

    def send_again(self, http: httpx.Client, audience: Audience, change: Change, *, happened: bool) -> None:
        """The same request once more: it is carried out once, whether it was before or not."""
        if not happened:
            audience.under_way = change
            audience.changes.append(change)
        answer = send(http, audience, change)
        self.outcome.count("of these sent again")
        if happened and answer.headers.get("Idempotency-Replayed") != "true":
            self.lose(f"{change.kind} was carried out twice: {answer.status_code} {answer.text[:300]}")
        # For 60 seconds nobody knows that who began it is gone.
        if not happened and not acknowledged(audience, change, answer) and answer.status_code != IN_PROGRESS:
            self.lose(f"{change.kind}, sent again: {answer.status_code} {answer.text[:300]}")
        self.lose(*compare(http, self.audiences, [audience]))

    def sweep(self) -> None:
        """Nothing lies about but what the catalog refers to."""
        found = swept(self.data)
        self.outcome.count("stray files swept", found.strays)
        self.lose(*found.wrong)


def crash(outcome: Outcome, kills: int, start_s: float, load_s: float = UNDER_LOAD_S[1]) -> None:
    """So many kills on one data folder, and a last look at all that was ever acknowledged."""
    chance = random.Random(outcome.seed)
    with tempfile.TemporaryDirectory(prefix="crashes-") as name:
        crashing = Crashing(Path(name), outcome, start_s, load_s)
        crashing.key = new_keys(crashing.data)[0]
        for number in range(kills):
            crashing.round(number, chance)
        with crashing.restarted() as server, connected(server.url, crashing.key) as http:
            crashing.look(http, chance)
            crashing.lose(*compare(http, crashing.audiences, crashing.audiences))
            crashing.lose(*server.faults())
        outcome.figures["audiences"] = len(crashing.audiences)
        outcome.figures["slowest start (s)"] = round(crashing.slowest, 2)


def main(arguments: list[str]) -> int:
    """The campaign; 1 if anything was lost."""
    parser = argparse.ArgumentParser(prog="./dev campaign crashes", description=__doc__)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--kills", type=int, default=300)
    parser.add_argument("--start-s", type=float, default=2.0, help="seconds that a start may take")
    chosen = parser.parse_args(arguments)
    outcome = Outcome("crashes", chosen.seed)
    crash(outcome, chosen.kills, chosen.start_s)
    return outcome.ended()
