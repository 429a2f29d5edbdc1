"""Keep: of the judged rows the first of each number becomes a contact, every other row a reject; both as Parquet.

What a file's pieces hold is put beside the verdicts on them, and the rows that were set aside.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from audiences import layout
from audiences.chains import collected
from audiences.errors import Reason
from audiences.layout import Layout
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

    `others` are the indexes of further columns of phones, which stand normalised in contacts. `places` are those of the
    numbering plan.
    """

    table: Table
    plan: Layout
    folder: Path
    others: tuple[int, ...]
    reading: Reading
    places: pl.DataFrame


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
    counted = count(keeping.places, verdicts, aside)
    places = Places.some(keeping.places, counted.places)
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


def count(places: pl.DataFrame, verdicts: Verdicts, aside: Aside) -> Counted:
    """What became of the rows."""
    by_reason: Counter[str] = Counter()
    by_place: Counter[int] = Counter()
    for piece in verdicts:
        by_reason.update(dict(piece["reason"].drop_nulls().value_counts().rows()))
        by_place.update(dict(piece["place"].drop_nulls().value_counts().rows()))
    for why, place, rows in aside.counts().rows():
        by_reason[why] += rows
        by_place[place] -= rows
    there = {place: rows for place, rows in by_place.items() if rows}
    known = places[list(there)]
    countries, line_types = (summed(known[name], there.values()) for name in ("country", "line_type"))
    return Counted(dict(by_reason.most_common()), countries, line_types, sorted(there))


def summed(names: pl.Series, rows: Iterable[int]) -> dict[str, int]:
    """How many rows there are of each name, most first."""
    counted: Counter[str] = Counter()
    for name, count in zip(names, rows, strict=True):
        counted[name] += count
    return dict(counted.most_common())


@dataclass(frozen=True)
class Places:
    """Some places of the numbering plan: `texts` has a row for each, `row` the row of any place that is among them.

    The texts are of closed lists of no other texts. A list is written with each group of rows, so that one of all the
    places there are would be larger than a small audience.
    """

    texts: pl.DataFrame
    row: pl.Series

    @classmethod
    def some(cls, all_of_them: pl.DataFrame, places: list[int]) -> Places:
        """Those, which ascend."""
        texts = {column.name: column.to_list() for column in all_of_them[places]}
        closed = {name: pl.Series(of, dtype=pl.Enum(sorted({*of} - {None}))) for name, of in texts.items()}
        row = pl.Series([0], dtype=pl.UInt32).new_from_index(0, all_of_them.height)
        return cls(pl.DataFrame(closed), row.scatter(places, range(len(places))))

    def of(self, places: pl.Series) -> list[pl.Series]:
        """Country, line type and time zones of each."""
        return self.texts[self.row.gather(places)].get_columns()


def write(
    keeping: Keeping, places: Places, verdicts: Verdicts, aside: Aside, contacts: Path, rejects: Path
) -> tuple[int, int]:
    """Writes the accepted rows and all others, each in file order; how many there were of both."""
    group = verdicts.extent.group

    def parted(number: int, piece: Piece) -> tuple[pl.DataFrame, pl.DataFrame]:
        verdict = verdicts.piece(number)
        away = aside.between(verdict["row"])
        is_contact = contacts_among(verdict, away)
        is_reject = ~is_contact
        return (
            contact_rows(keeping, places, piece.frame.filter(is_contact), verdict.filter(is_contact)),
            reject_rows(keeping, piece.frame.filter(is_reject), verdict.filter(is_reject), away),
        )

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


def contact_rows(keeping: Keeping, places: Places, frame: pl.DataFrame, verdict: pl.DataFrame) -> pl.DataFrame:
    """Accepted rows as they are stored; where there are none, without our columns. Of phones there are E.164 digits.

    The phone column holds them as a number.
    """
    plan, own = keeping.plan, own_cells(keeping, frame)
    if not frame.height:
        return own
    for index in keeping.others:
        own.replace_column(index, keeping.reading.normalise(own.to_series(index)).alias(plan.stored[index]))
    own.replace_column(plan.phone, verdict["phone"].cast(pl.Int64).alias(plan.phone_column))
    country, line_type, time_zones = places.of(verdict["place"])
    ours = {
        layout.ROW: verdict["row"],
        layout.COUNTRY: country,
        layout.LINE_TYPE: line_type,
        layout.TIME_ZONES: time_zones,
    }
    return pl.DataFrame(ours).hstack(own)


def reject_rows(keeping: Keeping, frame: pl.DataFrame, verdict: pl.DataFrame, away: pl.DataFrame) -> pl.DataFrame:
    """All other rows as they are stored: their cells as they stood, or whole as `raw`.

    A valid number that was set aside stands beside its row, so that all rows of a number can be found.
    """
    own = own_cells(keeping, frame)
    if not frame.height:
        return own
    raw = frame["raw"] if "raw" in frame.columns else pl.lit(None, pl.String)
    beside = verdict.lazy().select("row", "reason").join(away.lazy(), on="row", how="left", maintain_order="left")
    ours = beside.select(
        pl.col("row").alias(layout.ROW),
        pl.coalesce(pl.col("reason").cast(pl.String), "why").alias(layout.REASON),
        pl.col("first_file").alias(layout.FIRST_FILE),
        pl.col("first").alias(layout.FIRST_ROW),
        raw.alias(layout.RAW),
        pl.col("phone").cast(pl.Int64).alias(layout.PHONE),
    )
    return collected(ours).hstack(own)


def own_cells(keeping: Keeping, frame: pl.DataFrame) -> pl.DataFrame:
    """The cells of the file's own columns, by the names under which they are stored."""
    own = frame.select(cells(len(keeping.plan.stored)))
    own.columns = list(keeping.plan.stored)
    return own
