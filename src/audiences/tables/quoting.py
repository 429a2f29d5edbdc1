"""Whether quotes stand where a tidy file has them: around a whole cell, and doubled within it.

Polars forgives what it cannot make sense of (`"a"b"c"` becomes abc). Here nothing is forgiven: a text whose quotes do
not stand there is for the careful reader.
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from audiences.tables.dialect import MAX_RECORD_BYTES, MAX_RECORD_LINES
from audiences.tables.shapes import Untidy


@dataclass(frozen=True)
class Marks:
    """The characters of a dialect: between cells, around them, and at the end of a line."""

    separator: str
    quote: str
    line_end: str


def line_ends_inside(text: bytes, marks: Marks) -> int:
    """How many line ends of the text stand inside of quotes. Raises Untidy, PolarsError.

    Cut at its quotes, a text is by turns outside and inside of them. What is outside begins and ends at the border of a
    cell; or is nothing, between the two of a doubled quote.
    """
    parts = pl.Series([text]).cast(pl.String).str.split(marks.quote).explode()
    if len(parts) % 2 == 0:
        raise Untidy
    part, end = pl.col("part"), marks.line_end[-1]
    outside, inside = part.gather_every(2), part.gather_every(2, 1)
    before, after = outside.head(len(parts) // 2), outside.tail(len(parts) // 2)
    closed = (before == "") | before.str.ends_with(marks.separator) | before.str.ends_with(end)
    opened = (after == "") | after.str.starts_with(marks.separator) | after.str.starts_with(marks.line_end)
    breaks = inside.str.count_matches(marks.line_end, literal=True)
    told = parts.alias("part").to_frame().select(tidy=(closed & opened).all(), breaks=breaks.sum())
    tidy, within = told.row(0)
    if not tidy:
        raise Untidy
    return int(within)


def is_too_long(frame: pl.DataFrame) -> bool:
    """Whether a record may have more lines or bytes than any may: then the careful reader has to look at it."""
    lengths = pl.sum_horizontal(pl.all().str.len_bytes().fill_null(0))
    breaks = pl.sum_horizontal(pl.all().str.count_matches("[\r\n]").fill_null(0))
    longest, most = frame.select(lengths.max().alias("bytes"), breaks.max().alias("lines")).row(0)
    return bool((longest or 0) > MAX_RECORD_BYTES // 2 or (most or 0) > MAX_RECORD_LINES // 2)
