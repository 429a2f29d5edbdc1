"""What arrives of a CSV file, clean or polluted: every well-formed row, with the number a spreadsheet shows."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest

from audiences import tables
from audiences.errors import (
    EmptyFile,
    MissingPhoneColumn,
    RepeatedPhoneColumn,
    TooManyColumns,
    UnsupportedFormat,
)
from audiences.room import Room
from audiences.tables import Bounds, Table, Untidy, Wanted, encoding, sniff
from audiences.tables.csv_careful import CarefulFile
from audiences.tables.csv_tidy import ROW_CELLS, TidyFile
from audiences.tables.cutting import Cutter
from audiences.tables.dialect import MAX_RECORD_BYTES, MAX_RECORD_LINES, Dialect
from audiences.tables.pieces import GROWTH, PIECE_CELLS, Pieces
from audiences.tables.shapes import Piece

BOUNDS = Bounds(max_bytes=1 << 26, room=Room(1 << 24), workbook_memory_bytes=1 << 29, workbook_timeout_s=60)

Rows = list[tuple[Any, ...]]


@dataclass(frozen=True)
class Reading:
    """A table that was read, with its rows and malformed records as Python values; an empty cell is ''."""

    table: Table
    rows: Rows
    malformed: Rows
    blank_rows: int
    fast: bool


def read(data: bytes | str | Path, *, bounds: Bounds = BOUNDS, **wanted: Any) -> Reading:
    """The reading of `data`, a file or its bytes (text goes as UTF-8)."""
    with tempfile.TemporaryDirectory() as name, duckdb.connect() as connection:
        folder = Path(name) / "upload"
        folder.mkdir()
        path = data if isinstance(data, Path) else Path(name) / "file"
        if not isinstance(data, Path):
            path.write_bytes(data.encode() if isinstance(data, str) else data)
        for table in tables.readings(connection, path, folder, Wanted(**wanted), bounds):
            with suppress(Untidy):
                return reading(table)
    raise AssertionError("the last reading takes any file")


def reading(table: Table) -> Reading:
    """What `table` holds. Raises Untidy."""
    pieces = list(table.pieces)
    again = list(table.pieces)
    assert [piece.frame.rows() for piece in pieces] == [piece.frame.rows() for piece in again]
    rows, malformed = told(pieces)
    return Reading(
        table, rows, malformed, sum(piece.blank_rows for piece in pieces), isinstance(table.pieces.source, TidyFile)
    )


def told(pieces: Sequence[Piece]) -> tuple[Rows, Rows]:
    """The rows, and the malformed records with their numbers."""
    rows: Rows = []
    malformed: Rows = []
    for piece in pieces:
        for row in piece.frame.iter_rows(named=True):
            raw = row.pop("raw", None)
            if raw is None:
                rows.append(tuple("" if cell is None else cell for cell in row.values()))
            else:
                malformed.append((row["row"], raw))
    return rows, malformed


# name: file, rows, malformed, blank_rows
CLEAN: dict[str, tuple[str, Rows]] = {
    "plain": ("phone1,name\n4420,Anna\n4421,Bob\n", [(2, "4420", "Anna"), (3, "4421", "Bob")]),
    "no line end at the end": ("phone1,name\n4420,Anna", [(2, "4420", "Anna")]),
    "windows line ends": ("phone1,name\r\n4420,Anna\r\n4421,Bob\r\n", [(2, "4420", "Anna"), (3, "4421", "Bob")]),
    "old mac line ends": ("phone1,name\r4420,Anna\r4421,Bob\r", [(2, "4420", "Anna"), (3, "4421", "Bob")]),
    "semicolons and decimal commas": ("phone1;sum\n4420;1,50\n4421;2,75\n", [(2, "4420", "1,50"), (3, "4421", "2,75")]),
    "tabs": ("phone1\tname\n4420\tAnna, B\n", [(2, "4420", "Anna, B")]),
    "bars": ("name|phone1\nAnna; B|4420\n", [(2, "Anna; B", "4420")]),
    "one column": ("phone1\n4420\n4421\n", [(2, "4420"), (3, "4421")]),
    "one column of commas": ("phone1\n4420,4421\n", [(2, "4420,4421")]),
    "quotes": ('phone1,name\n4420,"A, ""B"""\n4421,""\n', [(2, "4420", 'A, "B"'), (3, "4421", "")]),
    "line breaks in quotes": ('phone1,a\n4420,"x\ny"\n4421,z\n', [(2, "4420", "x\ny"), (3, "4421", "z")]),
    "windows line breaks in quotes": (
        'phone1,a\r\n4420,"x\r\ny"\r\n4421,z\r\n',
        [(2, "4420", "x\r\ny"), (3, "4421", "z")],
    ),
    "a quote within a cell": ('phone1,a\n4420,5" pipe\n4421,z\n', [(2, "4420", '5" pipe'), (3, "4421", "z")]),
    "spaces around quotes": ('phone1, a\n4420, "x, y" \n', [(2, "4420", "x, y")]),
    "single quotes": ("'phone1','a'\n'4420','x, y'\n'4421','z'\n", [(2, "4420", "x, y"), (3, "4421", "z")]),
    "single quotes around apostrophes and inches": (
        "phone1,a,b\n4420,'5\" pipe, long','x'\n4421,'y','z'\n4422,'v','w'\n",
        [(2, "4420", '5" pipe, long', "x"), (3, "4421", "y", "z"), (4, "4422", "v", "w")],
    ),
    "apostrophes within double quotes": (
        "phone1,a\n4420,\"'x', y\"\n4421,\"'z', w\"\n",
        [(2, "4420", "'x', y"), (3, "4421", "'z', w")],
    ),
    "a stray quote in the header": (
        'a,"b,phone1,c\nx,y,442079832100,z\n"v, w",u,442079832101,\n',
        [(2, "x", "y", "442079832100", "z"), (3, "v, w", "u", "442079832101", "")],
    ),
    "text behind a quote in the header": (
        '"a",phone1,"b"c\nx,442079832100,z\n',
        [(2, "x", "442079832100", "z")],
    ),
    "apostrophes before numbers": ("phone1,a\n'4420,x\n'4421,y\n", [(2, "'4420", "x"), (3, "'4421", "y")]),
    "a backslash before a quote": ('phone1,a\n4420,"x \\"y\\" z, w"\n', [(2, "4420", 'x "y" z, w')]),
    "a title": ("Customers, May 2024; all\nphone1,a\n4420,x\n", [(3, "4420", "x")]),
    "a title and blank lines": ("Customers\n\n\nphone1,a\n4420,x\n", [(5, "4420", "x")]),
    "a title with an open quote": ('The "list\nphone1,a\n4420,x\n', [(3, "4420", "x")]),
    "a title that opens a quote": ('"The list\nphone1,a\n4420,x\n', [(3, "4420", "x")]),
    "a title over two lines": ('"The\nlist",\nphone1,a\n4420,x\n', [(3, "4420", "x")]),
    "a header over two lines": ('phone1,"a\nb"\n4420,x\n', [(2, "4420", "x")]),
    "sep=": ("sep=;\nphone1;a\n4420;x\n", [(3, "4420", "x")]),
    "sep= and one column": ("sep=;\nphone1\n4420\n", [(3, "4420")]),
    "short rows": ("phone1,a,b\n4420\n4421,x\n", [(2, "4420", "", ""), (3, "4421", "x", "")]),
    "surplus empty cells": ("phone1,a\n4420,x,,\n4421,y,\n", [(2, "4420", "x"), (3, "4421", "y")]),
    "blank records": ("phone1,a\n,\n4420,x\n \t,\u00a0\n4421,y\n", [(3, "4420", "x"), (5, "4421", "y")]),
    "blank lines at the end": ("phone1,a\n4420,x\n\n\n", [(2, "4420", "x")]),
    "a byte order mark": ("\ufeffphone1,a\n4420,x\n", [(2, "4420", "x")]),
    "no rows": ("phone1,a\n", []),
    "only a header": ("phone1,a", []),
}

