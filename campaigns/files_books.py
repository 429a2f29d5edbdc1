"""Workbooks made by hand, of each kind, and their parts, any of which may be another than it should be."""

from __future__ import annotations

import io
import struct
from collections.abc import Mapping
from functools import cache

import xlwt  # type: ignore[import-untyped]

from campaigns.files_archives import Member, Packed, deflated, unchecked, zipped
from campaigns.files_shapes import MIB

PHONES = ("442079832100", "442079832101")

_NAMESPACE = "http://schemas.openxmlformats.org/"
_DECLARED = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>'
_MAIN = f"{_NAMESPACE}spreadsheetml/2006/main"
_OFFICE = f"{_NAMESPACE}officeDocument/2006/relationships"
_PACKAGE = f"{_NAMESPACE}package/2006"
_ODF = "urn:oasis:names:tc:opendocument:xmlns:"

CONTENT_TYPES, WORKBOOK = "[Content_Types].xml", "xl/workbook.xml"
RELATIONS, SHEET, STRINGS, STYLES = (
    *("xl/_rels/workbook.xml.rels", "xl/worksheets/sheet1.xml"),
    *("xl/sharedStrings.xml", "xl/styles.xml"),
)

Part = str | bytes | Packed


def xlsx(changed: Mapping[str, Part] | None = None) -> bytes:
    """A workbook of two contacts, with other or further parts."""
    parts: dict[str, Part] = {
        CONTENT_TYPES: f'{_DECLARED}<Types xmlns="{_PACKAGE}/content-types"><Override PartName="/{WORKBOOK}" '
        'ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"/></Types>',
        "_rels/.rels": relations({"rId1": ("officeDocument", WORKBOOK)}),
        WORKBOOK: book('<sheet name="List" sheetId="1" r:id="rId1"/>'),
        RELATIONS: relations(
            {
                "rId1": ("worksheet", "worksheets/sheet1.xml"),
                "rId2": ("sharedStrings", "sharedStrings.xml"),
                "rId3": ("styles", "styles.xml"),
            }
        ),
        SHEET: sheet(ROWS),
        STRINGS: strings("".join(f"<si><t>{text}</t></si>" for text in ("phone1", "note", "a", "b"))),
        STYLES: f'{_DECLARED}<styleSheet xmlns="{_MAIN}"/>',
    }
    return packed({**parts, **(changed or {})})


def packed(parts: Mapping[str, Part]) -> bytes:
    """The archive of these parts."""
    return zipped([_member(name.encode(), part) for name, part in parts.items()])


def _member(name: bytes, part: Part) -> Member:
    if isinstance(part, Packed):
        return deflated(name, part) if part.size <= MIB else unchecked(name, part)
    return deflated(name, part.encode() if isinstance(part, str) else part)


def book(sheets: str, more: str = "", doctype: str = "") -> str:
    """The part that names the sheets."""
    return (
        f'{_DECLARED}{doctype}<workbook xmlns="{_MAIN}" xmlns:r="{_OFFICE}"><sheets>{sheets}</sheets>{more}</workbook>'
    )


def relations(targets: Mapping[str, tuple[str, str]]) -> str:
    """The part that says where others are: by their id, their kind and their place."""
    each = "".join(
        f'<Relationship Id="{name}" Type="{_OFFICE}/{kind}" Target="{target}"/>'
        for name, (kind, target) in targets.items()
    )
    return f'{_DECLARED}<Relationships xmlns="{_PACKAGE}/relationships">{each}</Relationships>'


# Header and two rows, of shared strings and numbers.
ROWS = (
    '<row r="1"><c r="A1" t="s"><v>0</v></c><c r="B1" t="s"><v>1</v></c></row>'
    f'<row r="2"><c r="A2"><v>{PHONES[0]}</v></c><c r="B2" t="s"><v>2</v></c></row>'
    f'<row r="3"><c r="A3"><v>{PHONES[1]}</v></c><c r="B3" t="s"><v>3</v></c></row>'
)


def sheet(rows: str, dimension: str = "A1:B3", more: str = "", doctype: str = "") -> str:
    """A part of cells."""
    before, behind = sheet_around(dimension, more, doctype)
    return before + rows + behind


def sheet_around(dimension: str = "A1:B3", more: str = "", doctype: str = "") -> tuple[str, str]:
    """What stands before and behind the rows."""
    head = f'{_DECLARED}{doctype}<worksheet xmlns="{_MAIN}"><dimension ref="{dimension}"/><sheetData>'
    return head, f"</sheetData>{more}</worksheet>"


