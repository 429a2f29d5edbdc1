"""Where a stored file is cut into pieces: at row numbers, so that pieces made one by one come out in the file's order.

Parquet has rows in groups. What joins wrote has the groups out of order, seldom overlapping. Cut at the groups' lowest
row numbers, a piece reads as few groups as can be where they do not overlap, and is right where they do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from duckdb import DuckDBPyConnection

from audiences import layout
from audiences.layout import Stored
from audiences.sql import Query

# A piece is two of a file's row groups, made in a tenth of a second; fewer rows where they are wide or long, so that
# the pieces of all exports together fit into the engine's memory.
PIECE_ROWS = 2 * 122_880
PIECE_CELLS = 10 * PIECE_ROWS
PIECE_BYTES = 128 * 1024**2

# The first piece has this part of a whole one, so that the first byte is out soon.
FIRST_SHARE = 30


@dataclass(frozen=True)
class Span:
    """The rows of a stored file that are numbered from `first` up to, but without, `end`; None is no bound."""

    stored: Stored
    first: int | None = None
    end: int | None = None

    def condition(self, query: Query) -> str:
        """The condition that lets these rows through."""
        bounds = [f"{layout.ROW} >= {query.bind(self.first)}"] if self.first is not None else []
        bounds += [f"{layout.ROW} < {query.bind(self.end)}"] if self.end is not None else []
        return " AND ".join(bounds) or "true"


@dataclass(frozen=True)
class Group:
    """A row group: its lowest and highest row number, its rows, and how many pieces it is large enough for."""

    lowest: int
    highest: int
    rows: int
    pieces: float


def spans(
    connection: DuckDBPyConnection, files: Sequence[Stored], *, quick_start: bool = True, cells: int = PIECE_CELLS
) -> list[Span]:
    """All rows of all files, in order, at most about `cells` cells together; with `quick_start` the first few apart."""
    found: list[Span] = []
    for stored in files:
        at = cuts(groups(connection, stored, cells), quick_start=quick_start and not found)
        found += [Span(stored, first, end) for first, end in zip([None, *at], [*at, None], strict=True)]
    return found


def groups(connection: DuckDBPyConnection, stored: Stored, cells: int) -> list[Group]:
    """The file's row groups, by lowest row number; none where the file does not tell."""
    rows = connection.execute(
        """
        SELECT coalesce(stats_min_value, stats_min)::BIGINT, coalesce(stats_max_value, stats_max)::BIGINT,
               row_group_num_rows, row_group_bytes
        FROM parquet_metadata($1) WHERE path_in_schema = $2 ORDER BY ALL
        """,
        [str(stored.path), layout.ROW],
    ).fetchall()
    if any(lowest is None or highest is None for lowest, highest, *_ in rows):
        return []
    piece_rows = min(PIECE_ROWS, cells / len(stored.layout.names))
    return [Group(low, high, count, max(count / piece_rows, size / PIECE_BYTES)) for low, high, count, size in rows]


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
