"""Read a CSV file in whatever state it is, from its physical lines, which SQL makes records of.

    lines → which are whole records → which begin one that spans lines → records, which `cutting` cuts into cells

A line is read as if begun outside of quotes. Where it then ends inside of them, it may begin a record that spans lines:
if the first line below that closes the quote closes it properly (a delimiter or the line's end follows), and the record
is neither too long nor wider than the header. Otherwise that line alone is malformed and reading resumes on the next.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, partial
from operator import attrgetter
from pathlib import Path
from typing import BinaryIO

import duckdb
import polars as pl

from audiences.tables import lines as physical
from audiences.tables import spans
from audiences.tables.csv_tidy import HEAD_BYTES
from audiences.tables.cutting import Cutter
from audiences.tables.encoding import Text
from audiences.tables.lines import CUT, LINE_ENDS, UNDECODABLE, Lines
from audiences.tables.pieces import PIECE_BYTES, PIECE_CELLS, Job
from audiences.tables.shapes import Piece
from audiences.tables.sniff import Found
from audiences.tables.sql import literal, scan

LINES = "audiences_lines"

# Lines of which the bytes are added up at once: of the longest there can be they make one piece.
LINES_AT_ONCE = 64

# Bytes that a line counts for beside its own, where pieces are measured: a short one takes memory all the same. It
# counts for at least what its cells take, which are as many as the header has.
LINE_WEIGHT = 16
CELL_WEIGHT = PIECE_BYTES // PIECE_CELLS

# More than a line can grow to when its characters are escaped.
LINE_BYTES = 1 << 22


class CarefulFile:
    """The records after the header; every physical line is in one of them, or blank. See `pieces.Source`.

    Raises BodyTooLarge and UnreadableFile when the first piece is asked for.
    """

    # They are in files already: nothing is kept beside them.
    size = None

    def __init__(
        self, connection: duckdb.DuckDBPyConnection, text: Text, found: Found, folder: Path, max_bytes: int
    ) -> None:
        self.connection = connection
        self.text = text
        self.found = found
        self.folder = folder
        self.max_bytes = max_bytes

    @cached_property
    def records(self) -> Records:
        """All of them, found out about at first use."""
        connection, found = self.connection, self.found
        lines = physical.write(self.text, self.folder / "lines.csv", self.max_bytes)
        _load(connection, lines, found.lines)
        spans.find(connection, LINES, found.dialect, len(found.header.columns))
        borders = _borders(connection, lines.line_end, len(found.header.columns))
        for name, query in spans.RESULTS.items():
            path = self.folder / f"{name}.parquet"
            connection.execute(f"COPY ({query}) TO ? (FORMAT parquet, COMPRESSION uncompressed)", [str(path)])
        for table in (LINES, *spans.TABLES):
            connection.execute(f"DROP TABLE {table}")
        return Records(self.folder, found, lines, _placed(borders, lines.path, found.lines))

    def job(self, number: int) -> Job | None:
        """See `pieces.Source`."""
        return partial(self.records.piece, number) if number + 1 < len(self.records.borders) else None


@dataclass(frozen=True)
class Border:
    """Where a piece begins and another ends: at a line, which is that byte of the file of lines.

    Of the lines before it, `inner` lie within records.
    """

    line: int
    byte: int
    inner: int


@dataclass(frozen=True)
class Records:
    """What is known of a file: its lines, and in files in `folder` which of them belong together and which are broken.

    `borders` are those of the pieces.
    """

    folder: Path
    found: Found
    lines: Lines
    borders: list[Border]

    def piece(self, number: int) -> Piece:
        """That piece."""
        first, end = self.borders[number : number + 2]
        spanned = self.within("spans", "first_line", first, end)
        lines = self.read(first, end)
        place = spanned["first_line"].search_sorted(lines["pos"], side="right")
        is_alone = lines["pos"] > pl.concat([pl.Series([-1]), spanned["last_line"]]).gather(place)
        before = pl.concat([pl.Series([first.inner]), spanned["inner_lines"]]).gather(place)
        alone = lines.with_columns(before=before).filter(is_alone)
        joined = spanned.select(pl.col("first_line").alias("pos"), "raw", pl.col("inner_before").alias("before"))
        records = pl.concat([alone, joined]).sort("pos") if joined.height else alone
        header = self.found.header
        return Cutter(self.found.dialect, len(header.columns), header.phone).piece(
            records.select(
                (pl.col("pos") - pl.col("before") + (header.index + 2)).alias("row"),
                "raw",
                self.is_broken(self.within("broken", "pos", first, end)["pos"]).alias("broken"),
            )
        )

    def read(self, first: Border, end: Border) -> pl.DataFrame:
        """The lines between: `pos`, and the text `raw`, without the mark of its end."""
        with self.lines.path.open("rb") as file:
            file.seek(first.byte)
            raw = pl.scan_lines(file.read(end.byte - first.byte)).collect().to_series()
        if len(raw) != end.line - first.line:
            raise AssertionError("lines were lost or made up")  # the engine read the same file
        for mark in LINE_ENDS if self.lines.marked else ():
            raw = raw.str.strip_suffix(mark)
        return pl.DataFrame({"pos": pl.int_range(first.line, end.line, eager=True), "raw": raw})

    def within(self, name: str, column: str, first: Border, end: Border) -> pl.DataFrame:
        """The rows of a file in which the column is a line between the borders."""
        rows = pl.scan_parquet(self.folder / f"{name}.parquet")
        return rows.filter(pl.col(column) >= first.line, pl.col(column) < end.line).collect()

    def is_broken(self, places: pl.Series) -> pl.Expr:
        """Whether the quoting of a record is broken, as it is in those `places`, or a byte of it."""
        raw, broken = pl.col("raw"), pl.col("pos").is_in(places.implode())
        if not self.lines.damaged:
            return broken
        return broken | raw.str.contains(UNDECODABLE, literal=True) | raw.str.contains(CUT, literal=True)


def _borders(connection: duckdb.DuckDBPyConnection, usual_end: str, columns: int) -> list[tuple[int, int, int, int]]:
    """Where lines that weigh about `PIECE_BYTES` end: before which, bytes of those before it; and what is to be added.

    That is so many lines to the end of the record that it lies in; `inner` is then that of `Border`.
    """
    return connection.execute(
        f"""
        WITH lines AS (
            SELECT rowid AS pos, strlen(line) + CASE WHEN line_end = ? THEN 1 ELSE 3 END AS bytes FROM {LINES}),
        groups AS (
            SELECT max(pos) + 1 AS behind, sum(bytes) AS bytes,
                sum(greatest(bytes + {LINE_WEIGHT}, {CELL_WEIGHT * columns})) AS weight
            FROM lines GROUP BY pos // {LINES_AT_ONCE}),
        summed AS (
            SELECT behind, sum(bytes) OVER (ORDER BY behind) AS upto, sum(weight) OVER (ORDER BY behind) AS weight
            FROM groups),
        borders AS (
            SELECT max(behind) AS behind, max(upto) AS upto FROM summed GROUP BY (weight - 1) // {PIECE_BYTES})
        SELECT behind, upto::BIGINT, greatest(coalesce(last_line, 0) + 1 - behind, 0), coalesce(inner_lines, 0)::BIGINT
        FROM borders ASOF LEFT JOIN {spans.SPANS} ON behind > first_line
        ORDER BY behind
    """,
        [usual_end],
    ).fetchall()


def _placed(borders: list[tuple[int, int, int, int]], path: Path, skip: int) -> list[Border]:
    """The borders with their places in the file of lines, of which the first so many were not counted."""
    with path.open("rb") as file:
        start = _bytes_of(file, 0, skip)
        placed = [Border(0, start, 0)]
        for line, upto, more, inner in borders:
            at = start + upto
            placed.append(Border(line + more, at + _bytes_of(file, at, more), inner))
    return sorted(set(placed), key=attrgetter("line"))


def _bytes_of(file: BinaryIO, at: int, lines: int) -> int:
    """Bytes of so many lines from there on, which are of a title and header or within a record."""
    if not lines:
        return 0
    file.seek(at)
    text = pl.scan_lines(file.read(HEAD_BYTES)).head(lines).collect().to_series()
    return int(text.str.len_bytes().sum()) + lines


def _load(connection: duckdb.DuckDBPyConnection, lines: Lines, skip: int) -> None:
    """The table of physical lines after the header: `rowid` from 0 in file order, `line`, `line_end`."""
    read_lines = scan(
        lines.path,
        1,
        delim=literal("\x02"),
        quote="''",
        escape="''",
        new_line=r"'\n'",
        skip=str(skip),
        max_line_size=str(LINE_BYTES),
    )
    usual = literal(lines.line_end)
    if not lines.marked:
        query = f"SELECT coalesce(c1, '') AS line, {usual} AS line_end FROM {read_lines}"
    else:
        known = " ".join(f"WHEN {literal(mark)} THEN {literal(end)}" for mark, end in LINE_ENDS.items())
        query = (
            f"SELECT CASE WHEN own IS NULL THEN coalesce(c1, '') ELSE left(c1, -2) END AS line, "
            f"coalesce(own, {usual}) AS line_end "
            f"FROM (SELECT c1, CASE right(c1, 2) {known} END AS own FROM {read_lines})"
        )
    connection.execute(f"CREATE TEMP TABLE {LINES} AS {query}")
