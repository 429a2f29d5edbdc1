"""What a reader leaves on the connection: the names of its relations and their counts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import duckdb

from audiences.tables.header import Header
from audiences.tables.sql import all_blank, any_text, cells

RELATION = "audiences_rows"
MALFORMED = "audiences_malformed"


@dataclass(frozen=True)
class Records:
    """How many records `RELATION` and `MALFORMED` hold together, and how many blank ones were left out."""

    row_count: int
    blank_rows: int


def publish(connection: duckdb.DuckDBPyConnection, table: str, header: Header, width: int) -> Records:
    """The two relations over `table`, which holds all records after the header in file order, in cells c1 … c`width`.

    A record with text in a cell beyond the header's is malformed; its raw text is its cells, with tabs between them.
    """
    names, surplus = cells(width)[: len(header.columns)], cells(width)[len(header.columns) :]
    kept = []
    is_blank = all_blank(cells(width), names[header.phone])
    (rows,) = stored(connection, f"SELECT count(*) FROM {table}")
    # In a WHERE the cheap first part of the condition spares most rows the rest; in a FILTER it does not.
    (blanks,) = stored(connection, f"SELECT count(*) FROM {table} WHERE {is_blank}")
    if blanks:
        kept.append(f"NOT ({is_blank})")
    row = f"rowid + {header.index + 2} AS row"
    connection.execute(f"CREATE TEMP TABLE {MALFORMED} (row BIGINT, raw VARCHAR)")
    if surplus:
        wrong = any_text(surplus)
        texts = ", ".join(f"coalesce({cell}, '')" for cell in cells(width))
        raw = f"rtrim(array_to_string([{texts}], chr(9)), chr(9))"
        connection.execute(f"INSERT INTO {MALFORMED} SELECT {row}, {raw} FROM {table} WHERE {wrong}")
        kept.append(f"NOT ({wrong})")
    where = f" WHERE {' AND '.join(kept)}" if kept else ""
    connection.execute(f"CREATE TEMP VIEW {RELATION} AS SELECT {row}, {', '.join(names)} FROM {table}{where}")
    return Records(rows - blanks, blanks)


def stored(connection: duckdb.DuckDBPyConnection, query: str) -> tuple[Any, ...]:
    """The one row that `query` yields."""
    row: tuple[Any, ...] | None = connection.execute(query).fetchone()
    return row or ()
