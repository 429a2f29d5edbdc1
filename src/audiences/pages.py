"""Read: a page of contacts or rejects, as the JSON of a list, made by the engine without a loop over rows here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from duckdb import DuckDBPyConnection

from audiences import layout
from audiences.errors import Reason
from audiences.layout import Layout, Stored
from audiences.sql import Query, identifier
from audiences.suppressed import Suppressed

DEFAULT_LIMIT, MAX_LIMIT = 100, 1000

# Stored rows among which a page's are found at once: those of a single group.
FEW_STORED = 122_880

LAST_ROW = 2**62


@dataclass(frozen=True)
class Filters:
    """What a row must have to be on the page; None lets every row through.

    `zones` are values of the column of time zones, `suppressed` the list whose numbers are left out.
    """

    country: str | None = None
    line_type: str | None = None
    phone: int | None = None
    search: str | None = None
    reason: str | None = None
    zones: Sequence[str] | None = None
    suppressed: Suppressed | None = None
    of_rejects: bool = False


@dataclass(frozen=True)
class Page:
    """`items` is a JSON array; `after` the (file, row) of its last item if there is more behind it."""

    items: bytes
    after: tuple[int, int] | None


def contacts(
    connection: DuckDBPyConnection, files: Sequence[Stored], filters: Filters, limit: int, after: tuple[int, int]
) -> Page:
    """The next `limit` contacts behind `after`, in file order."""
    return page(connection, files, filters, limit, after, is_contacts=True)


def rejects(
    connection: DuckDBPyConnection, files: Sequence[Stored], filters: Filters, limit: int, after: tuple[int, int]
) -> Page:
    """The next `limit` rejects behind `after`, in file order."""
    return page(connection, files, filters, limit, after, is_contacts=False)


def page(
    connection: DuckDBPyConnection,
    files: Sequence[Stored],
    filters: Filters,
    limit: int,
    after: tuple[int, int],
    *,
    is_contacts: bool,
) -> Page:
    """Goes from file to file until the page is full."""
    parts: list[str] = []
    room, last = limit, after
    for stored in files:
        if stored.file < after[0]:
            continue
        begin = after[1] if stored.file == after[0] else 0
        items, count, row, more = read(connection, stored, filters, room, begin, is_contacts=is_contacts)
        if items:
            parts.append(items)
            room, last = room - count, (stored.file, row)
        if more or (room == 0 and stored is not files[-1]):
            return Page(as_array(parts), last)
    return Page(as_array(parts), None)


def read(
    connection: DuckDBPyConnection, stored: Stored, filters: Filters, room: int, begin: int, *, is_contacts: bool
) -> tuple[str, int, int, bool]:
    """Items of one file joined by commas, how many, the last one's row, and whether there are more.

    Of a large file only the rows nearby are looked at first: they are in one or two of its groups of rows.
    """
    nearby = rows_nearby(stored, filters, room)
    if nearby is not None:
        found = read_range(connection, stored, filters, room, (begin, begin + nearby), is_contacts=is_contacts)
        if found[3]:
            return found
    return read_range(connection, stored, filters, room, (begin, LAST_ROW), is_contacts=is_contacts)


def rows_nearby(stored: Stored, filters: Filters, room: int) -> int | None:
    """How many of the uploaded file's rows most likely hold `room` stored ones, or None where one cannot tell."""
    if stored.count <= FEW_STORED or replace(filters, suppressed=None) != Filters(of_rejects=filters.of_rejects):
        return None
    return 64 + int(2 * (room + 1) * max(1.0, stored.rows / stored.count))


def read_range(
    connection: DuckDBPyConnection,
    stored: Stored,
    filters: Filters,
    room: int,
    rows: tuple[int, int],
    *,
    is_contacts: bool,
) -> tuple[str, int, int, bool]:
    """The same of the rows behind the first and up to the second of `rows`.

    Few rows are read whole before they are held against the do-not-contact list: that is faster than to hand what the
    list holds to the reading of the file (100 of 10 million contacts: 14 ms, not 18).
    """
    query = Query()
    item = contact_json(stored, query) if is_contacts else reject_json(stored, query)
    first = "MATERIALIZED" if rows[1] < LAST_ROW else "NOT MATERIALIZED"
    found = connection.execute(
        f"""
        WITH near AS {first} (
          SELECT * FROM read_parquet({query.bind(str(stored.path))})
          WHERE {layout.ROW} > {query.bind(rows[0])} AND {layout.ROW} <= {query.bind(rows[1])}),
        chosen AS (
          SELECT {layout.ROW} AS row, ({item})::VARCHAR AS item FROM near
          WHERE true {conditions(stored.layout, filters, query)}
          ORDER BY {layout.ROW} LIMIT {query.bind(room + 1)})
        SELECT coalesce(list(row ORDER BY row), []), coalesce(list(item ORDER BY row), []) FROM chosen
        """,
        query.bound,
    ).fetchone()
    assert found is not None  # noqa: S101 - an aggregate always has a row
    numbers, items = found
    shown = numbers[:room]
    return ",".join(items[:room]), len(shown), shown[-1] if shown else 0, len(numbers) > room


