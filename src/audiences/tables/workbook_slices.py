"""A large sheet's XML, cut between rows into small sheets that a reader which holds a whole sheet can hold.

The cut is by search for bytes, not by a parser, so only XML of the plain shape that the known writers produce is cut:
no prefix, comment, CDATA or instruction, UTF-8, row numbers that only rise. Anything else is `Unplain`, and is not cut.
Rows that are out of order within a piece of 1 MiB are not noticed here; the reader sorts those.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

from audiences.tables.header import HEADER_WITHIN

# Read at once; also how often the order of the rows is checked.
PIECE_BYTES = 1 << 20

# One row: 2,000 columns of what a list of people holds are below 1 MiB. More is left to the reader's own judgement.
MAX_ROW_BYTES = 1 << 24

# By the format. A greater number is made up, and would be padded with as many blank rows.
MAX_ROWS = 1 << 20

_HEAD = b"<worksheet><sheetData>"
_TAIL = b"</sheetData></worksheet>"
_START, _END, _ROW = b"<sheetData>", b"</sheetData>", b"<row"
_FIRST_ROW = re.compile(rb"\s*<row")
_ROW_NUMBER = re.compile(rb"""<row\s(?:[^>]*?\s)?r=["'](\d{1,7})["']""")
_CELL_NUMBER = re.compile(rb"""<c\s(?:[^>]*?\s)?r=["'][A-Z]{1,3}(\d{1,7})["']""")
_ENCODING = re.compile(rb"""encoding=["'](?!utf-8["'])""", re.IGNORECASE)


class Unplain(Exception):
    """The XML is not of the shape that can be cut; it may be perfectly good."""


@dataclass(frozen=True)
class Slice:
    """The rows after number `before` up to number `last`. Unless `before` is 0, a marker row of that number leads."""

    before: int
    last: int


def write(target: IO[bytes], rows: Iterator[bytes], before: int, slice_bytes: int) -> Slice:
    """Writes the next of `rows`, which begin after row `before`, to `target` until they are a slice; which they are.

    The marker row, one cell in column A, fixes where a slice begins: the reader drops leading blank rows.

    Raises: Unplain; zipfile's errors for a damaged part.
    """
    target.write(_HEAD + (b'<row r="%d"><c r="A%d"><v>0</v></c></row>' % (before, before) if before else b""))
    size, last = 0, before
    for piece in rows:
        target.write(piece)
        last = last_row(piece, last)
        size += len(piece)
        if size >= slice_bytes:
            break
    target.write(_TAIL)
    if not before and last < HEADER_WITHIN:  # the header is sought in the first file alone
        raise Unplain
    return Slice(before, last)


def rows(source: IO[bytes], piece_bytes: int) -> Iterator[bytes]:
    """The rows of a sheet, some whole rows at a time. Raises: Unplain."""
    buffer = _after_head(source, piece_bytes)
    while (end := buffer.find(_END)) < 0:
        start = max(buffer.rfind(_ROW), 0)
        if start:
            yield _plain(buffer[:start])
        more = source.read(piece_bytes)
        buffer = buffer[start:] + more
        if not more or len(buffer) > MAX_ROW_BYTES:
            raise Unplain
    if end:
        yield _plain(buffer[:end])
    while source.read(PIECE_BYTES):  # to the end, where the checksum is compared
        pass


def _after_head(source: IO[bytes], piece_bytes: int) -> bytes:
    """What was read of the rows together with all that stands above them."""
    buffer = b""
    while _START not in buffer and len(buffer) < PIECE_BYTES and (more := source.read(piece_bytes)):
        buffer += more
    head, start, rows = buffer.partition(_START)
    if not start or b"<!" in head or _ENCODING.search(head):
        raise Unplain
    return rows


def _plain(piece: bytes) -> bytes:
    # One byte is found much faster than two, and seldom there.
    is_odd = (b"!" in piece and b"<!" in piece) or (b"?" in piece and b"<?" in piece)
    if is_odd or not _FIRST_ROW.match(piece):
        raise Unplain
    return piece


def last_row(piece: bytes, before: int) -> int:
    """The number of the last row in `piece`, given the one before it. Raises: Unplain, where they do not rise."""
    first = _number(piece, 0) or before + 1
    numbered = piece.rfind(_ROW, 0, max(piece.rfind(b" r="), 0))  # a row without a number follows the one before it
    last = before + piece.count(_ROW) if numbered < 0 else _number(piece, numbered)
    if last is None or not before < first <= last <= MAX_ROWS:
        raise Unplain
    return last + (piece.count(_ROW, numbered + 1) if numbered >= 0 else 0)


def _number(piece: bytes, at: int) -> int | None:
    """The number that the row at `at` gives itself, or gives its first cell; None where it gives none."""
    tag = piece[at : piece.find(b">", at) + 1]
    found = _ROW_NUMBER.search(tag) or _CELL_NUMBER.match(piece, piece.find(b"<c", at))
    return int(found[1]) if found else None
