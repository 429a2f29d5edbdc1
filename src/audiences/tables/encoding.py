"""Find out a text file's encoding from all of its bytes, and have it as UTF-8.

A file that is UTF-8 already stays where it is. Anything else is transcoded as a stream into the upload's folder.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from audiences.errors import BodyTooLarge, UnsupportedFormat
from audiences.tables import guess

CHUNK_BYTES = 1 << 18

# Of a UTF-8 text with damaged spots, valid sequences of several bytes outnumber the bad bytes; chance alone makes few
# of them in a single-byte text (an Ã followed by a sign).
CLEARLY = 10

# Of a file's end so much is kept, to see the blank lines there.
TAIL_BYTES = 1 << 12

# Lines with non-ASCII bytes, of which so much is shown to the guesser of single-byte encodings.
TELLING_BYTES = 1 << 16
_TELLING = re.compile(rb"[^\r\n]*[\x80-\xff][^\r\n]*")
_SURROGATES = re.compile("[\ud800-\udfff]+")

_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


@dataclass(frozen=True)
class Text:
    """A text file and what one pass over it told.

    `path` is the file to read and `codec` how: `utf-8` or what it was transcoded from, `mark` the length of its byte
    order mark. `utf8` is the same text as valid UTF-8, or None where some bytes cannot be decoded. `feeds` and
    `returns` count the line feeds and carriage returns, `quotes` says whether there is a `"`, `tail` is its end.
    """

    path: Path
    codec: str
    mark: int
    utf8: Path | None
    feeds: int
    returns: int
    quotes: bool
    tail: bytes

    @property
    def line_end(self) -> str | None:
        """The only line end in use, or None where several are mixed."""
        if self.returns == 0:
            return "\n"
        if self.feeds == 0:
            return "\r"
        return "\r\n" if self.feeds == self.returns else None

    @property
    def lines(self) -> int:
        """Physical lines, where one line end is in use; the last one may lack its end."""
        ends = self.feeds or self.returns
        return ends + (not self.tail.endswith((b"\n", b"\r")) and self.tail != b"")


def read(path: Path, folder: Path, max_bytes: int) -> Text:
    """`path` as text, with a UTF-8 copy in `folder` where it is in another encoding.

    Raises: UnsupportedFormat where it is no text, BodyTooLarge where the copy would exceed `max_bytes`.
    """
    with path.open("rb") as file:
        start = file.read(CHUNK_BYTES)
    codec, mark = by_mark(start) or (by_zeros(start), 0)
    if codec in {None, "utf-8"}:
        text = survey(path, mark)
        if text.utf8 is not None or codec == "utf-8" or not outweighed(path):
            return text
        codec = guess.single_byte(telling(path))
    return transcode(path, str(codec), mark, folder / "transcoded.csv", max_bytes)


def presumed(path: Path) -> Text | None:
    """`path` as the UTF-8 text that it seems to be by its first bytes; None where it does not.

    No more of it was looked at, so `feeds` and what follows there tell nothing. Raises: UnsupportedFormat.
    """
    with path.open("rb") as file:
        start = file.read(CHUNK_BYTES)
    codec, mark = by_mark(start) or (by_zeros(start), 0)
    if codec not in {None, "utf-8"}:
        return None
    return Text(path, "utf-8", mark, path, feeds=0, returns=0, quotes=False, tail=b"")


def chunks(path: Path, skip: int = 0) -> Iterator[bytes]:
    """The bytes of `path` from `skip` on, at most `CHUNK_BYTES` at a time."""
    with path.open("rb", buffering=0) as file:
        file.seek(skip)
        while chunk := file.read(CHUNK_BYTES):
            yield chunk


def by_mark(start: bytes) -> tuple[str, int] | None:
    """The encoding that a byte order mark names, and the mark's length."""
    return next(((codec, len(mark)) for mark, codec in _MARKS if start.startswith(mark)), None)


def by_zeros(start: bytes) -> str | None:
    """UTF-16 without a mark, by the zero bytes that its delimiters, digits and line ends have; None where it is not.

    Raises: UnsupportedFormat where there are too many zero bytes for a text.
    """
    if 0 not in start:
        return None
    even, odd = start[0::2].count(0), start[1::2].count(0)
    half = len(start) // 2
    if odd * 5 > half and even * 20 < odd:
        return "utf-16-le"
    if even * 5 > half and odd * 20 < even:
        return "utf-16-be"
    if (even + odd) * 10 > len(start):
        raise UnsupportedFormat(
            "The file holds binary data, not text. Send a CSV file, or an Excel or OpenDocument workbook.",
            field="audience_file",
        )
    return None


