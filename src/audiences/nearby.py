"""Read the rows that come next in a stored file, where nothing but their number chooses them: most pages are such.

Polars decodes of each column little more than these rows, where the engine decodes row groups whole: a page of 10
million contacts takes 2 ms, not 10. Only `pages` imports this, when it first reads such a page, since to import Polars
takes a tenth of a second.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec
import polars as pl
from duckdb import DuckDBPyConnection
from polars import DataFrame

from audiences import layout
from audiences.errors import Reason
from audiences.known import Known
from audiences.layout import Stored
from audiences.suppressed import Suppressed


def rows(stored: Stored, between: tuple[int, int]) -> DataFrame:
    """The stored rows behind the first and up to the second of `between`, in order. Raises FileNotFoundError."""
    number = pl.col(layout.ROW)
    wanted = pl.scan_parquet(stored.path, glob=False, hive_partitioning=False).filter(
        number > between[0], number <= between[1]
    )
    return wanted.collect().sort(layout.ROW)


def without(
    found: DataFrame, stored: Stored, listed: Suppressed, connection: DuckDBPyConnection, known: Known
) -> DataFrame:
    """The rows but for those whose number is `listed`. Raises FileNotFoundError, or NotReady."""
    phones = found[stored.layout.phone_column]
    gone = set(listed.among(connection, phones.to_list(), known.numbers))
    return found.filter(pl.Series([phone not in gone for phone in phones], dtype=pl.Boolean)) if gone else found


def contacts(stored: Stored, found: DataFrame) -> bytes:
    """The rows as a JSON array of contacts (contract: routes)."""
    ours = [layout.ROW, stored.layout.phone_column, layout.COUNTRY, layout.LINE_TYPE, layout.TIME_ZONES]
    return msgspec.json.encode(
        [
            {
                "file": stored.file,
                "row": row,
                "phone1": str(phone),
                "country": country,
                "line_type": line_type,
                "time_zones": None if zones is None else zones.split(layout.ZONE_SEPARATOR),
                "columns": columns,
            }
            for (row, phone, country, line_type, zones), columns in zip(
                found.select(ours).iter_rows(), cells(found, stored.layout.others), strict=True
            )
        ]
    )


def rejects(stored: Stored, found: DataFrame) -> bytes:
    """The rows as a JSON array of rejects: `raw` for a malformed row, `first_row` for a duplicate."""
    plan = stored.layout
    has_file = plan.revision >= layout.REVISION
    ours = [layout.ROW, layout.REASON, layout.FIRST_FILE if has_file else layout.ROW, layout.FIRST_ROW, layout.RAW]
    pairs = list(zip(plan.names, plan.stored, strict=True))
    items = []
    for (row, reason, first_file, first_row, raw), columns in zip(
        found.select(ours).iter_rows(), cells(found, pairs), strict=True
    ):
        is_malformed = reason == Reason.MALFORMED_ROW
        item = {"file": stored.file, "row": row, "reason": reason, "columns": {} if is_malformed else columns}
        if first_file is not None and first_row is not None:
            item |= {"first_file": first_file if has_file else stored.file, "first_row": first_row}
        items.append(item if raw is None else item | {"raw": raw})
    return msgspec.json.encode(items)


def cells(found: DataFrame, pairs: Sequence[tuple[str, str]]) -> Iterator[dict[str, str]]:
    """The cells of each row by their columns' own names; an empty cell is an empty text."""
    names = [name for name, _ in pairs]
    for row in found.select([stored for _, stored in pairs]).iter_rows() if pairs else [()] * found.height:
        yield {name: cell or "" for name, cell in zip(names, row, strict=True)}
