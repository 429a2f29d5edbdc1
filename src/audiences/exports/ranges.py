"""Where stored files are cut into pieces: at row numbers, so that pieces made one by one come out in the files' order.

Parquet has rows in groups. What joins wrote has the groups out of order, seldom overlapping. Cut at the groups' lowest
row numbers, a piece reads as few groups as can be where they do not overlap, and is right where they do.

Neighbouring files that are small are one piece together: an audience may have been appended to a thousand times.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from duckdb import DuckDBPyConnection

from audiences import layout
from audiences.layout import Stored
from audiences.parquet import GROUP_BYTES
from audiences.sql import Query

# A piece is two of a file's row groups, made in a tenth of a second; fewer rows where they are wide or long, so that
# the pieces of all exports together fit into the engine's memory.
PIECE_ROWS = 2 * 122_880
PIECE_CELLS = 10 * PIECE_ROWS
PIECE_BYTES = GROUP_BYTES

# The first piece has this part of a whole one, so that the first byte is out soon.
FIRST_SHARE = 30


# Files in one piece, and columns times files: a statement names each, and takes the engine a third of a millisecond a
# file. Their metadata is read together, too.
PIECE_FILES = 64
PIECE_NAMES = 20 * PIECE_FILES


@dataclass(frozen=True)
class Part:
    """The rows of a stored file that are numbered from `first` up to, but without, `end`; None is no bound."""

    stored: Stored
    first: int | None = None
    end: int | None = None

    def condition(self, query: Query) -> str:
        """The condition that lets these rows through."""
        bounds = [f"{layout.ROW} >= {query.bind(self.first)}"] if self.first is not None else []
        bounds += [f"{layout.ROW} < {query.bind(self.end)}"] if self.end is not None else []
        return " AND ".join(bounds) or "true"


# The rows of a piece: of one file, or of a few small ones in their order.
Span = tuple[Part, ...]


@dataclass(frozen=True)
class Group:
    """A row group: its lowest and highest row number, its rows, their bytes, and how many pieces it is enough for."""

    lowest: int
    highest: int
    rows: int
    bytes: int
    pieces: float


def batches(
    files: Sequence[Stored], *, quick_start: bool = True, size: int = PIECE_FILES
) -> Iterator[Sequence[Stored]]:
    """The files, some at a time; with `quick_start` the first is alone."""
    begin = 1 if quick_start else size
    if files:
        yield files[:begin]
    for at in range(begin, len(files), size):
        yield files[at : at + size]


def spans(
    connection: DuckDBPyConnection,
    files: Sequence[Stored],
    *,
    quick_start: bool = True,
    cells: int = PIECE_CELLS,
    width: int = 1,
) -> list[Span]:
    """All rows of all files, in order, at most about `cells` cells together; with `quick_start` the first few apart.

    `width` is the number of columns that the rows are written with.
    """
    most = files_in_piece(width)
    found: list[Span] = []
    small: list[Part] = []
    filled = 0.0
    for stored, its in zip(files, groups(connection, files, cells, width), strict=True):
        at = cuts(its, quick_start=quick_start and stored is files[0])
        parts = [Part(stored, first, end) for first, end in zip([None, *at], [*at, None], strict=True)]
        # Of a file that does not tell, nobody knows whether it is small.
        weight = sum(group.pieces for group in its) if its and not at else math.inf
        if small and (filled + weight > 1 or len(small) == most):
            found.append(tuple(small))
            small, filled = [], 0.0
        if weight <= 1:
            small.append(parts[0])
            filled += weight
        else:
            found += [(part,) for part in parts]
    return [*found, tuple(small)] if small else found


def files_in_piece(width: int) -> int:
    """How many files one statement may name that writes so many columns."""
    return max(1, min(PIECE_FILES, PIECE_NAMES // width))


def groups(connection: DuckDBPyConnection, files: Sequence[Stored], cells: int, width: int) -> list[list[Group]]:
    """Each file's row groups, by lowest row number; none where the file does not tell."""
    rows = connection.execute(
        """
        SELECT file_name, coalesce(stats_min_value, stats_min)::BIGINT, coalesce(stats_max_value, stats_max)::BIGINT,
               row_group_num_rows, row_group_bytes
        FROM parquet_metadata($1) WHERE path_in_schema = $2 ORDER BY ALL
        """,
        [[str(stored.path) for stored in files], layout.ROW],
    ).fetchall()
    found: dict[str, list[tuple[int | None, int | None, int, int]]] = {str(stored.path): [] for stored in files}
    for name, *group in rows:
        found[name].append((group[0], group[1], group[2], group[3]))
    return [grouped(found[str(stored.path)], cells / max(width, len(stored.layout.names))) for stored in files]


def grouped(rows: Sequence[tuple[int | None, int | None, int, int]], rows_fitting: float) -> list[Group]:
    """The row groups of one file, of whose rows so many fit into a piece."""
    piece_rows = min(PIECE_ROWS, rows_fitting)
    found = []
    for low, high, count, size in rows:
        if low is None or high is None:
            return []
        found.append(Group(low, high, count, size, max(count / piece_rows, size / PIECE_BYTES)))
    return found


def cuts(groups: Sequence[Group], *, quick_start: bool) -> list[int]:
    """The row numbers at which pieces begin, but for the first. Any list of them would be right."""
    found: list[int] = []
    filled = 0.0
    for index, group in enumerate(groups):
        if filled and filled + group.pieces > 1:
            found.append(group.lowest)
            filled = 0.0
        filled += group.pieces
        width = group.highest - group.lowest + 1
        if quick_start and index == 0 and FIRST_SHARE * group.pieces > 1:
            found.append(group.lowest + max(1, int(width / (FIRST_SHARE * group.pieces))))
        # A group for several pieces is read as often: that costs time, and holding it whole would cost memory.
        parts = int(group.pieces)
        found += [group.lowest + width * part // parts for part in range(1, parts)]
    return sorted({cut for cut in found if cut > groups[0].lowest})