# No cell says phone1 by itself, or it stands above something else.
HEADERLESS = {
    "no header": "a,b\n4420,x\n",
    "a space between columns": "phone1 a\n442079832100 x\n",
    "a stray quote in what is no header": 'see "phone1, below\n442079832100,x\nAnna,Bob\n4420,Bob\n',
    "a stray quote, and names that are no phones'": '"a,phone1\n442079832100,Anna\n442079832101,Bob\n',
}

POLLUTED: dict[str, tuple[str, Rows, Rows]] = {
    "surplus text": ("phone1,a\n4420,x,y\n4421,z\n", [(3, "4421", "z")], [(2, "4420,x,y")]),
    "surplus blank cells": ("phone1,a\n4420,x, ,\n4421,y\n", [(2, "4420", "x"), (3, "4421", "y")], []),
    "a blank line": ("phone1,a\n4420,x\n\n4421,y\n", [(2, "4420", "x"), (4, "4421", "y")], []),
    "mixed line ends": (
        "phone1,a\r\n4420,x\n4421,y\r4422,z\r\n4423,w\n",
        [(2, "4420", "x"), (3, "4421", "y"), (4, "4422", "z"), (5, "4423", "w")],
        [],
    ),
    "an unclosed quote": (
        'phone1,a\n4420,"x\n4421,y\n4422,z\n',
        [(3, "4421", "y"), (4, "4422", "z")],
        [(2, '4420,"x')],
    ),
    "an unclosed quote, quoted cells below": (
        'phone1,a\n4420,"x\n4421,y\n4422,"z, w"\n',
        [(3, "4421", "y"), (4, "4422", "z, w")],
        [(2, '4420,"x')],
    ),
    "an unclosed quote that swallows too many cells": (
        'phone1,a\n4420,"x\n4421,",y",z\n',
        [],
        [(2, '4420,"x'), (3, '4421,",y",z')],
    ),
    "text after a quote": ('phone1,a\n4420,"5" pipe\n4421,y\n', [(3, "4421", "y")], [(2, '4420,"5" pipe')]),
    "a record of many lines among mixed ends": (
        'phone1,a\n4420,"x\r\ny\rz\nw"\n\n4421,y\n',
        [(2, "4420", "x\r\ny\rz\nw"), (4, "4421", "y")],
        [],
    ),
    "a zero character in a cell": ("phone1,a\n4420,x\0y\n\n4421,z\n", [(2, "4420", "x\0y"), (4, "4421", "z")], []),
    "this package's own escapes": (
        "phone1,a\n4420,\x01n\x02\x01X\x01L\n\n4421,\x01A\x01B\n",
        [(2, "4420", "\x01n\x02\x01X\x01L"), (4, "4421", "\x01A\x01B")],
        [],
    ),
    "backslashes in a careful reading": ('phone1,a\n4420,"x \\"y\\" z"\n\n', [(2, "4420", 'x "y" z')], []),
    "one column and a stray quote": ('phone1\n"4420\n4421\n', [(3, "4421")], [(2, '"4420')]),
}


