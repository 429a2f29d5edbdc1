"""Export as lines, CSV or JSON: the first line, and the piece that holds some of the rest."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from audiences.accept import CSV, NDJSON
from audiences.exports.export import Export, as_text
from audiences.exports.pieces import Piece
from audiences.exports.ranges import Span
from audiences.exports.statements import SLICE, in_order, lines, rows
from audiences.layout import Stored
from audiences.sql import Query

# What a spreadsheet would run as a formula (OWASP, CSV injection; contract: `spreadsheet=safe`).
FORMULA = r"^[=+\-@\t\r]"


@dataclass(frozen=True)
class Format:
    """How an export begins, and how a piece of it is written to a path."""

    head: Callable[[Export], bytes]
    piece: Callable[[Export, Span, Path], Piece]


def csv_head(export: Export) -> bytes:
    """The header line."""
    return (",".join(quoted(name, safe=export.style.safe) for name in export.names) + "\n").encode()


def quoted(name: str, *, safe: bool) -> str:
    """A column's name as CSV."""
    if safe and re.match(FORMULA, name):
        name = "'" + name
    return '"' + name.replace('"', '""') + '"' if re.search(r'[,"\r\n]|^\s|\s$', name) or not name else name


def csv_piece(export: Export, span: Span, target: Path) -> Piece:
    """Cells as they stand; an empty one has no quotes."""

    def cells(stored: Stored) -> list[str]:
        found = [f"nullif({cell}, '')" for cell in export.cells(stored)]
        found += [as_text(stored, column) for _, column in export.extras]
        return [safe(cell) for cell in found] if export.style.safe else found

    places = range(len(export.names))
    if len(places) > SLICE:
        return lines(export, span, cells, csv_text, target, None)
    query = Query()
    source = in_order(span, rows(export, span, cells, places, query), places)
    query.text = f"COPY ({source}) TO {query.bind(str(target))} (FORMAT csv, HEADER false, USE_TMP_FILE false)"
    return Piece([query], target)


def safe(cell: str) -> str:
    """The expression of a cell that no spreadsheet runs."""
    return f"CASE WHEN regexp_matches({cell}, '{FORMULA}') THEN '''' || {cell} ELSE {cell} END"


def csv_text(place: int, _: Query) -> list[str]:
    """A cell of a table that is too wide for the engine's own writer of CSV."""
    cell = f"c{place}"
    quotes = f"""concat('"', replace({cell}, '"', '""'), '"')"""
    quoted_if_need_be = rf"""CASE WHEN regexp_matches({cell}, '[,"\r\n]') THEN {quotes} ELSE {cell} END"""
    return ["','", quoted_if_need_be] if place else [quoted_if_need_be]


def json_piece(export: Export, span: Span, target: Path) -> Piece:
    """An object a line. The names are written, not made columns: two that differ in case alone would be one column."""
    names = [msgspec.json.encode(name).decode() for name in export.names]

    def text(place: int, query: Query) -> list[str]:
        start = query.bind(f"{',' if place else '{'}{names[place]}:")
        texts = [f"{start}::VARCHAR", f"coalesce(to_json(c{place})::VARCHAR, 'null')"]
        return texts if place + 1 < len(names) else [*texts, "'}'"]

    return lines(export, span, export.as_data, text, target, None)


FORMATS: Mapping[str, Format] = {CSV: Format(csv_head, csv_piece), NDJSON: Format(lambda _: b"", json_piece)}
