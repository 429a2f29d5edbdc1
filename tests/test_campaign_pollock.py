"""The short version of the campaign of polluted CSV: each kind of pollution once, most of them in the header too."""

from __future__ import annotations

import re

import pytest
from campaigns import pollock
from campaigns.outcome import Outcome
from campaigns.pollock_files import made, ways
from campaigns.pollock_score import agreement, measures

SHORT = re.compile(r"source|file_.*|row_(more_sep_row|less_sep_row|extra_quote)(0_col[348]|83_col[148])|.*_(0|50)_0x20")


def test_every_well_formed_row_of_a_polluted_file_arrives_and_every_other_is_told() -> None:
    outcome = Outcome("pollock", seed=1)
    pollock.run(outcome, [made(name, change) for name, change in ways() if SHORT.fullmatch(name.removesuffix(".csv"))])
    assert outcome.losses == []
    assert int(outcome.figures["files"]) > 40
    assert int(outcome.figures["verbatim"]) > 2_500
    # An empty file, and five in which no cell says phone1: without a header, or with names that have run together.
    assert outcome.figures["refused"] == 6


def test_the_score_is_that_of_the_benchmark() -> None:
    assert agreement(["a", "a", "b"], ["a", "b", "c", "d"]) == pytest.approx((2 / 3, 1 / 2, 4 / 7))
    assert measures([["x"], ["1"]], [["x"], ["1"]]) == (1.0,) * 10
    assert len(list(ways())) == 2_290 + 6
