"""What an .xlsx archive says of its sheets, and copies of it that have slices in place of one of them."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path, PurePosixPath
from xml.etree import ElementTree as ET
from zipfile import BadZipFile, ZipFile

from audiences.tables import workbook_slices
from audiences.tables.workbook_slices import PIECE_BYTES, Slice, Unplain

_WORKBOOK, _RELATIONS = "xl/workbook.xml", "xl/_rels/workbook.xml.rels"

# What values need beside the sheet: shared strings, and formats, which tell days from numbers; and the way to them.
_SHARED = {"[content_types].xml", ".rels", "sharedstrings.xml", "styles.xml"}

# These two parts name the sheets; they are a few kilobytes, and are held whole.
_MAX_NAMES_BYTES = 1 << 22

_SHEETS = re.compile(rb"<sheets>.*</sheets>", re.DOTALL)


@dataclass(frozen=True)
class Part:
    """A sheet: its name, whether it is shown, the part of the archive that holds its cells, and that part's bytes.

    `shared_bytes` are those of what its values need beside it.
    """

    name: str
    visible: bool
    path: str
    size: int
    shared_bytes: int


@dataclass(frozen=True)
class Volume:
    """A workbook at `path` whose sheets are slices of another's, in order."""

    path: Path
    slices: tuple[Slice, ...]


def listing(path: Path) -> list[Part]:
    """The sheets of the workbook in its own order; none where it is no .xlsx, or not as the usual writers make them."""
    try:
        with ZipFile(path) as archive:
            sizes = {member.filename: member.file_size for member in archive.infolist()}
            shared_bytes = sum(one.file_size for one in archive.infolist() if _is_shared(one.filename))
            relations = ET.fromstring(_small(archive, _RELATIONS))  # noqa: S314 - expat bounds entities
            workbook = ET.fromstring(_small(archive, _WORKBOOK))  # noqa: S314
    except (BadZipFile, KeyError, Unplain, ET.ParseError, NotImplementedError, RuntimeError):
        return []
    targets = {relation.get("Id"): relation.get("Target", "") for relation in relations}
    parts = []
    for sheet in workbook.iterfind("./{*}sheets/{*}sheet"):
        target = targets.get(next((value for key, value in sheet.items() if key.endswith("}id")), None), "")
        where = str(PurePosixPath("/xl") / target).removeprefix("/")
        visible = sheet.get("state", "visible") == "visible"
        parts.append(Part(sheet.get("name", ""), visible, where, sizes.get(where, 0), shared_bytes))
    return parts


def volumes(path: Path, part: Part, stem: Path, slice_bytes: int) -> Iterator[Volume]:
    """The slices of the sheet `part`, in order, each in a new workbook beside `stem` as soon as it is cut.

    Where what they share is larger than a slice, all of them are in one, so that it is read once.

    Raises: Unplain; zipfile's errors; OSError, where the file grows beyond what it may.
    """
    together = part.shared_bytes > slice_bytes
    with ZipFile(path) as old, old.open(part.path) as source:
        rows = workbook_slices.rows(source, min(slice_bytes, PIECE_BYTES))
        before = 0
        for first in rows:
            target = stem.with_suffix(f".{before}.xlsx")
            slices = _bind(old, target, chain([first], rows), before, slice_bytes, together=together)
            before = slices[-1].last
            yield Volume(target, slices)


def _bind(
    old: ZipFile, target: Path, rows: Iterator[bytes], before: int, slice_bytes: int, *, together: bool
) -> tuple[Slice, ...]:
    """The next slice of the rows after number `before`, or all of them, in a new workbook; which they are.

    Nothing in it is compressed, since it is read at once again.
    """
    slices: list[Slice] = []
    with ZipFile(target, "w") as new:
        for member in filter(lambda member: _is_shared(member.filename), old.infolist()):
            with old.open(member) as source, new.open(member.filename, "w") as copy:
                shutil.copyfileobj(source, copy, PIECE_BYTES)
        for first in rows:
            with new.open(f"xl/worksheets/slice{len(slices)}.xml", "w") as sheet:
                slices.append(workbook_slices.write(sheet, chain([first], rows), before, slice_bytes))
            before = slices[-1].last
            if not together:
                break
        _name_sheets(old, new, len(slices))
    return tuple(slices)


def _name_sheets(old: ZipFile, new: ZipFile, count: int) -> None:
    """Tells of so many slices where the old workbook tells of its sheets."""
    sheets = b"".join(b'<sheet name="%d" sheetId="%d" r:id="slice%d"/>' % (at, at + 1, at) for at in range(count))
    relations = b"".join(map(_relation, range(count)))
    new.writestr(_WORKBOOK, _replaced(_SHEETS, b"<sheets>" + sheets + b"</sheets>", _small(old, _WORKBOOK)))
    new.writestr(
        _RELATIONS,
        _replaced(re.compile(rb"</Relationships>"), relations + b"</Relationships>", _small(old, _RELATIONS)),
    )


def _is_shared(name: str) -> bool:
    return PurePosixPath(name).name.lower() in _SHARED


def _relation(at: int) -> bytes:
    kind = b"http://schemas.openxmlformats.org/officeDocument/2006/relationships/worksheet"
    return b'<Relationship Id="slice%d" Type="%b" Target="worksheets/slice%d.xml"/>' % (at, kind, at)


def _replaced(pattern: re.Pattern[bytes], text: bytes, xml: bytes) -> bytes:
    """`xml` with `text` in the one place where `pattern` is. Raises: Unplain, where that is not one place."""
    changed, count = pattern.subn(lambda _: text, xml)
    if count != 1 or b"<!" in xml:
        raise Unplain
    return changed


def _small(archive: ZipFile, name: str) -> bytes:
    """A part that is held whole."""
    if archive.getinfo(name).file_size > _MAX_NAMES_BYTES:
        raise Unplain
    return archive.read(name)
