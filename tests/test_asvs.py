"""The table of ASVS requirements says what is so: every number once, and every test that it names is there."""

from __future__ import annotations

import ast
import re
from collections import Counter
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "asvs.md").read_text(encoding="utf-8")
ROWS = [
    [cell.strip() for cell in line.split("|")[1:-1]]
    for line in PAGE.splitlines()
    if re.match(r"\| \d+\.\d+\.\d+ \|", line)
]
STATES = {"met", "part", "not met", "n/a", "operator"}

# Requirements of levels 1 and 2, by chapter; V9, V10 and V17 do not apply as a whole.
WANTED = {1: 27, 2: 11, 3: 19, 4: 10, 5: 9, 6: 35, 7: 18, 8: 7, 11: 14, 12: 9, 13: 13, 14: 9, 15: 13, 16: 16}


@cache
def functions_in(name: str) -> frozenset[str]:
    """The names of the tests in a file."""
    tree = ast.parse((ROOT / "tests" / name).read_text(encoding="utf-8"))
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def test_every_requirement_stands_once_and_in_order() -> None:
    numbers = [tuple(map(int, row[0].split("."))) for row in ROWS]
    assert numbers == sorted(set(numbers))
    assert Counter(number[0] for number in numbers) == WANTED
    assert {row[2] for row in ROWS} <= STATES


def test_every_test_that_is_named_is_there() -> None:
    named = re.findall(r"`(test_\w+\.py)(?:::(test_\w+))?`", PAGE)
    assert len(named) > 100
    for file, test in named:
        assert not test or test in functions_in(file), f"{file}::{test}"


def test_what_is_met_is_shown_by_a_test_or_is_a_page() -> None:
    for number, _, state, how, test in ROWS:
        if state == "met":
            assert test or ".md" in how or how == "there are none", number
        if state in {"part", "not met", "operator"}:
            assert how, number
