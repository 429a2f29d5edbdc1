"""Parquet files of contacts and rejects: in which groups of rows they lie, and how one is written piece by piece."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import accumulate
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

# Bytes of rows, as they lie in memory, that a group has at most, about: of a list of people ROW_GROUP rows have ten
# million. And how many times they are there while Polars writes: it gathers a group while it encodes others (measured).
GROUP_BYTES = 16 * 1024 * 1024
WRITTEN_TIMES = 8

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


@dataclass
class Extent:
    """How large a table is: its columns, and of each piece of it the rows, and their bytes as they lie in memory."""

    columns: int
    rows: int = 0
    pieces: list[tuple[int, int]] = field(default_factory=list)
    heaviest: float = 0.0

    def add(self, rows: int, size: int) -> None:
        """Takes the next piece."""
        self.rows += rows
        if rows:
            self.pieces.append((rows, size))
            self.heaviest = max(self.heaviest, size / rows)

    @property
    def group(self) -> int:
        """Rows of a group of its files: as many as of any such table, or fewer where these are too many bytes.

        A file of too many groups would take more memory than one of large groups does.
        """
        group, least = rows_in_group(self.columns, self.rows), max(1, self.rows * self.columns // MOST_CHUNKS)
        while group > least and self.most_bytes(group) > GROUP_BYTES:
            group = max(group // 2, least)
        return group

    @property
    def held_bytes(self) -> int:
        """Bytes of memory, about, that it takes to write all of it to two files."""
        group = self.group
        groups = -(-self.rows // group) + 1
        cells = groups * CHUNK_BYTES + min(self.rows, 2 * group) * CELL_BYTES
        return self.columns * cells + WRITTEN_TIMES * self.most_bytes(group)

    def most_bytes(self, rows: int) -> int:
        """Bytes of so many rows below each other, where they are most, or a bit more; rows of a piece count alike."""
        if rows * self.heaviest <= GROUP_BYTES:
            return int(rows * self.heaviest)
        ends = [0, *accumulate(rows for rows, _ in self.pieces)]
        sizes = [0, *accumulate(size for _, size in self.pieces)]

        def up_to(row: int) -> float:
            at = min(max(bisect_left(ends, row), 1), len(ends) - 1)
            share = (min(row, ends[at]) - ends[at - 1]) / (ends[at] - ends[at - 1])
            return sizes[at - 1] + share * (sizes[at] - sizes[at - 1])

        if rows >= self.rows:
            return sizes[-1]
        begins = [begin for end in ends for begin in (end, end - rows) if 0 <= begin < self.rows]
        return int(max(up_to(begin + rows) - up_to(begin) for begin in begins))


def options(columns: int, rows: int, most: int = ROW_GROUP) -> str:
    """How DuckDB writes Parquet of so many columns of a file's own and so many rows, at most so many in a group."""
    group = min(most, rows_in_group(columns, rows))
    parquet = f"FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {group}"
    return parquet + (FOR_MANY_ROWS if rows > ROW_GROUP else "")


def rows_in_group(columns: int, rows: int = 0) -> int:
    """Rows of a Parquet row group of a file of so many columns and rows: whole vectors of the engine."""
    usual = CELLS_IN_GROUP // columns // VECTOR
    fewer = min(-(-rows * columns // MOST_CHUNKS // VECTOR), CELLS_IN_LARGE_GROUP // columns // VECTOR)
    return min(ROW_GROUP, max(1, usual, fewer) * VECTOR)


class ParquetFile:
    """A Parquet file under way, of any number of frames with the same columns, in their order; `group` rows a group.

    A single frame is written by the caller; of several each is compressed while the caller makes the next. There is no
    file at `path` where nothing was added. Raises what Polars raises of a disk, in `add` or at the end of the block.
    """

    def __init__(self, path: Path, group: int) -> None:
        self.path = path
        self.group = group
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
                from audiences.chains import AS_WRITTEN

                # As `write_parquet` does, without the time that it takes to find nothing to optimise.
                self.first.lazy().sink_parquet(self.path, optimizations=AS_WRITTEN, **self.how())
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
