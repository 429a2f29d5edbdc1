"""Read a tidy CSV file by Polars, some megabytes at a time, and prove of each piece that it is tidy.

Tidy is: UTF-8, one kind of line end, no record wider than the header, quotes only around whole cells. Each record then
takes one physical line and the line ends within its quotes, so that what came out is counted against what went in.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import polars as pl
from polars.exceptions import PolarsError

from audiences.chains import collected
from audiences.tables.dialect import MAX_RECORD_BYTES
from audiences.tables.pieces import CELL_BYTES, GROWTH, PIECE_BYTES, PIECE_CELLS, Job
from audiences.tables.quoting import Marks, is_too_long, line_ends_inside
from audiences.tables.records import settled
from audiences.tables.shapes import Piece, Untidy
from audiences.tables.sniff import SAMPLE_CHARACTERS, Found
from audiences.tables.sql import cells

# Title and header are within the sample that was looked at, of characters of up to four bytes.
HEAD_BYTES = 4 * SAMPLE_CHARACTERS

# Bytes from which on it is quicker to have lines counted by two threads.
LARGE_BYTES = 1024 * 1024

# In any so many bytes a line has to end: no record is too long then, as far as it has no quotes.
LINE_WITHIN = MAX_RECORD_BYTES // 2

# Cells that a row of a piece counts for at least: its verdict, and what is told of it, take memory as well.
ROW_CELLS = 4

# Where cells are counted in what is larger than all of these, to know about how many there are.
SPOTS, SPOT_BYTES = 32, 4096


class TidyFile:
    """The records of the file at `path`, UTF-8 with a byte order mark of `mark` bytes, behind the header.

    See `pieces.Source`. Raises Untidy at once where the file's beginning says that it is not.
    """

    def __init__(self, path: Path, mark: int, found: Found, piece_bytes: int = PIECE_BYTES) -> None:
        self.path = path
        size = path.stat().st_size
        self.found = found
        dialect = found.dialect
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)[mark:]
        self.marks = Marks(dialect.separator, dialect.quote, line_end_of(head))
        self.doubles_quotes = dialect.escape == dialect.quote
        header = (self.marks.separator.join(cells(len(found.header.columns))) + self.marks.line_end).encode()
        # One for all pieces, since a new one would have to be cleared each time; a header of our own leads each.
        self.buffer = bytearray(header) + bytearray(min(piece_bytes, size + 1))
        self.header = len(header)
        with path.open("rb", buffering=0) as file:
            crowding = self.crowding(size, lambda at, length: os.pread(file.fileno(), length, at))
        self.size = int(size * max(1.0, (1 + CELL_BYTES * crowding) / GROWTH))
        start = self.after_header(head)
        self.check_decodes(head[:start])
        # Where in the file each piece begins that was asked for, and the next.
        self.starts = [mark + start]

    def job(self, number: int) -> Job | None:
        """See `pieces.Source`."""
        start = self.starts[number]
        end = self.read(number)
        if end == self.header:
            return None
        text = bytes(memoryview(self.buffer)[:end])
        if len(self.starts) > number + 1:
            return partial(self.piece, text)  # it was proved before
        self.starts.append(start + end - self.header)
        return partial(self.proved, text)

    def read(self, number: int) -> int:
        """Reads a piece; where in the buffer its records end. Raises Untidy."""
        start = self.starts[number]
        known = self.starts[number + 1] if len(self.starts) > number + 1 else None
        room = memoryview(self.buffer)[self.header :]
        with self.path.open("rb", buffering=0) as file:
            file.seek(start)
            size = file.readinto(room if known is None else room[: known - start]) or 0
        if known is not None:
            return self.header + size
        read = self.header + size
        crowding = self.crowding(size, lambda at, length: bytes(room[at : at + length]), ROW_CELLS)
        end = self.header + int(min(size, PIECE_CELLS / (crowding or 1)))
        return read if end == read < len(self.buffer) else self.cut(end)

    def after_header(self, head: bytes) -> int:
        """Where the lines of title and header end."""
        at, end = 0, self.marks.line_end.encode()
        for _ in range(self.found.lines):
            found = head.find(end, at)
            at = len(head) if found < 0 else found + len(end)
        return at

    def check_decodes(self, head: bytes) -> None:
        """Raises Untidy where title and header are not what the rest of the file has to be."""
        self.check_line_ends(head)
        try:
            head.decode()
        except UnicodeDecodeError:
            raise Untidy from None

    def crowding(self, size: int, part: Callable[[int, int], bytes], least: int = 1) -> float:
        """Cells for each of so many bytes, about; `part` has those from a place on. Short records are filled up.

        So are those of fewer than the `least` columns.
        """
        looked_at = delimiters = lines = 0
        for at, length in spots(size):
            text = part(at, length)
            looked_at += length
            delimiters += text.count(self.marks.separator.encode())
            lines += text.count(self.marks.line_end[-1:].encode())
        columns = max(least, len(self.found.header.columns))
        return max(delimiters + lines, lines * columns) / (looked_at or 1)

    def cut(self, limit: int) -> int:
        """Where the last whole record in so many bytes of the buffer ends. Raises Untidy."""
        end, quote = self.marks.line_end.encode(), self.marks.quote.encode()
        at = self.buffer.rfind(end, 0, limit)
        odd = self.buffer.count(quote, 0, at) % 2 == 1
        while odd and at >= self.header:  # the line ends within a cell
            opening = self.buffer.rfind(quote, 0, at)
            before = self.buffer.rfind(end, 0, opening)
            odd = self.buffer.count(quote, before, at) % 2 == 0
            at = before
        if at < self.header:
            raise Untidy
        return at + len(end)

    def proved(self, text: bytes) -> Piece:
        """The records of `text` behind its first. Raises Untidy."""
        quoted = self.marks.quote.encode() in text
        self.check_line_ends(text)
        try:
            lines, broken = self.lines_of(text, quoted=quoted)
            frame = self.parsed(text)
        except PolarsError:
            raise Untidy from None
        if frame.height + 1 != lines or (broken and is_too_long(frame)):
            raise Untidy
        return self.settled(frame)

    def piece(self, text: bytes) -> Piece:
        """The same of a text that was proved to be tidy."""
        return self.settled(self.parsed(text))

    def parsed(self, text: bytes) -> pl.DataFrame:
        """The cells of `text`. Raises PolarsError."""
        return collected(
            pl.scan_csv(
                text,
                separator=self.marks.separator,
                quote_char=self.marks.quote if self.marks.quote.encode() in text else None,
                eol_char=self.marks.line_end[-1],
                infer_schema=False,
            )
        )

    def settled(self, frame: pl.DataFrame) -> Piece:
        """The piece of these records."""
        records = frame.height
        frame = frame.insert_column(0, pl.int_range(records, eager=True).alias("row"))
        return replace(settled(frame, self.found.header), records=records)

    def lines_of(self, text: bytes, *, quoted: bool) -> tuple[int, bool]:
        """How many records there have to be, and whether lines end within some. Raises Untidy, PolarsError."""
        end = self.marks.line_end.encode()
        is_large = len(text) > LARGE_BYTES and end.endswith(b"\n")
        lines = count_lines(text) if is_large else text.count(end) + (not text.endswith(end))
        if not quoted:
            return lines, False
        if not self.doubles_quotes:
            raise Untidy
        inside = line_ends_inside(text, self.marks)
        return lines - inside, inside > 0

    def check_line_ends(self, text: bytes) -> None:
        """Raises Untidy for mixed line ends, lines that may be too long, and cells with what is to part none."""
        end = self.marks.line_end
        if end == "\r\n":
            is_mixed = not text.count(b"\r") == text.count(b"\n") == text.count(b"\r\n")
        else:
            is_mixed = (b"\r" if end == "\n" else b"\n") in text  # found at once, where counting takes its time
        if is_mixed:
            raise Untidy
        if self.found.dialect.delimiter is None and self.marks.separator.encode() in text:
            raise Untidy
        for at in range(0, len(text) - LINE_WITHIN, LINE_WITHIN):
            if text.find(end[-1:].encode(), at, at + LINE_WITHIN) < 0:
                raise Untidy


def spots(size: int) -> Iterator[tuple[int, int]]:
    """Places and lengths of parts of so many bytes: at random, or all of them where they are few."""
    if size <= SPOTS * SPOT_BYTES:
        return iter([(0, size)])
    return ((secrets.randbelow(size - SPOT_BYTES), SPOT_BYTES) for _ in range(SPOTS))


def count_lines(text: bytes) -> int:
    """How many lines end with a line feed or with the text: as `bytes.count` has it, in a third of the time."""
    return int(pl.scan_lines(text).select(pl.len()).collect().item())


def line_end_of(head: bytes) -> str:
    """The line end that the text begins with."""
    feed, carriage = head.find(b"\n"), head.find(b"\r")
    if carriage < 0 or 0 <= feed < carriage:
        return "\n"
    return "\r\n" if feed == carriage + 1 else "\r"
