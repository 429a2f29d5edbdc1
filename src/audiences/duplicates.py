"""Find the rows whose number stands in an earlier row, by sorting all numbers of a file in memory."""

from __future__ import annotations

from collections.abc import Iterable

import polars as pl

EMPTY = pl.DataFrame(schema={"row": pl.Int64, "phone": pl.UInt64, "place": pl.UInt16})


def later_ones(verdicts: Iterable[pl.DataFrame]) -> pl.DataFrame:
    """The rows of every number but its first, each with its `place`, its `phone` and `first`, the row of the first."""
    verdicts = [EMPTY, *verdicts]
    phones = pl.concat([each["phone"] for each in verdicts], rechunk=False).drop_nulls().sort()
    repeated = phones.filter(phones == phones.shift(1)).unique().implode()
    there = pl.col("phone").is_in(repeated)
    rows = pl.concat([each.filter(there).select("row", "place", "phone") for each in verdicts])
    first = rows.group_by("phone").agg(first=pl.col("row").min())
    return rows.join(first, on="phone").filter(pl.col("row") != pl.col("first"))
