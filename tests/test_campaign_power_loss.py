"""The short version of the campaign of power loss."""

from __future__ import annotations

import os
import shutil

import pytest
from campaigns.outcome import Outcome
from campaigns.power_loss import lose_power


@pytest.mark.embedded
def test_acknowledged_audiences_survive_the_loss_of_all_that_was_not_synced() -> None:
    if shutil.which("strace") is None:
        if "CI" in os.environ:
            pytest.fail("strace is needed; .ci/run installs it")
        pytest.skip("strace is not installed")
    outcome = Outcome("power-loss", seed=1)
    lose_power(outcome, requests=2, states=4)
    assert outcome.losses == []
    assert outcome.figures["power losses"] == 4
    assert outcome.figures["requests acknowledged"] == 6
