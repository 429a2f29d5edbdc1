"""The file of a do-not-contact list: a page of it, and what a change makes of it. `suppressed` says how it lies."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from duckdb import DuckDBPyConnection

from audiences.sql import Query
from audiences.suppressed import Suppressed, hash_of, keyed_hash

# The numbers that a request is about, each once (`phone` BIGINT), and those of them that are on the list.
WANTED, MET = "wanted", "met"

NOTHING = "(SELECT NULL::BIGINT AS phone, NULL::VARCHAR AS hash, NULL::BIGINT AS added_time WHERE false)"
ADDED_TIME = "strftime(make_timestamp_ms(added_time), '%Y-%m-%dT%H:%M:%SZ')"

Kind = Literal["add", "remove"]


@dataclass(frozen=True)
class Written:
    """A list that was written and is not stored yet: its bytes, and how many numbers and hashes are on it."""

    path: Path
    size: int
    phones: int
    hashes: int

    def __bool__(self) -> bool:
        return self.phones + self.hashes > 0


def meet(connection: DuckDBPyConnection, listed: Suppressed | None) -> int:
    """Leaves `met`, those of the numbers in `wanted` that are on the list; how many."""
    query = Query()
    condition = "false" if listed is None else listed.names("phone", query.bind)
    connection.execute(f"CREATE OR REPLACE TEMP TABLE {MET} AS FROM {WANTED} WHERE {condition}", query.bound)
    return rows_of(connection, MET)


def rows_of(connection: DuckDBPyConnection, table: str) -> int:
    """How many rows a temporary table has."""
    ((rows,),) = connection.execute(f"SELECT count(*) FROM {table}").fetchall()
    return int(rows)


def changes(connection: DuckDBPyConnection, listed: Suppressed | None, kind: Kind) -> int:
    """On how many of the numbers in `wanted` a change would have an effect. Leaves `met`."""
    met = meet(connection, listed)
    return met if kind == "remove" else rows_of(connection, WANTED) - met


def write(connection: DuckDBPyConnection, listed: Suppressed | None, kind: Kind, target: Path, now: int) -> Written:
    """Writes the list as it is after the change to `target`; after `changes`, which left `met`."""
    query = Query()
    return copy(connection, added(listed, now, query) if kind == "add" else kept(listed, query), query, target)


def copy(connection: DuckDBPyConnection, rows: str, query: Query, target: Path) -> Written:
    """Writes a list of these rows."""
    copied = f"COPY ({rows} ORDER BY phone, hash) TO {query.bind(str(target))} (FORMAT parquet, COMPRESSION zstd)"
    connection.execute(copied, query.bound)
    counts = "SELECT count(phone), count(hash) FROM read_parquet(?)"
    ((phones, hashes),) = connection.execute(counts, [str(target)]).fetchall()
    return Written(target, target.stat().st_size, phones, hashes)


def added(listed: Suppressed | None, now: int, query: Query) -> str:
    """The list's rows and those of the numbers that were not on it.

    Who was erased and is added again stays a hash: the list keeps the number out just as well.
    """
    return (
        f"SELECT phone, hash, added_time FROM {relation(listed, query)} UNION ALL "
        f"SELECT phone, NULL, {query.bind(now)}::BIGINT FROM {WANTED} ANTI JOIN {MET} USING (phone)"
    )


def kept(listed: Suppressed | None, query: Query) -> str:
    """The list's rows but for those of the numbers that were on it, also as hashes."""
    rows = f"SELECT phone, hash, added_time FROM {relation(listed, query)} ANTI JOIN {MET} USING (phone)"
    if listed is None or not listed.hashes:
        return rows
    hashes = f"(SELECT {hash_of('phone', listed.key, query.bind)} AS hash FROM {MET})"
    return f"FROM ({rows}) ANTI JOIN {hashes} USING (hash)"


def page(
    connection: DuckDBPyConnection, listed: Suppressed | None, phone: int | None, limit: int, after: int
) -> tuple[bytes, int | None]:
    """The next `limit` numbers behind `after` as a JSON array, and the last of them if there are more."""
    query = Query()
    found = connection.execute(
        f"""
        WITH chosen AS ({chosen(listed, phone, query)} AND phone > {query.bind(after)}
                        ORDER BY phone LIMIT {query.bind(limit + 1)}),
        numbered AS (
          SELECT phone, row_number() OVER (ORDER BY phone) AS n,
                 json_object('phone', phone::VARCHAR, 'added_time', {ADDED_TIME}) AS item FROM chosen)
        SELECT string_agg(item, ',' ORDER BY phone) FILTER (n <= {query.bind(limit)}),
               max(phone) FILTER (n <= {query.bind(limit)}), count(*)
        FROM numbered
        """,
        query.bound,
    ).fetchone()
    assert found is not None  # noqa: S101 - an aggregate always has a row
    items, last, reached = found
    return f"[{items or ''}]".encode(), last if reached > limit else None


def write_csv(connection: DuckDBPyConnection, listed: Suppressed | None, phone: int | None, target: Path) -> None:
    """Writes the list to `target` such that it can be added again elsewhere."""
    query = Query()
    rows = f"SELECT phone AS phone1, {ADDED_TIME} AS added_time FROM ({chosen(listed, phone, query)}) ORDER BY phone"
    connection.execute(f"COPY ({rows}) TO {query.bind(str(target))} (FORMAT csv, HEADER)", query.bound)


def chosen(listed: Suppressed | None, phone: int | None, query: Query) -> str:
    """The query of the list's numbers (`phone`, `added_time`), or of the one asked for, erased or not."""
    rows = relation(listed, query)
    if phone is None or listed is None:
        return f"SELECT phone, added_time FROM {rows} WHERE phone IS NOT NULL"
    digest = query.bind(keyed_hash(phone, listed.key))
    asked = query.bind(phone)
    found = f"FROM {rows} WHERE phone = {asked} OR hash = {digest}"
    return f"SELECT * FROM (SELECT {asked}::BIGINT AS phone, added_time {found}) WHERE true"


def relation(listed: Suppressed | None, query: Query) -> str:
    """The list's rows: `phone`, `hash`, `added_time`."""
    return NOTHING if listed is None else f"read_parquet({query.bind(str(listed.path))})"


def write_hashed(connection: DuckDBPyConnection, listed: Suppressed, phone: int, target: Path) -> Written | None:
    """Writes the list with the number as its keyed hash to `target`; None, and no file, if it is not there in plain."""
    query = Query()
    rows, asked = relation(listed, query), query.bind(phone)
    ((found,),) = connection.execute(f"SELECT count(*) FROM {rows} WHERE phone = {asked}", query.bound).fetchall()
    if not found:
        return None
    digest = query.bind(keyed_hash(phone, listed.key))
    hashed = f"nullif(phone, {asked}) AS phone, CASE WHEN phone = {asked} THEN {digest} ELSE hash END AS hash"
    return copy(connection, f"SELECT {hashed}, added_time FROM {rows}", query, target)
