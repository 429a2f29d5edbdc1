"""Workbooks: rows as the sheet numbers them, numbers exact, and a hostile one costs a child process and no more."""

from __future__ import annotations

import datetime as dt
import errno
import io
import os
import re
import resource
import struct
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import openpyxl  # type: ignore[import-untyped]
import pytest
import xlsxwriter  # type: ignore[import-untyped]
import xlwt  # type: ignore[import-untyped]
from odf.opendocument import OpenDocumentSpreadsheet  # type: ignore[import-untyped]
from odf.table import Table as OdfTable  # type: ignore[import-untyped]
from odf.table import TableCell, TableRow
from odf.text import P  # type: ignore[import-untyped]
from polars.exceptions import PanicException

from audiences import disk
from audiences.errors import (
    DiskFull,
    EmptyFile,
    MissingPhoneColumn,
    ProtectedWorkbook,
    RepeatedPhoneColumn,
    SheetNotFound,
    TooManyColumns,
    UnreadableFile,
    WorkbookTooLarge,
)
from audiences.room import Room
from audiences.tables import Bounds, workbook, workbook_book, workbook_child, workbook_keep, workbook_parts
from audiences.tables.shapes import Wanted
from audiences.tables.unpack import Content
from audiences.tables.workbook_book import NotCut
from audiences.tables.workbook_child import Question
from audiences.tables.workbook_keep import Kept
from test_tables_reading import BOUNDS, read

START = Path(workbook.__file__).with_name("workbook_start.py")

LIST: list[list[Any]] = [["phone1", "name"], [442079832100, "Anna"], ["+44 20 7983 2101", "Bób"]]
ROWS = [(2, "442079832100", "Anna"), (3, "+44 20 7983 2101", "Bób")]


def xlsx(fill: Callable[[xlsxwriter.Workbook], None]) -> bytes:
    """The workbook that `fill` makes."""
    out = io.BytesIO()
    with xlsxwriter.Workbook(out, {"in_memory": True}) as book:
        fill(book)
    return out.getvalue()


def sheet(rows: list[list[Any]], top: int = 0, left: int = 0, name: str | None = None) -> bytes:
    """A workbook of one sheet that holds `rows`."""

    def fill(book: xlsxwriter.Workbook) -> None:
        page = book.add_worksheet(name)
        for number, row in enumerate(rows):
            page.write_row(top + number, left, row)

    return xlsx(fill)


def by_openpyxl() -> bytes:
    book = openpyxl.Workbook()
    for row in LIST:
        book.active.append(row)
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def by_xlwt() -> bytes:
    book = xlwt.Workbook()
    page = book.add_sheet("List")
    for number, row in enumerate(LIST):
        for place, cell in enumerate(row):
            page.write(number, place, cell)
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def by_odfpy() -> bytes:
    document = OpenDocumentSpreadsheet()
    table = OdfTable(name="List")
    for row in LIST:
        line = TableRow()
        for value in row:
            kind = {"valuetype": "float", "value": value} if isinstance(value, int) else {"valuetype": "string"}
            cell = TableCell(**kind)
            cell.addElement(P(text=str(value)))
            line.addElement(cell)
        table.addElement(line)
    document.spreadsheet.addElement(table)
    out = io.BytesIO()
    document.write(out)
    return out.getvalue()


def by_hand() -> bytes:
    """An .xlsb workbook, record by record: no library writes them."""
    cells = b"".join(
        binary(0, struct.pack("<I", number) + bytes(13)) + b"".join(binary_cell(*cell) for cell in enumerate(row))
        for number, row in enumerate(LIST)
    )
    page = binary(129) + binary(148, struct.pack("<4I", 0, len(LIST) - 1, 0, 1)) + binary(145) + cells + binary(146)
    named = binary(156, struct.pack("<II", 0, 1) + wide("rId1") + wide("List"))
    relations = "http://schemas.openxmlformats.org/{}/2006/relationships"
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("xl/workbook.bin", binary(131) + binary(143) + named + binary(144) + binary(132))
        archive.writestr("xl/worksheets/sheet1.bin", page + binary(130))
        archive.writestr(
            "xl/_rels/workbook.bin.rels",
            f'<Relationships xmlns="{relations.format("package")}"><Relationship Id="rId1" '
            f'Type="{relations.format("officeDocument")}/worksheet" Target="worksheets/sheet1.bin"/></Relationships>',
        )
    return out.getvalue()


