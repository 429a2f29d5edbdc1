"""What a workbook has to know of its rows before the first is written: how many, how wide, and whether they fit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

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
    counts = [measured(connection, export, span, ["count(*)"])[0] for span in spans]
    if sum(counts) > limits.rows:
        raise too_large(
            f"A workbook's sheet has at most {limits.rows:,} rows below its header; {sum(counts):,} are more."
        )
    widths, care = [0] * len(export.names), [0] * len(export.names)
    for span in spans:
        cells = sheet.texts(export, span)
        bytes_ = measured(connection, export, span, [f"max(strlen({cell}))" for cell in cells])
        if max(bytes_) > limits.characters:  # a text has no more characters than bytes
            longest = measured(connection, export, span, [f"max({length(cell)})" for cell in cells])
            check_length(export, longest, limits)
        needed = measured(connection, export, span, [f"max({sheet.care(cell)})" for cell in cells])
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


def measured(connection: DuckDBPyConnection, export: Export, span: Span, wanted: Sequence[str]) -> list[int]:
    """Each of the `wanted` aggregates over the span's rows, some columns at a time; 0 where there are none."""
    found: list[int] = []
    for at in range(0, len(wanted), SLICE):
        query = Query()
        query.text = f"SELECT {', '.join(wanted[at : at + SLICE])} {rows(export, span, query)}"
        values = connection.execute(query.text, query.bound).fetchone()
        found += [value or 0 for value in values or ()]
    return found
