"""Read a tidy CSV file by Polars, some megabytes at a time, and prove of each piece that it is tidy.

Tidy is: UTF-8, one kind of line end, no record wider than the header, quotes only around whole cells. Each record then
takes one physical line and the line ends within its quotes, so that what came out is counted against what went in.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import polars as pl
from polars.exceptions import PolarsError

from audiences.tables.dialect import MAX_RECORD_BYTES
from audiences.tables.pieces import PIECE_BYTES
from audiences.tables.quoting import Marks, is_too_long, lines_within
from audiences.tables.records import settled
from audiences.tables.shapes import Piece, Untidy
from audiences.tables.sniff import Found
from audiences.tables.sql import cells

# In any so many bytes a line has to end: no record is too long then, as far as it has no quotes.
LINE_WITHIN = MAX_RECORD_BYTES // 2


@dataclass(frozen=True)
class Begin:
    """Where in the file a piece begins, and the number of its first record."""

    start: int
    row: int


class TidyFile:
    """The records of the file at `path`, UTF-8 with a byte order mark of `mark` bytes, behind the header.

    See `pieces.Source`. Raises Untidy at once where the file's beginning says that it is not.
    """

    def __init__(self, path: Path, mark: int, found: Found, piece_bytes: int = PIECE_BYTES) -> None:
        self.path = path
        self.found = found
        self.piece_bytes = piece_bytes
        dialect = found.dialect
        head = self.block(mark)
        self.marks = Marks(dialect.separator, dialect.quote, line_end_of(head))
        self.doubles_quotes = dialect.escape == dialect.quote
        self.header = (self.marks.separator.join(cells(len(found.header.columns))) + self.marks.line_end).encode()
        start = self.after_header(head)
        check_decodes(head[:start])
        self.check_line_ends(head[:start])
        # Of the pieces so far, and of the next.
        self.begins = [Begin(mark + start, found.header.index + 2)]

    def piece(self, number: int) -> Piece | None:
        """See `pieces.Source`."""
        begin = self.begins[number]
        block = self.block(begin.start)
        if not block:
            return None
        text = block if len(block) < self.piece_bytes else block[: self.cut(block)]
        frame = self.parsed(text)
        frame = frame.insert_column(0, pl.int_range(begin.row, begin.row + frame.height, eager=True).alias("row"))
        if len(self.begins) == number + 1:
            self.begins.append(Begin(begin.start + len(text), begin.row + frame.height))
        return settled(frame, self.found.header)

    def block(self, start: int) -> bytes:
        """The next bytes of the file."""
        with self.path.open("rb", buffering=0) as file:
            file.seek(start)
            return file.read(self.piece_bytes)

    def after_header(self, head: bytes) -> int:
        """Where the lines of title and header end."""
        at, end = 0, self.marks.line_end.encode()
        for _ in range(self.found.lines):
            found = head.find(end, at)
            at = len(head) if found < 0 else found + len(end)
        return at

    def cut(self, block: bytes) -> int:
        """Where the last whole record of the block ends. Raises Untidy."""
        end, quote = self.marks.line_end.encode(), self.marks.quote.encode()
        at = block.rfind(end)
        odd = block.count(quote, 0, max(at, 0)) % 2 == 1
        while odd and at >= 0:  # the line ends within a cell
            opening = block.rfind(quote, 0, at)
            before = block.rfind(end, 0, opening)
            odd = block.count(quote, max(before, 0), at) % 2 == 0
            at = before
        if at < 0:
            raise Untidy
        return at + len(end)

    def parsed(self, text: bytes) -> pl.DataFrame:
        """The records of `text`. Raises Untidy."""
        quoted = self.marks.quote.encode() in text
        self.check_line_ends(text)
        try:
            lines, broken = self.lines_of(text, quoted=quoted)
            frame = pl.read_csv(
                self.header + text,
                separator=self.marks.separator,
                quote_char=self.marks.quote if quoted else None,
                eol_char=self.marks.line_end[-1],
                infer_schema=False,
            )
        except PolarsError:
            raise Untidy from None
        if frame.height != lines or (broken and is_too_long(frame)):
            raise Untidy
        return frame

    def lines_of(self, text: bytes, *, quoted: bool) -> tuple[int, bool]:
        """How many records there have to be, and whether lines end within some. Raises Untidy, PolarsError."""
        end = self.marks.line_end.encode()
        unended = not text.endswith(end)
        if not quoted:
            return text.count(end) + unended, False
        if not self.doubles_quotes:
            raise Untidy
        outside, inside = lines_within(text, self.marks)
        return outside + unended, inside > 0

    def check_line_ends(self, text: bytes) -> None:
        """Raises Untidy for mixed line ends, lines that may be too long, and cells with what is to part none."""
        end = self.marks.line_end
        pairs = text.count(b"\r\n") if end == "\r\n" else 0
        if (end != "\r" and text.count(b"\r") != pairs) or (end != "\n" and text.count(b"\n") != pairs):
            raise Untidy
        if self.found.dialect.delimiter is None and self.marks.separator.encode() in text:
            raise Untidy
        for at in range(0, len(text) - LINE_WITHIN, LINE_WITHIN):
            if text.find(end[-1:].encode(), at, at + LINE_WITHIN) < 0:
                raise Untidy


def check_decodes(text: bytes) -> None:
    """Raises Untidy for what is not UTF-8."""
    try:
        text.decode()
    except UnicodeDecodeError:
        raise Untidy from None


def line_end_of(head: bytes) -> str:
    """The line end that the text begins with."""
    feed, carriage = head.find(b"\n"), head.find(b"\r")
    if carriage < 0 or 0 <= feed < carriage:
        return "\n"
    return "\r\n" if feed == carriage + 1 else "\r"
