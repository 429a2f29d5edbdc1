"""Small pieces of SQL that the readers share. Names are the package's own; a caller's text goes in as a literal."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import duckdb

# What a blank cell may consist of: Unicode's white space, and what shows nothing. In the syntax of Rust's expressions.
BLANK = (
    r"[\x00\t-\r\x1c-\x20\x{85}\x{a0}\x{1680}\x{2000}-\x{200d}\x{2028}\x{2029}"
    r"\x{202f}\x{205f}\x{2060}\x{3000}\x{feff}]*"
)


def literal(text: str | Path) -> str:
    """`text` as a string literal."""
    return "'" + str(text).replace("'", "''") + "'"


def cells(count: int) -> list[str]:
    """The names of a relation's columns: c1 … cn."""
    return [f"c{place}" for place in range(1, count + 1)]


def scan(path: Path, columns: int, **options: str) -> str:
    """A `read_csv` that finds out nothing by itself: every option is given as SQL."""
    given = ", ".join(f"{name} = {value}" for name, value in options.items())
    types = ", ".join(f"'{name}': 'VARCHAR'" for name in cells(columns))
    return f"read_csv({literal(path)}, auto_detect = false, header = false, columns = {{{types}}}, {given})"


def stored(connection: duckdb.DuckDBPyConnection, query: str) -> tuple[Any, ...]:
    """The one row that `query` yields."""
    row: tuple[Any, ...] | None = connection.execute(query).fetchone()
    return row or ()
