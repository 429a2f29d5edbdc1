"""Find the rows whose number stands in an earlier row, by sorting all numbers of a file in memory."""

from __future__ import annotations

import polars as pl

from audiences.verdicts import Verdicts

EMPTY = pl.DataFrame(schema={"row": pl.Int64, "phone": pl.UInt64, "place": pl.UInt16})


def later_ones(verdicts: Verdicts) -> pl.DataFrame:
    """The rows of every number but its first, each with its `place`, its `phone` and `first`, the row of the first."""
    phones = pl.concat([EMPTY["phone"], *(each["phone"] for each in verdicts)], rechunk=False).sort().to_frame()
    repeated = phones.select(pl.col("phone").filter(pl.col("phone") == pl.col("phone").shift(1)).unique())["phone"]
    if not len(repeated):
        return EMPTY.with_columns(first=pl.col("row"))
    there = pl.col("phone").is_in(repeated.implode())
    rows = pl.concat([EMPTY, *(each.filter(there).select("row", "phone", "place") for each in verdicts)])
    first = rows.group_by("phone").agg(first=pl.col("row").min())
    return rows.join(first, on="phone").filter(pl.col("row") != pl.col("first"))
