"""The table on the screen, the JSON, and the table in the documentation."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from bench import plot
from bench.machine import CACHE, ROOT

LATEST = CACHE / "latest.json"
KEPT = ROOT / "bench" / "results.json"
PICTURE = ROOT / "docs" / "benchmarks.svg"
HEADINGS = ("cell", "measure", "ours", "other", "ratio", "target", "met", "remark")
NUMERIC = {"ours", "other", "ratio", "target"}
BLOCK = "<!-- bench -->\n{}\n<!-- /bench -->"
# More runs than these are requests of milliseconds, of which the lines have the quantiles.
MANY = 100

# Columns of the screen that the table needs.
WIDTH = 160
PAGE, README = ROOT / "docs" / "benchmarks.md", ROOT / "README.md"


class NotWhole(Exception):
    """The run is not fit for the documentation: not all cells, or not at full size."""


def show(result: dict[str, Any]) -> None:
    """Prints the table, after what it was measured on."""
    # A pipe has no width of its own; figures that are cut off help nobody.
    console = Console(width=max(Console().width, WIDTH))
    console.print(_machine_line(result), highlight=False)
    table = Table(*HEADINGS)
    for column, heading in zip(table.columns, HEADINGS, strict=True):
        column.justify = "right" if heading in NUMERIC else "left"
    for line in _lines(result):
        table.add_row(*_texts(line))
    console.print(table)
    for name, cell in result["cells"].items():
        if name == "csv-2m" and cell["steps"]:
            console.print(steps_sentence(cell["steps"]), highlight=False)


def steps_sentence(steps: dict[str, float]) -> str:
    """The profile of an upload of 2 million rows, as `/metrics` has it."""
    told = ", ".join(f"{name} {seconds * 1000:,.0f} ms" for name, seconds in steps.items())
    return (
        f"Steps of an upload of `csv-2m`, as `audiences_step_seconds` has them: {told}. Pieces are judged in two "
        "threads while others are read, so that judging and reading overlap; judge is the sum of both threads."
    )


def save(result: dict[str, Any], path: Path | None) -> None:
    """Keeps the result as the latest, and where the caller wants it."""
    text = json.dumps(result, indent=1, ensure_ascii=False) + "\n"
    for target in {LATEST, path or LATEST}:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")


def write_docs(path: Path | None) -> list[Path]:
    """The pages whose marked section now holds the result in `path` or the latest; the README, what has a target.

    Raises NotWhole.
    """
    result = json.loads((path or LATEST).read_text(encoding="utf-8"))
    if not result["whole"]:
        raise NotWhole("This run was quick, scaled or of some cells only. Run `python -m bench` first.")
    everything = _lines(result)
    judged = [line for line in everything if line["target"]]
    KEPT.write_text(json.dumps(compact(result), ensure_ascii=False) + "\n", encoding="utf-8")
    PICTURE.write_text(plot.drawn(result), encoding="utf-8")
    whole = _markdown(result, everything) + "\n\n" + steps_sentence(result["cells"]["csv-2m"]["steps"])
    sections = {PAGE: whole, README: _markdown(result, judged)}
    return [page for page, section in sections.items() if _replaced(page, BLOCK.format(f"\n{section}\n"))]


def compact(result: dict[str, Any]) -> dict[str, Any]:
    """The result with its figures in five digits, and of many short requests the quantiles alone."""
    cells = {}
    for name, cell in result["cells"].items():
        runs = cell["runs"] if len(cell["runs"]) <= MANY else []
        cells[name] = {**cell, "runs": [{key: _short(value) for key, value in run.items()} for run in runs]}
    return {**result, "cells": cells}


def _short(value: object) -> object:
    return float(f"{value:.5g}") if isinstance(value, float) else value


def _replaced(page: Path, section: str) -> bool:
    """Whether the page has the markers, between which `section` now stands."""
    if not page.exists():
        return False
    text, count = re.subn(
        r"<!-- bench -->.*?<!-- /bench -->", lambda _: section, page.read_text(encoding="utf-8"), flags=re.DOTALL
    )
    if count:
        page.write_text(text, encoding="utf-8")
    return bool(count)


def _markdown(result: dict[str, Any], lines: list[dict[str, Any]]) -> str:
    rows = [
        "| " + " | ".join(HEADINGS) + " |",
        "|" + "|".join(" ---: " if heading in NUMERIC else " --- " for heading in HEADINGS) + "|",
        *("| " + " | ".join(_texts(line)) + " |" for line in lines),
    ]
    return _machine_line(result) + "\n\n" + "\n".join(rows)


def _machine_line(result: dict[str, Any]) -> str:
    """One sentence on machine and versions."""
    on = result["machine"]
    versions = ", ".join(f"{name} {on['libraries'][name]}" for name in ("duckdb", "polars", "fastexcel", "fastapi"))
    changes = " with uncommitted changes" if on["uncommitted_changes"] else ""
    return (
        f"{on['time'][:10]}, commit {on['commit'][:10]}{changes}: {on['cores']} cores of {on['processor']}, "
        f"{on['memory_gib']:g} GiB, {on['file_system']}, Python {on['python']}, {versions}; "
        f"load before the first run {on['load_before']:g}."
    )


def _lines(result: dict[str, Any]) -> list[dict[str, Any]]:
    return [line for cell in result["cells"].values() for line in cell["lines"]]


def _texts(line: dict[str, Any]) -> list[str]:
    """A line as text, a cell a heading."""
    other = "" if line["other"] is None else f"{line['other_name']} {_figure(line['other'])} {line['unit']}"
    met = "" if line["met"] is None else ("yes" if line["met"] else "NO")
    ratio = "" if line["ratio"] is None else _figure(line["ratio"])
    ours = f"{_figure(line['ours'])} {line['unit']}"
    return [line["cell"], line["measure"], ours, other, ratio, line["target"], met, line["remark"]]


def _figure(value: float) -> str:
    """Three digits that count."""
    return f"{value:,.0f}" if value >= 100 else f"{value:#.3g}"  # noqa: PLR2004
