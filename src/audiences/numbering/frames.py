"""The tables of the numbering plan as columns in memory, for `phones` to search.

A look-up is a binary search.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import polars as pl

from audiences.layout import ZONE_SEPARATOR

# Country, line type and time zones of a place, with commas between the zones.
Texts = tuple[str, str, str]


@dataclass(frozen=True)
class Intervals:
    """A table to be looked into: row n holds from the number at `lo` up to that of row n + 1.

    `columns` have nulls before the first row: what a number below all rows, or none, finds.
    """

    lo: pl.Series
    columns: pl.DataFrame

    @classmethod
    def of(cls, table: pl.DataFrame) -> Intervals:
        """Those of a table, which is sorted by `lo`."""
        values = table.drop("lo")
        return cls(table["lo"], pl.concat([values.clear(1), values]))

    def row(self, key: pl.Expr) -> pl.Expr:
        """The row that the number `key` (UInt64) falls into, for `at`."""
        after = pl.lit(self.lo).search_sorted(key.fill_null(0), side="right")
        return pl.when(key.is_not_null()).then(after).otherwise(0)

    def at(self, name: str, row: str) -> pl.Expr:
        """What that column has in the row in the column `row`."""
        return pl.lit(self.columns[name]).gather(pl.col(row))


@dataclass(frozen=True, eq=False)
class Plan:
    """The numbering plan. The tables are those of `tables.TABLES`, but for the columns that say what they are of.

    `numbers` has place and direct. `routes` has for each region head, dropped, reason, international. `patterns` are
    regular expressions by the class of characters that they match.

    `places` has for each place, which is its row, country, line_type and time_zones (zones with commas between them),
    each as a closed list of texts, which cost next to nothing to write.
    """

    numbers: Intervals
    places: pl.DataFrame
    routes: Mapping[str, Intervals]
    patterns: Mapping[str, str]

    @classmethod
    def of(cls, tables: Mapping[str, pl.DataFrame]) -> Plan:
        """The plan that the tables of `tables.TABLES` are, by their names."""
        routes = tables["numbering_routes"].sort("region", "lo")
        by_region = routes.partition_by("region", as_dict=True, include_key=False)
        return cls(
            numbers=Intervals.of(tables["numbering_plan"].sort("lo")),
            places=_places(tables["numbering_places"].sort("place")),
            routes={str(region): Intervals.of(table) for (region,), table in by_region.items()},
            patterns=dict(tables["numbering_characters"].rows()),
        )

    @classmethod
    def read(cls, path: Path) -> Plan:
        """The plan in the file of `numbering.prepared`. Raises PolarsError for a damaged one."""
        whole = pl.read_parquet(path)
        return cls.of({name: whole.select(pl.col(name).explode()).unnest(name) for name in whole.columns})

    @cached_property
    def texts(self) -> list[Texts]:
        """The same as `places`: of the few places that a file has, they are found at once."""
        return [(country, line_type, zones) for country, line_type, zones in self.places.rows()]

    def place_of(self, phone: int) -> tuple[str | None, str | None, list[str]]:
        """Country, line type and time zones of E.164 digits; nothing of a number that is not valid."""
        key = pl.lit(phone, pl.UInt64)
        place = pl.select(row=self.numbers.row(key)).select(self.numbers.at("place", "row")).item()
        if place is None:
            return None, None, []
        country, line_type, zones = self.texts[place]
        return country, line_type, zones.split(ZONE_SEPARATOR)


def _places(table: pl.DataFrame) -> pl.DataFrame:
    if table["place"].to_list() != list(range(table.height)):
        raise AssertionError("a place is its row")  # `tables.build` numbers them so
    texts = table.select("country", "line_type", pl.col("time_zones").list.join(ZONE_SEPARATOR))
    return texts.with_columns(
        pl.col(name).cast(pl.Enum(texts[name].unique().sort().to_list())) for name in texts.columns
    )
