"""The statements that write a piece of lines: each cell as text, and the texts of a row joined.

The engine holds 2,048 values of every column and of every step of every expression at once. So that wide tables fit
into its memory they are written in slices of columns, which are then joined line by line.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from audiences import layout, pages
from audiences.exports.export import Export
from audiences.exports.pieces import Piece
from audiences.exports.ranges import Part, Span
from audiences.layout import Stored
from audiences.sql import Query, identifier

# Columns that are written together. Of tables with more, one piece is made at a time.
SLICE = 100

# The engine's writer of CSV, told to leave the one column of finished lines as it is.
AS_IT_IS = "FORMAT csv, HEADER false, USE_TMP_FILE false, QUOTE '', ESCAPE '', DELIMITER ''"

# A slice on its way: its writer holds a row group in memory, and lines are long.
SCRATCH = "FORMAT parquet, COMPRESSION lz4, ROW_GROUP_SIZE 2048"

# The expressions of the texts that a cell becomes, given the number of its column (from 0): the cell is c0, c1, …, and
# `n` is the number of its row.
Text = Callable[[int, Query], Sequence[str]]


# The expressions of all cells of a stored file.
Cells = Callable[[Stored], Sequence[str]]


def lines(export: Export, span: Span, cells: Cells, text: Text, target: Path, before: int | None) -> Piece:
    """The piece that writes a line a row to `target`; its rows are numbered from `before` + 1, if that is given."""
    places = range(len(export.names))
    if len(places) <= SLICE:
        return Piece([slice_of(export, span, cells, places, text, before, target, AS_IT_IS)], target)
    slices = [places[at : at + SLICE] for at in range(0, len(places), SLICE)]
    scratch = [target.with_suffix(f".{number}") for number in range(len(slices))]
    written = [
        slice_of(export, span, cells, part, text, before, path, SCRATCH)
        for part, path in zip(slices, scratch, strict=True)
    ]
    return Piece([*written, joined(scratch, target)], target, scratch=scratch)


def slice_of(  # noqa: PLR0913, PLR0917
    export: Export,
    span: Span,
    cells: Cells,
    places: Sequence[int],
    text: Text,
    before: int | None,
    target: Path,
    options: str,
) -> Query:
    """The statement that writes some columns of the span's rows, joined to one."""
    query = Query()
    source = in_order(span, rows(export, span, cells, places, query), places)
    if before is not None:
        source = f"SELECT *, {int(before)} + row_number() OVER () AS n FROM ({source})"
    texts = ", ".join(one for place in places for one in text(place, query))
    query.text = f"COPY (SELECT concat({texts}) AS line FROM ({source})) TO {query.bind(str(target))} ({options})"
    return query


def in_order(span: Span, source: str, places: Sequence[int]) -> str:
    """The cells of `rows`, by file and row."""
    order = "file_place, row_number" if len(span) > 1 else "row_number"
    return f"SELECT {', '.join(f'c{place}' for place in places)} {source} ORDER BY {order}"


def rows(export: Export, span: Span, cells: Cells, places: Sequence[int], query: Query) -> str:
    """FROM and WHERE of the span's rows that pass the filters: cells c0, c1, …, and what puts the rows in order."""
    listed = export.filters.suppressed
    parts = " UNION ALL ".join(part_rows(export, place, part, cells, places, query) for place, part in enumerate(span))
    # Once for all files, since the list may be larger than they are.
    condition = f"WHERE NOT {listed.names('phone_number', query.bind)}" if listed else ""
    return f"FROM ({parts}) AS found {condition}"


def part_rows(export: Export, file_place: int, part: Part, cells: Cells, places: Sequence[int], query: Query) -> str:
    """The rows of one file of a span; their phones, too, where there are numbers to leave out."""
    stored, filters = part.stored, export.filters
    chosen = [f"{file_place} AS file_place", f"{layout.ROW} AS row_number"]
    if filters.suppressed is not None:
        chosen.append(f"{identifier(stored.layout.phone_column)} AS phone_number")
    expressions = cells(stored)
    chosen += [f"{expressions[place]} AS c{place}" for place in places]
    source = query.bind(str(stored.path))
    condition = f"{part.condition(query)} {pages.conditions(stored.layout, replace(filters, suppressed=None), query)}"
    return f"SELECT {', '.join(chosen)} FROM read_parquet({source}) WHERE {condition}"


def joined(scratch: Sequence[Path], target: Path) -> Query:
    """The statement that puts the slices side by side: each has the same rows in the same order."""
    query = Query()
    tables = " POSITIONAL JOIN ".join(
        f"read_parquet({query.bind(str(path))}) AS s{number}" for number, path in enumerate(scratch)
    )
    whole = ", ".join(f"s{number}.line" for number in range(len(scratch)))
    query.text = f"COPY (SELECT concat({whole}) FROM {tables}) TO {query.bind(str(target))} ({AS_IT_IS})"
    return query
