"""The row groups of a stored file: which rows of the uploaded file each of them has, and how large it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from duckdb import DuckDBPyConnection

from audiences import layout

# Row groups of all files together that are kept in memory, of some 200 bytes each: those of a billion rows.
MOST_KEPT = 16_384


@dataclass(frozen=True, slots=True)
class Group:
    """A row group: its lowest and highest row number, its rows, and their bytes before compression."""

    lowest: int
    highest: int
    rows: int
    bytes: int


Groups = tuple[Group, ...]


def read(connection: DuckDBPyConnection, path: str) -> Groups:
    """The row groups of the file, by lowest row number; none where it does not tell.

    That takes the engine a millisecond or more: it reads all of the file's metadata.
    """
    found = connection.execute(
        """
        SELECT coalesce(stats_min_value, stats_min)::BIGINT, coalesce(stats_max_value, stats_max)::BIGINT,
               row_group_num_rows, row_group_bytes
        FROM parquet_metadata(?) WHERE path_in_schema = ? ORDER BY ALL
        """,
        [path, layout.ROW],
    ).fetchall()
    return () if any(group[0] is None or group[1] is None for group in found) else tuple(Group(*row) for row in found)


def reach(groups: Sequence[Group], begin: int, wanted: int) -> tuple[int, int]:
    """The row at which `wanted` stored rows behind row `begin` most likely end, and the bytes of the groups up to it.

    It is the last row of all where fewer are left. `groups` are by lowest row.
    """
    size, left = 0, float(wanted)
    for group in groups:
        first = max(begin + 1, group.lowest)
        if first > group.highest:
            continue
        size += group.bytes
        rows_each = group.rows / (group.highest - group.lowest + 1)
        if (group.highest - first + 1) * rows_each >= left:
            return first + int(left / rows_each), size
        left -= (group.highest - first + 1) * rows_each
    return max(begin, *(group.highest for group in groups)), size
