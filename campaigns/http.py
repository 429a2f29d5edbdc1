"""Hostile HTTP: what is no request, what is two at once, who is slow, who hangs up, who comes a thousandfold."""

from __future__ import annotations

import argparse
import random
import resource
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from audiences.crowd import DESCRIPTORS, OWN_DESCRIPTORS
from campaigns import http_connections, http_mutations, http_single, http_slow
from campaigns.http_judge import Attack
from campaigns.http_requests import Caller
from campaigns.outcome import Outcome
from campaigns.serving import Server, new_keys, serving, settled

# Bytes by which a server may have grown when an attack is over: caches of the engine and the allocator's.
GROWTH_BYTES = 100 * 1024 * 1024

# Connections that the server has places for beside the slow ones, and by how many more it is crowded.
SPARE, TOO_MANY = 100, 200


@dataclass(frozen=True)
class Sizes:
    """How much is tried; the defaults are the full length."""

    rounds: int = 5
    mutations: int = 20_000
    pipelines: int = 1000
    hang_up_step: int = 1
    slow: int = 1000
    slow_seconds: float = 10.0
    tries_in_crowd: int = 50
    patient: bool = True

    @property
    def places(self) -> int:
        """Connections that the server has places for."""
        return self.slow + SPARE


def attack_all(outcome: Outcome, sizes: Sizes) -> None:
    """All of it, on one server."""
    chance = random.Random(outcome.seed)
    descriptors = OWN_DESCRIPTORS + DESCRIPTORS * sizes.places
    allow_descriptors(descriptors)
    with serving(http_slow.LIMITS, descriptors) as server:
        attack, crowd = begun(server, outcome), sizes.places + TOO_MANY
        steps: dict[str, Callable[[], None]] = {
            "one by one": lambda: http_single.run(attack, sizes.rounds, chance),
            "pipelines": lambda: http_connections.run_pipelines(attack, sizes.pipelines, chance),
            "100 Continue": lambda: http_connections.run_expectations(attack),
            "hang-ups": lambda: http_connections.run_hang_ups(attack, sizes.hang_up_step),
            "deserted exports": lambda: http_connections.run_deserted_exports(attack),
            "mutations": lambda: http_mutations.run(attack, sizes.mutations, chance),
            "slow clients": lambda: http_slow.run(attack, sizes.slow, sizes.slow_seconds, patient=sizes.patient),
            "a crowd": lambda: http_slow.run_crowded(attack, crowd, sizes.tries_in_crowd),
            "a full house": lambda: http_slow.run_full(attack, crowd),
        }
        for name, step in steps.items():
            carry_out(attack, name, step)
        outcome.losses += server.faults()


def begun(server: Server, outcome: Outcome) -> Attack:
    """An attack on a server that has done some of everything before."""
    attack = Attack(server, Caller(new_keys(server.data)[0]), outcome)
    for _ in range(3):
        attack.talk(attack.caller.upload(), None)
        attack.ask("/audiences")
    return attack


def carry_out(attack: Attack, name: str, step: Callable[[], None]) -> None:
    """One step; behind it the server is as it was before."""
    before, moment = attack.server.holdings(), time.monotonic()
    step()
    attack.outcome.figures[f"{name} (s)"] = round(time.monotonic() - moment, 1)
    for left in settled(attack.server, before):
        attack.lose(f"behind {name}", left)
    grown = attack.server.holdings().resident_bytes - before.resident_bytes
    attack.outcome.figures[f"memory grown by {name} (MB)"] = grown // 1024**2
    if grown > GROWTH_BYTES:
        attack.lose(f"behind {name} the server is larger by {grown // 1024**2} MB")
    if attack.server.process.poll() is not None:
        attack.lose(f"{name} ended the server")


def main(arguments: list[str]) -> int:
    """The campaign; 1 if anything was lost."""
    parser = argparse.ArgumentParser(prog="./dev campaign http", description=__doc__)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--mutations", type=int, default=Sizes.mutations)
    parser.add_argument("--slow", type=int, default=Sizes.slow, help="slow connections at once")
    chosen = parser.parse_args(arguments)
    outcome = Outcome("http", chosen.seed)
    attack_all(outcome, Sizes(mutations=chosen.mutations, slow=chosen.slow))
    return outcome.ended()


def allow_descriptors(wanted: int) -> None:
    """As many connections as are needed on our own side."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < wanted:
        with suppress(ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
