"""Export as one Parquet file."""

from __future__ import annotations

from pathlib import Path

from audiences import layout, pages
from audiences.exports.export import NUMBERS, Export, data
from audiences.layout import Stored
from audiences.sql import Query, identifier

# DuckDB's own default, and fewer of wide tables, since a group is held in memory while it is written.
GROUP_ROWS, GROUP_CELLS, VECTOR = 122_880, 20 * 122_880, 2048


def statement(export: Export, target: Path) -> Query:
    """The statement that writes `target`: cells as texts, rows as numbers, time zones as a list, in file order."""
    query = Query()
    files = " UNION ALL ".join(
        one_file(export, stored, place, query) for place, stored in enumerate(export.files)
    ) or nothing(export)
    named = ", ".join(f"c{number} AS {identifier(name)}" for number, name in enumerate(stored_names(export)))
    # The order is that of the table's own columns: a column of the export may have any name.
    query.text = f"""
        COPY (SELECT {named} FROM ({files}) AS found ORDER BY found.file_place, found.row_number)
        TO {query.bind(str(target))} (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {group_rows(export)})
        """
    return query


def one_file(export: Export, stored: Stored, place: int, query: Query) -> str:
    """The rows of one file, with what puts them in order."""
    cells = [*export.cells(stored), *(data(stored, column) for _, column in export.extras)]
    chosen = ", ".join(f"{cell} AS c{number}" for number, cell in enumerate(cells))
    source = query.bind(str(stored.path))
    return f"""
        SELECT {chosen}, {place} AS file_place, {layout.ROW} AS row_number
        FROM read_parquet({source}) WHERE true {pages.conditions(stored.layout, export.filters, query)}
        """


def nothing(export: Export) -> str:
    """No rows, of an audience that has no file of this kind."""
    cells = ["''" for _ in export.columns]
    cells += [("[]::VARCHAR[]" if column == layout.TIME_ZONES else "0" if column in NUMBERS else "''")
              for _, column in export.extras]  # fmt: skip
    chosen = ", ".join(f"{cell} AS c{number}" for number, cell in enumerate(cells)) or "'' AS c0"
    return f"SELECT {chosen}, 0 AS file_place, 0 AS row_number WHERE false"


def stored_names(export: Export) -> list[str]:
    """The names in Parquet, whose readers compare them without case: one that is taken gets a number."""
    taken: set[str] = set()
    names = []
    for number, name in enumerate(export.names, 1):
        names.append(layout.unused(layout.storable(name, number), taken))
        taken.add(names[-1].lower())
    return names


def group_rows(export: Export) -> int:
    """Rows that are compressed together: whole vectors of the engine."""
    return min(GROUP_ROWS, max(VECTOR, GROUP_CELLS // max(1, len(export.names)) // VECTOR * VECTOR))
