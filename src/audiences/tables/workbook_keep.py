"""Leave what the reader of workbooks holds as Parquet: row n of the files is row n of the sheet, cells are text."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from audiences.tables.header import HEADER_WITHIN, MAX_COLUMNS
from audiences.tables.sql import cells, literal
from audiences.tables.workbook_slices import Slice, Unplain

if TYPE_CHECKING:
    import duckdb
    from fastexcel import ExcelReader, ExcelSheet


@dataclass(frozen=True)
class Kept:
    """Files that together hold a sheet in order, the first of them its first rows.

    Their columns are c1, c2, …; a file may lack the last ones. Of them, `width` from the 0-based `left` on are used.
    """

    files: tuple[Path, ...] = ()
    left: int = 0
    width: int = 0


class TooWide(Exception):
    """The sheet has a cell beyond the last column that is allowed."""


def head(connection: duckdb.DuckDBPyConnection, kept: Kept) -> list[list[str]]:
    """The first rows of the sheet, among which the header is sought."""
    rows = connection.execute(f"SELECT {columns(kept)} FROM {scan(kept)} LIMIT {HEADER_WITHIN}").fetchall()
    return [[cell or "" for cell in row] for row in rows]


def columns(kept: Kept) -> str:
    """The used columns, named c1 … c`width`."""
    return ", ".join(f"c{kept.left + place} AS c{place}" for place in range(1, kept.width + 1))


def scan(kept: Kept) -> str:
    """A relation of the files, with the virtual columns `file_index` and `file_row_number` (both from 0)."""
    files = ", ".join(literal(path) for path in kept.files)
    return f"read_parquet([{files}], union_by_name = {str(len(kept.files) > 1).lower()})"


def whole(connection: duckdb.DuckDBPyConnection, sheet: ExcelSheet, path: Path) -> Kept:
    """A sheet that was read from its first row on."""
    _check(sheet)
    names = cells(sheet.width)
    _copy(connection, _select(names), names, path, sheet)
    return Kept((path,), 0, sheet.width)


def sliced(connection: duckdb.DuckDBPyConnection, reader: ExcelReader, slices: list[Slice], stem: Path) -> Kept:
    """A sheet that was cut into the sheets of `reader`.

    Raises: TooWide; Unplain, where the rows are not numbered as they seemed.
    """
    files: list[Path] = []
    written, width, left = 0, 0, None
    for place, (piece, sheet) in enumerate(_loaded(reader, slices)):
        _check(sheet)
        marker = 1 if piece.before else 0
        if sheet.height > piece.last - piece.before + marker:
            raise Unplain
        if sheet.height == marker:
            continue
        at = [column.absolute_index for column in sheet.available_columns()]
        left, width = at[0] if left is None and place == 0 else left or 0, max(width, at[-1] + 1)
        names = [f"c{index + 1}" for index in at]
        files.append(stem.with_suffix(f".{place}.parquet"))
        # Blank rows at the end of a slice are not read; the next file makes up for them.
        query = _padded(_select(names, skip=marker), len(at), piece.before - written if marker else 0)
        _copy(connection, query, names, files[-1], sheet)
        written = piece.before + sheet.height - marker
    kept = Kept(tuple(files), 0, width)
    return _trimmed(connection, kept, width if left is None else left)


def _loaded(reader: ExcelReader, slices: list[Slice]) -> Iterator[tuple[Slice, ExcelSheet]]:
    """Each slice with its sheet; the next is parsed, which needs no lock of Python's, while one is being used."""
    with ThreadPoolExecutor(1) as thread:
        ahead: Future[ExcelSheet] | None = None
        for place, piece in enumerate(slices):
            sheet = (ahead or thread.submit(load, reader, place, from_first_row=not piece.before)).result()
            if place + 1 < len(slices):
                ahead = thread.submit(load, reader, place + 1, from_first_row=False)
            yield piece, sheet
            del sheet


def load(reader: ExcelReader, sheet: str | int, *, from_first_row: bool) -> ExcelSheet:
    """The sheet as text, from row 1 on, or else from its first row that is not blank."""
    return reader.load_sheet(sheet, header_row=None, skip_rows=0 if from_first_row else None, dtypes="string")


def _check(sheet: ExcelSheet) -> None:
    if sheet.width > MAX_COLUMNS:
        raise TooWide


def _select(names: list[str], skip: int = 0) -> str:
    """The rows of what is named `sheet`; a day has no hours."""
    texts = ", ".join(
        f"CASE WHEN ends_with({cell}, ' 00:00:00') AND strlen({cell}) = 19 THEN left({cell}, 10) ELSE {cell} END"
        for cell in names
    )
    return f"SELECT {texts} FROM sheet AS t({', '.join(names)})" + (f" OFFSET {skip}" if skip else "")


def _padded(query: str, width: int, blanks: int) -> str:
    if not blanks:
        return query
    nothing = ", ".join(["NULL::VARCHAR"] * width)
    return f"SELECT {nothing} FROM range({blanks}) UNION ALL (FROM ({query}))"


def _copy(connection: duckdb.DuckDBPyConnection, query: str, names: list[str], path: Path, sheet: ExcelSheet) -> None:
    """Write the result of `query`, which reads `sheet` by that name: DuckDB looks it up among these variables."""
    connection.execute(
        f"COPY (FROM ({query}) AS t({', '.join(names)})) TO {literal(path)} (FORMAT parquet, COMPRESSION uncompressed)"
    )
    del sheet


def _trimmed(connection: duckdb.DuckDBPyConnection, kept: Kept, left: int) -> Kept:
    """`kept` without the first columns, as far as no row uses them: `left` at most, says the first slice."""
    if not kept.files or not left:
        return kept
    if len(kept.files) > 1:
        counts = ", ".join(f"count({name})" for name in cells(left))
        used = connection.execute(f"SELECT {counts} FROM {scan(kept)}").fetchone() or ()
        left = next((at for at, count in enumerate(used) if count), left)
    return Kept(kept.files, left, kept.width - left)