def binary(kind: int, data: bytes = b"") -> bytes:
    """A record of the BIFF12 format (MS-XLSB): its kind, its length, both seven bits a byte, and its data."""
    head = bytes([kind]) if kind < 128 else bytes([kind & 0x7F | 0x80, kind >> 7])
    return head + bytes([len(data)]) + data


def binary_cell(column: int, value: Any) -> bytes:
    """A cell with a text or a number."""
    at = struct.pack("<II", column, 0)
    return binary(6, at + wide(value)) if isinstance(value, str) else binary(5, at + struct.pack("<d", value))


def wide(text: str) -> bytes:
    """A text of the BIFF12 format."""
    return struct.pack("<I", len(text)) + text.encode("utf-16-le")


@pytest.mark.parametrize(
    ("make", "form"),
    [(lambda: sheet(LIST), "xlsx"), (by_openpyxl, "xlsx"), (by_xlwt, "xls"), (by_odfpy, "ods"), (by_hand, "xlsb")],
)
def test_every_kind_of_workbook_is_read(make: Callable[[], bytes], form: str) -> None:
    found = read(make())
    assert (found.rows, found.table.format, found.table.exact_numbers) == (ROWS, form, True)


def test_rows_are_numbered_as_the_sheet_shows_them() -> None:
    """Blank rows above and within count; a used range that does not begin in A1 changes nothing."""
    found = read(sheet([["Title"], [], ["phone1", "n"], ["4420", "x"], [], [" "], ["4421", "y"]], top=4, left=2))
    assert (found.table.header_row, found.table.columns) == (7, ("phone1", "n"))
    assert found.rows == [(8, "4420", "x"), (11, "4421", "y")]
    assert (len(found.rows), found.blank_rows) == (2, 2)


def test_cells_are_exact_and_readable() -> None:
    def fill(book: xlsxwriter.Workbook) -> None:
        page = book.add_worksheet()
        day, hour = book.add_format({"num_format": "yyyy-mm-dd"}), book.add_format({"num_format": "yyyy-mm-dd hh:mm"})
        page.write_row(0, 0, ["phone1", "a", "b", "c", "d", "e"])
        page.write_row(1, 0, [442079832100, 1.5, True])
        page.write_datetime(1, 3, dt.datetime(2024, 5, 6), day)  # noqa: DTZ001 - a sheet has no zone
        page.write_datetime(1, 4, dt.datetime(2024, 5, 6, 7, 8, 9), hour)  # noqa: DTZ001
        page.write_formula(1, 5, "=1+1", None, 2)
        page.write_row(2, 0, [442079832100123, -3, 0.1])
        page.write_formula(2, 3, "=1/0", None, "#DIV/0!")
        page.write_string(2, 4, 'a\nb, "c"')

    assert read(xlsx(fill)).rows == [
        (2, "442079832100", "1.5", "true", "2024-05-06", "2024-05-06 07:08:09", "2"),
        (3, "442079832100123", "-3", "0.1", "", 'a\nb, "c"', ""),
    ]


def test_surplus_text_is_malformed() -> None:
    found = read(sheet([["phone1", "n", ""], ["4420", "x"], ["4421", "y", "", "note"], ["4422", "", " "]]))
    assert found.rows == [(2, "4420", "x"), (4, "4422", "")]
    assert found.malformed == [(3, "4421\ty\t\tnote")]


def books(book: xlsxwriter.Workbook) -> None:
    hidden = book.add_worksheet("Hidden")
    book.add_worksheet("Cover").write(0, 0, "Our customers")
    for name in ("May", "June"):
        book.add_worksheet(name).write_column(0, 0, ["phone1", name])
    secret = book.add_worksheet("Secret")
    for page in (hidden, secret):
        page.write_column(0, 0, ["phone1", "hidden"])
    book.worksheets()[1].activate()
    book.worksheets()[1].set_first_sheet()
    hidden.hide()
    secret.very_hidden()


