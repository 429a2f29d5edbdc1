"""The catalog as lines of JSON: which rows a backup has, and how they are written and loaded."""

from __future__ import annotations

import base64
from collections.abc import Collection, Iterator
from itertools import islice
from pathlib import Path

from sqlalchemy import Connection, LargeBinary, MetaData, Select, Table, and_, bindparam, insert, select, update

from audiences.backup.lines import Manifest, Part, Row, lines_of, read_lines
from audiences.parts import IDENTITY
from audiences.store.schema import audience_files, idempotency, metadata, secret_keys, suppression_lists, uploads

# What nobody should find again after a restore. Holds and files under check live for minutes, and their processes and
# stored files are gone by then. Sessions and links let people in: one that was ended or used since then must not work
# again, and everybody can sign in anew.
LEFT_OUT = frozenset({"reads", "drafts", "sessions", "sign_in_links"})

OBJECTS = (
    audience_files.c.contacts_object,
    audience_files.c.rejects_object,
    suppression_lists.c.object,
    uploads.c.object,
)

# Rows in memory at a time.
BATCH = 500


def object_names(connection: Connection) -> set[str]:
    """The names of all stored files that the rows of a backup refer to."""
    chosen = (select(column).where(column.is_not(None)) for column in OBJECTS)
    return {name for statement in chosen for name in connection.execute(statement).scalars()}


def expected_bytes(connection: Connection, names: Collection[str]) -> int:
    """About how many bytes these files have: a row knows that of its two files together."""
    if not names:
        return 0
    contacts, rejects, listed, raw = OBJECTS
    total = 0
    for statement in (
        select(audience_files.c.stored_bytes, contacts, rejects),
        select(suppression_lists.c.stored_bytes, listed),
        select(uploads.c.stored_bytes, raw),
    ):
        rows = connection.execute(statement, execution_options={"yield_per": BATCH})
        total += sum(size for size, *objects in rows if any(name in names for name in objects))
    return total


def write_tables(connection: Connection, folder: Path) -> dict[str, Part]:
    """Writes each table into a file of the folder, in batches; what the files hold."""
    parts = {}
    for table in metadata.sorted_tables:
        if table.name in LEFT_OUT:
            continue
        binary = binary_columns(table)
        with lines_of(folder / file_name(table.name)) as lines:
            rows = connection.execute(wanted_rows(table), execution_options={"yield_per": BATCH})
            for row in rows.mappings():
                lines.write({name: in_json(value) if name in binary else value for name, value in row.items()})
        parts[table.name] = lines.part()
    return parts


def wanted_rows(table: Table) -> Select[tuple[object, ...]]:
    """The rows of a table that a backup has."""
    if table is idempotency:  # a request that is running now will not be, after a restore
        return select(table).where(table.c.answer.is_not(None))
    if table is secret_keys:  # a catalog has a name of its own, and so has the one that this is restored into
        return select(table).where(table.c.name != IDENTITY)
    return select(table)


def load_tables(connection: Connection, state: Path, manifest: Manifest) -> None:
    """Inserts the rows of a backup into empty tables of its schema, in the order in which they refer to each other."""
    found = MetaData()
    found.reflect(connection, only=list(manifest.tables))
    for table in found.sorted_tables:
        path = state / file_name(table.name)
        own = [key.parent.name for key in table.foreign_keys if key.column.table is table]
        for rows in batches(path, table):
            connection.execute(insert(table), [row | dict.fromkeys(own) for row in rows])
        for column in own:
            refer(connection, table, column, path)


def refer(connection: Connection, table: Table, column: str, path: Path) -> None:
    """Fills a column that refers to rows of the same table, now that all of these are there."""
    keys = [key.name for key in table.primary_key]
    mine = and_(*(table.c[key] == bindparam(f"its_{key}") for key in keys))
    statement = update(table).where(mine).values({column: bindparam("other")})
    for rows in batches(path, table):
        referring = [row for row in rows if row[column] is not None]
        if referring:
            values = [{f"its_{key}": row[key] for key in keys} | {"other": row[column]} for row in referring]
            connection.execute(statement, values)


def batches(path: Path, table: Table) -> Iterator[list[Row]]:
    """The rows in a file as the table takes them, some hundreds at a time."""
    binary = binary_columns(table)
    rows = read_lines(path)
    while batch := list(islice(rows, BATCH)):
        yield [{name: from_json(value) if name in binary else value for name, value in row.items()} for row in batch]


def binary_columns(table: Table) -> frozenset[str]:
    """The columns that hold bytes."""
    return frozenset(column.name for column in table.columns if isinstance(column.type, LargeBinary))


def in_json(value: bytes | None) -> str | None:
    """Bytes as JSON has them."""
    return None if value is None else base64.b64encode(value).decode()


def from_json(value: str | None) -> bytes | None:
    """The bytes again."""
    return None if value is None else base64.b64decode(value)


def file_name(table: str) -> str:
    """The file of a table's rows."""
    return f"{table}.ndjson"
