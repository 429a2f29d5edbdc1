"""Whether quotes stand where a tidy file has them: around a whole cell, and doubled within it.

Polars forgives what it cannot make sense of (`"a"b"c"` becomes abc). Here nothing is forgiven: a text whose quotes do
not stand there is for the careful reader.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import polars as pl

from audiences.chains import Chain
from audiences.tables.dialect import MAX_RECORD_BYTES, MAX_RECORD_LINES
from audiences.tables.shapes import Untidy

# Marks whose queries are kept.
MOST_DIALECTS = 32


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
    tidy, within = borders(marks).of(pl.DataFrame({"text": [text]})).row(0)
    if not tidy:
        raise Untidy
    return int(within)


@lru_cache(MOST_DIALECTS)
def borders(marks: Marks) -> Chain:
    """Of a `text`: whether all that is outside of quotes is `tidy`, and how many line ends are `within` quotes."""
    part, separator, line_end = pl.col("part"), marks.separator, marks.line_end
    outside, inside, pairs = part.gather_every(2), part.gather_every(2, 1), pl.len() // 2
    before, after = outside.head(pairs), outside.tail(pairs)
    closed = (before == "") | before.str.ends_with(separator) | before.str.ends_with(line_end[-1])
    opened = (after == "") | after.str.starts_with(separator) | after.str.starts_with(line_end)
    breaks = inside.str.count_matches(line_end, literal=True)
    parts = Chain().select(part=pl.col("text").cast(pl.String).str.split(marks.quote).explode())
    return parts.select(tidy=(closed & opened).all() & (pl.len() % 2 == 1), within=breaks.sum())


def is_too_long(frame: pl.DataFrame) -> bool:
    """Whether a record may have more lines or bytes than any may: then the careful reader has to look at it."""
    lengths = pl.sum_horizontal(pl.all().str.len_bytes().fill_null(0))
    breaks = pl.sum_horizontal(pl.all().str.count_matches("[\r\n]").fill_null(0))
    longest, most = frame.select(lengths.max().alias("bytes"), breaks.max().alias("lines")).row(0)
    return bool((longest or 0) > MAX_RECORD_BYTES // 2 or (most or 0) > MAX_RECORD_LINES // 2)