def test_the_first_visible_sheet_with_the_phone_column_is_taken() -> None:
    assert (read(xlsx(books)).table.sheet, read(xlsx(books)).rows) == ("May", [(2, "May")])


def test_a_sheet_is_taken_by_name_whatever_its_case() -> None:
    assert read(xlsx(books), sheet=" june ").rows == [(2, "June")]


@pytest.mark.parametrize("name", ["July", "Hidden", "Secret"])
def test_an_unknown_or_hidden_sheet_is_refused_with_the_visible_ones(name: str) -> None:
    with pytest.raises(SheetNotFound, match="The workbook has: Cover, May, June"):
        read(xlsx(books), sheet=name)


@pytest.mark.parametrize(
    ("data", "refusal"),
    [
        (sheet([["name"], ["Anna"]]), MissingPhoneColumn),
        (sheet([["phone1", "Phone1 "], ["1", "2"]]), RepeatedPhoneColumn),
        (sheet([["phone1"] + ["a"] * 2500]), TooManyColumns),
        (sheet([]), EmptyFile),
        (sheet([[" "], ["", " "]]), EmptyFile),
        (sheet(LIST)[:-200], UnreadableFile),
        (by_xlwt()[:512] + bytes(1024) + by_xlwt()[1536:], UnreadableFile),
    ],
)
def test_a_workbook_without_a_table_is_refused(data: bytes, refusal: type[Exception]) -> None:
    with pytest.raises(refusal):
        read(data)


def test_a_damaged_part_is_refused() -> None:
    with pytest.raises(UnreadableFile):
        read(replaced(sheet(LIST), "xl/worksheets/sheet1.xml", b"<worksheet><sheetData><row r='1'><c r='A1'"))


def replaced(workbook: bytes, name: str, data: bytes) -> bytes:
    """`workbook` with another part of that name."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(workbook)) as old, zipfile.ZipFile(out, "w") as new:
        for member in old.namelist():
            new.writestr(member, data if member == name else old.read(member))
    return out.getvalue()


def test_one_cell_far_out_is_refused_and_not_waited_for() -> None:
    def far(book: xlsxwriter.Workbook) -> None:
        page = book.add_worksheet()
        page.write(0, 0, "phone1")
        page.write(1048575, 16383, "x")

    with pytest.raises(WorkbookTooLarge):
        read(xlsx(far))


def test_a_sheet_of_a_million_columns_is_refused_and_not_waited_for() -> None:
    """Its columns' names are each held against all others, which takes half an hour."""
    cells = "".join(f'<c r="{place}"><v>1</v></c>' for place in ("A1", "BDWGN1"))
    page = f'<worksheet><sheetData><row r="1">{cells}</row></sheetData></worksheet>'
    begun = time.monotonic()
    with pytest.raises(TooManyColumns):
        read(replaced(sheet(LIST), "xl/worksheets/sheet1.xml", page.encode()))
    assert time.monotonic() - begun < 30


def test_a_workbook_that_takes_too_long_is_refused() -> None:
    with pytest.raises(WorkbookTooLarge):
        read(sheet(LIST), bounds=replace(BOUNDS, workbook_timeout_s=0.01))


def test_a_workbook_that_takes_too_much_memory_is_refused() -> None:
    with pytest.raises(WorkbookTooLarge):
        read(sheet(LIST), bounds=replace(BOUNDS, workbook_memory_bytes=1 << 24))


def test_a_workbook_for_whose_threads_there_is_no_memory_is_not_called_damaged() -> None:
    """A thread's stack is as large as this limit says, and the child may have an eighth of it in all."""
    usual = resource.getrlimit(resource.RLIMIT_STACK)
    resource.setrlimit(resource.RLIMIT_STACK, (8 * BOUNDS.workbook_memory_bytes, usual[1]))
    try:
        with pytest.raises(WorkbookTooLarge):
            read(sheet(LIST))
    finally:
        resource.setrlimit(resource.RLIMIT_STACK, usual)


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("can't start new thread"),
        PanicException("OS can't spawn worker thread: Resource temporarily unavailable (os error 11)"),
        PanicException('ThreadPoolBuildError { kind: IOError(Os { code: 11, kind: WouldBlock, message: "…" }) }'),
        BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN)),
        ImportError("_fastexcel.abi3.so: failed to map segment from shared object"),
        MemoryError("memory allocation of 8388608 bytes failed"),
    ],
    ids=["python", "tokio", "rayon", "system", "library", "allocation"],
)
def test_what_libraries_say_without_memory_is_not_blamed_on_the_workbook(error: BaseException) -> None:
    assert workbook_child.trouble(error) == "too_large"


