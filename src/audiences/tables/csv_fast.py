"""Read a tidy CSV file by DuckDB's own reader, and prove by counting that it was tidy.

DuckDB skips blank lines and, where it may, lines it cannot read; a row's number would then be a guess. So what came out
is counted against what went in: each record takes one physical line, plus the line feeds within its cells. Where the
sums are equal nothing was skipped, and row n of the table is record n after the header.
"""

from __future__ import annotations

import duckdb

from audiences.tables.dialect import MAX_RECORD_BYTES, MAX_RECORD_LINES
from audiences.tables.encoding import Text
from audiences.tables.records import Records, publish, stored
from audiences.tables.sniff import Found
from audiences.tables.sql import cells, literal, scan

TABLE = "audiences_fast"


def read(connection: duckdb.DuckDBPyConnection, text: Text, found: Found) -> Records | None:
    """The records after the header, or None where the file is not tidy (nothing is left behind then)."""
    if text.utf8 is None or text.line_end is None or not _load(connection, text, found):
        return None
    ends = _blank_lines_at_end(text) if len(found.header.columns) > 1 else 0
    if not _is_whole(connection, text, found, ends):
        connection.execute(f"DROP TABLE {TABLE}")
        return None
    records = publish(connection, TABLE, found.header, len(found.header.columns))
    return Records(records.row_count, records.blank_rows + ends)


def _load(connection: duckdb.DuckDBPyConnection, text: Text, found: Found) -> bool:
    """Whether the reader took the file. It does not pad short records and read line breaks in cells at once."""
    for padding in ("true", "false") if text.quotes else ("true",):
        try:
            connection.execute(f"CREATE TEMP TABLE {TABLE} AS FROM {_scan(text, found, padding)}")
        except (duckdb.OutOfMemoryException, duckdb.InterruptException, duckdb.IOException):
            raise
        except duckdb.Error:
            continue
        return True
    return False


def _scan(text: Text, found: Found, padding: str) -> str:
    """The reader, told everything. Short records are padded, so that they count too."""
    dialect = found.dialect
    return scan(
        text.utf8 or text.path,
        len(found.header.columns),
        delim=literal(dialect.separator),
        quote=literal(dialect.quote),
        escape=literal(dialect.escape),
        new_line={"\n": r"'\n'", "\r": r"'\r'", "\r\n": r"'\r\n'"}[text.line_end or "\n"],
        skip=str(found.lines),
        null_padding=padding,
        max_line_size=str(MAX_RECORD_BYTES),
    )


def _is_whole(connection: duckdb.DuckDBPyConnection, text: Text, found: Found, ends: int) -> bool:
    """Whether the rows account for all physical lines after the header."""
    (rows,) = stored(connection, f"SELECT count(*) FROM {TABLE}")
    expected = max(text.lines - found.lines - ends, 0)
    if rows == expected or not text.quotes:
        return bool(rows == expected)
    feed = "chr(13)" if text.line_end == "\r" else "chr(10)"
    breaks = " + ".join(
        f"CASE WHEN contains({cell}, {feed}) THEN length({cell}) - length(replace({cell}, {feed}, '')) ELSE 0 END"
        for cell in cells(len(found.header.columns))
    )
    inner, most = stored(
        connection, f"SELECT coalesce(sum(n), 0), coalesce(max(n), 0) FROM (SELECT {breaks} AS n FROM {TABLE})"
    )
    return bool(rows + inner == expected and most < MAX_RECORD_LINES and inner > 0)


def _blank_lines_at_end(text: Text) -> int:
    """How many empty lines the file ends with; the reader skips them."""
    end = text.tail[len(text.tail.rstrip(b"\r\n")) :]
    width = len(text.line_end or "\n")
    return max(len(end) // width - 1, 0)
