"""Read: a page of contacts or rejects, as the JSON of a list.

What has to be looked for is found by the engine, in a statement that makes the JSON, too. Where nothing but its place
chooses a page, `nearby` reads it, in a fifth of the time.
"""

from __future__ import annotations

import re
import string
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

from duckdb import DuckDBPyConnection

from audiences import layout, row_groups
from audiences.errors import Reason
from audiences.known import Known
from audiences.layout import Layout, Stored
from audiences.row_groups import Groups
from audiences.sql import Query, identifier
from audiences.suppressed import Suppressed

DEFAULT_LIMIT, MAX_LIMIT = 100, 1000

# A page is looked for among so many times the rows that are wanted, and some more: rejects do not lie evenly, and
# contacts may have gone since they are on the do-not-contact list.
SHARE, MORE = 2, 16

# Groups of rows that a search looks through first, one for each of two threads, and how many times as many the next
# time: a page of what is common is found at once, and a million contacts are looked through in two goes.
GROUPS_AT_FIRST = 2
GROWTH = 4

LAST_ROW = 2**62

# What has a meaning in the pattern of an ILIKE, and how it stands for itself.
SPECIAL, ESCAPED = re.compile(r"[\\%_]"), r"\\\g<0>"


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


# Items of one file joined by commas, how many, the last one's row, and whether there are more.
Found = tuple[str, int, int, bool]


@dataclass(frozen=True)
class Page:
    """`items` is a JSON array; `after` the (file, row) of its last item if there is more behind it."""

    items: bytes
    after: tuple[int, int] | None


def contacts(
    connection: DuckDBPyConnection,
    files: Sequence[Stored],
    filters: Filters,
    limit: int,
    after: tuple[int, int],
    known: Known | None = None,
) -> Page:
    """The next `limit` contacts behind `after`, in file order. With what is `known` of the files it takes less time."""
    return page(Reading(connection, filters, known, is_contacts=True), files, limit, after)


def rejects(
    connection: DuckDBPyConnection,
    files: Sequence[Stored],
    filters: Filters,
    limit: int,
    after: tuple[int, int],
    known: Known | None = None,
) -> Page:
    """The next `limit` rejects behind `after`, in file order; `known` as for contacts."""
    return page(Reading(connection, filters, known, is_contacts=False), files, limit, after)


@dataclass(frozen=True)
class Reading:
    """What the rows of one page are read with."""

    connection: DuckDBPyConnection
    filters: Filters
    known: Known | None
    is_contacts: bool

    def groups(self, stored: Stored) -> Groups:
        """The file's row groups; none where it does not tell, or nothing is kept of files."""
        if self.known is None:
            return ()
        path = str(stored.path)
        return self.known.groups.of(path, partial(row_groups.read, self.connection, path))


def page(reading: Reading, files: Sequence[Stored], limit: int, after: tuple[int, int]) -> Page:
    """Goes from file to file until the page is full."""
    parts: list[str] = []
    room, last = limit, after
    for stored in files:
        if stored.file < after[0]:
            continue
        begin = after[1] if stored.file == after[0] else 0
        items, count, row, more = read(reading, stored, room, begin)
        if items:
            parts.append(items)
            room, last = room - count, (stored.file, row)
        if more or (room == 0 and stored is not files[-1]):
            return Page(as_array(parts), last)
    return Page(as_array(parts), None)


def read(reading: Reading, stored: Stored, room: int, begin: int) -> Found:
    """The next items of one file, `room` at most. Where only their place chooses them, they are looked for nearby."""
    filters = reading.filters
    if filters.search is not None:
        return search(reading, stored, room, begin)
    if reading.known is not None and replace(filters, suppressed=None, of_rejects=False) == Filters():
        found = read_nearby(reading, reading.known, stored, room, begin)
        if found is not None:
            return found
    return read_range(reading, stored, room, (begin, LAST_ROW))


def read_nearby(reading: Reading, known: Known, stored: Stored, room: int, begin: int) -> Found | None:
    """The same of the rows that are likely to hold so many, or None where they do not or nobody knows which."""
    groups = reading.groups(stored)
    if not groups:
        return None
    end, size = row_groups.reach(groups, begin, SHARE * (room + 1) + MORE)
    if known.room.take(size):
        try:
            found = by_polars(reading, known, stored, room, (begin, end))
        finally:
            known.room.give_back(size)
    else:
        found = read_range(reading, stored, room, (begin, end))
    is_last = end >= max(group.highest for group in groups)
    return found if found[3] or is_last else None


