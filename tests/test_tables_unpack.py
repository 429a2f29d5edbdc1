"""Archives of one file are unpacked, within bounds; all others are refused."""

from __future__ import annotations

import gzip
import io
import time
import tracemalloc
import zipfile
from dataclasses import replace

import pytest
from campaigns.files_archives import deflated
from campaigns.files_archives import zipped as made_by_hand

from audiences.errors import BodyTooLarge, ProtectedWorkbook, UnreadableFile, UnsupportedFormat
from test_tables_reading import BOUNDS, read

CSV = b"phone1,n\n4420,Anna\n"
ROWS = [(2, "4420", "Anna")]


def zipped(members: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return out.getvalue()


@pytest.mark.parametrize(
    "data",
    [
        gzip.compress(CSV),
        gzip.compress(CSV[:12]) + gzip.compress(CSV[12:]),
        gzip.compress(CSV[:12]) + bytes(700) + gzip.compress(CSV[12:]) + bytes(100_000),
        zipped({"list.csv": CSV}),
        zipped({"a/": b"", "a/list.csv": CSV, "__MACOSX/a/._list.csv": b"x", ".DS_Store": b"y"}),
        zipped({"../../etc/passwd": CSV}),
        made_by_hand([deflated(b"", CSV)]),
        gzip.compress("phone1,n\n4420,Anna\n".encode("utf-16")),
    ],
)
def test_the_one_file_in_an_archive_is_read(data: bytes) -> None:
    assert read(data).rows == ROWS


@pytest.mark.parametrize(
    ("data", "refusal"),
    [
        (gzip.compress(CSV)[:-6], UnreadableFile),
        (gzip.compress(CSV)[:12] + b"rubbish rubbish", UnreadableFile),
        (gzip.compress(CSV) + b"rubbish", UnreadableFile),
        (gzip.compress(CSV)[:-4] + bytes(4), UnreadableFile),
        (zipped({"a.csv": CSV})[:-30], UnreadableFile),
        (zipped({"a.csv": CSV, "b.csv": CSV}), UnsupportedFormat),
        (zipped({}), UnsupportedFormat),
        (zipped({"a.zip": zipped({"a.csv": CSV})}), UnsupportedFormat),
        (gzip.compress(gzip.compress(CSV)), UnsupportedFormat),
        (zipped({"a.gz": gzip.compress(CSV)}), UnsupportedFormat),
        (zipped({"[Content_Types].xml": b"wordprocessingml", "word/document.xml": b""}), UnsupportedFormat),
        (zipped({"Index/Document.iwa": b""}), UnsupportedFormat),
        (zipped({"mimetype": b"application/vnd.oasis.opendocument.text", "content.xml": b""}), UnsupportedFormat),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + "WordDocument".encode("utf-16-le"), UnsupportedFormat),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + "EncryptedPackage".encode("utf-16-le"), ProtectedWorkbook),
    ],
)
def test_what_cannot_be_unpacked_is_refused(data: bytes, refusal: type[Exception]) -> None:
    with pytest.raises(refusal):
        read(data)


@pytest.mark.parametrize("pack", [gzip.compress, lambda data: zipped({"a.csv": data})])
def test_what_inflates_beyond_the_bound_is_refused_whatever_its_ratio(pack: type[bytes]) -> None:
    small = replace(BOUNDS, max_bytes=1 << 20)
    honest = pack(b"phone1,n\n" + b"4420,Anna\n" * 90_000)
    assert len(read(honest, bounds=small).rows) == 90_000
    with pytest.raises(BodyTooLarge):
        read(pack(b"phone1,n\n" + b"4420,Anna\n" * 120_000), bounds=small)


def test_an_encrypted_member_is_refused() -> None:
    data = bytearray(zipped({"a.csv": CSV}))
    for signature in (b"PK\x03\x04", b"PK\x01\x02"):
        at = data.index(signature) + (6 if signature == b"PK\x03\x04" else 8)
        data[at] |= 1
    with pytest.raises(ProtectedWorkbook):
        read(bytes(data))


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_member_that_cannot_be_inflated_step_by_step_is_refused(method: int) -> None:
    """A megabyte of it may hold gigabytes, and would be inflated at once."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        archive.writestr("a.csv", b"phone1\n" + bytes(20_000_000))
    tracemalloc.start()
    with pytest.raises(UnreadableFile, match="packed in an unusual way"):
        read(out.getvalue(), bounds=replace(BOUNDS, max_bytes=1 << 20))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5_000_000


def test_a_gzip_file_of_empty_members_or_with_an_endless_name_is_not_waited_for() -> None:
    endless = b"\x1f\x8b\x08\x18" + bytes(6) + b"n" * 5_000_000
    many = gzip.compress(b"") * 200_000
    begun = time.process_time()
    with pytest.raises(UnreadableFile):
        read(endless + b"\0comment\0" + gzip.compress(CSV)[10:-1])
    with pytest.raises(UnsupportedFormat, match="members"):
        read(many)
    assert time.process_time() - begun < 5
