"""The short version of the soak: seconds of everything at once; each answer is right, and nothing is left."""

from __future__ import annotations

from campaigns.outcome import Outcome
from campaigns.soak import Sizes, run


def test_everything_at_once_is_answered_rightly_and_leaves_nothing() -> None:
    outcome = Outcome("soak", seed=1)
    run(outcome, Sizes(seconds=1.5, rate=20, accounts=2, verdict=False))
    assert outcome.losses == []
    assert int(outcome.figures["pieces of work"]) > 30
