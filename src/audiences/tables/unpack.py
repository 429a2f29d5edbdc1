"""What the bytes are, by their first few; and out of an archive comes the one file in it, into the upload's folder.

A member's name decides nothing but whether it is counted, and becomes no path. What is inflated is bounded in bytes: a
ratio would refuse an honest file of repetitive rows and let a patient attacker through.
"""

from __future__ import annotations

import os
import re
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO

from audiences.errors import BodyTooLarge, EmptyFile, ProtectedWorkbook, UnreadableFile, UnsupportedFormat

CHUNK_BYTES = 1 << 20

# A workbook has tens of parts. An archive's list of members is read as a whole, so its size is bounded too.
MAX_MEMBERS = 10_000

# Bytes of the list of members: the most members, with names of a few hundred characters. The end record is within the
# last 64 KiB, behind it a comment at most.
MAX_DIRECTORY_BYTES = 4 * 1024 * 1024
END_RECORD_WITHIN = 65_536 + 64

# bgzip makes a member of every 64 KiB: of the largest file that may be sent fewer than these. Somebody else's may be
# empty, and a file of such would take hours.
MAX_GZIP_MEMBERS = 100_000

# Read of a gzip file at once; what is behind a member's end is copied.
GZIP_INPUT_BYTES = 1 << 16
_GZIP = 16 + zlib.MAX_WBITS

# What writers of workbooks and of ordinary archives use, and all that can be inflated a bounded step at a time: of the
# others `zipfile` inflates a megabyte at once, whatever that comes to.
_METHODS = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED})