@pytest.mark.parametrize("name", HEADERLESS)
def test_a_broken_line_is_a_header_only_where_phones_stand_below_it(name: str) -> None:
    with pytest.raises(MissingPhoneColumn):
        read(HEADERLESS[name])


@pytest.mark.parametrize("name", CLEAN)
def test_a_clean_file_arrives_whole(name: str) -> None:
    data, rows = CLEAN[name]
    assert read(data).rows == rows


@pytest.mark.parametrize("name", POLLUTED)
def test_every_well_formed_row_arrives_with_its_number_and_no_other(name: str) -> None:
    data, rows, malformed = POLLUTED[name]
    found = read(data)
    assert (found.rows, found.malformed) == (rows, malformed)


@pytest.mark.parametrize("name", CLEAN)
def test_both_readers_agree(name: str) -> None:
    """The careful reader reads what the fast one does, the counts included."""
    data, rows = CLEAN[name]
    assert careful(data.encode())[0] == rows
    assert careful(data.encode())[1] == read(data).blank_rows


def careful(data: bytes) -> tuple[Rows, int]:
    """The rows and the blank rows of a CSV file, by the careful reader alone."""
    with tempfile.TemporaryDirectory() as name, duckdb.connect() as connection:
        path = Path(name) / "file"
        path.write_bytes(data)
        text = encoding.read(path, Path(name), 1 << 30)
        found = sniff.sniff(encoding.sample(text, 1 << 18), "phone1")
        pieces = list(Pieces(CarefulFile(connection, text, found, Path(name), 1 << 30), Room(0)))
        return told(pieces)[0], sum(piece.blank_rows for piece in pieces)


