"""Export as one Parquet file."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from audiences import layout, parquet
from audiences.exports.export import NUMBERS, Export
from audiences.exports.pieces import Piece
from audiences.exports.ranges import Part, Span, batches, files_in_piece
from audiences.exports.statements import in_order, rows
from audiences.sql import Query, identifier


def piece(export: Export, target: Path) -> Piece:
    """The piece that writes `target`: cells as texts, rows as numbers, time zones as a list, in file order.

    More files than one statement may name are sorted some at a time, and the results put one behind the other, which
    takes no more memory the more there are.
    """
    names = [f"c{number} AS {identifier(name)}" for number, name in enumerate(stored_names(export))]
    size = files_in_piece(len(names))
    some = [tuple(Part(stored) for stored in files) for files in batches(export.files, quick_start=False, size=size)]
    if len(some) <= 1:
        query = Query()
        source = sorted_rows(export, some[0], query) if some else nothing(export)
        return Piece([copied(export, names, f"({source})", query, target, "zstd")], target)
    scratch = [target.with_suffix(f".{number}") for number in range(len(some))]
    parts = []
    for span, path in zip(some, scratch, strict=True):
        query = Query()
        parts.append(copied(export, ["*"], f"({sorted_rows(export, span, query)})", query, path, "lz4"))
    query = Query()
    source = f"read_parquet({query.bind([str(path) for path in scratch])})"
    return Piece([*parts, copied(export, names, source, query, target, "zstd")], target, scratch=scratch)


def sorted_rows(export: Export, span: Span, query: Query) -> str:
    """The rows of some files, in order."""
    places = range(len(export.names))
    return in_order(span, rows(export, span, export.as_data, places, query), places)


def copied(export: Export, chosen: Iterable[str], source: str, query: Query, target: Path, compression: str) -> Query:
    """The statement that writes what is chosen of the source, in the source's order."""
    query.text = f"""
        COPY (SELECT {", ".join(chosen)} FROM {source}) TO {query.bind(str(target))}
        (FORMAT parquet, COMPRESSION {compression}, ROW_GROUP_SIZE {parquet.rows_in_group(len(export.names))})
        """
    return query


def nothing(export: Export) -> str:
    """No rows, of an audience that has no file of this kind."""
    cells = ["''" for _ in export.columns]
    cells += [("[]::VARCHAR[]" if column == layout.TIME_ZONES else "0::BIGINT" if column in NUMBERS else "''")
              for _, column in export.extras]  # fmt: skip
    return f"SELECT {', '.join(f'{cell} AS c{number}' for number, cell in enumerate(cells))} WHERE false"


def stored_names(export: Export) -> list[str]:
    """The names in Parquet, whose readers compare them without case: one that is taken gets a number."""
    taken: set[str] = set()
    names = []
    for number, name in enumerate(export.names, 1):
        names.append(layout.unused(layout.storable(name, number), taken))
        taken.add(names[-1].lower())
    return names
