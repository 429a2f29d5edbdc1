"""The short version of the campaign of full and broken disks."""

from __future__ import annotations

import errno
import os
import random

import pytest
from campaigns import disks_small
from campaigns.disks import CATALOG, NOT_READY, OK, SHEET, STORED, Sizes, fail_all
from campaigns.failing_disk import compiler
from campaigns.outcome import Outcome

pytestmark = pytest.mark.embedded


def test_a_failing_disk_refuses_a_request_and_nothing_else_and_nothing_of_it_stays() -> None:
    if compiler() is None:
        if "CI" in os.environ:
            pytest.fail("a C compiler is needed; .ci/run installs it")
        pytest.skip("there is no C compiler")
    outcome = Outcome("disks", seed=4)
    few = Sizes(
        calls=1,
        ways=1,
        kinds={"append": (STORED[0], (CATALOG, "write")), "workbook": SHEET[1:]},
        states=(("/data/", errno.EIO, NOT_READY), (CATALOG, errno.EDQUOT, OK)),
        requests="export as workbook|list a file|erase",
        places=1,
    )
    fail_all(outcome, few)
    assert outcome.losses == []
    assert outcome.figures["requests on a failing disk"] == 6


def test_a_small_disk_that_is_full_takes_nothing_and_gives_its_room_back() -> None:
    outcome = Outcome("disks", seed=1)
    disks_small.run(outcome, 3, random.Random(1))
    if "a small disk" in outcome.figures:
        pytest.skip("only root mounts a small disk")
    assert outcome.losses == []
    assert int(outcome.figures["on a small disk answered 507"]) > 0
