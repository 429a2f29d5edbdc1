"""Keep: of the judged rows the first of each number becomes a contact, every other row a reject; both as Parquet.

What a file's pieces hold is put beside the verdicts on them, and the rows that were set aside.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from audiences import layout
from audiences.chains import collected
from audiences.errors import Reason
from audiences.layout import Layout
from audiences.numbering.frames import Texts
from audiences.parquet import ParquetFile
from audiences.set_aside import Aside
from audiences.tables import Piece, Table
from audiences.tables.sql import cells
from audiences.verdicts import Reading, Verdicts


@dataclass(frozen=True)
class Kept:
    """What became of a file's rows. The paths are None where there is nothing to keep."""

    rows: int
    blank_rows: int
    accepted: int
    duplicates: int
    suppressed: int
    by_reason: dict[str, int]
    countries: dict[str, int]
    line_types: dict[str, int]
    contacts: Path | None
    rejects: Path | None


@dataclass(frozen=True)
class Keeping:
    """One file on its way: its table, how its columns will lie, and the folder that it is written to.

    `others` are the indexes of further columns of phones, which stand normalised in contacts.
    """

    table: Table
    plan: Layout
    folder: Path
    others: tuple[int, ...]
    reading: Reading


@dataclass(frozen=True)
class Counted:
    """How many rows there are of each reason, and accepted ones of each country and line type. Each most first.

    `places` are those of the accepted ones.
    """

    by_reason: dict[str, int]
    countries: dict[str, int]
    line_types: dict[str, int]
    places: list[int]


def keep(keeping: Keeping, verdicts: Verdicts, aside: Aside) -> Kept:
    """Counts, and writes `contacts.parquet` and `rejects.parquet` into the folder."""
    every_place = keeping.reading.plan.texts
    counted = count(every_place, verdicts, aside)
    places = Places.some(every_place, counted.places)
    by_reason, accepted = counted.by_reason, sum(counted.countries.values())
    duplicates, suppressed = (by_reason.pop(reason, 0) for reason in (Reason.DUPLICATE, Reason.SUPPRESSED))
    refused = duplicates + suppressed + sum(by_reason.values())
    contacts, rejects = keeping.folder / "contacts.parquet", keeping.folder / "rejects.parquet"
    if write(keeping, places, verdicts, aside, contacts, rejects) != (accepted, refused):
        raise AssertionError("rows were lost or made up between counting and writing")  # invariant 1
    return Kept(
        verdicts.rows,
        verdicts.blank_rows,
        accepted,
        duplicates,
        suppressed,
        by_reason,
        counted.countries,
        counted.line_types,
        contacts if accepted else None,
        rejects if refused else None,
    )


def count(every_place: Sequence[Texts], verdicts: Verdicts, aside: Aside) -> Counted:
    """What became of the rows."""
    by_reason: Counter[str | None] = Counter()
    by_place: Counter[int | None] = Counter()
    for piece in verdicts:
        by_reason.update(dict(piece["reason"].value_counts().rows()))
        by_place.update(dict(piece["place"].value_counts().rows()))
    for why, place, rows in aside.counts().rows():
        by_reason[why] += rows
        by_place[place] -= rows
    reasons = {reason: rows for reason, rows in by_reason.most_common() if reason is not None}
    there = {place: rows for place, rows in by_place.items() if rows and place is not None}
    countries, line_types = (summed((every_place[place][at], rows) for place, rows in there.items()) for at in (0, 1))
    return Counted(reasons, countries, line_types, sorted(there))


def summed(counts: Iterable[tuple[str, int]]) -> dict[str, int]:
    """How many rows there are of each name, most first."""
    counted: Counter[str] = Counter()
    for name, rows in counts:
        counted[name] += rows
    return dict(counted.most_common())


@dataclass(frozen=True)
class Places:
    """Some places of the numbering plan: `texts` are their countries, line types and time zones, a row for each.

    `row` is the row of any place that is among them. The texts are of closed lists of no other texts: a list is written
    with each group of rows, so that one of all the places there are would be larger than a small audience.
    """

    texts: tuple[pl.Series, ...]
    row: pl.Series

    @classmethod
    def some(cls, every_place: Sequence[Texts], places: list[int]) -> Places:
        """Those, which ascend."""
        columns = ([every_place[place][at] for place in places] for at in range(3))
        texts = tuple(pl.Series(column, dtype=pl.Enum(sorted(set(column)))) for column in columns)
        row = pl.Series([0], dtype=pl.UInt32).new_from_index(0, len(every_place))
        return cls(texts, row.scatter(places, range(len(places))))

    def of(self, place: str) -> list[pl.Expr]:
        """Country, line type and time zones of each place in that column."""
        row = pl.lit(self.row).gather(pl.col(place))
        return [
            pl.lit(texts).gather(row).alias(name)
            for texts, name in zip(self.texts, (layout.COUNTRY, layout.LINE_TYPE, layout.TIME_ZONES), strict=True)
        ]


