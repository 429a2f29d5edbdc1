"""The bare libraries, with nothing of ours around them: each run in a fresh process, only the work itself timed.

python -m bench.floors duckdb-csv FROM TO      prints {"seconds": …, "cpu_seconds": …, "peak_bytes": …}
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench import process
from bench.machine import ROOT

Work = Callable[[], object]


def duckdb_csv(source: Path, target: Path) -> Work:
    """CSV to Parquet, both as DuckDB does it by default but for the compression."""
    import duckdb

    connection = duckdb.connect()
    statement = f"COPY (FROM read_csv('{source}')) TO '{target}' (FORMAT parquet, COMPRESSION zstd)"
    return lambda: connection.execute(statement)


def polars_csv(source: Path, target: Path) -> Work:
    """CSV to Parquet as a stream, Polars' quickest way."""
    import polars as pl

    return lambda: pl.scan_csv(source).sink_parquet(target, compression="zstd")


def fastexcel_xlsx(source: Path, target: Path) -> Work:  # noqa: ARG001 - nothing is written
    """The first sheet of a workbook into memory."""
    import fastexcel
    import polars as pl  # noqa: F401 - what to_polars imports is not to be timed

    return lambda: fastexcel.read_excel(source).load_sheet(0).to_polars()


def duckdb_export(source: Path, target: Path) -> Work:
    """An audience's own Parquet file to CSV, all of its columns: those of the uploaded file and our four."""
    import duckdb

    connection = duckdb.connect()
    statement = f"COPY (FROM read_parquet('{source}')) TO '{target}' (FORMAT csv)"
    return lambda: connection.execute(statement)


def duckdb_export_given(source: Path, target: Path) -> Work:
    """The same with the uploaded file's columns only, as an export has them."""
    import duckdb

    connection = duckdb.connect()
    given = "COLUMNS(lambda c: NOT starts_with(c, 'audience_'))"
    statement = f"COPY (SELECT {given} FROM read_parquet('{source}')) TO '{target}' (FORMAT csv)"
    return lambda: connection.execute(statement)


FLOORS = {
    "duckdb-csv": duckdb_csv,
    "polars-csv": polars_csv,
    "fastexcel-xlsx": fastexcel_xlsx,
    "duckdb-export": duckdb_export,
    "duckdb-export-given": duckdb_export_given,
}


def run(name: str, source: Path, target: Path) -> dict[str, Any]:
    """Seconds, CPU seconds, peak memory and what was written (bytes) of one run in a new process."""
    target.unlink(missing_ok=True)
    command = [sys.executable, "-m", "bench.floors", name, str(source), str(target)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{name} failed: {done.stderr[-2000:]}")
    measured: dict[str, Any] = json.loads(done.stdout)
    return measured | ({"stored_bytes": target.stat().st_size} if target.exists() else {})


def main(name: str, source: str, target: str) -> None:
    """Does one piece of work and prints what it took."""
    work = FLOORS[name](Path(source), Path(target))
    before, begun = time.process_time(), time.perf_counter()
    work()
    seconds, cpu_seconds = time.perf_counter() - begun, time.process_time() - before
    # Not ru_maxrss: that of a new process begins with what its parent had.
    peak_bytes = process.peak_resident_bytes(os.getpid())
    print(json.dumps({"seconds": seconds, "cpu_seconds": cpu_seconds, "peak_bytes": peak_bytes}))


if __name__ == "__main__":
    main(*sys.argv[1:])
