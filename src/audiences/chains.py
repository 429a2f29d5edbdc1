"""Queries of Polars in which each step needs the one before, carried out at once and as they are written.

Step by step each would cost a plan of its own, some 50 microseconds whatever it does, of which a file of a thousand
rows had 56; and there is nothing to optimise, which takes time to find out. To write down what a step does takes Python
as long as a step of few rows takes; so a `Chain` of which nothing depends on the file is made once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import polars as pl

AS_WRITTEN = pl.QueryOptFlags.none()


def collected(chain: pl.LazyFrame) -> pl.DataFrame:
    """What the steps make in the end."""
    return chain.collect(optimizations=AS_WRITTEN, engine="in-memory")


@dataclass(frozen=True)
class Chain:
    """Steps to be carried out on any rows: each a method of `LazyFrame`, by its name, and the expressions it takes."""

    steps: tuple[tuple[str, tuple[pl.Expr, ...]], ...] = ()

    def select(self, *columns: pl.Expr | str, **named: pl.Expr) -> Chain:
        """One more step; it takes what `LazyFrame.select` does."""
        return self.and_then("select", columns, named)

    def with_columns(self, *columns: pl.Expr | str, **named: pl.Expr) -> Chain:
        """One more step; it takes what `LazyFrame.with_columns` does."""
        return self.and_then("with_columns", columns, named)

    def filter(self, condition: pl.Expr) -> Chain:
        """One more step: the rows of which that is true."""
        return self.and_then("filter", (condition,), {})

    def then(self, other: Chain) -> Chain:
        """These steps, and those of another chain behind them."""
        return Chain((*self.steps, *other.steps))

    def and_then(self, step: str, columns: tuple[pl.Expr | str, ...], named: dict[str, pl.Expr]) -> Chain:
        """One more step."""
        unnamed = (pl.col(column) if isinstance(column, str) else column for column in columns)
        made = (*unnamed, *(column.alias(name) for name, column in named.items()))
        return Chain((*self.steps, (step, made)))

    def of(self, rows: pl.DataFrame) -> pl.DataFrame:
        """What the steps make of the rows."""
        chain: Any = rows.lazy()
        for step, columns in self.steps:
            chain = getattr(chain, step)(*columns)
        return collected(chain)
