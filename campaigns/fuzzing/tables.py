"""The reading of small CSV files: encoding, dialect, header and rows, by each reader and by a slow one of its own."""

from __future__ import annotations

import csv
import io
import sys
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import duckdb

from audiences.errors import Refusal
from audiences.room import Room
from audiences.tables import Bounds, Table, Untidy, Wanted, csv_file, encoding
from audiences.tables.csv_careful import CarefulFile
from audiences.tables.csv_tidy import TidyFile
from audiences.tables.dialect import LINE
from audiences.tables.encoding import Text
from audiences.tables.pieces import Pieces
from audiences.tables.shapes import Piece
from audiences.tables.sniff import Found
from campaigns.fuzzing import slow_reader
from campaigns.fuzzing.target import Choices

sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))

BOUNDS = Bounds(max_bytes=1 << 22, room=Room(1 << 22), workbook_memory_bytes=1 << 29, workbook_timeout_s=60)

# The careful reader takes tens of milliseconds: it reads one tidy file in so many, and one of the others.
TIDY_SHARE, UNTIDY_SHARE = 32, 4

# Pieces as small as these are cut within what a piece of megabytes would hold whole.
PIECE_SIZES = (1 << 24, 256, 64, 40, 24)
# Room for all pieces, for some, and for none that are gone through again.
ROOMS = (1 << 20, 200, 0)

WORDS = (
    b"phone1", b"4420", b",", b";", b'"', b'""', b"'", b"\n", b"\r", b"\r\n", b"\0", b"\xff", b"\xc3\xa9", b"\xe9",
    b" ", b"\\", b"\x01", b"\x02", b"\xef\xbb\xbf", b"\xff\xfe", b"\t", b"\xef\xbf\xbd", b"|", b"sep=;", b"\xc2\xa0",
    b'","', b'"\n', b',"', b"\n\n", b",,", b"a", b'"a""b"', b'\\"', b"\x0b", b"\x0c", b"\x1c", b"\xc2\x85",
    b"\xe2\x80\xa8", b"4421,x,y\n", b"4422,x\n", b'4423,"x\ny",z\n', b'4424,"x,y"\n', b",,\n", b"#", b"\x80",
    b"'4420',",
    b"\x7f", b"NULL",
)  # fmt: skip
QUOTINGS: tuple[Literal[0, 1], ...] = (csv.QUOTE_MINIMAL, csv.QUOTE_ALL)
CODECS = ("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252", "utf-32", "cp1251")


HEADERS = (
    b"phone1,a\n", b"phone1\n", b"a;phone1;b\r\n", b'phone1,"a\nb"\n', b"List\n\nphone1,a,b\n", b"phone1,a,b\r", b"",
    b"phone1\t'a'\n",
)  # fmt: skip


@dataclass(frozen=True)
class Told:
    """What a reading told of a file."""

    rows: list[tuple[Any, ...]]
    malformed: list[tuple[int, str]]
    blank_rows: int


