"""What an .xlsx archive says of its sheets, and a copy of it that has slices in place of one of them."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
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
    """A sheet: its name, whether it is shown, the part of the archive that holds its cells, and that part's bytes."""

    name: str
    visible: bool
    path: str
    size: int


def listing(path: Path) -> list[Part]:
    """The sheets of the workbook in its own order; none where it is no .xlsx, or not as the usual writers make them."""
    try:
        with ZipFile(path) as archive:
            sizes = {member.filename: member.file_size for member in archive.infolist()}
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
        parts.append(Part(sheet.get("name", ""), visible, where, sizes.get(where, 0)))
    return parts


def slice_sheet(path: Path, part: Part, target: Path, slice_bytes: int) -> list[Slice]:
    """The slices of the sheet `part`, which are the sheets of a new workbook at `target`, in order.

    One workbook for all of them, so that the shared strings are read once; stored, since it is read at once again.

    Raises: Unplain; zipfile's errors; OSError, where the file grows beyond what it may.
    """
    with ZipFile(path) as old, ZipFile(target, "w") as new:
        for member in old.infolist():
            if PurePosixPath(member.filename).name.lower() in _SHARED:
                with old.open(member) as source, new.open(member.filename, "w") as copy:
                    shutil.copyfileobj(source, copy, PIECE_BYTES)
        with old.open(part.path) as source:
            slices = workbook_slices.cut(source, new, _names(), slice_bytes)
        sheets = b"".join(
            b'<sheet name="%d" sheetId="%d" r:id="slice%d"/>' % (at, at + 1, at) for at in range(len(slices))
        )
        relations = b"".join(_relation(at) for at in range(len(slices)))
        new.writestr(_WORKBOOK, _replaced(_SHEETS, b"<sheets>" + sheets + b"</sheets>", _small(old, _WORKBOOK)))
        new.writestr(
            _RELATIONS,
            _replaced(re.compile(rb"</Relationships>"), relations + b"</Relationships>", _small(old, _RELATIONS)),
        )
    return slices


def _names() -> Iterator[str]:
    at = 0
    while True:
        yield f"xl/worksheets/slice{at}.xml"
        at += 1


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
