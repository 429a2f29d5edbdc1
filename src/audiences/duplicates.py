"""Find the rows whose number stands in an earlier row, in memory: of a large file by sorting all of its numbers."""

from __future__ import annotations

import polars as pl

from audiences.chains import Chain
from audiences.verdicts import Verdicts

PHONE, ROW = pl.col("phone"), pl.col("row")

EMPTY = pl.DataFrame(schema={"row": pl.Int64, "phone": pl.UInt64, "place": pl.UInt16})

# Rows up to which each is simply held against the first of its number.
FEW_ROWS = 10_000


# Rows to be told of that are held in memory: each takes some hundred bytes meanwhile, and of a file that is nothing but
# one number again and again there are tens of millions.
MOST_LATER = 1_000_000


# Of all rows of some numbers, those that are not the first of theirs; and the same of any few rows.
LATER = Chain().with_columns(first=ROW.min().over("phone")).filter(pl.col("first") != ROW)
OF_FEW = Chain().select(*EMPTY.columns).filter(PHONE.is_not_null() & PHONE.is_duplicated()).then(LATER)


def later_ones(verdicts: Verdicts, most: int = MOST_LATER) -> pl.DataFrame | None:
    """The rows of every number but its first, each with its `place`, its `phone` and `first`, the row of the first.

    None where they may be more than `most`.
    """
    if verdicts.rows <= FEW_ROWS:
        return OF_FEW.of(pl.concat(verdicts) if verdicts.pieces else EMPTY)
    later = repeated(verdicts)
    if len(later) > most:
        return None
    there = PHONE.is_in(later.unique().implode())
    return LATER.of(pl.concat([EMPTY, *(each[EMPTY.columns].filter(there) for each in verdicts)]))


def repeated(verdicts: Verdicts) -> pl.Series:
    """The numbers that stand in more than one row, each as often as it does, but for once."""
    numbers = pl.concat([each["phone"] for each in verdicts], rechunk=False).sort().to_frame()
    return numbers.select(PHONE.filter(PHONE.shift(1) == PHONE))["phone"]
