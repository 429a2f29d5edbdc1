"""The command: `python -m bench`. The package says how to read what it prints."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import bench
from bench import cells, machine, report
from bench.cells import Cell, Plan
from bench.export import export
from bench.pages import pages
from bench.record import Record
from bench.replace import replace
from bench.small import small

CELLS: dict[str, Cell] = {
    "csv-2m": cells.csv,
    "tutorial-200k": cells.tutorial,
    "memory": cells.memory,
    "small": small,
    "xlsx-200k": cells.xlsx,
    "start": cells.start,
    "pages": pages,
    "export": export,
    "replace": replace,
}
QUICK = ("csv-2m", "small", "start", "pages", "export", "replace")

# Load average above which the machine is not quiet.
QUIET_LOAD = 0.5


def main() -> int:
    """1 when a whole run missed a target, else 0; a smaller run judges nothing."""
    arguments = _arguments()
    if arguments.write_docs:
        return _write_docs(arguments.json)
    chosen = tuple(arguments.only or (QUICK if arguments.quick else CELLS))
    result = _measured(chosen, arguments.quick, arguments.scale)
    report.show(result)
    report.save(result, arguments.json)
    lines = [line for cell in result["cells"].values() for line in cell["lines"]]
    return int(result["whole"] and any(line["met"] is False for line in lines))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser("bench", description=bench.__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer cells, rows and runs: under two minutes")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every run here (read it with --write-docs)")
    parser.add_argument("--only", nargs="+", choices=CELLS, metavar="CELL", help=f"some of: {', '.join(CELLS)}")
    parser.add_argument("--scale", type=float, default=1.0, help="so many times the rows, to try the benchmark itself")
    parser.add_argument("--write-docs", action="store_true", help="measure nothing; put the last run into the docs")
    return parser.parse_args()


def _measured(chosen: tuple[str, ...], quick: bool, scale: float) -> dict[str, Any]:  # noqa: FBT001
    """Machine, settings, and each cell's lines and runs."""
    machine.CACHE.mkdir(parents=True, exist_ok=True)
    on = machine.described()
    if on["load_before"] > QUIET_LOAD:
        _say(f"The machine is not quiet (load {on['load_before']}); the figures will be worse than they could be.")
    measured = {}
    with tempfile.TemporaryDirectory(prefix="run-", dir=machine.CACHE) as folder:
        plan = Plan(Path(folder), quick, scale)
        for name in chosen:
            begun = time.perf_counter()
            record = Record(name)
            CELLS[name](plan, record)
            measured[name] = record.as_json()
            _say(f"{name}: done in {time.perf_counter() - begun:.0f} s")
    whole = not quick and scale == 1 and set(chosen) == set(CELLS)
    return {"machine": on, "quick": quick, "scale": scale, "whole": whole, "cells": measured}


def _write_docs(path: Path | None) -> int:
    try:
        pages = report.write_docs(path)
    except (report.NotWhole, FileNotFoundError) as error:
        _say(str(error))
        return 1
    _say("\n".join(f"{page.relative_to(machine.ROOT)} is up to date." for page in pages))
    return 0


def _say(text: str) -> None:
    print(text, file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
