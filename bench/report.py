"""The JSON of a run, and what stands of it in the documentation."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench import plot, tables
from bench.machine import CACHE, ROOT

LATEST = CACHE / "latest.json"
KEPT = ROOT / "bench" / "results.json"
PICTURE = ROOT / "docs" / "benchmarks.svg"
PAGE, README = ROOT / "docs" / "benchmarks.md", ROOT / "README.md"
MARKED = re.compile("<!-- bench -->.*?<!-- /bench -->", re.DOTALL)

# More runs of somebody than these are requests of milliseconds, of which the lines and figures are enough.
MANY = 100

STEPS_SENTENCE = (
    "Where the time of an upload goes, as `audiences_step_seconds` has it: milliseconds of one upload (the mean), and "
    "the share of its time from the first byte sent to the last byte of the answer. Pieces are judged by threads while "
    "others are read, so judging is within `read`, which ends when the last verdict is there; what the threads spent "
    "on it is told beside. A workbook is read by its child as a whole, and the encoding of a messy file is found out "
    "from all of it, before either is a table: that is in `sniff`."
)


class NotWhole(Exception):
    """The run is not fit for the documentation: not all cells, or not at full size."""


def save(result: Mapping[str, Any], path: Path | None) -> None:
    """Keeps the result as the latest, and where the caller wants it."""
    text = json.dumps(result, indent=1, ensure_ascii=False) + "\n"
    for target in {LATEST, path or LATEST}:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")


def write_docs(path: Path | None) -> list[Path]:
    """What now holds the result in `path` or the latest: JSON that is kept, picture, marked sections of the pages.

    Raises NotWhole.
    """
    result = json.loads((path or LATEST).read_text(encoding="utf-8"))
    if not result["whole"]:
        raise NotWhole("This run was quick, scaled or of some cells only. Run `./dev bench` first.")
    KEPT.write_text(json.dumps(compact(result), ensure_ascii=False) + "\n", encoding="utf-8")
    kept = json.loads(KEPT.read_text(encoding="utf-8"))
    PICTURE.write_text(plot.drawn(kept), encoding="utf-8")
    for page, section in sections(kept).items():
        text = MARKED.sub(lambda _, section=section: section, page.read_text(encoding="utf-8"))  # type: ignore[misc]
        page.write_text(text, encoding="utf-8")
    return [KEPT, PICTURE, *sections(kept)]


def sections(result: Mapping[str, Any]) -> dict[Path, str]:
    """What stands between the marks of each page, and the marks."""
    head, goals = tables.machine_sentence(result), tables.goals(result).markdown()
    page = [
        head,
        "### Goals",
        goals,
        "### Measured",
        tables.measured(result).markdown(),
        "### Other figures",
        tables.others(result).markdown(),
        "### Steps of an upload",
        tables.profile(result).markdown(),
        STEPS_SENTENCE,
    ]
    texts = {PAGE: page, README: [tables.sentence(result), head, goals]}
    return {path: "\n\n".join(["<!-- bench -->", *parts, "<!-- /bench -->"]) for path, parts in texts.items()}


def compact(result: Mapping[str, Any]) -> dict[str, Any]:
    """The result with its figures in five digits, and of many short requests the figures alone."""
    cells = {}
    for name, cell in result["cells"].items():
        runs = [run for run in cell["runs"] if cell["figures"][run["who"]]["runs"] <= MANY]
        cells[name] = {**cell, "runs": runs}
    shortened = _shortened({**result, "cells": cells})
    assert isinstance(shortened, dict)
    return shortened


def _shortened(value: object) -> object:
    """The same with five digits of every number that is not a whole one."""
    if isinstance(value, dict):
        return {name: _shortened(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_shortened(inner) for inner in value]
    return float(f"{value:.5g}") if isinstance(value, float) else value