class Target:
    """See `target.Target`."""

    words = WORDS

    def __init__(self) -> None:
        kinds = ("files", "files refused", "rows", "malformed rows", "read as tidy", "read with care", "read by both")
        self.figures = dict.fromkeys(kinds, 0)
        self.place = tempfile.TemporaryDirectory(prefix="fuzz-csv-")
        self.folder = Path(self.place.name) / "upload"
        self.folder.mkdir()
        self.path = Path(self.place.name) / "file"
        self.seeds = list(seeds())
        self.database = duckdb.connect(config={"threads": 1})

    def try_one(self, data: bytes) -> None:
        """An input is the bytes of a file or what follows its header, cells of a well-formed one, or words."""
        choices = Choices(data)
        kind, piece_bytes = choices.number(5), choices.one_of(PIECE_SIZES)
        if kind == 0:
            self.try_file(choices.rest(), piece_bytes)
        elif kind == 1:
            self.try_well_formed(choices, piece_bytes)
        elif kind == 2:  # noqa: PLR2004 - the third
            self.try_file(choices.one_of(HEADERS) + choices.rest(), piece_bytes)
        else:
            codec, columns = choices.one_of(CODECS), choices.one_of(HEADERS)
            text = (columns + b"".join(WORDS[each % len(WORDS)] for each in choices.rest())).decode("utf-8", "replace")
            self.try_file(text.encode(codec, "replace"), piece_bytes)

    def end(self) -> None:
        """Nothing is left to say."""
        self.database.close()
        self.place.cleanup()

    def try_well_formed(self, choices: Choices, piece_bytes: int) -> None:
        """What Python's csv module writes is read as it reads it."""
        delimiter, line_end = choices.one_of(",;\t|"), choices.one_of(("\n", "\r\n"))
        quoting, codec = choices.one_of(QUOTINGS), choices.one_of(CODECS[:5])
        out = io.StringIO(newline="")
        writer = csv.writer(out, delimiter=delimiter, lineterminator=line_end, quoting=quoting)
        writer.writerow(("phone1", "a", "b"))
        while choices.left:
            cells = [choices.take(choices.number(12)).decode("latin-1").replace("\r", "\n") for _ in range(2)]
            writer.writerow(("4420", *cells))
        text = out.getvalue()
        records = enumerate(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter), 1)
        expected = [(number, *record) for number, record in records if number > 1]
        told = self.try_file(text.encode(codec), piece_bytes)
        if told is not None and not set(text) & set("\\'"):  # which may be taken for an escape, and for quotes
            assert told.rows == expected, f"read {told.rows}, written {expected}"

    def try_file(self, data: bytes, piece_bytes: int) -> Told | None:
        """Any file is refused, or read alike by all readers that take it; what it holds, if it was not refused."""
        self.path.write_bytes(data)
        self.figures["files"] += 1
        try:
            text = encoding.read(self.path, self.folder, BOUNDS.max_bytes)
            found = csv_file._sniff(text, Wanted())  # noqa: SLF001 - what the readers are told
        except Refusal as refusal:
            self.figures["files refused"] += 1
            self.check_refused(refusal)
            return None
        expected = told_by_oracle(text, found)
        self.figures["rows"] += len(expected.rows)
        self.figures["malformed rows"] += len(expected.malformed)
        self.check_readings(expected, data, text, found)
        self.check_small_pieces(expected, text, found, piece_bytes)
        return expected

    def check_refused(self, refusal: Refusal) -> None:
        """A file that is refused as a whole is refused by the readings."""
        again = None
        try:
            first(csv_file.readings(self.database, self.path, self.folder, Wanted(), BOUNDS))
        except Refusal as error:
            again = error
        assert again is not None, f"read, though it is {refusal.code}"
        assert (again.code, again.status) == (refusal.code, refusal.status)
        assert again.status in {400, 413}

    def check_readings(self, expected: Told, data: bytes, text: Text, found: Found) -> None:
        """The first reading that takes the file says what is expected; so does the careful one, in a share of files."""
        share = UNTIDY_SHARE if self.first_tidy(text, found) is None else TIDY_SHARE
        if zlib.crc32(data) % share:
            return
        with self.database.cursor() as connection:
            table, told = first(csv_file.readings(connection, self.path, self.folder, Wanted(), BOUNDS))
        self.compare(told, expected, type(table.pieces.source).__name__)
        assert (table.columns, table.phone) == (found.header.columns, found.header.phone)
        assert (table.encoding, table.delimiter) == (text.codec, found.dialect.delimiter)
        assert table.header_row == found.header.index + 1
        if isinstance(table.pieces.source, TidyFile):
            self.figures["read by both"] += 1
            self.check_careful(expected, text, found)
        else:
            self.figures["read with care"] += 1

    def check_careful(self, expected: Told, text: Text, found: Found) -> None:
        """The careful reader says what is expected."""
        with self.database.cursor() as connection:
            source = CarefulFile(connection, text, found, self.folder, BOUNDS.max_bytes)
            self.compare(told_by(Pieces(source, Room(0))), expected, "careful")

    def first_tidy(self, text: Text, found: Found) -> Told | None:
        """What the tidy reader says of the file, if it takes it."""
        return None if text.utf8 is None else self.tidy(text.utf8, text, found, PIECE_SIZES[0])

    def check_small_pieces(self, expected: Told, text: Text, found: Found, piece_bytes: int) -> None:
        """The tidy reader, where it takes the file, says what is expected, whatever the size of its pieces."""
        told = self.first_tidy(text, found)
        if told is None or text.utf8 is None:
            return
        self.figures["read as tidy"] += 1
        self.compare(told, expected, "tidy")
        if piece_bytes != PIECE_SIZES[0]:
            small = self.tidy(text.utf8, text, found, max(piece_bytes, header_bytes(text, found) + 8))
            if small is not None:
                self.compare(small, expected, f"tidy in pieces of {piece_bytes} bytes")

    def tidy(self, path: Path, text: Text, found: Found, piece_bytes: int) -> Told | None:
        """What the tidy reader says, in pieces of that size; None where it does not take the file."""
        try:
            mark = text.mark if path == text.path else 0
            room = Room(ROOMS[path.stat().st_size % len(ROOMS)])
            pieces = Pieces(TidyFile(path, mark, found, piece_bytes), room, found.header.index + 2)
            told = told_by(pieces)
        except Untidy:
            return None
        assert told_by(pieces) == told, "gone through again it says something else"
        return told

    def compare(self, told: Told, expected: Told, by: str) -> None:
        """They say the same."""
        assert told.rows == expected.rows, f"{by}: rows {told.rows}, expected {expected.rows}"
        assert told.malformed == expected.malformed, f"{by}: malformed {told.malformed}, not {expected.malformed}"
        assert told.blank_rows == expected.blank_rows, f"{by}: blank {told.blank_rows}, not {expected.blank_rows}"