def test_a_protected_workbook_is_refused() -> None:
    with pytest.raises(ProtectedWorkbook):
        read(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(512) + "EncryptedPackage".encode("utf-16-le"))


def test_a_workbook_in_an_archive_is_read() -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("list.xlsx", sheet(LIST))
    assert read(out.getvalue()).rows == ROWS


def test_the_child_says_nothing_of_what_a_workbook_holds() -> None:
    """Its answer names the sheet; a question that it cannot understand ends it without a word on standard output."""
    child = subprocess.run([sys.executable, START], input=b"{}", capture_output=True, check=False)
    assert (child.returncode != 0, child.stdout) == (True, b"")


def kept(data: bytes, memory_bytes: int, slice_bytes: int = 11_000) -> tuple[list[tuple[Any, ...]], int]:
    """All rows that are left of the workbook, and in how many files. Without memory all its sheets are large."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "book").write_bytes(data)
        question = Question(str(folder / "book"), name, "phone1", None, memory_bytes, 0, 0, slice_bytes)
        answer = workbook_child.read(question)
        assert answer.trouble is None
        left = {path.name for path in folder.iterdir()} - {"book"}
        assert left - set(answer.files) <= {"sheet-1.arrow"}  # a cover, which was looked into
        found = Kept(tuple(folder / file for file in answer.files), answer.left, answer.width)
        return workbook_keep.scan(found).collect().rows(), len(answer.files)


def numbered(count: int, width: int = 3) -> list[list[Any]]:
    """A list with `count` contacts, which differ in every cell."""
    return [["phone1", *"abcdefgh"[: width - 1]]] + [
        [442079832100 + at, *(f"{column}{at} é&<" for column in "abcdefgh"[: width - 1])] for at in range(count)
    ]


def ragged(book: xlsxwriter.Workbook) -> None:
    """Blank rows of all kinds, days, a first column that is used late, a wide row late, and formats below the data."""
    page, day = book.add_worksheet(), book.add_format({"num_format": "yyyy-mm-dd"})
    for number, row in enumerate(numbered(300)):
        page.write_row(3 + number, 2, row)
        page.write_datetime(3 + number, 5, dt.datetime(2024, 5, 6), day)  # noqa: DTZ001
    page.write_row(700, 2, [4420, "after blank rows"])
    for number in range(710, 760):
        page.write_blank(number, 2, None, day)
    page.write_row(800, 1, ["left of all", 4421, "", "", "", "", "", "right of all"])
    for number in range(900, 1000):
        page.write_blank(number, 0, None, day)
        page.set_row(number, 30)


def of_1904(book: xlsxwriter.Workbook) -> None:
    page, day = book.add_worksheet(), book.add_format({"num_format": "yyyy-mm-dd"})
    page.write(0, 0, "phone1")
    for number in range(1, 900):
        page.write_datetime(number, 0, dt.datetime(2024, 5, 6), day)  # noqa: DTZ001


def inline(count: int) -> bytes:
    """A list as openpyxl writes it row by row: texts stand in the sheet."""
    book = openpyxl.Workbook(write_only=True)
    page = book.create_sheet()
    for row in numbered(count):
        page.append(row)
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def changed(pattern: bytes, text: bytes, count: int = 0) -> bytes:
    """A workbook with its sheet's XML changed."""
    data = inline(300)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        xml = archive.read("xl/worksheets/sheet1.xml")
    found, times = re.subn(pattern, text, xml, count=count)
    assert times
    return replaced(data, "xl/worksheets/sheet1.xml", found)


