"""Find the rows whose number stands in an earlier row, in memory: of a large file by sorting all of its numbers."""

from __future__ import annotations

import polars as pl

from audiences.chains import collected
from audiences.verdicts import Verdicts

EMPTY = pl.DataFrame(schema={"row": pl.Int64, "phone": pl.UInt64, "place": pl.UInt16})

# Rows up to which each is simply held against the first of its number.
FEW_ROWS = 10_000


# Rows to be told of that are held in memory: each takes some hundred bytes meanwhile, and of a file that is nothing but
# one number again and again there are tens of millions.
MOST_LATER = 1_000_000


def later_ones(verdicts: Verdicts, most: int = MOST_LATER) -> pl.DataFrame | None:
    """The rows of every number but its first, each with its `place`, its `phone` and `first`, the row of the first.

    None where they may be more than `most`.
    """
    phone, row = pl.col("phone"), pl.col("row")
    if verdicts.rows <= FEW_ROWS:
        rows = pl.concat([EMPTY, *(each[EMPTY.columns] for each in verdicts)]).lazy()
        rows = rows.filter(phone.is_not_null() & phone.is_duplicated())
    else:
        later = repeated(verdicts)
        if len(later) > most:
            return None
        there = phone.is_in(later.unique().implode())
        rows = pl.concat([EMPTY, *(each[EMPTY.columns].filter(there) for each in verdicts)]).lazy()
    return collected(rows.with_columns(first=row.min().over("phone")).filter(row != pl.col("first")))


def repeated(verdicts: Verdicts) -> pl.Series:
    """The numbers that stand in more than one row, each as often as it does, but for once."""
    phone = pl.col("phone")
    numbers = pl.concat([each["phone"] for each in verdicts], rechunk=False).sort().to_frame()
    return numbers.select(phone.filter(phone == phone.shift(1)))["phone"]
