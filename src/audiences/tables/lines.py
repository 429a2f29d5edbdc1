"""Write a text down as lines that DuckDB can read in whatever state the file is, with nothing lost.

Control characters that have a meaning here are escaped; each line ends with a line feed, and a mark before it tells the
end that it had; undecodable bytes and overlong lines are marked. All by replacing in chunks: no line is looked at.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from audiences.errors import BodyTooLarge
from audiences.tables import encoding
from audiences.tables.dialect import MAX_RECORD_BYTES, NO_DELIMITER
from audiences.tables.encoding import Text

ESCAPE = "\x01"
FEED, RETURN, BOTH = f"{ESCAPE}n", f"{ESCAPE}r", f"{ESCAPE}w"
UNDECODABLE = f"{ESCAPE}X"
CUT = f"{ESCAPE}L"
PLAIN_ESCAPE, PLAIN_NO_DELIMITER = f"{ESCAPE}A", f"{ESCAPE}B"

# A line's end, by the mark before the line feed that ends it here.
LINE_ENDS = {FEED: "\n", RETURN: "\r", BOTH: "\r\n"}

# An escaped character takes two bytes, and so does the mark of an undecodable one.
GROWTH = 2

_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True)
class Lines:
    """A file of lines in UTF-8; a line without a mark ended in `line_end`.

    `marked` and `damaged`: whether there are marks of other ends, and undecodable or cut lines.
    """

    path: Path
    line_end: str
    marked: bool
    damaged: bool


def write(text: Text, target: Path, max_bytes: int) -> Lines:
    """The lines of `text`, at `target`.

    Raises: BodyTooLarge where they take more than `max_bytes` times what escapes may add.
    """
    usual = _usual_end(text)
    marked = damaged = False
    size = 0
    with target.open("wb") as out:
        for piece in _cut(_marked(_whole_ends(_escaped(text)), usual)):
            size += out.write(piece)
            if size > max_bytes * GROWTH:
                raise BodyTooLarge(f"The file is larger than {max_bytes:,} bytes.", field="audience_file")
            if b"\x01" in piece:
                marked = marked or any(mark.encode() in piece for mark in LINE_ENDS)
                damaged = damaged or UNDECODABLE.encode() in piece or CUT.encode() in piece
    return Lines(target, LINE_ENDS[usual], marked, damaged)


def _usual_end(text: Text) -> str:
    """The mark of the line end that most lines have, which then goes without."""
    if text.returns * 2 < text.feeds:
        return FEED
    return BOTH if text.feeds * 2 >= text.returns else RETURN


def _escaped(text: Text) -> Iterator[bytes]:
    """The text in pieces of UTF-8, with this module's control characters escaped and undecodable bytes marked."""
    if text.utf8 is not None:
        for chunk in encoding.chunks(text.utf8, text.mark if text.utf8 == text.path else 0):
            yield chunk.replace(b"\x01", PLAIN_ESCAPE.encode()).replace(b"\x02", PLAIN_NO_DELIMITER.encode())
        return
    for decoded in encoding.decoded(text.path, text.codec, text.mark):
        escaped = decoded.replace("\x01", PLAIN_ESCAPE).replace(NO_DELIMITER, PLAIN_NO_DELIMITER)
        yield _SURROGATE.sub(UNDECODABLE, escaped).encode()


def _whole_ends(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """The same bytes, but no piece ends between a carriage return and its line feed."""
    held = b""
    for piece in pieces:
        whole = held + piece
        held = b"\r" if whole.endswith(b"\r") else b""
        yield whole[:-1] if held else whole
    yield held


def _marked(pieces: Iterator[bytes], usual: str) -> Iterator[bytes]:
    """The same lines, each ended by a line feed, with a mark before it unless the end was the usual one."""
    for piece in pieces:
        if b"\r" not in piece and usual == FEED:
            yield piece
            continue
        whole = piece.replace(b"\r\n", b"\x02").replace(b"\n", FEED.encode() + b"\n")
        whole = whole.replace(b"\r", RETURN.encode() + b"\n").replace(b"\x02", BOTH.encode() + b"\n")
        yield whole.replace(usual.encode() + b"\n", b"\n")


def _cut(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """The same lines, but one of more than `MAX_RECORD_BYTES` ends there, marked."""
    length, over = 0, False
    for piece in pieces:
        first, last = piece.find(b"\n"), piece.rfind(b"\n")
        end = first if first >= 0 else len(piece)
        at = _boundary(piece, max(MAX_RECORD_BYTES - length, 0), end)
        if over:
            yield piece[end:]
        else:
            yield piece if at >= end else piece[:at] + CUT.encode() + piece[end:]
        over = first < 0 and (over or at < end)
        length = length + len(piece) if first < 0 else len(piece) - last - 1


def _boundary(piece: bytes, at: int, end: int) -> int:
    """The first place from `at` on, and before `end`, that does not part a character or an escape."""
    while at < end and (piece[at] & 0xC0 == 0x80 or piece[at - 1 : at] == b"\x01"):  # noqa: PLR2004 - UTF-8's own
        at += 1
    return at
