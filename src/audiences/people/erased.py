"""Takes one number out of the stored files of an upload: what of it goes, the files without it, and the counts after.

A contact or reject of the number goes with its row; in other people's contacts the cells in which it stands are
emptied. Files are written anew with the options and the order that they had, in the engine's bounded memory.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec
from duckdb import DuckDBPyConnection
from msgspec import UNSET, Struct

from audiences import layout, parquet
from audiences.errors import Reason
from audiences.layout import Stored
from audiences.people import rows as people_rows
from audiences.people.rows import Sought, Source
from audiences.reports import FileRecord
from audiences.sql import Query, identifier


class Tally(Struct, frozen=True):
    """Rows that go, by what the report counts them under."""

    countries: dict[str, int]
    line_types: dict[str, int]
    reasons: dict[str, int]

    @property
    def contacts(self) -> int:
        """Contacts that go."""
        return sum(self.countries.values())

    @property
    def rejects(self) -> int:
        """Rejects that go."""
        return sum(self.reasons.values())


@dataclass(frozen=True)
class Found:
    """What of a number there is in an upload's files; `cells` by the stored name of their column."""

    tally: Tally
    cells: Mapping[str, int]

    def __bool__(self) -> bool:
        return bool(self.in_contacts or self.tally.rejects)

    @property
    def in_contacts(self) -> bool:
        """Whether the file of contacts has to be written anew."""
        return bool(self.tally.contacts or self.cells)


def find(connection: DuckDBPyConnection, source: Source, sought: Sought) -> Found:
    """What of the number there is, counted."""
    countries: dict[str, int] = {}
    line_types: dict[str, int] = {}
    reasons: dict[str, int] = {}
    cells: dict[str, int] = {}
    if source.contacts is not None:
        query = Query()
        of_number = people_rows.of_number(source.contacts, sought, query)
        countries = grouped(connection, source.contacts, layout.COUNTRY, of_number, query)
        line_types = grouped(connection, source.contacts, layout.LINE_TYPE, of_number, query)
        cells = people_rows.cells_by_column(connection, source.contacts, sought)
    if source.rejects is not None:
        query = Query()
        reasons = grouped(
            connection, source.rejects, layout.REASON, people_rows.in_rejects(source, sought, query), query
        )
    return Found(Tally(countries, line_types, reasons), cells)


def grouped(
    connection: DuckDBPyConnection, stored: Stored, column: str, condition: str, query: Query
) -> dict[str, int]:
    """How many rows meet the condition, by what stands in the column."""
    path = Query([*query.bound])
    statement = (
        f"SELECT {column}, count(*) FROM read_parquet({path.bind(str(stored.path))}) WHERE {condition} GROUP BY 1"
    )
    return dict(connection.execute(statement, path.bound).fetchall())


def write_contacts(
    connection: DuckDBPyConnection, stored: Stored, sought: Sought, found: Found, rows: int, target: Path
) -> None:
    """Writes the `rows` contacts of others, the number's cells in them emptied."""
    query = Query()
    columns = "*"
    if found.cells:
        pattern, names = query.bind(sought.pattern), [identifier(name) for name in found.cells]
        cells = [f"CASE WHEN NOT regexp_matches({name}, {pattern}) THEN {name} END AS {name}" for name in names]
        columns = f"* REPLACE ({', '.join(cells)})"
    source = f"read_parquet({query.bind(str(stored.path))})"
    select = f"SELECT {columns} FROM {source} WHERE NOT {people_rows.of_number(stored, sought, query)}"
    copy(connection, select, query, options(connection, stored, rows), target)


def write_rejects(connection: DuckDBPyConnection, source: Source, sought: Sought, rows: int, target: Path) -> None:
    """Writes the `rows` rejects that are not the number's."""
    assert source.rejects is not None  # noqa: S101 - who asks has rejects
    query = Query()
    path = query.bind(str(source.rejects.path))
    select = f"SELECT * FROM read_parquet({path}) WHERE NOT {people_rows.in_rejects(source, sought, query)}"
    copy(connection, select, query, options(connection, source.rejects, rows), target)


def options(connection: DuckDBPyConnection, stored: Stored, rows: int) -> str:
    """How so many rows of a stored file are written anew: in groups no larger than its own, for which there is room."""
    query = "SELECT max(row_group_num_rows) FROM parquet_metadata(?)"
    ((most,),) = connection.execute(query, [str(stored.path)]).fetchall()
    return parquet.options(len(stored.layout.stored), rows, most)


def copy(connection: DuckDBPyConnection, select: str, query: Query, options: str, target: Path) -> None:
    """Writes what the statement selects, in the order in which it stands."""
    connection.execute(f"COPY ({select}) TO {query.bind(str(target))} ({options})", query.bound)


def lessened(record: FileRecord, tally: Tally) -> FileRecord:
    """The record of a file after these rows went; they are counted as `erased` (invariant 1)."""
    file = record.file
    reasons = dict(tally.reasons)
    duplicates, suppressed = (reasons.pop(reason, 0) for reason in (Reason.DUPLICATE, Reason.SUPPRESSED))
    by_reason = less(file.rejected_by_reason, reasons)
    after = msgspec.structs.replace(
        file,
        accepted=file.accepted - tally.contacts,
        duplicates=file.duplicates - duplicates,
        suppressed=file.suppressed - suppressed,
        rejected=sum(by_reason.values()),
        rejected_by_reason=by_reason,
        erased=(file.erased or 0) + tally.contacts + tally.rejects or UNSET,
    )
    if after.rows != after.accepted + after.duplicates + after.suppressed + after.rejected + (after.erased or 0):
        raise AssertionError("rows were lost or made up in an erasure")  # invariant 1
    return FileRecord(
        after, record.columns, less(record.countries, tally.countries), less(record.line_types, tally.line_types)
    )


def less(counts: Mapping[str, int], gone: Mapping[str, int]) -> dict[str, int]:
    """The counts without those that go; names of which nothing is left go, too."""
    left = {name: count - gone.get(name, 0) for name, count in counts.items()}
    return {name: count for name, count in left.items() if count > 0}