@pytest.mark.parametrize(
    "name", ["plain", "windows line ends", "quotes", "line breaks in quotes", "a title", "short rows", "blank records"]
)
def test_what_is_tidy_is_read_by_the_fast_reader(name: str) -> None:
    assert read(CLEAN[name][0]).fast


@pytest.mark.parametrize(
    ("data", "blank_rows"),
    [
        ("phone1,a\n4420,x\n\n\n", 2),
        ("\n\nphone1,a\n4420,x\n", 0),
        ("phone1,a\n,\n4420,x\n\n , \n", 3),
        ("phone1\n4420\n\n4421\n\n", 2),
        ('phone1,a\n4420,"\n\n"\n\n\n', 2),
    ],
)
def test_blank_rows_after_the_header_are_told(data: str, blank_rows: int) -> None:
    assert read(data).blank_rows == blank_rows


def test_apostrophes_around_a_single_cell_are_text() -> None:
    assert read("phone1,a,b\n4420,,''\n").rows == [(2, "4420", "", "''")]
    assert read("phone1,a\n4420,'x'\n").rows == [(2, "4420", "'x'")]
    assert read("'phone1','a'\n'4420','x'\n").rows == [(2, "4420", "x")]


def test_one_stray_quote_costs_one_line_of_a_long_file() -> None:
    lines = [f"44207{n:07},name {n}" for n in range(5000)]
    lines[100] += ',"'
    lines[101] = '"' + lines[101]
    found = read("phone1,a,b\n" + "\n".join(lines) + "\n")
    assert [row for row, _ in found.malformed] == [102, 103]
    assert len(found.rows) == 4998


def test_a_quoted_cell_spans_so_many_lines_and_no_more() -> None:
    most = "x\n" * (MAX_RECORD_LINES - 1)
    assert len(read(f'phone1,a\n4420,"{most}"\n').rows) == 1
    over = read(f'phone1,a\n4420,"{most}\n"\n4421,y\n')
    assert over.malformed[0] == (2, '4420,"x')
    assert over.rows[-1] == (MAX_RECORD_LINES + 3, "4421", "y")


def test_an_overlong_line_is_malformed_and_cut() -> None:
    found = read("phone1,a\n4420," + "é" * MAX_RECORD_BYTES + "\n4421,y\n")
    assert found.rows == [(3, "4421", "y")]
    ((row, raw),) = found.malformed
    assert (row, raw[:6]) == (2, "4420,é")
    assert len(raw.encode()) <= MAX_RECORD_BYTES + 4


def test_columns_keep_their_names_and_get_distinct_ones() -> None:
    found = read("phone1, Name ,name,,name_2,,\n4420,a,b,c,d\n")
    assert found.table.columns == ("phone1", " Name ", "name_3", "column_4", "name_2")


@pytest.mark.parametrize("name", ["PHONE1", " Phone1 ", "\u00a0phone1", "\ufeffphone1", '"phone1"'])
def test_the_phone_column_is_found_however_it_is_written(name: str) -> None:
    found = read(f"a,{name},b\nx,4420,y\n")
    assert (found.table.phone, found.rows) == (1, [(2, "x", "4420", "y")])


def test_another_column_can_be_the_phone_column() -> None:
    assert read("Mobile;phone1\n4420;x\n", phone_column="mobile").table.phone == 0


