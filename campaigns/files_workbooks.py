"""Hostile workbooks: sizes, places and counts that a reader should not believe, and XML that expands."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from pathlib import Path

from campaigns import files_books as books
from campaigns.files_archives import Packed, overlapping
from campaigns.files_books import SHEET, STRINGS, STYLES, WORKBOOK, xlsx
from campaigns.files_shapes import CREATED, MIB, Hostile, Sizes, whole

DAMAGED, LARGE, WIDE, NO_COLUMN = "unreadable_file", "workbook_too_large", "too_many_columns", "missing_phone_column"
NO_ROW, EMPTY, FOREIGN = "no_valid_rows", "empty_file", "unsupported_format"

# A reader may refuse, or see through it; either way it is one of these.
ANY = (CREATED, DAMAGED, LARGE, WIDE, NO_COLUMN, NO_ROW, EMPTY)

FARTHEST = "XFD1048576"

INLINE = '<row><c t="inlineStr"><is><t>@</t></is></c></row>'
MERGED = f'<mergeCell ref="A1:{FARTHEST}"/>'
FORMAT = '<numFmt numFmtId="164" formatCode="0"/>'
DEFINED = '<definedName name="a">A1</definedName>'
RELATION = '<Relationship Id="a" Type="b" Target="c"/>'

# Parts that are something else.
OTHERS = {"no": b"", "a broken": b"<", "a binary": bytes(range(256)) * 100, "a UTF-16": b"\xff\xfe<\0"}

# Fields of the head of a compound document (MS-CFB, 2.2): where they are, and their size.
XLS_FIELDS = {
    "size of a sector": (30, "<H"),
    "size of a small sector": (32, "<H"),
    "count of tables": (44, "<I"),
    "first folder": (48, "<I"),
    "bound of small streams": (56, "<I"),
    "first small table": (60, "<I"),
    "count of small tables": (64, "<I"),
    "first table of tables": (68, "<I"),
    "count of tables of tables": (72, "<I"),
    "first table": (76, "<I"),
}


def workbook_files(sizes: Sizes, secret: Path, ear: str) -> Iterator[Hostile]:
    """All of them. `secret` is a file that none may show, `ear` an address that no reader may ask."""
    for family in (
        far_cells,
        large_parts,
        many_things,
        lying_counts,
        odd_archives,
        xls_files,
        xls_records,
        xlsb_files,
        ods_files,
    ):
        yield from family(sizes)
    yield from entities(secret, ear)


def far_cells(_sizes: Sizes) -> Iterator[Hostile]:
    """Cells that are far out, or nowhere."""
    for place in (
        FARTHEST,
        "XFD4",
        "A1048576",
        "A4294967295",
        "BDWGN4",
        "ZZZZZZZ4",
        "A0",
        "0",
        "",
        "A-4",
        "4A",
        "é4",
        "A99999999999",
    ):
        row = f'<row r="4"><c r="{place}"><v>1</v></c></row>'
        yield Hostile(f"a cell at {place!r}", whole(xlsx({SHEET: books.sheet(books.ROWS + row)})), ANY)
    for number in ("0", "-1", "4294967295", "4294967296", "18446744073709551616", "x", ""):
        row = f'<row r="{number}"><c><v>1</v></c></row>'
        yield Hostile(f"row {number!r}", whole(xlsx({SHEET: books.sheet(books.ROWS + row)})), ANY)
    for said in (f"A1:{FARTHEST}", "A1:ZZZZ99999999", "B3:A1", "A1", "", "A1:A1:A1", f"{FARTHEST}:A1", "A0:B0"):
        yield Hostile(f"a sheet of {said!r}", whole(xlsx({SHEET: books.sheet(books.ROWS, said)})), ANY)
    corners = "".join(f'<row r="{row}"><c r="XFD{row}"><v>1</v></c></row>' for row in range(4, 20_000))
    yield Hostile(
        "20,000 rows to the last column", whole(xlsx({SHEET: books.sheet(books.ROWS + corners)})), (WIDE, LARGE)
    )
    inner = "".join(f'<row r="{row * 50}"><c r="BXX{row * 50}"><v>1</v></c></row>' for row in range(1, 20_000))
    yield Hostile("a million rows of 2,000 columns", whole(xlsx({SHEET: books.sheet(books.ROWS + inner)})), ANY)


def large_parts(sizes: Sizes) -> Iterator[Hostile]:
    """Parts that inflate to gigabytes."""
    size, large = sizes.part_bytes, (LARGE, DAMAGED, NO_COLUMN)
    text = "<si><t>" + "y" * 1000 + "</t></si>"
    sheet = "@".join(books.sheet_around())
    parts: Mapping[str, tuple[str, str, str, tuple[str, ...]]] = {
        "shared strings": (STRINGS, books.strings("@"), text, large),
        "one shared string": (STRINGS, books.strings("<si><t>@</t></si>"), "y", large),
        "empty shared strings": (STRINGS, books.strings("@"), "<si/>", (*large, CREATED)),
        "runs of a shared string": (STRINGS, books.strings("<si>@</si>"), "<r><t>y</t></r>", large),
        "rows": (SHEET, sheet, "<row/>", (*large, EMPTY)),
        "cells of a row": (SHEET, sheet.replace("@", "<row>@</row>"), "<c><v>1</v></c>", (*large, WIDE)),
        "cells of one place": (SHEET, sheet.replace("@", "<row>@</row>"), '<c r="A1"><v>1</v></c>', ANY),
        "rows of a number": (SHEET, sheet, "<row><c><v>442079832100</v></c></row>", ANY),
        "an inline string": (SHEET, sheet.replace("@", INLINE), "y", large),
        "blanks": (SHEET, sheet, " ", ANY),
        "comments": (SHEET, sheet, "<!-- -->", ANY),
        "one comment": (SHEET, sheet.replace("@", "<!--@-->"), " ", ANY),
        "one attribute": (SHEET, sheet.replace("@", '<row spans="@"/>'), "1", ANY),
        "one name of an element": (SHEET, sheet.replace("@", "<@/>"), "a", ANY),
        "elements in elements": (SHEET, sheet, "<row>", ANY),
        "merged cells": (SHEET, books.sheet(books.ROWS, more="<mergeCells>@</mergeCells>"), MERGED, ANY),
        "number formats": (STYLES, "<styleSheet><numFmts>@</numFmts></styleSheet>", FORMAT, ANY),
        "sheets": (WORKBOOK, books.book("@"), '<sheet name="a" sheetId="1" r:id="rId1"/>', ANY),
        "names": (WORKBOOK, books.book("", "<definedNames>@</definedNames>"), DEFINED, ANY),
        "relations": (books.RELATIONS, books.relations({}).replace("</", "@</"), RELATION, ANY),
        "kinds of content": (books.CONTENT_TYPES, "<Types>spreadsheetml@</Types>", '<Default Extension="a"/>', ANY),
        "an image": ("xl/media/image1.png", "@", "\0", (CREATED,)),
    }  # fmt: skip
    for name, (part, around, unit, due) in parts.items():
        yield Hostile(
            f"a workbook with gigabytes of {name}", whole(xlsx({part: books.filled(around, unit, size)})), due
        )


def many_things(_sizes: Sizes) -> Iterator[Hostile]:
    """A moderate number of everything, each of which makes the reader go through much."""
    row = '<row r="1">' + "<c><v>1</v></c>" * 1_000_000 + "</row>"
    yield Hostile("a million columns", whole(xlsx({SHEET: books.sheet(row)})), (WIDE, LARGE))
    row = '<row r="1">' + "<c/>" * 1_000_000 + "</row>"
    yield Hostile("a million empty columns", whole(xlsx({SHEET: books.sheet(row + books.ROWS)})), ANY)
    deep = "<row>" * 1_000_000
    yield Hostile("a million elements in each other", whole(xlsx({SHEET: books.sheet(deep)})), ANY)
    same = "".join(f'<sheet name="s{at}" sheetId="{at + 1}" r:id="rId1"/>' for at in range(10_000))
    yield Hostile("10,000 sheets of one part", whole(xlsx({WORKBOOK: books.book(same)})), ANY)
    formula = '<row r="4"><c r="A4"><f t="shared" ref="A4:XFD1048576" si="0">A1+1</f><v>1</v></c></row>'
    yield Hostile("a formula for all cells", whole(xlsx({SHEET: books.sheet(books.ROWS + formula)})), ANY)
    ruled = '<cols><col min="1" max="4294967295" width="9"/></cols>'
    yield Hostile(
        "columns without end",
        whole(xlsx({SHEET: books.sheet(books.ROWS).replace("<sheetData>", ruled + "<sheetData>")})),
        ANY,
    )
    loop = books.relations({"rId1": ("worksheet", "workbook.xml")})
    yield Hostile("a sheet that is the workbook", whole(xlsx({books.RELATIONS: loop})), ANY)
    for target in ("../../../etc/passwd", "/etc/passwd", "file:///etc/passwd", "", ".", "worksheets", "a" * 70_000):
        other = books.relations({"rId1": ("worksheet", target)})
        yield Hostile(f"a sheet at {target[:30]!r}", whole(xlsx({books.RELATIONS: other})), (DAMAGED, EMPTY, LARGE))


def lying_counts(_sizes: Sizes) -> Iterator[Hostile]:
    """Counts and indexes that are none."""
    texts = "".join(f"<si><t>{text}</t></si>" for text in ("phone1", "note", "a", "b"))
    for number in ("0", "-1", "4294967295", "9223372036854775807", "18446744073709551615", "9" * 40, "x", "1e9"):
        said = f'count="{number}" uniqueCount="{number}"'
        yield Hostile(f"{number} shared strings", whole(xlsx({STRINGS: books.strings(texts, said)})), ANY)
        row = f'<row r="4"><c r="A4" t="s"><v>{number}</v></c></row>'
        yield Hostile(f"shared string number {number}", whole(xlsx({SHEET: books.sheet(books.ROWS + row)})), ANY)
        styled = f'<row r="4"><c r="A4" s="{number}"><v>1</v></c></row>'
        yield Hostile(f"style number {number}", whole(xlsx({SHEET: books.sheet(books.ROWS + styled)})), ANY)
    for value in ("1e400", "-1e400", "NaN", "inf", "0x10", "", "9" * 1000, "2958466", "-99999999999"):
        for kind in ("n", "b", "d", "e", "str", "x"):
            row = f'<row r="4"><c r="A4" t="{kind}" s="1"><v>{value}</v></c></row>'
            styles = '<styleSheet><cellXfs count="2"><xf numFmtId="0"/><xf numFmtId="14"/></cellXfs></styleSheet>'
            content = xlsx({SHEET: books.sheet(books.ROWS + row), STYLES: styles})
            yield Hostile(f"a cell {value[:20]!r} of kind {kind}", whole(content), ANY)


def odd_archives(_sizes: Sizes) -> Iterator[Hostile]:
    """Workbooks whose archive is a bomb or lacks something."""
    names = ["[Content_Types].xml", *(f"xl/worksheets/sheet{place}.xml" for place in range(200))]
    kernel = Packed(b"spreadsheetml" + b"<row/>" * 100_000, 300)
    content = overlapping([name.encode() for name in names], kernel)
    yield Hostile("a workbook of overlapping parts", whole(content), (DAMAGED, LARGE, EMPTY))
    for part in (WORKBOOK, books.RELATIONS, SHEET, STRINGS, STYLES, "_rels/.rels"):
        for name, other in (
            ("no", b""),
            ("a broken", b"<"),
            ("a binary", bytes(range(256)) * 100),
            ("a UTF-16", b"\xff\xfe<\0"),
        ):
            yield Hostile(f"{name} {part}", whole(xlsx({part: other})), ANY)


def entities(secret: Path, ear: str) -> Iterator[Hostile]:
    """XML that expands, or that asks for something outside."""
    laughs = "".join(f'<!ENTITY l{at} "{f"&l{at - 1};" * 10}">' for at in range(1, 12))
    doctypes = {
        "a billion laughs": f'<!DOCTYPE x [<!ENTITY l0 "ha">{laughs}]>',
        "quadratic laughs": f'<!DOCTYPE x [<!ENTITY l11 "{"ha" * 500_000}">]>',
        "an endless entity": '<!DOCTYPE x [<!ENTITY l11 "&l12;"><!ENTITY l12 "&l11;">]>',
        "an entity of a file": f'<!DOCTYPE x [<!ENTITY l11 SYSTEM "file://{secret}">]>',
        "an entity of an address": f'<!DOCTYPE x [<!ENTITY l11 SYSTEM "{ear}/entity">]>',
        "an external DTD": f'<!DOCTYPE x SYSTEM "{ear}/dtd">',
        "an entity of parameters": f'<!DOCTYPE x [<!ENTITY % p SYSTEM "{ear}/parameter">%p;]>',
    }
    for name, doctype in doctypes.items():
        used = "&l11;" * (1000 if "quadratic" in name else 1)
        item = f"<si><t>{used}</t></si>"
        texts = "".join(f"<si><t>{text}</t></si>" for text in ("phone1", "note")) + item * 2
        cells = (f'<c t="inlineStr"><is><t>{text}</t></is></c>' for text in (books.PHONES[0], used))
        row = f'<row r="4">{"".join(cells)}</row>'
        named = f'<sheet name="{used}" sheetId="1" r:id="rId1"/>'
        yield Hostile(f"{name} in shared strings", whole(xlsx({STRINGS: books.strings(texts, doctype=doctype)})), ANY)
        yield Hostile(f"{name} in a sheet", whole(xlsx({SHEET: books.sheet(books.ROWS + row, doctype=doctype)})), ANY)
        yield Hostile(f"{name} in the workbook", whole(xlsx({WORKBOOK: books.book(named, doctype=doctype)})), ANY)
        rows = books.ods_row("phone1", "note") + books.ods_row(books.PHONES[0], used)
        yield Hostile(f"{name} in OpenDocument", whole(books.ods(rows, doctype)), ANY)


def xls_files(_sizes: Sizes) -> Iterator[Hostile]:
    """Compound documents whose tables run in circles, and records that say too much."""
    sound = books.xls()
    for name, (at, form) in XLS_FIELDS.items():
        for number in (0, 1, 2, 0x7FFFFFFF, 0xFFFFFFFE, 0xFFFFFFFF):
            content = bytearray(sound)
            struct.pack_into(form, content, at, number & (0xFFFF if form == "<H" else 0xFFFFFFFF))
            yield Hostile(f"an .xls file whose {name} is {number:#x}", whole(bytes(content)), (*ANY, FOREIGN))
    table = (struct.unpack_from("<I", sound, 76)[0] + 1) * 512
    for number in (0, 1, 5):
        looped = sound[:table] + struct.pack("<I", number) * 128 + sound[table + 512 :]
        yield Hostile(f"an .xls file whose sectors all lead to {number}", whole(looped), ANY)
    folder = (struct.unpack_from("<I", sound, 48)[0] + 1) * 512
    for size in (0xFFFFFFFF, 0x7FFFFFFF, 0):
        content = bytearray(sound)
        for entry in range(4):
            struct.pack_into("<I", content, folder + entry * 128 + 120, size)
        yield Hostile(f"an .xls file of streams of {size:#x} bytes", whole(bytes(content)), ANY)


def xls_records(_sizes: Sizes) -> Iterator[Hostile]:
    """Records of .xls whose lengths, counts and places are none."""
    sound = books.xls()
    for kind in (0x0009, 0x0085, 0x00FC, 0x0200, 0x00FD, 0x0208, 0x0809):
        at = sound.find(struct.pack("<H", kind), 512)
        for filler in (b"\xff", b"\x00", b"\x7f"):
            for skipped in (2, 4, 8):
                start = at + skipped
                content = sound[:start] + filler * 12 + sound[start + 12 :]
                name = f"an .xls record {kind:#x} with {filler!r} from byte {skipped} on"
                yield Hostile(name, whole(content), (*ANY, FOREIGN))


def xlsb_files(sizes: Sizes) -> Iterator[Hostile]:
    """Records that say another length, place or size."""
    head = (
        books.binary_row(0)
        + books.binary_text(0, "phone1")
        + books.binary_row(1)
        + books.binary_text(0, books.PHONES[0])
    )
    tails = {
        "a text of 4 GiB": books.binary_row(2) + books.binary_text(0, "x", 0xFFFFFFFF),
        "a text of 2 GiB": books.binary_row(2) + books.binary_text(0, "x", 0x7FFFFFFF),
        "a record of 256 MiB": books.record(6, b"", 0x0FFFFFFF),
        "a record without end": books.record(6, b"", 2**35),
        "a far row": books.binary_row(-1) + books.binary_text(0, "x"),
        "a millionth column": books.binary_row(2) + books.binary_text(999_999, "x"),
        "a far column": books.binary_row(2) + books.binary_text(-1, "x"),
        "the last cell": books.binary_row(1_048_575) + books.binary_text(16_383, "x"),
        "rows that fall": books.binary_row(1) + books.binary_text(0, "x") + books.binary_row(0),
        "short records": books.record(0, b"") + books.record(6, b"\0") + books.record(5, b"\0" * 9),
        "no such shared string": books.binary_row(2) + books.record(7, struct.pack("<III", 0, 0, 0xFFFFFFFF)),
        "unknown records": books.record(4095, b"x" * 100) * 1000,
    }  # fmt: skip
    for name, tail in tails.items():
        yield Hostile(f"an .xlsb file with {name}", whole(books.xlsb(head + tail)), ANY)
    for last in ((0xFFFFFFFF, 0xFFFFFFFF), (1_048_575, 16_383), (0, 0xFFFFFFFF)):
        yield Hostile(f"an .xlsb sheet up to {last}", whole(books.xlsb(last=last)), ANY)
    for part in ("xl/workbook.bin", "xl/worksheets/sheet1.bin", "xl/sharedStrings.bin", "xl/styles.bin"):
        for name, other in (("ends", b""), ("ones", b"\xff" * 5000), ("zeros", bytes(5000))):
            yield Hostile(f"an .xlsb file with {part} of {name}", whole(books.xlsb(parts={part: other})), ANY)
        huge = Packed(books.record(0, bytes(17)) * 50_000, sizes.part_bytes // MIB)
        yield Hostile(f"an .xlsb file with gigabytes of {part}", whole(books.xlsb(parts={part: huge})), ANY)


def ods_files(sizes: Sizes) -> Iterator[Hostile]:
    """Rows, columns and blanks that say how often they are repeated."""
    head, row = books.ods_row("phone1", "note"), books.ods_row(books.PHONES[0], "a")
    for number in (0, 1_000_000, 1_048_577, 2**31 - 1, 2**32 - 1, 2**63, -1):
        rows, cells = f'table:number-rows-repeated="{number}"', f'table:number-columns-repeated="{number}"'
        blanks = f'<text:s text:c="{number}"/>'
        tails = {
            "rows": books.ods_row("x", said=rows),
            "empty rows": f"<table:table-row {rows}><table:table-cell/></table:table-row>",
            "cells": books.ods_row("x", cell_said=cells),
            "empty cells": f"<table:table-row><table:table-cell {cells}/></table:table-row>",
            "rows of cells": books.ods_row("x", said=rows, cell_said=cells),
            "empty rows above a row": f"<table:table-row {rows}><table:table-cell/></table:table-row>{row}",
            "blanks": books.ods_row(f"x{blanks}y"),
        }
        for name, tail in tails.items():
            yield Hostile(f"{number:,} {name} of OpenDocument", whole(books.ods(head + row + tail)), ANY)
    for name, unit in (("rows", row), ("blanks", " "), ("elements", "<text:p>"), ("tabs", "<text:tab/>")):
        content = books.filled(books.ods_content(head + row + "@"), unit, sizes.part_bytes)
        yield Hostile(f"OpenDocument with gigabytes of {name}", whole(books.ods(parts={"content.xml": content})), ANY)
    kinds = books.filled("application/vnd.oasis.opendocument.spreadsheet@", " ", sizes.part_bytes)
    yield Hostile("OpenDocument with gigabytes of its kind", whole(books.ods(parts={"mimetype": kinds})), ANY)
    listed = books.filled("<manifest>@</manifest>", "<file-entry/>", sizes.part_bytes)
    yield Hostile(
        "OpenDocument with gigabytes of a manifest", whole(books.ods(parts={"META-INF/manifest.xml": listed})), ANY
    )
