"""Where one number stands in what is stored of an upload: its contacts, its rejects, cells of other people's rows.

A contact is of the number in its phone column; in its other cells another person's number may stand. A reject is taken
for the number's own if its valid number is this one, or if this one stands anywhere in its cells or its raw line. A
short number is looked for in columns of phones alone, where it is all that the cell says.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import msgspec
from duckdb import DuckDBPyConnection

from audiences import layout, pages
from audiences.errors import Reason
from audiences.layout import Layout, Stored
from audiences.models import Contact, Reject
from audiences.people import spellings
from audiences.sql import Query, identifier, identifiers

# Joins the cells of a row for one look at all of them: no number goes on behind it.
WALL = "'|'"

# Columns as (name, stored name), and how many are looked at in one statement.
Columns = Sequence[tuple[str, str]]
COLUMNS_AT_ONCE = 100


@dataclass(frozen=True)
class Sought:
    """A number that is looked for: its E.164 digits, and the `spellings.pattern` that finds it in a text."""

    phone: int
    pattern: str

    def in_column(self, name: str) -> bool:
        """Whether it is looked for in the texts of a column beside the phone column."""
        return not spellings.is_short(self.phone) or name.strip().casefold() in layout.PHONE_COLUMNS


@dataclass(frozen=True)
class Source:
    """What is stored of one uploaded file; None where there is nothing."""

    contacts: Stored | None
    rejects: Stored | None


def of_number(stored: Stored, sought: Sought, query: Query) -> str:
    """The condition that a contact is the number's."""
    return f"{identifier(stored.layout.phone_column)} = {query.bind(sought.phone)}"


def in_rejects(source: Source, sought: Sought, query: Query) -> str:
    """The condition that a reject is the number's."""
    assert source.rejects is not None  # noqa: S101 - who asks has rejects
    plan = source.rejects.layout
    texts = identifiers([plan.phone_column, *(stored for name, stored in plan.others if sought.in_column(name))])
    if not spellings.is_short(sought.phone):
        texts = f"{layout.RAW}, {texts}"
    found = [f"regexp_matches(concat_ws({WALL}, {texts}), {query.bind(sought.pattern)})"]
    if plan.revision >= layout.REVISION:
        found.append(f"coalesce({layout.PHONE} = {query.bind(sought.phone)}, false)")
    elif source.contacts is not None:
        # Such a file does not say the number of a duplicate, but the row of the contact that was there first.
        path = query.bind(str(source.contacts.path))
        rows = f"SELECT {layout.ROW} FROM read_parquet({path}) WHERE {of_number(source.contacts, sought, query)}"
        found.append(f"({layout.REASON} = '{Reason.DUPLICATE}' AND {layout.FIRST_ROW} IN ({rows}))")
    return f"({' OR '.join(found)})"


def contacts(connection: DuckDBPyConnection, stored: Stored, sought: Sought, limit: int) -> list[Contact]:
    """The number's contacts in a file, at most `limit`, in file order."""
    query = Query()
    found = connection.execute(
        f"""
        SELECT {pages.contact_json(stored, query)} FROM read_parquet({query.bind(str(stored.path))})
        WHERE {of_number(stored, sought, query)} ORDER BY {layout.ROW} LIMIT {int(limit)}
        """,
        query.bound,
    ).fetchall()
    return [msgspec.json.decode(item, type=Contact) for (item,) in found]


def rejects(connection: DuckDBPyConnection, source: Source, sought: Sought, limit: int) -> list[Reject]:
    """The number's rejects in a file, at most `limit`, in file order."""
    query = Query()
    assert source.rejects is not None  # noqa: S101 - who asks has rejects
    found = connection.execute(
        f"""
        SELECT {pages.reject_json(source.rejects, query)} FROM read_parquet({query.bind(str(source.rejects.path))})
        WHERE {in_rejects(source, sought, query)} ORDER BY {layout.ROW} LIMIT {int(limit)}
        """,
        query.bound,
    ).fetchall()
    return [msgspec.json.decode(item, type=Reject) for (item,) in found]


def cells(connection: DuckDBPyConnection, stored: Stored, sought: Sought, limit: int) -> list[tuple[int, str, str]]:
    """Row, column and text of the cells of other people's contacts in which the number stands, at most `limit`."""
    found: list[tuple[int, str, str]] = []
    for columns in batches(stored.layout, sought):
        query = Query()
        statement = f"{in_other_cells(stored, columns, sought, query)} ORDER BY row, place LIMIT {limit - len(found)}"
        rows = connection.execute(statement, query.bound).fetchall()
        found += [(row, columns[place - 1][0], cell) for row, place, cell in rows]
    return found


def cells_by_column(connection: DuckDBPyConnection, stored: Stored, sought: Sought) -> dict[str, int]:
    """How many such cells there are, by the column's stored name; columns without any are left out."""
    found: dict[str, int] = {}
    for columns in batches(stored.layout, sought):
        query = Query()
        inner = in_other_cells(stored, columns, sought, query)
        rows = connection.execute(f"SELECT place, count(*) FROM ({inner}) GROUP BY place", query.bound).fetchall()
        found |= {columns[place - 1][1]: count for place, count in rows}
    return found


def in_other_cells(stored: Stored, columns: Columns, sought: Sought, query: Query) -> str:
    """The statement that finds them in some columns: `row`, `place` (of the column, from 1) and `cell`."""
    path, phone, pattern = query.bind(str(stored.path)), query.bind(sought.phone), query.bind(sought.pattern)
    names = identifiers(name for _, name in columns)
    return f"""
        SELECT row, place, cell FROM (
          SELECT {layout.ROW} AS row, unnest([{names}]) AS cell, unnest(range(1, {len(columns) + 1})) AS place
          FROM read_parquet({path})
          WHERE {identifier(stored.layout.phone_column)} <> {phone}
            AND regexp_matches(concat_ws({WALL}, {names}), {pattern}))
        WHERE regexp_matches(cell, {pattern})"""


def batches(plan: Layout, sought: Sought) -> Iterator[Columns]:
    """The columns to look in beside the phone column, some at a time.

    All 2,000 at once would take half of the engine's memory.
    """
    others = [pair for pair in plan.others if sought.in_column(pair[0])]
    for begin in range(0, len(others), COLUMNS_AT_ONCE):
        yield others[begin : begin + COLUMNS_AT_ONCE]
