"""Queries of Polars in which each step needs the one before, carried out at once and as they are written.

Step by step each would cost a plan of its own, some 50 microseconds, of which a file of a thousand rows has a dozen
milliseconds' worth; and there is nothing to optimise, which takes as long again to find out.
"""

from __future__ import annotations

import polars as pl

AS_WRITTEN = pl.QueryOptFlags.none()


def collected(chain: pl.LazyFrame) -> pl.DataFrame:
    """What the steps make in the end."""
    return chain.collect(optimizations=AS_WRITTEN, engine="in-memory")