@pytest.mark.parametrize(
    "make",
    [
        lambda: sheet(numbered(300)),
        lambda: inline(300),
        lambda: xlsx(ragged),
        lambda: xlsx(lambda book: (setattr(book, "date_1904", True), of_1904(book))[1]),  # type: ignore[func-returns-value]
        lambda: changed(rb'(?<=<row) r="\d+"', b""),
        lambda: changed(rb' r="[A-Z]*\d+"', b""),
        lambda: changed(rb"<row", b"\r\n  <row"),
        lambda: changed(rb'<row r="(1\d\d)".*?</row>', rb'<row r="\1" ht="9"/>'),
        lambda: changed(rb'<row r="(1[3-9]\d|2\d\d)".*?</row>', rb'<row r="\1" ht="9"' + b" " * 300 + b"/>"),
        lambda: changed(rb'r="(\w*?)150"', rb'r="\g<1>149"'),
        lambda: changed(rb'(?:(?<=<row)|(?<=<c)) r="[A-Z]*[23]\d\d"', b""),
    ],
    ids=[
        "shared",
        "inline",
        "ragged",
        "days of 1904",
        "rows unnumbered",
        "all unnumbered",
        "indented",
        "self-closed",
        "blank for long",
        "a number twice",
        "half unnumbered",
    ],
)
def test_a_large_sheet_is_cut_and_gives_the_same_rows(make: Callable[[], bytes]) -> None:
    data = make()
    (rows, files), (expected, one) = kept(data, memory_bytes=0), kept(data, memory_bytes=1 << 40)
    assert rows == expected
    assert (files > 2, one) == (True, 1)


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        (rb'(?=<row r="150")', b'<!-- </row><row r="149"> -->'),
        (rb"(?<=>a148)", b"<![CDATA[</row><row r='9'>]]>"),
        (rb'(?=<row r="150")', b"<?audiences </sheetData>?>"),
        (rb"<(/?)(?=[a-z])", rb"<\1x:"),
        (rb'r="(\w*?)150"', rb'r="\g<1>20"'),
        (rb'r="([A-Z]*)2(\d\d)"', rb'r="\g<1>1\2"'),
    ],
    ids=["comment", "cdata", "instruction", "prefix", "a number out of order", "numbers out of order"],
)
def test_a_sheet_that_cannot_be_cut_safely_is_read_whole(pattern: bytes, text: bytes) -> None:
    data = changed(pattern, text)
    assert kept(data, memory_bytes=0) == (kept(data, memory_bytes=1 << 40)[0], 1)


def test_a_sheet_is_cut_for_speed_unless_both_readers_would_read_much_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """What `sheet` makes has its texts beside the sheet, where each reader needs all of them; `inline` has none."""
    monkeypatch.setattr(workbook_book, "WORTH_BYTES", 20_000)
    expected = kept(inline(300), memory_bytes=1 << 40, slice_bytes=1 << 20)[0]
    assert kept(inline(300), memory_bytes=1 << 40)[0] == expected
    assert kept(inline(300), memory_bytes=1 << 40)[1] > 2
    assert kept(sheet(numbered(300)), memory_bytes=1 << 40, slice_bytes=1_000) == (expected, 1)


def test_a_sheet_that_could_not_be_cut_for_speed_is_read_whole_by_another_process() -> None:
    """What the first has read leaves memory behind, without which a sheet near the limit would not fit any more."""
    data = inline(10)
    cells = "".join(f'<row r="{at}"><c r="A{at}" t="n"><v>44207983{at:06}</v></c></row>' for at in range(2, 150_000))
    head = '<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>'
    first = '<row r="1"><c r="A1" t="inlineStr"><is><t>phone1</t></is></c></row>'
    xml = f"{head}{first}{cells}<!-- the last row --></sheetData></worksheet>".encode()
    assert len(xml) > workbook_book.WORTH_BYTES
    late = replaced(data, "xl/worksheets/sheet1.xml", xml)
    with pytest.raises(NotCut):
        kept(late, memory_bytes=1 << 40, slice_bytes=1 << 20)
    assert len(read(late).rows) == 149_998


def test_a_large_sheet_that_is_too_wide_leaves_nothing_behind() -> None:
    head = '<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>'
    rows = "".join(f'<row r="{at}">{"<c><v>1</v></c>" * 2_001}</row>' for at in range(1, 400))
    wide = replaced(inline(10), "xl/worksheets/sheet1.xml", f"{head}{rows}</sheetData></worksheet>".encode())
    with tempfile.TemporaryDirectory() as name:
        (Path(name) / "book").write_bytes(wide)
        question = Question(f"{name}/book", name, "phone1", None, 0, 0, 0, 2 << 20)
        assert workbook_child.read(question).trouble == "too_wide"
        assert [path.name for path in Path(name).iterdir()] == ["book"]


