"""What a file under check could be read as: the sheets of a workbook, the columns of a table without a phone column.

It is asked once `judging` is through with the file, or has refused it, so what that left in the upload's folder is
used: the file of an archive, and the sheet that was read. A form offers it to choose from; the reading itself decides.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from audiences.errors import Refusal
from audiences.inbox import Upload
from audiences.tables import encoding, header, unpack, workbook_parts
from audiences.tables.dialect import Dialect, Lines, records
from audiences.tables.sniff import DELIMITERS, SAMPLE_CHARACTERS

# More than a hundred records of a wide table take.
HEAD_BYTES = 1 << 20


def sheets(upload: Upload) -> list[str]:
    """The visible sheets of an .xlsx or .xlsm workbook; none where it is another format, or they cannot be told."""
    with suppress(OSError):
        return [part.name for part in workbook_parts.listing(content(upload)) if part.visible]
    return []


def columns(upload: Upload, max_bytes: int) -> list[str]:
    """The names that the file's likeliest header has once each; none where the file cannot be read at all."""
    rows: list[list[str]] = []
    with suppress(Refusal, OSError):
        form = unpack.unpack(content(upload), upload.folder, max_bytes).format
        rows = head_of_text(upload, max_bytes) if form == "csv" else head_of_sheet(upload.folder)
    cells = header.likeliest(rows) if rows else []
    times = Counter(map(header.key, cells))
    return [cell for cell in cells if header.key(cell) and times[header.key(cell)] == 1][: header.MAX_COLUMNS]


def content(upload: Upload) -> Path:
    """The file itself, out of the archive that it came in."""
    unpacked = upload.folder / "unpacked"
    return unpacked if unpacked.exists() else upload.path


def head_of_text(upload: Upload, max_bytes: int) -> list[list[str]]:
    """The first records, in the delimiter that makes most cells of their likeliest header. Raises a Refusal."""
    folder = upload.folder / "head"
    folder.mkdir()
    path = folder / "text"
    with content(upload).open("rb") as file:
        path.write_bytes(whole_characters(file.read(HEAD_BYTES)))
    sample = encoding.sample(encoding.read(path, folder, max_bytes), SAMPLE_CHARACTERS)
    return max(readings(sample), key=lambda rows: named(header.likeliest(rows)), default=[])


def readings(sample: str) -> Iterator[list[list[str]]]:
    """The first records in each delimiter that occurs, and in none."""
    lines = Lines(sample)
    for delimiter in (None, *(one for one in DELIMITERS if one in sample)):
        rows = [record.cells for record in records(lines, Dialect(delimiter, '"', '"'), header.HEADER_WITHIN)]
        if rows:
            yield rows


def named(cells: Sequence[str]) -> int:
    """How many cells say anything."""
    return sum(bool(header.key(cell)) for cell in cells)


def whole_characters(start: bytes) -> bytes:
    """The start of a file without a character that was cut in two, in any encoding."""
    if len(start) < HEAD_BYTES or b"\0" in start:
        return start[: len(start) - len(start) % 4] if len(start) == HEAD_BYTES else start
    return start[: start.rfind(b"\n") + 1] or start


def head_of_sheet(folder: Path) -> list[list[str]]:
    """The first rows of the sheet that was read: of the first one, where none had the phone column."""
    import polars as pl

    files = list(folder.glob("sheet-*.arrow"))
    if not files:
        return []
    first = min(
        files, key=lambda path: [int(part) for part in path.name.split("-")[1].split(".")[:-1] if part.isdigit()]
    )
    return [[cell or "" for cell in row] for row in pl.scan_ipc(first).head(header.HEADER_WITHIN).collect().rows()]
