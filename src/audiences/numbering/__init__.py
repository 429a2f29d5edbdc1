"""The numbering plan: libphonenumber's metadata as tables of intervals, for a whole column of numbers at once.

- `patterns` reads the metadata's regular expressions, `automata` and `matching` ask of them what holds for many
  numbers at once;
- `metadata` is what of the library this package uses;
- `plan` finds every valid number: intervals with country, line type and time zones;
- `dialling` finds what the library's parser does with dialled digits: prefixes that go, digits that come;
- `characters` are the digits, blanks and invisible characters beyond ASCII;
- `tables` has all of it as rows.

The rows are kept in a file from one start to the next: `prepared` sees to it that it is there, `frames` has its tables
in memory, and `load` puts them into a database.
"""

from __future__ import annotations

import hashlib
import unicodedata
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path

import duckdb
import phonenumbers

from audiences.numbering import tables
from audiences.numbering.tables import TABLES, Row, Table

__all__ = ["TABLES", "cache_name", "load", "prepared"]


Build = Callable[[], dict[str, list[Row]]]


def load(connection: duckdb.DuckDBPyConnection, cache: Path | None, *, build: Build = tables.build) -> None:
    """Creates the tables of `TABLES` in the connection's database, replacing older ones.

    They come from a file in the folder `cache`, which is made when there is none for this version of the library, of
    Unicode and of this package, or when it is damaged. Without a folder they are built, which takes some seconds.
    """
    if cache is None:
        _fill(connection, build())
        return
    path = cache / cache_name()
    try:
        _read(connection, path)
    except duckdb.Error:
        _write(path, build)
        _read(connection, path)


def prepared(cache: Path, *, anew: bool = False, build: Build = tables.build) -> Path:
    """The file of the tables in the folder `cache`; made where there is none, or, damaged as it is, `anew`."""
    path = cache / cache_name()
    if anew or not path.exists():
        _write(path, build)
    return path


def cache_name() -> str:
    """The name of the file that holds the tables as this code makes them of this library."""
    sources = sorted(Path(__file__).parent.glob("*.py"))
    digest = hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()
    return f"numbering-{phonenumbers.__version__}-unicode-{unicodedata.unidata_version}-{digest[:12]}.parquet"


def _fill(connection: duckdb.DuckDBPyConnection, rows: dict[str, list[Row]]) -> None:
    for table in TABLES:
        _create(connection, table, rows[table.name])


def _create(connection: duckdb.DuckDBPyConnection, table: Table, rows: Sequence[Row]) -> None:
    declared = ", ".join(f"{column} {kind}" for column, kind in table.columns.items())
    connection.execute(f"CREATE OR REPLACE TABLE {table.name} ({declared})")
    unnested = ", ".join(f"unnest(?::{kind}[])" for kind in table.columns.values())
    columns = [list(column) for column in zip(*rows, strict=True)]
    connection.execute(f"INSERT INTO {table.name} SELECT {unnested}", columns)


def _read(connection: duckdb.DuckDBPyConnection, path: Path) -> None:
    """The file has one row; each table is a column of it, a list of structs."""
    for table in TABLES:
        columns = ", ".join(f"line.{column}::{kind} AS {column}" for column, kind in table.columns.items())
        connection.execute(f"""
            CREATE OR REPLACE TABLE {table.name} AS
            SELECT {columns} FROM (SELECT unnest({table.name}) AS line FROM read_parquet({_quoted(path)}))
        """)


def _write(path: Path, build: Build) -> None:
    """Writes the file under a name of its own and renames it, so that others see none or all of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    lists = ", ".join(f"(SELECT list({table.name}) FROM {table.name}) AS {table.name}" for table in TABLES)
    try:
        with duckdb.connect() as scratch:
            _fill(scratch, build())
            scratch.execute(f"COPY (SELECT {lists}) TO {_quoted(unfinished)} (FORMAT parquet, COMPRESSION zstd)")
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def _quoted(path: Path) -> str:
    return "'" + str(path).replace("'", "''") + "'"
