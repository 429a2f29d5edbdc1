"""A workbook being read: which sheets it has, which of them are shown, and each, when asked for, left as files."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from audiences.tables import workbook_keep, workbook_parts
from audiences.tables.workbook_keep import Kept, TooWide
from audiences.tables.workbook_parts import Part

if TYPE_CHECKING:
    from fastexcel import ExcelReader

# A sheet is cut when its XML is larger than this part of the memory. Held whole, and its copy as text with it, the XML
# takes 1.6 times its size (measured) where cells are texts, 2.5 where they are single digits, 4.5 where these do not
# name their place: such a sheet, just below the limit, may still be too large.
LARGE_SHARE = 7

# From so much XML on it is also cut to be read by two threads, which saves a fifth to a half of the time.
WORTH_BYTES = 1 << 23

# Of XML in a slice, of which four are held at once: small against the memory that half of the smallest sensible limit
# leaves, large against the cost of opening one more file.
SLICE_BYTES = 1 << 23


class NotCut(Exception):
    """A sheet that was to be cut for speed alone could not be: a process that has done nothing yet is to read it whole.

    What was read of it leaves memory behind, without which it might not fit.
    """


class Book:
    """The workbook at `path`; files go to `folder`. Sheets with more XML than `large_bytes` are cut, for memory's sake.

    Where they may be `hurried`, so are those that two threads read sooner.
    """

    def __init__(self, path: Path, folder: Path, large_bytes: int, slice_bytes: int, *, hurried: bool = True) -> None:
        self._path = path
        self._folder = folder
        self._slice_bytes = slice_bytes
        parts = workbook_parts.listing(path)
        self._large = {place for place, part in enumerate(parts) if part.size > large_bytes}
        worth = {place for place, part in enumerate(parts) if hurried and self._is_worth_cutting(part)}
        self._cut_places = self._large | worth
        self._parts = parts if self._cut_places else []

    def _is_worth_cutting(self, part: Part) -> bool:
        """Whether two threads read it sooner than one: not where both would read much more than their slices."""
        return part.size > WORTH_BYTES and part.shared_bytes <= self._slice_bytes

    def names(self) -> list[str]:
        """The names of all sheets, hidden ones too, in order."""
        return [part.name for part in self._parts] or self._reader.sheet_names

    def keep(self, place: int, *, wanted: bool) -> Kept | None:
        """The sheet in that place as files (an unwanted one may be kept as none); None, where it is hidden or no sheet.

        Raises: TooWide, NotCut, and whatever the reader raises.
        """
        part = self._parts[place] if self._parts else None
        if part is not None and not (part.visible and wanted):
            return Kept() if part.visible else None
        cut = self._cut(place, part) if part is not None and place in self._cut_places else None
        return cut or self._whole(place, wanted=wanted)

    def _cut(self, place: int, part: Part) -> Kept | None:
        """The sheet, read in slices; None where that fails, which says little about the sheet. Raises: see `keep`."""
        stem = self._folder / f"sheet-{place}"
        self.__dict__.pop("_reader", None)  # it may hold millions of shared strings, and so will the next
        try:
            return workbook_keep.sliced(workbook_parts.volumes(self._path, part, stem, self._slice_bytes), stem)
        except Exception as error:
            for left_over in self._folder.glob(f"{stem.name}.*"):
                left_over.unlink()
            if isinstance(error, TooWide):
                raise
            from audiences import disk  # it imports the engine, for the sake of its errors: 55 ms

            if disk.is_to_blame(error):
                raise
            if place not in self._large:
                raise NotCut from error
            if isinstance(error, MemoryError):
                raise
            return None

    def _whole(self, place: int, *, wanted: bool) -> Kept | None:
        sheet = workbook_keep.load(self._reader, place)
        if sheet.visible != "visible":
            return None
        if sheet.width == 0 or not wanted:
            return Kept()
        return workbook_keep.whole(sheet, self._folder / f"sheet-{place}.arrow")

    @cached_property
    def _reader(self) -> ExcelReader:
        import fastexcel

        return fastexcel.read_excel(str(self._path))
