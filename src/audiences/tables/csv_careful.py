"""Read a CSV file in whatever state it is, from its physical lines, by SQL alone.

    lines → which are whole records → which begin one that spans lines → records → cells → rows and malformed

A line is read as if begun outside of quotes. Where it then ends inside of them, it may begin a record that spans lines:
if the first line below that closes the quote closes it properly (a delimiter or the line's end follows), and the record
is neither too long nor wider than the header. Otherwise that line alone is malformed and reading resumes on the next.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import duckdb
import polars as pl

from audiences.tables import lines as physical
from audiences.tables import spans
from audiences.tables.dialect import Dialect
from audiences.tables.encoding import Text
from audiences.tables.lines import CUT, ESCAPE, LINE_ENDS, PLAIN_ESCAPE, PLAIN_NO_DELIMITER, UNDECODABLE, Lines
from audiences.tables.pieces import PIECE_BYTES, Job
from audiences.tables.shapes import Piece
from audiences.tables.sniff import Found
from audiences.tables.spans import delimiters, outside
from audiences.tables.sql import all_blank, blank, cells, literal, scan, stored

LINES = "audiences_lines"
RECORDS = "audiences_records"
JUDGED = "audiences_judged"

# Records of which the bytes are added up at once: of the longest there can be they make one piece.
ROWS_AT_ONCE = 64

# More than a line can grow to when its characters are escaped.
LINE_BYTES = 1 << 22

# Surplus cells are looked at one by one, for text in them, up to so many. Two thousand records are split at a time, and
# a hundred thousand cells in each of them would not fit into any memory.
MAX_SURPLUS = 1_000


class CarefulFile:
    """The records after the header; every physical line is in one of them, or blank. See `pieces.Source`.

    Raises: BodyTooLarge.
    """

    def __init__(
        self, connection: duckdb.DuckDBPyConnection, text: Text, found: Found, folder: Path, max_bytes: int
    ) -> None:
        self.connection = connection
        self.folder = folder
        self.columns = len(found.header.columns)
        lines = physical.write(text, folder / "lines.csv", max_bytes)
        _load(connection, lines, found.lines)
        spans.find(connection, LINES, found.dialect, self.columns)
        _join(connection, lines, found)
        self.rows = _rows_of_pieces(connection)
        (self.size,) = stored(connection, f"SELECT coalesce(sum(strlen(raw)), 0)::BIGINT FROM {RECORDS}")
        _judge(connection, lines, found)
        for table in (LINES, RECORDS, *spans.TABLES):
            connection.execute(f"DROP TABLE {table}")

    def job(self, number: int) -> Job | None:
        """See `pieces.Source`. A connection is for one thread at a time."""
        if number >= len(self.rows):
            return None
        first, last = self.rows[number]
        names = ", ".join(f"CASE WHEN raw IS NULL THEN {name} END AS {name}" for name in cells(self.columns))
        path = self.folder / "piece.parquet"
        self.connection.execute(
            f"COPY (SELECT row::BIGINT AS row, {names}, raw, verdict = 'blank' AS blank FROM {JUDGED} "
            f"WHERE row BETWEEN {first} AND {last} ORDER BY row) TO ? (FORMAT parquet, COMPRESSION uncompressed)",
            [str(path)],
        )
        frame = pl.read_parquet(path)
        path.unlink()
        return partial(without_blank, frame)


def without_blank(frame: pl.DataFrame) -> Piece:
    """The piece of the records in `frame` that are not `blank`; it has `raw` if one of them is malformed."""
    kept = frame.filter(~pl.col("blank")).drop("blank")
    return Piece(kept if kept["raw"].null_count() < kept.height else kept.drop("raw"), frame.height - kept.height)


def _rows_of_pieces(connection: duckdb.DuckDBPyConnection) -> list[tuple[int, int]]:
    """The first and last row of each piece: as many records as make about `PIECE_BYTES`."""
    return connection.execute(f"""
        SELECT min(first), max(last) FROM (
            SELECT first, last, (sum(bytes) OVER (ORDER BY first) - bytes) // {PIECE_BYTES} AS piece FROM (
                SELECT min(row)::BIGINT AS first, max(row)::BIGINT AS last, sum(strlen(raw)) AS bytes
                FROM {RECORDS} GROUP BY row // {ROWS_AT_ONCE}))
        GROUP BY piece ORDER BY piece
    """).fetchall()


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


def _join(connection: duckdb.DuckDBPyConnection, lines: Lines, found: Found) -> None:
    """The records: `row`, `raw` (its line breaks as they were), and whether its quoting or a byte of it is broken."""
    damaged = f"contains(raw, {literal(UNDECODABLE)}) OR contains(raw, {literal(CUT)})" if lines.damaged else "false"
    first_row = found.header.index + 2
    connection.execute(f"""
        CREATE TEMP TABLE {RECORDS} AS
        SELECT row, raw, broken OR {damaged} AS broken FROM (
            SELECT l.rowid - coalesce(s.inner_lines, 0) + {first_row} AS row, line AS raw, b.pos IS NOT NULL AS broken
            FROM (SELECT rowid, line FROM {LINES}) l
            ASOF LEFT JOIN {spans.SPANS} s ON l.rowid >= s.first_line
            LEFT JOIN {spans.BROKEN} b ON l.rowid = b.pos
            WHERE s.last_line IS NULL OR l.rowid > s.last_line
            UNION ALL
            SELECT first_line - inner_before + {first_row}, raw, false
            FROM {spans.JOINED}
        )""")


def _judge(connection: duckdb.DuckDBPyConnection, lines: Lines, found: Found) -> None:
    """The records with their cells, and a verdict: `row`, `blank`, or `malformed` with its `raw` in place of cells."""
    dialect, count = found.dialect, len(found.header.columns)
    names = cells(count)
    split = ", ".join(f"{_plain(f'cells[{place}]', lines)} AS {name}" for place, name in enumerate(names, start=1))
    surplus = f"len(cells) > {count} AND len(list_filter(cells[{count + 1}:], lambda x: NOT {blank('x')})) > 0"
    connection.execute(f"""
        CREATE TEMP TABLE {JUDGED} AS
        SELECT row, CASE WHEN malformed THEN {_plain("raw", lines)} END AS raw, {", ".join(names)},
            CASE WHEN malformed THEN 'malformed'
                 WHEN {all_blank(names, names[found.header.phone])} THEN 'blank'
                 ELSE 'row' END AS verdict
        FROM (
            SELECT row, raw, cells IS NULL OR ({surplus}) AS malformed, {split}
            FROM (SELECT row, raw, CASE WHEN NOT broken THEN {_cells(dialect, count)} END AS cells FROM {RECORDS})
        )""")


def _cells(dialect: Dialect, columns: int) -> str:
    """The list of the cells of the well-formed record `raw`; NULL where there are far too many of them."""
    limit = columns + MAX_SURPLUS
    bare = f"rtrim(raw, {literal(dialect.separator)})"
    return f"""CASE
        WHEN {delimiters("raw", dialect)} <= {limit} THEN {_split("raw", dialect)}
        WHEN {delimiters(outside(bare, dialect), dialect)} <= {limit} THEN {_split(bare, dialect)}
        END"""


def _split(record: str, dialect: Dialect) -> str:
    """The list of the cells of `record`."""
    separator, quote = literal(dialect.separator), literal(dialect.quote)
    if dialect.escape == "\\":
        text = r"regexp_replace(trim(x, ' ')[2:-2], '\\(.)', '\1', 'gs')"
    else:
        text = f"replace(trim(x, ' ')[2:-2], {literal(dialect.quote * 2)}, {quote})"
    return f"""CASE
        WHEN NOT contains({record}, {quote}) THEN string_split({record}, {separator})
        ELSE list_transform(
            list_transform(regexp_extract_all({separator} || {record}, {literal(dialect.each_cell)}), lambda x: x[2:]),
            lambda x: CASE WHEN starts_with(ltrim(x, ' '), {quote}) THEN {text} ELSE x END)
        END"""


def _plain(cell: str, lines: Lines) -> str:
    """`cell` without this package's escapes."""
    if not lines.escaped:
        return cell
    for mark, character in (
        (CUT, ""),
        (UNDECODABLE, "\ufffd"),
        (PLAIN_NO_DELIMITER, "\x02"),
        (PLAIN_ESCAPE, ESCAPE),
    ):
        cell = f"replace({cell}, {literal(mark)}, {literal(character)})"
    return cell
