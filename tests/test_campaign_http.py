"""The short version of the campaign of hostile HTTP: every kind of request, and a few of each mixture."""

from __future__ import annotations

from campaigns.http import Sizes, attack_all
from campaigns.outcome import Outcome


def test_hostile_http_is_answered_or_hung_up_on_and_leaves_nothing() -> None:
    outcome = Outcome("http", seed=1)
    few = Sizes(
        rounds=1, mutations=40, pipelines=3, hang_up_step=50, slow=33, slow_seconds=0.2, tries_in_crowd=3, patient=False
    )
    attack_all(outcome, few)
    assert outcome.losses == []
    tried = outcome.figures
    assert int(tried["hostile requests"]) > 170
    assert int(tried["hostile forms"]) > 70
    assert int(tried["hang-ups"]) > 20
    assert tried["mutated requests"] == 40
    assert int(tried["requests in a crowd"]) == 6