def by_polars(reading: Reading, known: Known, stored: Stored, room: int, between: tuple[int, int]) -> Found:
    """The same of the rows behind the first and up to the second of `between`."""
    from audiences import nearby

    plan, listed = stored.layout, reading.filters.suppressed
    columns = nearby.contact_columns(plan) if reading.is_contacts else nearby.reject_columns(plan)
    rows = nearby.rows(stored, between, columns)
    if listed is not None:
        rows = nearby.without(rows, listed, reading.connection, known)
    shown = rows[:room]
    items = nearby.contact_json(stored, shown) if reading.is_contacts else nearby.reject_json(stored, shown)
    return items[1:-1].decode(), len(shown), shown[-1][0] if shown else 0, len(rows) > room


def search(reading: Reading, stored: Stored, room: int, begin: int) -> Found:
    """The same of rows with a text, one span after the other until the page is full and there is one more."""
    parts: list[str] = []
    found, last, more = 0, 0, False
    for rows in spans(reading, stored, begin):
        items, count, row, more = read_range(reading, stored, room - found, rows)
        if items:
            parts.append(items)
            found, last = found + count, row
        if more:
            break
    return ",".join(parts), found, last, more


def spans(reading: Reading, stored: Stored, begin: int) -> Iterator[tuple[int, int]]:
    """Spans of the uploaded file's rows, one behind the other from `begin` to the end, each longer than the last.

    They meet where a group of rows begins, since a group that is in two of them is read twice.
    """
    ahead = [group.lowest for group in reading.groups(stored) if group.lowest > begin]
    end, count = GROUPS_AT_FIRST, GROUPS_AT_FIRST
    while end < len(ahead):
        yield begin, ahead[end] - 1
        begin, count = ahead[end] - 1, count * GROWTH
        end += count
    yield begin, LAST_ROW


def read_range(reading: Reading, stored: Stored, room: int, rows: tuple[int, int]) -> Found:
    """The same of the rows behind the first and up to the second of `rows`, by the engine.

    JSON is made of the page's rows only, not of all that pass the filters.
    """
    filters, query = reading.filters, Query()
    item = contact_json(stored, query) if reading.is_contacts else reject_json(stored, query)
    first = "MATERIALIZED" if rows[1] < LAST_ROW and filters.search is None else "NOT MATERIALIZED"
    found = reading.connection.execute(
        f"""
        WITH near AS {first} (
          SELECT * FROM read_parquet({query.bind(str(stored.path))})
          WHERE {layout.ROW} > {query.bind(rows[0])} AND {layout.ROW} <= {query.bind(rows[1])}),
        chosen AS (
          FROM near WHERE true {conditions(stored.layout, filters, query)}
          ORDER BY {layout.ROW} LIMIT {query.bind(room + 1)})
        SELECT coalesce(list({layout.ROW} ORDER BY {layout.ROW}), []),
               coalesce(list(({item})::VARCHAR ORDER BY {layout.ROW}), [])
        FROM chosen
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
        wanted.append(f"AND ({has_text(plan, filters.search, query, of_rejects=filters.of_rejects)})")
    return " ".join(wanted)


def has_text(plan: Layout, text: str, query: Query, *, of_rejects: bool) -> str:
    """The condition that a cell has `text` in it, whatever the case; a malformed row's cells are its `raw`.

    A search for what no row has takes as long as its cells take to look through, so what can be told beforehand is not
    asked of each: a contact's number is digits, and other characters of ASCII than letters have no case.
    """
    names = list(plan.stored)
    if of_rejects:
        names.append(layout.RAW)
    elif not set(text) <= set(string.digits):
        names = [stored for _, stored in plan.others]
    if not names:
        return "false"
    if text.isascii() and not set(text) & set(string.ascii_letters):
        test, needle = "contains({}::VARCHAR, {})", query.bind(text)
    else:
        test, needle = r"{}::VARCHAR ILIKE {} ESCAPE '\'", query.bind(f"%{SPECIAL.sub(ESCAPED, text)}%")
    return " OR ".join(test.format(identifier(name), needle) for name in names)


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