def test_slices_of_one_workbook_may_be_read_in_any_order(tmp_path: Path) -> None:
    """Two threads wait for their turn, and either may get it."""
    (tmp_path / "book").write_bytes(sheet(numbered(600)))
    (part,) = workbook_parts.listing(tmp_path / "book")
    (volume,) = workbook_parts.volumes(tmp_path / "book", part, tmp_path / "sheet", 11_000)
    assert len(volume.slices) > 2
    opened = workbook_keep.Opened(volume)
    order = [0, *range(len(volume.slices) - 1, 0, -1)]
    assert [opened.load(place)[0] for place in order] == [volume.slices[place] for place in order]
    assert not volume.path.exists()


def test_what_slices_share_is_counted_as_often_as_it_is_there(tmp_path: Path) -> None:
    (tmp_path / "book").write_bytes(sheet(LIST))
    before = workbook_parts.listing(tmp_path / "book")[0].shared_bytes
    with zipfile.ZipFile(tmp_path / "book", "a") as archive:
        for _ in range(3):
            with pytest.warns(UserWarning, match="Duplicate name"):
                archive.writestr("xl/sharedStrings.xml", b"x" * 1_000)
    assert workbook_parts.listing(tmp_path / "book")[0].shared_bytes == before + 3_000


def test_a_cover_and_a_hidden_sheet_before_a_large_one_change_nothing() -> None:
    def fill(book: xlsxwriter.Workbook) -> None:
        books(book)
        for number, row in enumerate(numbered(300)):
            book.get_worksheet_by_name("May").write_row(number, 0, row)

    assert kept(xlsx(fill), memory_bytes=7 * 4_000) == (kept(xlsx(fill), memory_bytes=1 << 40)[0], 3)


def test_a_damaged_large_sheet_is_refused() -> None:
    with pytest.raises(Exception, match=r".") as caught:
        kept(changed(rb"</sheetData>.*", b""), memory_bytes=0)
    assert workbook_child.trouble(caught.value) == "unreadable"


@pytest.mark.campaign
def test_a_full_sheet_is_read_in_half_a_gibibyte(tmp_path: Path) -> None:
    """1,048,575 rows of 6 columns, texts shared and not; the reader alone takes 576 MiB for each."""
    for apart in (True, False):
        path = tmp_path / "full.xlsx"
        with xlsxwriter.Workbook(path, {"constant_memory": apart}) as book:
            page = book.add_worksheet()
            page.write_row(0, 0, ["phone1", "name", "city", "amount", "day", "email"])
            for at in range(1, 1048576):
                page.write_row(at, 0, [442079000000 + at, f"Person {at}", "Paris", at / 4, "2024-01-02", f"p{at}@a.b"])
        found = read(
            path, bounds=Bounds(max_bytes=1 << 30, room=Room(0), workbook_memory_bytes=1 << 29, workbook_timeout_s=120)
        )
        assert len(found.rows) == 1048575
        last = "442080048575", "Person 1048575", "Paris", "262143.75", "2024-01-02", "p1048575@a.b"
        assert found.rows[-1] == (1048576, *last)
        assert all(row[:2] == (at, str(442078999999 + at)) for at, row in enumerate(found.rows, start=2))


# What answers a write as such a disk does: with no room, and with an I/O error.
FAILING_DISKS = {"/dev/full": DiskFull, "/proc/self/mem": OSError}


@pytest.mark.parametrize("file", FAILING_DISKS)
def test_a_disk_that_fails_the_child_is_not_blamed_on_the_workbook(file: str, tmp_path: Path) -> None:
    content = tmp_path / "book.xlsx"
    content.write_bytes(sheet(LIST))
    (tmp_path / "sheet-0.arrow").symlink_to(file)
    with pytest.raises(FAILING_DISKS[file]) as failed:
        workbook.read(Content(content, "xlsx"), tmp_path, Wanted(), BOUNDS)
    assert disk.is_to_blame(failed.value) or isinstance(failed.value, DiskFull)
