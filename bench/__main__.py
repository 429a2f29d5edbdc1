"""The command: `python -m bench`. The package says how to read what it prints."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

import bench
from bench import cells, customers, machine, report
from bench.cells import MILLION, Cell, Plan, Uploads
from bench.export import export
from bench.filled import filled
from bench.pages import pages
from bench.record import Record, Target
from bench.replace import replace
from bench.small import small

CELLS: dict[str, Cell] = {
    "csv-2m": Uploads(customers.csv_file, 2 * MILLION, 7, goals=(("duckdb-csv", 1.4), ("polars-csv", 2.0))),
    "small": small,
    "csv-100k": Uploads(customers.csv_file, 100_000, 5),
    "csv-1m": Uploads(customers.csv_file, MILLION, 5),
    "csv-10m": Uploads(customers.csv_file, 10 * MILLION, 3, goals=(("polars-csv", 4.0),)),
    "csv-1m-by-30": Uploads(partial(customers.wide_file, columns=30), MILLION, 2),
    "csv-100k-by-200": Uploads(partial(customers.wide_file, columns=200), 100_000, 2),
    "messy-2m": Uploads(customers.messy_file, 2 * MILLION, 2, floors=()),
    "gz-2m": Uploads(customers.packed_file, 2 * MILLION, 3, ("duckdb-csv",)),
    "xlsx-200k": Uploads(customers.workbook, 200_000, 5, ("fastexcel-xlsx",), (("fastexcel-xlsx", 1.3),)),
    "xlsx-1m": Uploads(customers.workbook, 1_048_500, 1, ("fastexcel-xlsx",)),
    "start": cells.start,
    "pages": pages,
    "export": export,
    "replace": replace,
    "growth": filled,
    "tutorial-200k": cells.tutorial,
    "postgres-1m": cells.postgres,
    "datasette-100k": cells.datasette,
}
QUICK = ("csv-2m", "small")

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
    across(measured)
    whole = not quick and scale == 1 and set(chosen) == set(CELLS)
    return {"machine": on, "quick": quick, "scale": scale, "whole": whole, "cells": measured}


def across(measured: dict[str, Any]) -> None:
    """Adds the lines that hold two sizes of a file against each other: time linear, memory flat."""
    if not {"csv-1m", "csv-2m", "csv-10m"} <= measured.keys():
        return
    record = Record("growth of a file")
    million, two, ten = (runs_of(measured[name]["runs"]) for name in ("csv-1m", "csv-2m", "csv-10m"))
    speed = [one.values("ours", "rows")[0] / one.median("ours") for one in (ten, million)]
    record.line(
        "rows a second, 10 / 1 million rows", "rows/s", speed[0],
        other_name="1 million", other=speed[1], ratio=speed[0] / speed[1], target=Target("at least", 0.85),
    )  # fmt: skip
    peaks = [max(one.values("ours", "peak_bytes")) / cells.MB for one in (ten, two)]
    record.line(
        "peak resident, 10 / 2 million rows", "MB", peaks[0],
        other_name="2 million", other=peaks[1], ratio=peaks[0] / peaks[1], target=Target("at most", 1.1),
    )  # fmt: skip
    limit = cells.MEMORY_LIMIT_BYTES / cells.MB
    named = (("10 million rows", peaks[0]), ("an xlsx of 1,048,500 rows, with its child", workbook_peak(measured)))
    for what, peak in named:
        record.line(
            f"peak resident, {what} / memory limit", "MB", peak,
            other_name="limit", other=limit, ratio=peak / limit, target=Target("at most", 1.0),
        )  # fmt: skip
    measured[record.cell] = record.as_json()


def workbook_peak(measured: dict[str, Any]) -> float:
    """Megabytes of server and child together, at most; 0 where none was measured."""
    runs = measured.get("xlsx-1m", {}).get("runs", [])
    return max((run["peak_bytes"] for run in runs if run["who"] == "ours"), default=0) / cells.MB


def runs_of(runs: list[dict[str, Any]]) -> Record:
    """A record of those runs."""
    return Record("", runs)


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
