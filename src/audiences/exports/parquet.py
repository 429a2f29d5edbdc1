"""Export as one Parquet file."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from duckdb import DuckDBPyConnection

from audiences import layout, parquet
from audiences.exports.export import NUMBERS, Export
from audiences.exports.pieces import Piece
from audiences.exports.ranges import PIECE_CELLS, Part, Span, batches, files_in_piece, groups, spans
from audiences.exports.statements import in_order, rows
from audiences.sql import Query, identifier

# Bytes of a row that is long: of two kilobytes 300,000 could not be sorted in 440 MiB, of one 600,000 could.
LONG_ROW = 512


def piece(connection: DuckDBPyConnection, export: Export, target: Path) -> Piece:
    """The piece that writes `target`: cells as texts, rows as numbers, time zones as a list, in file order.

    What one statement cannot sort is sorted some at a time, and the results put one behind the other, which takes no
    more memory the more there are.
    """
    names = [f"c{number} AS {identifier(name)}" for number, name in enumerate(stored_names(export))]
    some, group = sortable(connection, export)
    if len(some) <= 1:
        query = Query()
        source = sorted_rows(export, some[0], query) if some else nothing(export)
        return Piece([copied(names, f"({source})", query, target, f"zstd, ROW_GROUP_SIZE {group}")], target)
    scratch = [target.with_suffix(f".{number}") for number in range(len(some))]
    parts = []
    for span, path in zip(some, scratch, strict=True):
        query = Query()
        parts.append(
            copied(["*"], f"({sorted_rows(export, span, query)})", query, path, f"lz4, ROW_GROUP_SIZE {group}")
        )
    query = Query()
    source = f"read_parquet({query.bind([str(path) for path in scratch])})"
    whole = copied(names, source, query, target, f"zstd, ROW_GROUP_SIZE {group}")
    return Piece([*parts, whole], target, scratch=scratch)


def sortable(connection: DuckDBPyConnection, export: Export) -> tuple[list[Span], int]:
    """All rows, as many together as one statement can sort, and how many are to be in a group of the file.

    A statement names so many files. Of rows that are long the engine would hold more at once than its memory has room
    for, while it sorts others on the disk: such are cut at bounds of bytes, and lie in groups of no more.
    """
    width = len(export.names)
    some: list[Span] = []
    extent = parquet.Extent(width)
    for files in batches(export.files, quick_start=False, size=files_in_piece(width)):
        found = [group for its in groups(connection, files, PIECE_CELLS, width) for group in its]
        for group in found:
            extent.add(group.rows, group.bytes)
        if any(group.bytes > LONG_ROW * group.rows for group in found):
            some += spans(connection, files, quick_start=False, width=width)
        else:
            some.append(tuple(Part(stored) for stored in files))
    usual = parquet.rows_in_group(width)
    return some, min(usual, extent.group) if extent.heaviest > LONG_ROW else usual


def sorted_rows(export: Export, span: Span, query: Query) -> str:
    """The rows of some files, in order."""
    places = range(len(export.names))
    return in_order(span, rows(export, span, export.as_data, places, query), places)


def copied(chosen: Iterable[str], source: str, query: Query, target: Path, options: str) -> Query:
    """The statement that writes what is chosen of the source, in the source's order."""
    query.text = f"""
        COPY (SELECT {", ".join(chosen)} FROM {source}) TO {query.bind(str(target))}
        (FORMAT parquet, COMPRESSION {options})
        """
    return query


def nothing(export: Export) -> str:
    """No rows, of an audience that has no file of this kind."""
    cells = ["''" for _ in export.columns]
    cells += [("[]::VARCHAR[]" if column == layout.TIME_ZONES else "0::BIGINT" if column in NUMBERS else "''")
              for _, column in export.extras]  # fmt: skip
    return f"SELECT {', '.join(f'{cell} AS c{number}' for number, cell in enumerate(cells))} WHERE false"


def stored_names(export: Export) -> list[str]:
    """The names in Parquet, whose readers compare them without case: one that is taken gets a number."""
    taken: set[str] = set()
    names = []
    for number, name in enumerate(export.names, 1):
        names.append(layout.unused(layout.storable(name, number), taken))
        taken.add(names[-1].lower())
    return names