def test_a_missing_phone_column_is_told_with_the_columns_there_are() -> None:
    with pytest.raises(MissingPhoneColumn, match="The file has: name, mobile"):
        read("List\nname;mobile\nAnna;4420\n")


@pytest.mark.parametrize(
    ("data", "refusal"),
    [
        ("", EmptyFile),
        ("\n\r\n  \n", EmptyFile),
        ("\ufeff", EmptyFile),
        ("phone1,a,PHONE1 \n1,2,3\n", RepeatedPhoneColumn),
        ("phone1" + ",a" * 2000, TooManyColumns),
        ("<!DOCTYPE html><html><table><td>phone1</table>", UnsupportedFormat),
        ('[{"phone1": "4420"}]', UnsupportedFormat),
        ("%PDF-1.7 phone1", UnsupportedFormat),
        (b"\x89PNG\r\n\x1a\n", UnsupportedFormat),
        (b"phone1,a\n" + bytes(4000), UnsupportedFormat),
    ],
)
def test_what_is_no_table_is_refused(data: bytes | str, refusal: type[Exception]) -> None:
    with pytest.raises(refusal):
        read(data)


@pytest.mark.parametrize(
    ("line", "count"),
    [('",a', 20_000), ('"a', 20_000), ("", 200_000), ('a","b","', 20_000), ("," * 500, 2_000)],
)
def test_hostile_shapes_are_read_in_seconds(line: str, count: int) -> None:
    found = read("phone1,a\n" + (line + "\n") * count + "\n4420,x\n")
    assert len(found.rows) + len(found.malformed) + found.blank_rows <= count + 2
    assert found.rows[-1][1:] == ("4420", "x")


def test_a_piece_of_malformed_rows_alone_has_its_columns_all_the_same() -> None:
    """Whoever judges phones looks for theirs; a file of eight megabytes of opened quotes has such a piece."""
    records = pl.DataFrame({"row": [2, 3], "raw": ['4420,"x', '4421,"y'], "broken": [True, True]})
    found = Cutter(Dialect(","), 2, 0).piece(records).frame
    assert set(found.columns) == {"row", "c1", "c2", "raw"}
    assert found["raw"].to_list() == ['4420,"x', '4421,"y']


def test_a_piece_of_crowded_rows_has_no_more_cells_than_memory_is_good_for(tmp_path: Path) -> None:
    """An empty cell takes as much memory as any: by bytes alone a piece of them took a gigabyte."""
    path = tmp_path / "list.csv"
    path.write_bytes(b"phone1\n" + b"1\n" * 3_000_000)
    text = encoding.presumed(path)
    assert text is not None
    source = TidyFile(path, 0, sniff.sniff(encoding.sample(text, 1000), "phone1"))
    sizes = [piece.frame.height for piece in Pieces(source, Room(0), 2)]
    assert sum(sizes) == 3_000_000
    assert max(sizes) * ROW_CELLS < PIECE_CELLS * 1.1
    assert source.size > 3 * path.stat().st_size


def test_short_records_are_measured_by_the_cells_that_they_are_filled_up_to(tmp_path: Path) -> None:
    """Two megabytes of numbers below a header of 2,000 columns took three gigabytes, and eight if one was broken."""
    columns, rows = 2_000, 3_000
    header = "phone1," + ",".join(f"c{place}" for place in range(columns - 1)) + "\n"
    path = tmp_path / "list.csv"
    path.write_text(header + "442079832100\n" * rows)
    text = encoding.read(path, tmp_path, 1 << 30)
    found = sniff.sniff(encoding.sample(text, 1 << 18), "phone1")
    source = TidyFile(path, 0, found)
    assert source.size > rows * columns * 16 / GROWTH
    with duckdb.connect() as connection:
        for reader in (source, CarefulFile(connection, text, found, tmp_path, 1 << 30)):
            sizes = [piece.frame.height for piece in Pieces(reader, Room(0))]
            assert sum(sizes) == rows
            assert max(sizes) * columns < PIECE_CELLS * 1.2