_ENCRYPTED = 0x1
_OLE2 = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_ZIP = (b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08")
_SEND = "Send a CSV file, or an Excel or OpenDocument workbook."

_FOREIGN = (
    (b"%PDF", "a PDF document"),
    (b"\x89PNG", "an image"),
    (b"\xff\xd8\xff", "an image"),
    (b"GIF8", "an image"),
    (b"{\\rtf", "a text document (RTF)"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive; unpack it first"),
    (b"Rar!", "a RAR archive; unpack it first"),
    (b"BZh", "a bzip2 archive; unpack it first"),
    (b"\xfd7zXZ", "an xz archive; unpack it first"),
    (b"\x28\xb5\x2f\xfd", "a zstd archive; unpack it first"),
    (b"PAR1", "a Parquet file"),
    (b"SQLite format 3\x00", "a database"),
    (b"\x7fELF", "a program"),
    (b"MZ\x90", "a program"),
)

_LOOKS = (
    (re.compile(r"\s*<(!doctype html|html|head|body|table|meta)\b", re.IGNORECASE), "a web page (HTML)"),
    (re.compile(r"\s*<\?xml|\s*<\w+[^<>]*>\s*<"), "an XML document"),
    (re.compile(r"\s*\{\s*(\"|\})|\s*\[\s*(\{|\[|\"|\d|\])"), "a JSON document"),
)


@dataclass(frozen=True)
class Content:
    """A file and what it is: csv (any text), xlsx, xlsm, xlsb, xls or ods."""

    path: Path
    format: str


def unpack(path: Path, folder: Path, max_bytes: int) -> Content:
    """What `path` holds, unpacked into `folder` where it is an archive of one file.

    Raises: EmptyFile, UnsupportedFormat, UnreadableFile, ProtectedWorkbook, BodyTooLarge.
    """
    content = _open(path, folder / "unpacked", max_bytes, nested=False)
    if content is not None:
        return content
    return _open(folder / "unpacked", folder / "unpacked", max_bytes, nested=True) or Content(path, "csv")


def _open(path: Path, target: Path, max_bytes: int, *, nested: bool) -> Content | None:
    """What `path` is; None where it was an archive, and is at `target` now."""
    with path.open("rb") as file:
        start = file.read(CHUNK_BYTES >> 10)
    if not start:
        raise EmptyFile("The file has no bytes.", field="audience_file")
    looks = next((looks for magic, looks in _FOREIGN if start.startswith(magic)), None)
    if looks:
        raise unsupported(f"The file is {looks}.")
    if start.startswith(_OLE2):
        return Content(path, _ole2(path))
    packed = start.startswith((*_ZIP, b"\x1f\x8b"))
    if packed and nested and start.startswith(b"\x1f\x8b"):
        raise unsupported("The archive holds another archive. Unpack the inner one.")
    if start.startswith(b"\x1f\x8b"):
        _inflate_gzip(path, target, max_bytes)
        return None
    return _zip(path, target, max_bytes, nested=nested) if packed else Content(path, "csv")


def _ole2(path: Path) -> str:
    """`xls`, where a compound document holds a workbook.

    Raises: ProtectedWorkbook, UnsupportedFormat.
    """
    names = {name: name.encode("utf-16-le") for name in ("EncryptedPackage", "Workbook", "Book")}
    found: set[str] = set()
    end = b""
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            found |= {name for name, stored in names.items() if stored in end + chunk}
            end = chunk[-64:]
    if "EncryptedPackage" in found:
        raise protected()
    if not found:
        raise unsupported("The file is an old Office document, but no workbook.")
    return "xls"


def _inflate_gzip(path: Path, target: Path, max_bytes: int) -> None:
    try:
        with path.open("rb") as file:
            _copy(_gunzipped(file), target, max_bytes)
    except (EOFError, zlib.error) as error:
        raise UnreadableFile(
            "The gzip file is damaged or incomplete. Pack it again, or send it unpacked.", field="audience_file"
        ) from error


def _gunzipped(file: IO[bytes]) -> Iterator[bytes]:
    """What all members of a gzip file hold, in pieces of at most `CHUNK_BYTES`; zeros behind a member are padding.

    By zlib, which skips a header's texts as quickly as anything: the `gzip` module reads them byte by byte, so that one
    of a gigabyte took it minutes. Raises zlib.error, EOFError, UnsupportedFormat.
    """
    inflater = None
    members, data = 0, b""
    while data := data or file.read(GZIP_INPUT_BYTES):
        if inflater is None:
            data = data.lstrip(b"\0")
            if not data:
                continue
            members += 1
            if members > MAX_GZIP_MEMBERS:
                raise unsupported(f"The gzip file has more than {MAX_GZIP_MEMBERS:,} members.")
            inflater = zlib.decompressobj(_GZIP)
        yield inflater.decompress(data, CHUNK_BYTES)
        data = inflater.unconsumed_tail or inflater.unused_data
        inflater = None if inflater.eof else inflater
    if inflater is not None:
        raise EOFError


def _check_directory(path: Path) -> None:
    """Raises UnsupportedFormat if the list of members is larger than any that we would read.

    `zipfile` makes an object of every entry before it can be asked how many there are. The size stands in the end
    record, and in the ZIP64 one before it, of which `zipfile` believes the latter (APPNOTE, 4.3.14 to 4.3.16).
    """
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - END_RECORD_WITHIN))
        tail = file.read()
        at = tail.rfind(b"PK\x05\x06")
        sizes = [int.from_bytes(tail[at + 12 : at + 16], "little")] if at >= 0 else []
        locator = tail[max(0, at - 20) : max(0, at)]
        if locator.startswith(b"PK\x06\x07"):
            file.seek(min(int.from_bytes(locator[8:16], "little"), size))
            record = file.read(56)
            sizes = [int.from_bytes(record[40:48], "little")]
    if any(found > MAX_DIRECTORY_BYTES for found in sizes):
        raise unsupported("The archive's list of files is larger than that of any workbook or packed CSV file.")


