"""The tables of the numbering plan as columns in memory, for `phones` to search.

A look-up is a binary search: row n of a table holds from its `lo` up to the next row's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import duckdb
import polars as pl

from audiences.layout import ZONE_SEPARATOR


@dataclass(frozen=True)
class Plan:
    """The numbering plan. The tables are those of `tables.TABLES`, but for the columns that say what they are of.

    `numbers` has lo, place, direct, by lo. `routes` has for each region lo, head, dropped, reason, international, by
    lo. `patterns` are regular expressions by the class of characters that they match.

    `places` has for each place, which is its row, country, line_type and time_zones (zones with commas between them),
    each as a closed list of texts, which cost next to nothing to write.
    """

    numbers: pl.DataFrame
    places: pl.DataFrame
    routes: Mapping[str, pl.DataFrame]
    patterns: Mapping[str, str]

    @classmethod
    def of(cls, connection: duckdb.DuckDBPyConnection) -> Plan:
        """The tables that `numbering.load` left in the connection's database."""
        routes = _table(connection, "FROM numbering_routes ORDER BY region, lo")
        by_region = routes.partition_by("region", as_dict=True, include_key=False)
        return cls(
            numbers=_table(connection, "FROM numbering_plan ORDER BY lo"),
            places=_places(_table(connection, "FROM numbering_places ORDER BY place")),
            routes={str(region): table for (region,), table in by_region.items()},
            patterns=dict(connection.execute("FROM numbering_characters").fetchall()),
        )


def found(table: pl.DataFrame, keys: pl.Series) -> pl.DataFrame:
    """For each of `keys` (UInt64) the table's row that it falls into; nulls for a null, or one below the first row."""
    after = table["lo"].search_sorted(keys.fill_null(0), side="right").cast(pl.Int64)
    rows = pl.select(at=pl.when(keys.is_not_null() & (after > 0)).then(after - 1))["at"]
    return table.drop("lo").select(pl.all().gather(rows.cast(pl.get_index_type())))


def _table(connection: duckdb.DuckDBPyConnection, query: str) -> pl.DataFrame:
    relation: Any = connection.sql(query)
    return pl.DataFrame(relation)


def _places(table: pl.DataFrame) -> pl.DataFrame:
    if table["place"].to_list() != list(range(table.height)):
        raise AssertionError("a place is its row")  # `tables.build` numbers them so
    texts = table.select("country", "line_type", pl.col("time_zones").list.join(ZONE_SEPARATOR))
    return texts.with_columns(
        pl.col(name).cast(pl.Enum(texts[name].unique().sort().to_list())) for name in texts.columns
    )