def told_by_oracle(text: Text, found: Found) -> Told:
    """What the slow reader says."""
    whole = "".join(encoding.decoded(text.path, text.codec, text.mark))
    records = slow_reader.read(whole, found)
    return Told(records.rows, records.malformed, records.blank_rows)


def first(readings: Iterator[Table]) -> tuple[Table, Told]:
    """The first reading that takes the file, and what it says."""
    for table in readings:
        with suppress(Untidy):
            return table, told_by(table.pieces)
    raise AssertionError("the last reading takes any file")


def told_by(pieces: Pieces | list[Piece]) -> Told:
    """What pieces hold."""
    rows: list[tuple[Any, ...]] = []
    malformed: list[tuple[int, str]] = []
    blank_rows = 0
    for piece in pieces:
        blank_rows += piece.blank_rows
        for row in piece.frame.iter_rows(named=True):
            raw = row.pop("raw", None)
            if raw is None:
                rows.append(tuple("" if cell is None else cell for cell in row.values()))
            else:
                malformed.append((row["row"], raw))
    return Told(rows, malformed, blank_rows)


def header_bytes(text: Text, found: Found) -> int:
    """Bytes of the lines up to the header, which the reader has in its first piece."""
    whole = (text.utf8 or text.path).read_bytes().decode("utf-8", "replace")
    return len("".join(LINE.findall(whole)[: found.lines]).encode()) + text.mark


def seeds() -> Iterator[bytes]:
    """The files of the tests, and the sample that users get."""
    from test_tables_reading import CLEAN, POLLUTED

    texts = [text for text, _ in CLEAN.values()] + [text for text, _, _ in POLLUTED.values()]
    yield from (b"\0\0" + text.encode() for text in texts)
    sample = Path(__file__).parents[2] / "samples" / "customers.csv"
    yield b"\0\1" + sample.read_bytes()[:600]
    yield bytes([1, 2, 0, 1, 0, 0, 5]) + b'a"b,c' + bytes([3]) + b"x\ny"
    for kind in (3, 4):
        yield bytes([kind, 3, 0, 1, 1, 2, 30, 7, 1, 2, 4, 30, 7, 38, 39, 40])