def count(connection: DuckDBPyConnection, files: Sequence[Stored], filters: Filters) -> int:
    """How many stored rows pass the filters."""
    total = 0
    for stored in files:
        query = Query()
        source, chosen = query.bind(str(stored.path)), conditions(stored.layout, filters, query)
        found = connection.execute(f"SELECT count(*) FROM read_parquet({source}) WHERE true {chosen}", query.bound)
        total += sum(row[0] for row in found.fetchall())
    return total


def conditions(plan: Layout, filters: Filters, query: Query) -> str:
    """What follows the WHERE's first condition."""
    phone = identifier(plan.phone_column)
    wanted = []
    exact: dict[str, object] = {
        layout.COUNTRY: filters.country,
        layout.LINE_TYPE: filters.line_type,
        layout.REASON: filters.reason,
        phone: filters.phone,
    }
    for column, value in exact.items():
        if value is not None:
            wanted.append(f"AND {column} = {query.bind(value)}")
    if filters.zones is not None:
        wanted.append(
            f"AND {layout.TIME_ZONES}::VARCHAR IN (SELECT unnest({query.bind(list(filters.zones))}::VARCHAR[]))"
        )
    if filters.suppressed is not None:
        wanted.append(f"AND NOT {filters.suppressed.names(phone, query.bind)}")
    if filters.search is not None:
        needle = query.bind(filters.search)
        columns = [identifier(name) for name in plan.stored] + ([layout.RAW] if filters.of_rejects else [])
        wanted.append(f"AND ({' OR '.join(f'contains(lower({name}::VARCHAR), lower({needle}))' for name in columns)})")
    return " ".join(wanted)


def contact_json(stored: Stored, query: Query) -> str:
    """The expression of one contact (contract: routes)."""
    phone = identifier(stored.layout.phone_column)
    return f"""json_object('file', {int(stored.file)}, 'row', {layout.ROW}, 'phone1', {phone}::VARCHAR,
      'country', {layout.COUNTRY}, 'line_type', {layout.LINE_TYPE},
      'time_zones', string_split({layout.TIME_ZONES}, '{layout.ZONE_SEPARATOR}'),
      'columns', {columns_json(stored.layout.others, query)})"""


def reject_json(stored: Stored, query: Query) -> str:
    """The expression of one reject: `raw` for a malformed row, `first_row` for a duplicate."""
    pairs = list(zip(stored.layout.names, stored.layout.stored, strict=True))
    first_file = layout.FIRST_FILE if stored.layout.revision >= layout.REVISION else str(int(stored.file))
    return f"""'{{"file":{int(stored.file)},"row":' || {layout.ROW} || ',"reason":"' || {layout.REASON} || '",'
      || '"columns":'
      || CASE WHEN {layout.REASON} = '{Reason.MALFORMED_ROW}' THEN '{{}}' ELSE {columns_json(pairs, query)} END
      || coalesce(',"first_file":' || {first_file} || ',"first_row":' || {layout.FIRST_ROW}, '')
      || coalesce(',"raw":' || to_json({layout.RAW}), '') || '}}'"""


def columns_json(pairs: Sequence[tuple[str, str]], query: Query) -> str:
    """The expression of an object of cells by their own names; an empty cell is an empty text."""
    members = [f"{query.bind(name)}, coalesce({identifier(stored)}, '')" for name, stored in pairs]
    return f"json_object({', '.join(members)})" if members else "'{}'::JSON"


def as_array(parts: Sequence[str]) -> bytes:
    """A JSON array of items that are JSON already."""
    return b"[" + ",".join(parts).encode() + b"]"