def survey(path: Path, mark: int) -> Text:
    """What a pass over `path` tells; `utf8` is None where it is not valid UTF-8."""
    feeds = returns = 0
    quotes = False
    valid = True
    decoder = codecs.getincrementaldecoder("utf-8")()
    tail = b""
    for chunk in chunks(path, mark):
        feeds += chunk.count(b"\n")
        returns += chunk.count(b"\r") if b"\r" in chunk else 0
        quotes = quotes or b'"' in chunk
        valid = valid and decodes(decoder, chunk)
        tail = (tail + chunk[-TAIL_BYTES:])[-TAIL_BYTES:]
    valid = valid and decodes(decoder, b"", final=True)
    return Text(path, "utf-8", mark, path if valid else None, feeds, returns, quotes, tail)


def decodes(decoder: codecs.IncrementalDecoder, chunk: bytes, *, final: bool = False) -> bool:
    """Whether `decoder` takes `chunk` without an error."""
    try:
        decoder.decode(chunk, final)
    except UnicodeDecodeError:
        return False
    return True


def outweighed(path: Path) -> bool:
    """Whether the bytes that are not UTF-8 are too many for a UTF-8 text with damaged spots."""
    bad = good = 0
    decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
    for chunk in chunks(path):
        text = decoder.decode(chunk)
        wrong = len(text) - len(text.encode("utf-8", "ignore").decode())
        bad += wrong
        good += len(text) - len(text.encode("ascii", "ignore")) - wrong
    return good < CLEARLY * bad


def telling(path: Path) -> bytes:
    """Lines of `path` with non-ASCII bytes in them, at most `TELLING_BYTES`."""
    found: list[bytes] = []
    size = 0
    for chunk in chunks(path):
        for line in [] if chunk.isascii() else _TELLING.findall(chunk):
            found.append(line)
            size += len(line) + 1
            if size >= TELLING_BYTES:
                return b"\n".join(found)[:TELLING_BYTES]
    return b"\n".join(found)


def transcode(path: Path, codec: str, mark: int, target: Path, max_bytes: int) -> Text:
    """`path`, in `codec`, with a UTF-8 copy of at most `max_bytes` at `target`.

    Raises: BodyTooLarge.
    """
    size = 0
    sound = True
    with target.open("wb") as out:
        for text in decoded(path, codec, mark):
            try:
                size += out.write(text.encode())
            except UnicodeEncodeError:
                sound = False
                size += out.write(_SURROGATES.sub("\ufffd", text).encode())
            if size > max_bytes:
                raise BodyTooLarge(
                    f"As UTF-8 the file is larger than {max_bytes:,} bytes, the most a file may have. Split it.",
                    field="audience_file",
                )
    return replace(survey(target, 0), path=path, codec=codec, mark=mark, utf8=target if sound else None)


def decoded(path: Path, codec: str, mark: int) -> Iterator[str]:
    """The text of `path` in pieces; a lone surrogate stands for what cannot be decoded."""
    wide = codec.startswith(("utf-16", "utf-32"))
    decoder = codecs.getincrementaldecoder(codec)(WIDE_ERRORS if wide else "surrogateescape")
    for chunk in chunks(path, mark):
        yield decoder.decode(chunk)
    yield decoder.decode(b"", final=True)


def marked(error: UnicodeError) -> tuple[str, int]:
    """What stands for the bytes that a wide encoding cannot decode, and where it goes on behind them."""
    assert isinstance(error, UnicodeDecodeError)  # noqa: S101 - it is for decoders
    return "\udcff", error.end


WIDE_ERRORS = "audiences.marked"
codecs.register_error(WIDE_ERRORS, marked)


def sample(text: Text, characters: int) -> str:
    """The first lines of `text`, in about so many `characters`: whole lines, if there is more than one."""
    pieces: list[str] = []
    size = 0
    for piece in decoded(text.utf8 or text.path, text.codec if text.utf8 is None else "utf-8", _skipped(text)):
        pieces.append(piece)
        size += len(piece)
        if size > characters:
            start = shown("".join(pieces)[:characters])
            end = max(start.rfind("\n"), start.rfind("\r"))
            return start[: end + 1] if end > 0 else start
    return shown("".join(pieces))


def shown(text: str) -> str:
    """`text` with a mark for each byte that could not be decoded: a column's name has to be a text."""
    try:
        text.encode()  # in a tenth of the time that it takes to look for what cannot be
    except UnicodeEncodeError:
        return _SURROGATES.sub("\ufffd", text)
    return text


def _skipped(text: Text) -> int:
    return 0 if text.utf8 not in {None, text.path} else text.mark