def _zip(path: Path, target: Path, max_bytes: int, *, nested: bool) -> Content | None:
    """The workbook that a ZIP file is; None where its one member is at `target` now."""
    try:
        _check_directory(path)
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            if len(members) > MAX_MEMBERS:
                raise unsupported(f"The archive holds more than {MAX_MEMBERS:,} files.")
            form = _workbook(archive, members)
            if form:
                return Content(path, form)
            if nested:
                raise unsupported("The archive holds another archive. Unpack the inner one.")
            with _opened(archive, _only(members)) as file:
                _copy(iter(partial(file.read, CHUNK_BYTES), b""), target, max_bytes)
    except (
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        NotImplementedError,
        RuntimeError,
        OSError,
        ValueError,
    ) as error:
        raise UnreadableFile(
            "The ZIP archive or workbook is damaged, or packed in an unusual way. Save or pack it again.",
            field="audience_file",
        ) from error
    return None


def _workbook(archive: zipfile.ZipFile, members: Sequence[zipfile.ZipInfo]) -> str | None:
    """The workbook format that the members make up; None where they make up none.

    Raises: ProtectedWorkbook, UnsupportedFormat for another kind of document.
    """
    names = {member.filename.lower(): member for member in members}
    if "xl/workbook.bin" in names:
        return "xlsb"
    if "[content_types].xml" in names:
        kinds = _start(archive, names["[content_types].xml"])
        if b"spreadsheetml" not in kinds:
            raise unsupported("The file is an Office document, but no workbook.")
        return "xlsm" if b"macroEnabled" in kinds else "xlsx"
    if "mimetype" in names and "content.xml" in names:
        return _open_document(archive, names)
    if any(name.endswith(".iwa") for name in names):
        raise unsupported("The file is an Apple Numbers document. Export it as CSV or Excel.")
    return None


def _open_document(archive: zipfile.ZipFile, names: dict[str, zipfile.ZipInfo]) -> str:
    if b"spreadsheet" not in _start(archive, names["mimetype"]):
        raise unsupported("The file is an OpenDocument file, but no spreadsheet.")
    manifest = names.get("meta-inf/manifest.xml")
    if manifest and b"encryption-data" in _start(archive, manifest):
        raise protected()
    return "ods"


def _start(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    """The first bytes of a member, enough for any table of contents."""
    with _opened(archive, member) as file:
        return file.read(CHUNK_BYTES)


def _opened(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> IO[bytes]:
    """The member, to be read. Raises NotImplementedError where it cannot be inflated step by step."""
    if member.compress_type not in _METHODS:
        raise NotImplementedError
    return archive.open(member)


def _only(members: Sequence[zipfile.ZipInfo]) -> zipfile.ZipInfo:
    """The one file of an archive, apart from folders and what macOS adds."""
    files = [
        member
        for member in members
        if not member.filename.endswith("/") and not re.search(r"(^|/)(__MACOSX/|\.DS_Store$|\._)", member.filename)
    ]
    if len(files) != 1:
        raise unsupported(f"The archive holds {len(files):,} files; it may hold one.")
    if files[0].flag_bits & _ENCRYPTED:
        raise protected()
    return files[0]


def _copy(pieces: Iterable[bytes], target: Path, max_bytes: int) -> None:
    """The pieces of a file, unpacked, at `target`.

    Raises: BodyTooLarge beyond `max_bytes`, whatever size the archive says.
    """
    size = 0
    with target.open("wb") as out:
        for piece in pieces:
            size += out.write(piece)
            if size > max_bytes:
                raise BodyTooLarge(
                    f"Unpacked, the file is larger than {max_bytes:,} bytes, the most a file may have. Split it.",
                    field="audience_file",
                )


def looks_like(sample: str) -> str | None:
    """What a text that is no table looks like, for a message; None where it may be a table."""
    return next((name for pattern, name in _LOOKS if pattern.match(sample)), None)


def unsupported(what: str) -> UnsupportedFormat:
    """The refusal of a file that is `what`, a sentence."""
    return UnsupportedFormat(f"{what} {_SEND}", field="audience_file")


def protected() -> ProtectedWorkbook:
    """The refusal of a file that only opens with a password."""
    return ProtectedWorkbook(
        "The file is protected by a password. Save it without one and send it again.", field="audience_file"
    )
