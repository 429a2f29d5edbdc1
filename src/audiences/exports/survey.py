"""What a workbook has to know of its rows before the first is written: how many, how wide, and whether they fit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from duckdb import DuckDBPyConnection

from audiences.errors import shorten
from audiences.exports import sheet
from audiences.exports.export import Export
from audiences.exports.ranges import Span
from audiences.exports.statements import SLICE, rows
from audiences.exports.workbook_packing import Limits, too_large
from audiences.sql import Query


@dataclass(frozen=True)
class Survey:
    """The rows of each span; the bytes of each column's longest cell, and how much care its cells need."""

    counts: list[int]
    widths: list[int]
    care: list[int]


def survey(connection: DuckDBPyConnection, export: Export, spans: Sequence[Span], limits: Limits) -> Survey:
    """Raises NotAcceptable for what a sheet cannot hold."""
    if len(export.names) > limits.columns:
        raise too_large(f"A workbook's sheet has at most {limits.columns:,} columns; these are {len(export.names):,}.")
    counts = [counted(connection, export, span) for span in spans]
    if sum(counts) > limits.rows:
        raise too_large(
            f"A workbook's sheet has at most {limits.rows:,} rows below its header; {sum(counts):,} are more."
        )
    widths, care = [0] * len(export.names), [0] * len(export.names)
    for span in spans:
        bytes_ = measured(connection, export, span, "strlen({})".format)
        if max(bytes_) > limits.characters:  # a text has no more characters than bytes
            longest = measured(connection, export, span, length)
            check_length(export, longest, limits)
        needed = measured(connection, export, span, sheet.care)
        widths = [max(pair) for pair in zip(widths, bytes_, strict=True)]
        care = [max(pair) for pair in zip(care, needed, strict=True)]
    return Survey(counts, widths, care)


def length(cell: str) -> str:
    """A text's length as Excel counts it, in units of UTF-16: an emoji is two."""
    return f"(length({cell}) + length(regexp_replace({cell}, '[^\\x{{10000}}-\\x{{10FFFF}}]', '', 'g')))"


def check_length(export: Export, longest: Sequence[int], limits: Limits) -> None:
    """Raises NotAcceptable, naming the first column with a cell that is too long."""
    for name, characters in zip(export.names, longest, strict=True):
        if characters > limits.characters:
            raise too_large(
                f"A cell of a workbook has at most {limits.characters:,} characters; the column {shorten(name)} has "
                f"one of {characters:,}."
            )


def counted(connection: DuckDBPyConnection, export: Export, span: Span) -> int:
    """The span's rows."""
    query = Query()
    query.text = f"SELECT count(*) {rows(export, span, partial(sheet.texts, export), (), query)}"
    return sum(count for (count,) in connection.execute(query.text, query.bound).fetchall())


def measured(connection: DuckDBPyConnection, export: Export, span: Span, measure: Callable[[str], str]) -> list[int]:
    """The highest measure of each column over the span's rows, some columns at a time; 0 where there are none."""
    found: list[int] = []
    places = range(len(export.names))
    for at in range(0, len(places), SLICE):
        query, some = Query(), places[at : at + SLICE]
        wanted = ", ".join(f"max({measure(f'c{place}')})" for place in some)
        query.text = f"SELECT {wanted} {rows(export, span, partial(sheet.texts, export), some, query)}"
        values = connection.execute(query.text, query.bound).fetchone()
        found += [value or 0 for value in values or ()]
    return found
