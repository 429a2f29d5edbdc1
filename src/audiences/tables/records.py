"""Records, as all readers leave them: without blank ones, and those with more cells than the header as they stood."""

from __future__ import annotations

from functools import lru_cache

import polars as pl

from audiences.chains import Chain
from audiences.tables.header import Header
from audiences.tables.shapes import Piece
from audiences.tables.sql import BLANK, cells

# A cell that begins with a visible ASCII character shows something; to ask that first spares most of them the pattern.
FIRST_VISIBLE, BEHIND_VISIBLE = "!", "\x7f"
ALL_BLANK = f"^{BLANK}$"

# Widths, and phone columns, whose queries are kept.
MOST_SHAPES = 32


def settled(frame: pl.DataFrame, header: Header) -> Piece:
    """The piece that `frame` makes: `row`, and as many cells `c1` … as the widest record has.

    A record with text in a cell beyond the header's is malformed; its raw text is its cells, with tabs between them.
    """
    width = frame.width - 1
    kept = without_blank(frame, width, header.phone)
    blank = frame.height - kept.height
    if width > len(header.columns):
        kept = _marked(kept, width, len(header.columns))
    return Piece(kept, blank)


def without_blank(frame: pl.DataFrame, width: int, phone: int) -> pl.DataFrame:
    """The records that show something in a cell."""
    blank = blank_rows(frame, width, phone)
    if not len(blank):
        return frame
    return frame.with_row_index("at").filter(~pl.col("at").is_in(blank.implode())).drop("at")


def blank_rows(frame: pl.DataFrame, width: int, phone: int) -> pl.Series:
    """The places of the records that show nothing in any cell.

    The phone is asked first, being the one that seldom is blank.
    """
    asked = first_blank(phone).of(frame).to_series()
    return asked.filter(all_blank(width).of(frame[asked]).to_series()) if len(asked) else asked


@lru_cache(MOST_SHAPES)
def first_blank(phone: int) -> Chain:
    """The places of records whose phone may show nothing."""
    first = pl.col(f"c{phone + 1}")
    return Chain().select((first.is_null() | (first < FIRST_VISIBLE) | (first >= BEHIND_VISIBLE)).arg_true())


@lru_cache(MOST_SHAPES)
def all_blank(width: int) -> Chain:
    """Whether no cell of a record shows anything."""
    return Chain().select(pl.concat_str(pl.col(cells(width)).fill_null("")).str.contains(ALL_BLANK))


def _marked(frame: pl.DataFrame, width: int, columns: int) -> pl.DataFrame:
    """`frame` in the width of the header, with `raw` where there is text beyond it."""
    names, surplus = cells(width)[:columns], cells(width)[columns:]
    wrong = ~pl.concat_str(pl.col(surplus).fill_null("")).str.contains(ALL_BLANK)
    raw = pl.concat_str(pl.col(cells(width)).fill_null(""), separator="\t").str.strip_chars_end("\t")
    return frame.with_columns(raw=pl.when(wrong).then(raw)).select(
        "row", *(pl.when(pl.col("raw").is_null()).then(name).alias(name) for name in names), "raw"
    )
