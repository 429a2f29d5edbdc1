"""The XML of a workbook with one sheet (ECMA-376): what stands around the rows, and the statement that writes rows.

All cells are texts: a spreadsheet runs none of them, and rounds no phone number. They stand in the sheet itself, not
in a table of shared texts, so that the sheet is made in one go.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from xml.sax.saxutils import escape

from audiences.exports.export import Export, as_text
from audiences.exports.pieces import Piece
from audiences.exports.ranges import Span
from audiences.exports.statements import lines
from audiences.layout import Stored
from audiences.sql import Query

# Characters that XML cannot hold, or would change (a return), stand as _xHHHH_; so a text that looks so is masked.
UNFIT = [*range(9), 11, 12, *range(13, 32), 0xFFFE, 0xFFFF]
LOOKS_MASKED = "_x[0-9A-Fa-f]{4}_"
UNFIT_OR_MASKED = rf"[\x00-\x08\x0b-\x1f\x{{fffe}}\x{{ffff}}]|{LOOKS_MASKED}"

START = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
PACKAGE = "http://schemas.openxmlformats.org/package/2006"
KIND = "application/vnd.openxmlformats-officedocument.spreadsheetml"

NAME = "Audience"
SHEET = "xl/worksheets/sheet1.xml"

# Format 49 is text: a phone that is edited by hand stays one. Style 1 is a cell, style 2 a bold name of a column.
STYLES = f"""{START}<styleSheet xmlns="{MAIN}"><fonts count="2"><font><sz val="11"/><name val="Calibri"/></font>\
<font><b/><sz val="11"/><name val="Calibri"/></font></fonts>\
<fills count="2"><fill><patternFill patternType="none"/></fill>\
<fill><patternFill patternType="gray125"/></fill></fills>\
<borders count="1"><border><left/><right/><top/><bottom/><diagonal/></border></borders>\
<cellStyleXfs count="1"><xf numFmtId="0" fontId="0" fillId="0" borderId="0"/></cellStyleXfs>\
<cellXfs count="3"><xf numFmtId="0" fontId="0" fillId="0" borderId="0" xfId="0"/>\
<xf numFmtId="49" fontId="0" fillId="0" borderId="0" xfId="0" applyNumberFormat="1"/>\
<xf numFmtId="49" fontId="1" fillId="0" borderId="0" xfId="0" applyNumberFormat="1" applyFont="1"/></cellXfs>\
<cellStyles count="1"><cellStyle name="Normal" xfId="0" builtinId="0"/></cellStyles></styleSheet>"""

TYPES = f"""{START}<Types xmlns="{PACKAGE}/content-types">\
<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>\
<Default Extension="xml" ContentType="application/xml"/>\
<Override PartName="/xl/workbook.xml" ContentType="{KIND}.sheet.main+xml"/>\
<Override PartName="/{SHEET}" ContentType="{KIND}.worksheet+xml"/>\
<Override PartName="/xl/styles.xml" ContentType="{KIND}.styles+xml"/></Types>"""

ROOT = f"""{START}<Relationships xmlns="{PACKAGE}/relationships">\
<Relationship Id="rId1" Type="{OFFICE}/officeDocument" Target="xl/workbook.xml"/></Relationships>"""

RELATIONS = f"""{START}<Relationships xmlns="{PACKAGE}/relationships">\
<Relationship Id="rId1" Type="{OFFICE}/worksheet" Target="worksheets/sheet1.xml"/>\
<Relationship Id="rId2" Type="{OFFICE}/styles" Target="styles.xml"/></Relationships>"""

MIN_WIDTH, MAX_WIDTH = 9, 60


def parts(columns: int, rows: int) -> dict[str, str]:
    """Every part of the workbook but its sheet, by its name in the archive."""
    filtered = f"{NAME}!$A$1:${letters(columns)}${rows + 1}"
    book = f"""{START}<workbook xmlns="{MAIN}" xmlns:r="{OFFICE}"><bookViews><workbookView/></bookViews>\
