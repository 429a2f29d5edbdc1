"""The command: `python -m bench`. The package says how to read what it prints."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import bench
from bench import cells, machine, report, screen
from bench.cells import Plan
from bench.named import CELLS, QUICK
from bench.record import Record, Target

# Load average above which the machine is not quiet.
QUIET_LOAD = 0.5


def main() -> int:
    """1 when a whole run missed a target, else 0; a smaller run judges nothing."""
    arguments = _arguments()
    if arguments.write_docs:
        return _write_docs(arguments.json)
    chosen = tuple(arguments.only or (QUICK if arguments.quick else CELLS))
    result = _measured(chosen, arguments.quick, arguments.scale)
    screen.show(result)
    report.save(result, arguments.json)
    lines = [line for cell in result["cells"].values() for line in cell["lines"]]
    return int(result["whole"] and any(line["met"] is False for line in lines))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        "./dev bench",
        description=(bench.__doc__ or "").partition("The modules")[0],
        epilog=cells_in_words(),
        formatter_class=argparse.RawTextHelpFormatter,
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help=f"measure {', '.join(QUICK)} only, at a tenth of the size\nand with three rounds: under two minutes",
    )
    parser.add_argument(
        "--only", nargs="+", choices=CELLS, metavar="CELL", help="measure these cells only, at full size"
    )
    parser.add_argument("--scale", type=float, default=1.0, help="so many times the rows, to try the benchmark itself")
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="write every run here, too; with --write-docs: read it from here"
    )
    parser.add_argument(
        "--write-docs",
        action="store_true",
        help="measure nothing: put the last whole run, or that in --json FILE, into docs/benchmarks.md,\n"
        "docs/benchmarks.svg, README.md and bench/results.json; a test holds the pages against the last",
    )
    return parser.parse_args()


def cells_in_words() -> str:
    """A line a cell."""
    width = max(map(len, CELLS))
    lines = (f"  {name:{width}}  {named.what}" for name, named in CELLS.items())
    return "\n".join(["cells, in the order in which they are measured:", *lines])


def _measured(chosen: tuple[str, ...], quick: bool, scale: float) -> dict[str, Any]:  # noqa: FBT001
    """Machine, settings, and each cell's lines and runs."""
    machine.CACHE.mkdir(parents=True, exist_ok=True)
    on = machine.described()
    if on["load_before"] > QUIET_LOAD:
        _say(f"The machine is not quiet (load {on['load_before']}); the figures will be worse than they could be.")
    measured, begun_all = {}, time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="run-", dir=machine.CACHE) as folder:
        plan = Plan(Path(folder), quick, scale)
        for name in chosen:
            begun = time.perf_counter()
            record = Record(name)
            CELLS[name].measure(plan, record)
            measured[name] = record.as_json()
            _say(f"{name}: done in {time.perf_counter() - begun:.0f} s")
    across(measured)
    whole = not quick and scale == 1 and set(chosen) == set(CELLS)
    took = {"seconds": round(time.perf_counter() - begun_all)}
    return {"machine": on, "quick": quick, "scale": scale, "whole": whole, **took, "cells": measured}


def across(measured: dict[str, Any]) -> None:
    """Adds the line that holds the memory of two sizes of a file against each other, each of a server of its own."""
    if not {"csv-2m", "csv-10m"} <= measured.keys():
        return
    record = Record("growth of a file")
    two, ten = (measured[name]["figures"]["ours"]["peak_bytes"] / cells.MB for name in ("csv-2m", "csv-10m"))
    record.line(
        "peak memory, 10 / 2 million rows", "MB", ten,
        other_name="2 million", other=two, ratio=ten / two, target=Target("at most", 1.1),
    )  # fmt: skip
    measured[record.cell] = record.as_json()


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
