"""What says that a disk is full: Python by a number, the engine and Polars by a text."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import duckdb
import polars as pl
import pytest

from audiences import disk

FULL = Path("/dev/full")
FRAME = pl.DataFrame({"phone1": range(100_000)})

WRITERS: dict[str, Callable[[], object]] = {
    "python": lambda: FULL.write_text("x"),
    "parquet": lambda: FRAME.write_parquet(FULL),
    "parquet by pieces": lambda: FRAME.lazy().sink_parquet(FULL),
    "arrow": lambda: FRAME.write_ipc(FULL),
    "engine": lambda: duckdb.connect().execute(f"COPY (FROM range(100000)) TO '{FULL}' (FORMAT parquet)"),
}


@pytest.mark.parametrize("writer", WRITERS)
def test_a_full_disk_is_known_as_that_whoever_writes(writer: str) -> None:
    with pytest.raises((OSError, duckdb.Error, pl.exceptions.PolarsError)) as failed:
        WRITERS[writer]()
    assert disk.is_full(failed.value)


def test_no_other_error_is_taken_for_a_full_disk() -> None:
    assert not disk.is_full(FileNotFoundError(2, "No such file"))
    assert not disk.is_full(ValueError("No space left on device"))