def write(
    keeping: Keeping, places: Places, verdicts: Verdicts, aside: Aside, contacts: Path, rejects: Path
) -> tuple[int, int]:
    """Writes the accepted rows and all others, each in file order; how many there were of both."""
    group = verdicts.extent.group

    def parted(number: int, piece: Piece) -> tuple[pl.DataFrame, pl.DataFrame]:
        verdict = verdicts.piece(number)
        away = aside.between(verdict["row"])
        is_contact = contacts_among(verdict, away)
        rows = piece.frame.hstack([*verdict.get_columns()[1:], is_contact.alias("is_contact")])
        return contact_rows(keeping, places, rows), reject_rows(keeping, rows, away)

    with ExitStack() as stack:
        accepted = stack.enter_context(ParquetFile(contacts, group))
        refused = stack.enter_context(ParquetFile(rejects, group))
        for good, bad in keeping.table.pieces.again(parted):
            accepted.add(good)
            refused.add(bad)
    return accepted.rows, refused.rows


def contacts_among(verdict: pl.DataFrame, away: pl.DataFrame) -> pl.Series:
    """Which of the rows are accepted: those with a phone that were not set aside."""
    has_phone = verdict["phone"].is_not_null()
    if not away.height:
        return has_phone
    return has_phone.scatter(verdict["row"].search_sorted(away["row"]), False)  # noqa: FBT003 - a value


def contact_rows(keeping: Keeping, places: Places, rows: pl.DataFrame) -> pl.DataFrame:
    """Accepted rows as they are stored. Of phones there are E.164 digits, in the phone column as a number."""
    plan = keeping.plan
    own = own_cells(keeping)
    own[plan.phone] = pl.col("phone").cast(pl.Int64).alias(plan.phone_column)
    ours = [pl.col("row").alias(layout.ROW), *places.of("place")]
    kept = collected(rows.lazy().filter(pl.col("is_contact")).select(*ours, *own))
    for index in keeping.others:
        name = plan.stored[index]
        at = len(ours) + index
        kept.replace_column(at, keeping.reading.normalise(kept.to_series(at)).alias(name))
    return kept


def reject_rows(keeping: Keeping, rows: pl.DataFrame, away: pl.DataFrame) -> pl.DataFrame:
    """All other rows as they are stored: their cells as they stood, or whole as `raw`.

    A valid number that was set aside stands beside its row, so that all rows of a number can be found.
    """
    raw = pl.col("raw") if "raw" in rows.columns else pl.lit(None, pl.String).alias("raw")
    is_refused = ~pl.col("is_contact")
    refused = rows.lazy().select("row", "reason", raw, "is_contact").filter(is_refused)
    set_aside = away.lazy().select("row", "why", "first_file", "first", pl.col("phone").alias("number"))
    # The cells stay out of it: a join copies what it is made of.
    beside = refused.join(set_aside, on="row", how="left", maintain_order="left")
    ours = beside.select(
        pl.col("row").alias(layout.ROW),
        pl.coalesce(pl.col("reason").cast(pl.String), "why").alias(layout.REASON),
        pl.col("first_file").alias(layout.FIRST_FILE),
        pl.col("first").alias(layout.FIRST_ROW),
        pl.col("raw").alias(layout.RAW),
        pl.col("number").cast(pl.Int64).alias(layout.PHONE),
    )
    own = rows.lazy().select(*cells(len(keeping.plan.stored)), "is_contact").filter(is_refused)
    return collected(ours).hstack(collected(own.select(own_cells(keeping))))


def own_cells(keeping: Keeping) -> list[pl.Expr]:
    """The cells of the file's own columns, by the names under which they are stored."""
    stored = keeping.plan.stored
    return [pl.col(cell).alias(name) for cell, name in zip(cells(len(stored)), stored, strict=True)]
