"""Read the rows that come next in a stored file, where nothing but their number chooses them: most pages are such.

Polars decodes of each column little more than these rows, where the engine decodes row groups whole: a page of 10
million contacts takes 2 ms, not 10. Only `pages` imports this, when it first reads such a page, since to import Polars
takes a tenth of a second.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import itemgetter
from typing import Any

import msgspec
import polars as pl
from duckdb import DuckDBPyConnection

from audiences import layout
from audiences.errors import Reason
from audiences.known import Known
from audiences.layout import Layout, Stored
from audiences.suppressed import Suppressed

# A stored row's values: its number first, a contact's phone second; then the others of ours, then the file's columns.
Row = tuple[Any, ...]


def contact_columns(plan: Layout) -> list[str]:
    """The columns of a contact, as `contact_json` takes them."""
    ours = [layout.ROW, plan.phone_column, layout.COUNTRY, layout.LINE_TYPE, layout.TIME_ZONES]
    return [*ours, *(stored for _, stored in plan.others)]


def reject_columns(plan: Layout) -> list[str]:
    """The columns of a reject, as `reject_json` takes them."""
    first_file = [layout.FIRST_FILE] if plan.revision >= layout.REVISION else []
    return [layout.ROW, layout.REASON, layout.RAW, layout.FIRST_ROW, *first_file, *plan.stored]


def rows(stored: Stored, between: tuple[int, int], columns: Sequence[str]) -> list[Row]:
    """The stored rows behind the first and up to the second of `between`, in order. Raises FileNotFoundError."""
    number = pl.col(layout.ROW)
    source = pl.scan_parquet(stored.path, glob=False, hive_partitioning=False)
    found = source.filter(number > between[0], number <= between[1]).select(columns).collect().rows()
    found.sort(key=itemgetter(0))  # groups of rows lie in another order in files of earlier releases
    return found


def without(found: Sequence[Row], listed: Suppressed, connection: DuckDBPyConnection, known: Known) -> list[Row]:
    """The contacts but for those whose number is `listed`. Raises FileNotFoundError, or NotReady."""
    gone = set(listed.among(connection, [row[1] for row in found], known.numbers))
    return [row for row in found if row[1] not in gone]


def contact_json(stored: Stored, found: Sequence[Row]) -> bytes:
    """The rows as a JSON array of contacts (contract: routes)."""
    names = [name for name, _ in stored.layout.others]
    return msgspec.json.encode([contact(stored.file, names, row) for row in found])


def contact(file: int, names: Sequence[str], row: Row) -> Mapping[str, object]:
    """One contact."""
    number, phone, country, line_type, zones, *cells = row
    return {
        "file": file,
        "row": number,
        "phone1": str(phone),
        "country": country,
        "line_type": line_type,
        "time_zones": None if zones is None else zones.split(layout.ZONE_SEPARATOR),
        "columns": by_name(names, cells),
    }


def reject_json(stored: Stored, found: Sequence[Row]) -> bytes:
    """The rows as a JSON array of rejects."""
    return msgspec.json.encode([reject(stored, row) for row in found])


def reject(stored: Stored, row: Row) -> Mapping[str, object]:
    """One reject: `raw` for a malformed row, `first_row` for a duplicate."""
    plan = stored.layout
    number, reason, raw, first_row, *cells = row
    first_file = cells.pop(0) if plan.revision >= layout.REVISION else stored.file
    columns = {} if reason == Reason.MALFORMED_ROW else by_name(plan.names, cells)
    item = {"file": stored.file, "row": number, "reason": reason, "columns": columns}
    if first_file is not None and first_row is not None:
        item |= {"first_file": first_file, "first_row": first_row}
    return item if raw is None else item | {"raw": raw}


def by_name(names: Sequence[str], cells: Sequence[str | None]) -> dict[str, str]:
    """A row's cells by their columns' own names; an empty cell is an empty text."""
    return {name: cell or "" for name, cell in zip(names, cells, strict=True)}
