"""Leave what the reader of workbooks holds as Arrow files: row n of them is row n of the sheet, cells are text."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from threading import Lock, Thread
from typing import TYPE_CHECKING

from audiences.tables.ahead import ahead
from audiences.tables.header import HEADER_WITHIN, MAX_COLUMNS
from audiences.tables.sql import cells
from audiences.tables.workbook_lease import lease
from audiences.tables.workbook_parts import Volume
from audiences.tables.workbook_slices import Slice, Unplain

if TYPE_CHECKING:
    import polars as pl
    from fastexcel import ExcelReader, ExcelSheet

# Slices that are cut while two others are being read.
CUT_AHEAD = 1


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


def head(kept: Kept) -> list[list[str]]:
    """The first rows of the sheet, among which the header is sought."""
    rows = scan(kept).head(HEADER_WITHIN).collect().rows()
    return [[cell or "" for cell in row] for row in rows]


def scan(kept: Kept) -> pl.LazyFrame:
    """All rows, the used columns named c1 … c`width`."""
    import polars as pl

    wanted = zip(cells(kept.left + kept.width)[kept.left :], cells(kept.width), strict=True)
    rows = pl.concat([pl.scan_ipc(path) for path in kept.files], how="diagonal")
    return rows.select(pl.col(name).alias(own) for name, own in wanted)


def whole(sheet: ExcelSheet, path: Path) -> Kept:
    """A sheet that was read from its first row on."""
    _check(sheet)
    _write(_texts(sheet, cells(sheet.width)), path)
    return Kept((path,), 0, sheet.width)


def sliced(volumes: Iterable[Volume], stem: Path) -> Kept:
    """A sheet that was cut into `volumes`, which go once they are read: two slices at a time, if each has its own.

    Raises: TooWide; Unplain, where the rows are not numbered as they seemed.
    """
    files: list[Path] = []
    written, width, left = 0, 0, None
    with lease():
        for piece, sheet in ahead(_loads(volumes), CUT_AHEAD):
            _check(sheet)
            marker = 1 if piece.before else 0
            if sheet.height > piece.last - piece.before + marker:
                raise Unplain
            if sheet.height == marker:
                continue
            at = [column.absolute_index for column in sheet.available_columns()]
            left, width = at[0] if left is None and not piece.before else left or 0, max(width, at[-1] + 1)
            files.append(stem.with_suffix(f".{len(files)}.arrow"))
            texts = _texts(sheet, [f"c{index + 1}" for index in at])
            # Blank rows at the end of a slice are not read; the next file makes up for them.
            _write(_padded(texts[marker:], piece.before - written if marker else 0), files[-1])
            written = piece.before + sheet.height - marker
            del sheet
    kept = Kept(tuple(files), 0, width)
    return _trimmed(kept, width if left is None else left)


def _loads(volumes: Iterable[Volume]) -> Iterator[Callable[[], tuple[Slice, ExcelSheet]]]:
    """What gives each slice with its sheet, in any thread."""
    for number, volume in enumerate(volumes):
        if number == 0:
            _import_ahead()
        opened = Opened(volume)
        yield from (partial(opened.load, place) for place in range(len(volume.slices)))


class Opened:
    """A volume that is being read, one sheet at a time, each once."""

    def __init__(self, volume: Volume) -> None:
        self.volume = volume
        self.left = len(volume.slices)
        self.turn = Lock()

    def load(self, place: int) -> tuple[Slice, ExcelSheet]:
        """A slice and its sheet. Behind the one that is read last, which need not be the last, the volume is gone."""
        piece = self.volume.slices[place]
        with self.turn:
            sheet = _load(self.reader, place, from_first_row=not piece.before)
            self.left -= 1
            if not self.left:
                del self.reader
                self.volume.path.unlink()
        return piece, sheet

    @cached_property
    def reader(self) -> ExcelReader:
        """What reads it; it holds all that the slices share."""
        import fastexcel

        return fastexcel.read_excel(str(self.volume.path))


def load(reader: ExcelReader, place: int) -> ExcelSheet:
    """A sheet as text, from row 1 on."""
    _import_ahead()
    with lease():
        return _load(reader, place, from_first_row=True)


def _import_ahead() -> None:
    """Importing takes a tenth of a second, in which the reader, once it parses, needs no lock of Python's."""
    Thread(target=importlib.import_module, args=("polars",)).start()


def _load(reader: ExcelReader, place: int, *, from_first_row: bool) -> ExcelSheet:
    """A sheet as text, from row 1 or from its first row that is not blank. Most of it needs no lock of Python's."""
    return reader.load_sheet(place, header_row=None, skip_rows=0 if from_first_row else None, dtypes="string")


def _check(sheet: ExcelSheet) -> None:
    if sheet.width > MAX_COLUMNS:
        raise TooWide


def _texts(sheet: ExcelSheet, names: list[str]) -> pl.DataFrame:
    """The rows of the sheet, its columns so named; a day has no hours."""
    import polars as pl

    text = pl.all()
    is_day = text.str.ends_with(" 00:00:00") & (text.str.len_bytes() == 19)  # noqa: PLR2004 - of 2024-01-31 00:00:00
    texts = sheet.to_polars()
    texts.columns = names
    return texts.select(pl.when(is_day).then(text.str.head(10)).otherwise(text))


def _padded(texts: pl.DataFrame, blanks: int) -> pl.DataFrame:
    """The rows, behind so many blank ones."""
    import polars as pl

    return pl.concat([texts.clear(blanks), texts]) if blanks else texts


def _write(texts: pl.DataFrame, path: Path) -> None:
    texts.write_ipc(path, compression="uncompressed")


def _trimmed(kept: Kept, left: int) -> Kept:
    """`kept` without the first columns, as far as no row uses them: `left` at most, says the first slice."""
    import polars as pl

    if not kept.files or not left:
        return kept
    if len(kept.files) > 1:
        files = pl.concat([pl.scan_ipc(path) for path in kept.files], how="diagonal")
        used = files.select(pl.col(cells(left)).count()).collect().row(0)
        left = next((at for at, count in enumerate(used) if count), left)
    return Kept(kept.files, left, kept.width - left)
