"""Any requests in any order, by two accounts, against a model of the service in plain Python."""

from __future__ import annotations

import argparse
import sys
import tempfile
import traceback
from collections import Counter
from dataclasses import replace
from pathlib import Path

import httpx
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from audiences.settings import Settings
from campaigns.outcome import Outcome

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from support import Service, started


def main(arguments: list[str]) -> int:
    """1 when the service said anything that the model did not."""
    parser = argparse.ArgumentParser(prog="campaign model", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--talks", type=int, default=150, help="each with two new accounts")
    parser.add_argument("--steps", type=int, default=50, help="at most, of each talk")
    given = parser.parse_args(arguments)
    free = Settings(data=Path(), rate_limit=None, read_rate_limit=None, failed_auth_limit=None, sign_in_limit=None)
    with tempfile.TemporaryDirectory(prefix="campaign-") as name, started(replace(free, data=Path(name))) as service:
        return compare(service, given.seed, given.talks, given.steps).ended()


def compare(service: Service, number: int, talks: int, steps: int) -> Outcome:
    """What came of so many talks with the service; the seed chooses them."""
    from campaigns.modelling.machine import Machine

    outcome = Outcome("model", number)
    tried: Counter[str] = Counter()
    how = settings(
        max_examples=talks,
        stateful_step_count=steps,
        deadline=None,
        database=None,
        print_blob=False,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    with httpx.Client(base_url=service.url, timeout=60) as http:
        machine = seed(number)(type("Talk", (Machine,), {"parts": service.parts, "http": http, "tried": tried}))
        try:
            run_state_machine_as_test(machine, settings=how)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is told
            notes = "\n".join(getattr(error, "__notes__", []))
            outcome.losses.append("".join(traceback.format_exception(error))[-3000:] + notes)
    outcome.figures.update(sorted(tried.items()))
    return outcome