def strings(items: str, said: str = "", doctype: str = "") -> str:
    """The part of shared strings, which may say how many there are."""
    return f'{_DECLARED}{doctype}<sst xmlns="{_MAIN}" {said}>{items}</sst>'


def filled(around: str, unit: str, size: int) -> Packed:
    """A part with `unit` in place of `@` until it has so many bytes."""
    before, _, behind = around.partition("@")
    several = unit.encode() * max(1, min(MIB, size) // len(unit.encode()))
    return Packed(several, max(1, size // len(several)), before.encode(), behind.encode())


def ods(rows: str | None = None, doctype: str = "", parts: Mapping[str, Part] | None = None) -> bytes:
    """An OpenDocument workbook; `rows` stand in place of its own."""
    own = "".join(ods_row(*cells) for cells in (("phone1", "note"), (PHONES[0], "a"), (PHONES[1], "b")))
    return packed(
        {
            "mimetype": "application/vnd.oasis.opendocument.spreadsheet",
            "META-INF/manifest.xml": '<manifest:manifest xmlns:manifest="x"/>',
            "content.xml": ods_content(own if rows is None else rows, doctype),
            **(parts or {}),
        }
    )


def ods_content(rows: str, doctype: str = "") -> str:
    """The part of cells."""
    spaces = "".join(f' xmlns:{name}="{_ODF}{name}:1.0"' for name in ("office", "table", "text"))
    return (
        f"{_DECLARED}{doctype}<office:document-content{spaces}><office:body><office:spreadsheet><table:table "
        f'table:name="List">{rows}</table:table></office:spreadsheet></office:body></office:document-content>'
    )


def ods_row(*cells: str, said: str = "", cell_said: str = "") -> str:
    """A row of texts."""
    each = "".join(
        f'<table:table-cell office:value-type="string" {cell_said}><text:p>{cell}</text:p></table:table-cell>'
        for cell in cells
    )
    return f"<table:table-row {said}>{each}</table:table-row>"


@cache
def xls() -> bytes:
    """A workbook of Excel 97."""
    made, out = xlwt.Workbook(), io.BytesIO()
    page = made.add_sheet("List")
    for number, row in enumerate((("phone1", "note"), (PHONES[0], "a"), (PHONES[1], "b"))):
        for place, cell in enumerate(row):
            page.write(number, place, cell)
    made.save(out)
    return out.getvalue()


def xlsb(cells: bytes | None = None, last: tuple[int, int] = (2, 1), parts: Mapping[str, Part] | None = None) -> bytes:
    """A binary workbook; `cells` are records in place of its own, `last` the row and column it says are the last."""
    if cells is None:
        rows = (("phone1", "note"), (PHONES[0], "a"), (PHONES[1], "b"))
        cells = b"".join(
            binary_row(at) + binary_text(0, row[0]) + binary_text(1, row[1]) for at, row in enumerate(rows)
        )
    size = struct.pack("<4I", 0, last[0], 0, last[1])
    page = record(129) + record(148, size) + record(145) + cells + record(146) + record(130)
    named = record(156, struct.pack("<II", 0, 1) + wide("rId1") + wide("List"))
    return packed(
        {
            "xl/workbook.bin": record(131) + record(143) + named + record(144) + record(132),
            "xl/worksheets/sheet1.bin": page,
            "xl/_rels/workbook.bin.rels": relations({"rId1": ("worksheet", "worksheets/sheet1.bin")}),
            **(parts or {}),
        }
    )


def record(kind: int, content: bytes = b"", length: int | None = None) -> bytes:
    """A record of BIFF12, which may say another length; both numbers have seven bits a byte."""
    return sevens(kind, 2 if kind >= 128 else 1) + sevens(len(content) if length is None else length, 0) + content  # noqa: PLR2004


def sevens(number: int, least: int) -> bytes:
    """A number in seven bits a byte, the lowest first, in at least so many bytes."""
    if least == 2:  # noqa: PLR2004 - kinds have their high bits whole in the second byte
        return bytes([number & 0x7F | 0x80, number >> 7])
    found = bytearray()
    while number > 0x7F:  # noqa: PLR2004
        found.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*found, number])


def binary_row(number: int) -> bytes:
    """The beginning of a row."""
    return record(0, struct.pack("<I", number & 0xFFFFFFFF) + bytes(13))


def binary_text(column: int, text: str, length: int | None = None) -> bytes:
    """A cell with a text, which may say another length."""
    return record(6, struct.pack("<II", column & 0xFFFFFFFF, 0) + wide(text, length))


def wide(text: str, length: int | None = None) -> bytes:
    """A text of BIFF12."""
    return struct.pack("<I", len(text) if length is None else length) + text.encode("utf-16-le")