<sheets><sheet name="{NAME}" sheetId="1" r:id="rId1"/></sheets><definedNames><definedName \
name="_xlnm._FilterDatabase" localSheetId="0" hidden="1">{filtered}</definedName></definedNames></workbook>"""
    return {
        "[Content_Types].xml": TYPES,
        "_rels/.rels": ROOT,
        "xl/workbook.xml": book,
        "xl/_rels/workbook.xml.rels": RELATIONS,
        "xl/styles.xml": STYLES,
    }


def head(names: Sequence[str], widths: Sequence[int], rows: int) -> bytes:
    """The sheet up to its header row, which stays in sight. `widths` are the longest cells, in characters."""
    wide = [min(max(width, len(name) + 3, MIN_WIDTH), MAX_WIDTH) for name, width in zip(names, widths, strict=True)]
    columns = "".join(f'<col min="{n}" max="{n}" width="{w + 1}" customWidth="1"/>' for n, w in enumerate(wide, 1))
    cells = "".join(
        f'<c r="{letters(number)}1" s="2" t="inlineStr"><is><t xml:space="preserve">{text(name)}</t></is></c>'
        for number, name in enumerate(names, 1)
    )
    return f"""{START}<worksheet xmlns="{MAIN}"><dimension ref="{area(len(names), rows)}"/><sheetViews>\
<sheetView tabSelected="1" workbookViewId="0">\
<pane ySplit="1" topLeftCell="A2" activePane="bottomLeft" state="frozen"/></sheetView></sheetViews>\
<sheetFormatPr defaultRowHeight="15"/><cols>{columns}</cols><sheetData><row r="1">{cells}</row>
""".encode()


def tail(columns: int, rows: int) -> bytes:
    """The end of the sheet: a filter on every column, and no warning that numbers are texts, which is meant."""
    where = area(columns, rows)
    return f"""</sheetData><autoFilter ref="{where}"/>\
<ignoredErrors><ignoredError sqref="{where}" numberStoredAsText="1"/></ignoredErrors></worksheet>""".encode()


def area(columns: int, rows: int) -> str:
    """The header and all rows, as a sheet names them."""
    return f"A1:{letters(columns)}{rows + 1}"


def letters(column: int) -> str:
    """What a sheet calls the column of this number: 1 is A, 27 is AA."""
    name = ""
    while column:
        column, letter = divmod(column - 1, 26)
        name = chr(ord("A") + letter) + name
    return name


def text(name: str) -> str:
    """A column's name as XML."""
    if re.search(LOOKS_MASKED, name):
        name = name.replace("_x", "_x005F_x")
    return escape(name).translate({number: f"_x{number:04X}_" for number in UNFIT})


def piece(export: Export, span: Span, before: int, care: Sequence[int], target: Path) -> Piece:
    """The piece that writes the span's rows as XML, of which the first is the sheet's row `before` + 1.

    `care` is what the cells of each column need, as `care` says of each.
    """

    def xml(place: int, _: Query) -> list[str]:
        own = f"c{place}"
        cell = f"""CASE WHEN {own} = '' THEN '' ELSE concat('<c r="{letters(place + 1)}', n,
          '" s="1" t="inlineStr"><is><t xml:space="preserve">', {masked(own, care[place])}, '</t></is></c>') END"""
        begun = ["""'<row r="'""", "n", """'">'"""] if place == 0 else []
        return [*begun, cell, "'</row>'"] if place + 1 == len(care) else [*begun, cell]

    return lines(export, span, partial(texts, export), xml, target, before)


def texts(export: Export, stored: Stored) -> list[str]:
    """The expressions of all cells of a file, as texts."""
    appended = [f"coalesce({as_text(stored, column)}, '')" for _, column in export.extras]
    return [*export.cells(stored), *appended]


def care(cell: str) -> str:
    """The expression of what a cell needs: 0 nothing, 1 the entities of XML, 2 all of the above, which is dear."""
    return f"""CASE WHEN regexp_matches({cell}, '{UNFIT_OR_MASKED}') THEN 2
      WHEN regexp_matches({cell}, '[&<>]') THEN 1 ELSE 0 END"""


def masked(own: str, needed: int) -> str:
    """The expression of a text as XML."""
    made = own
    if needed > 1:
        made = f"CASE WHEN regexp_matches({own}, '{LOOKS_MASKED}') THEN replace({own}, '_x', '_x005F_x') ELSE {own} END"
    if needed:
        for character, name in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
            made = f"replace({made}, '{character}', '{name}')"
    if needed > 1:
        for number in UNFIT:
            made = f"replace({made}, chr({number}), '_x{number:04X}_')"
    return made
