"""The short version of the campaign of crashes."""

from __future__ import annotations

import pytest
from campaigns.crashes import crash
from campaigns.outcome import Outcome


@pytest.mark.embedded
def test_acknowledged_audiences_survive_kill_9_and_nothing_else_is_left() -> None:
    outcome = Outcome("crashes", seed=1)
    # On a busy machine three kills in a row may all hit a moment at which nothing is under way. On a slow one nothing
    # is answered within the usual second: then the kills come later.
    for load_s in (1, 2, 4, 8):
        crash(outcome, kills=3, start_s=20, load_s=load_s)
        if outcome.figures["requests cut off"] and outcome.figures["requests acknowledged"]:
            break
    assert outcome.losses == []
    assert int(outcome.figures["requests acknowledged"]) > 0
    assert int(outcome.figures["requests cut off"]) > 0
