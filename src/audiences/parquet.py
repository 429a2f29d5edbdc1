"""Parquet files of contacts and rejects: in which groups of rows they lie, and how one is written piece by piece."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from queue import Full, Queue
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    import polars as pl

# Rows that are compressed together, and fewer of wide tables, since a group is held in memory while it is written
# (100,000 rows of 200 columns in one: 18 s, in five: 2 s). More would be slower to find a page in, and fewer to find
# out where the groups are.
ROW_GROUP = 65_536
CELLS_IN_GROUP = 40 * ROW_GROUP

# Each column of each group takes some memory, whatever is in it, until its file is whole (measured, of Polars), and as
# much again whenever the file is read. Of a large wide table more rows are in a group, so that there are fewer of both.
CHUNK_BYTES = 3_300
MOST_CHUNKS = 50_000
CELLS_IN_LARGE_GROUP = 2 * 2048 * 2048

# Bytes of memory that a cell takes in a group that is being written, beside its own (measured).
CELL_BYTES = 20

# Bytes of a column that are unpacked together: the least that a page of contacts has to read.
PAGE_BYTES = 128 * 1024

VECTOR = 2048

# Of zstd: the usual 3 takes a tenth more time to write, and as many bytes.
LEVEL = 1

# A dictionary pays for columns of few values; looking for one in a column of names costs more than it saves.
FOR_MANY_ROWS = ", DICTIONARY_SIZE_LIMIT 4096, WRITE_BLOOM_FILTER false"

# Pieces that wait to be written: one, while another is being compressed.
WAITING = 1

# Seconds between two looks at whether the writer is still there.
PATIENCE_S = 0.1


def options(columns: int, rows: int) -> str:
    """How DuckDB writes Parquet of so many columns of a file's own and so many rows."""
    parquet = f"FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {rows_in_group(columns, rows)}"
    return parquet + (FOR_MANY_ROWS if rows > ROW_GROUP else "")


def rows_in_group(columns: int, rows: int = 0) -> int:
    """Rows of a Parquet row group of a file of so many columns and rows: whole vectors of the engine."""
    usual = CELLS_IN_GROUP // columns // VECTOR
    fewer = min(-(-rows * columns // MOST_CHUNKS // VECTOR), CELLS_IN_LARGE_GROUP // columns // VECTOR)
    return min(ROW_GROUP, max(1, usual, fewer) * VECTOR)


def held_bytes(columns: int, rows: int) -> int:
    """Bytes of memory, about, that it takes to write so many rows of so many columns to two files."""
    group = rows_in_group(columns, rows)
    groups = -(-rows // group) + 1
    return columns * (groups * CHUNK_BYTES + min(rows, 2 * group) * CELL_BYTES)


class ParquetFile:
    """A Parquet file under way, of any number of frames with the same columns, in their order; about so many `rows`.

    A single frame is written by the caller; of several each is compressed while the caller makes the next. There is no
    file at `path` where nothing was added. Raises what Polars raises of a disk, in `add` or at the end of the block.
    """

    def __init__(self, path: Path, columns: int, rows: int) -> None:
        self.path = path
        self.group = rows_in_group(columns, rows)
        self.rows = 0
        self.first: pl.DataFrame | None = None
        self.queue: Queue[pl.DataFrame | None] = Queue(WAITING)
        self.thread = ThreadPoolExecutor(1, "parquet")
        self.writing: Future[None] | None = None

    def __enter__(self) -> Self:
        return self

    def add(self, frame: pl.DataFrame) -> None:
        """Takes more rows."""
        self.rows += frame.height
        if not frame.height:
            return
        if self.first is None:
            self.first = frame
            return
        if self.writing is None:
            self.writing = self.thread.submit(self.write_all, self.first.schema)
            self.hand_over(self.first)
            self.first = frame.clear()  # not to be kept in memory until the end
        self.hand_over(frame)

    def __exit__(self, kind: type[BaseException] | None, _error: object, _trace: TracebackType | None) -> None:
        """Ends the file."""
        try:
            if self.writing is not None:
                self.hand_over(None)
                if kind is None:
                    self.writing.result()
            elif kind is None and self.first is not None:
                self.first.write_parquet(self.path, **self.how())
        finally:
            self.thread.shutdown()

    def hand_over(self, frame: pl.DataFrame | None) -> None:
        """Has the writer take the frame; None is the last. Raises what ended the writer."""
        assert self.writing is not None  # noqa: S101 - it was begun
        while not self.writing.done():
            try:
                self.queue.put(frame, timeout=PATIENCE_S)
            except Full:
                continue
            return
        if frame is not None:
            self.writing.result()

    def write_all(self, schema: pl.Schema) -> None:
        """Writes what is handed over."""
        from polars.io.plugins import register_io_source

        def frames(*_: object) -> Iterator[pl.DataFrame]:
            while (frame := self.queue.get()) is not None:
                yield frame

        register_io_source(frames, schema=schema).sink_parquet(self.path, **self.how())

    def how(self) -> dict[str, Any]:
        """How Polars writes it."""
        return {
            "compression": "zstd",
            "compression_level": LEVEL,
            "row_group_size": self.group,
            "data_page_size": PAGE_BYTES,
        }
