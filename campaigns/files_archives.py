"""Archives made by hand: every size, place and name in them may say something else than is true."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, repeat

DEFLATED, STORED = 8, 0
ENCRYPTED, SIZES_BEHIND = 0x1, 0x8

MIB = 1024 * 1024
UNKNOWN = 0xFFFFFFFF

# A last block of DEFLATE that holds nothing.
_NOTHING_MORE = b"\x03\x00"

_GZIP_HEAD = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03"


@dataclass(frozen=True)
class Packed:
    """`times` repetitions of bytes that inflate to `unit`, with what may stand before and behind them."""

    unit: bytes
    times: int = 1
    before: bytes = b""
    behind: bytes = b""

    @property
    def size(self) -> int:
        """Bytes when inflated."""
        return len(self.before) + len(self.unit) * self.times + len(self.behind)

    def pieces(self) -> Iterator[bytes]:
        """The DEFLATE stream."""
        return chain(
            [flushed(self.before)], repeat(flushed(self.unit), self.times), [flushed(self.behind), _NOTHING_MORE]
        )

    def check(self) -> int:
        """The CRC-32 of what it inflates to."""
        check = zlib.crc32(self.before)
        for _ in range(self.times):
            check = zlib.crc32(self.unit, check)
        return zlib.crc32(self.behind, check)


def flushed(content: bytes) -> bytes:
    """A piece of a DEFLATE stream that refers to nothing before it, so that it can be repeated."""
    if not content:
        return b""
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return packer.compress(content) + packer.flush(zlib.Z_FULL_FLUSH)


def gzipped(packed: Packed, size: int | None = None, check: int | None = None) -> Iterator[bytes]:
    """A gzip file, which may say another size or checksum; a size of `UNKNOWN` spares adding the checksum up."""
    true = packed.check() if check is None and size != UNKNOWN else check or 0
    tail = struct.pack("<II", true, (packed.size if size is None else size) & UNKNOWN)
    return chain([_GZIP_HEAD], packed.pieces(), [tail])


@dataclass(frozen=True)
class Member:
    """A file in a ZIP archive: its packed bytes, and what is said of them, `central` where the list says otherwise.

    What can be said: flags, method, check, packed_size, size, offset; and `extra`, fields behind the name.
    """

    name: bytes
    content: bytes
    size: int
    check: int = 0
    method: int = DEFLATED
    flags: int = 0
    central: Mapping[str, int] | None = None
    extra: bytes = b""

    def fields(self) -> tuple[int, ...]:
        """Flags, method, time, day, checksum, sizes, and the lengths of name and extra fields."""
        sizes = len(self.content), self.size & UNKNOWN, len(self.name) & 0xFFFF, len(self.extra)
        return self.flags, self.method, 0, 0x21, self.check, *sizes

    def local(self) -> bytes:
        """What stands before its bytes."""
        return b"PK\x03\x04" + struct.pack("<HHHHHIIIHH", 20, *self.fields()) + self.name + self.extra

    def listed(self, offset: int) -> bytes:
        """Its entry in the list."""
        said = dict(self.central or {})
        names = ("flags", "method", "time", "day", "check", "packed_size", "size", "name", "extra")
        values = [said.get(name, true) & UNKNOWN for name, true in zip(names, self.fields(), strict=True)]
        place = said.get("offset", offset) & UNKNOWN
        tail = struct.pack("<HHHII", 0, 0, 0, said.get("attributes", 0), place)
        return b"PK\x01\x02" + struct.pack("<HHHHHHIIIHH", 20, 20, *values) + tail + self.name + self.extra


def deflated(name: bytes, content: bytes | Packed) -> Member:
    """A member as it should be."""
    packed = content if isinstance(content, Packed) else Packed(content)
    return Member(name, b"".join(packed.pieces()), packed.size, packed.check())


def unchecked(name: bytes, packed: Packed) -> Member:
    """A member whose checksum is wrong: whoever inflates it is done with long before."""
    return Member(name, b"".join(packed.pieces()), packed.size)


def stored(name: bytes, content: bytes) -> Member:
    """A member that is not packed."""
    return Member(name, content, len(content), zlib.crc32(content), STORED)


@dataclass(frozen=True)
class Ending:
    """What the end of an archive says, where it is not the truth: entries, bytes and place of the list; a comment."""

    count: int | None = None
    size: int | None = None
    offset: int | None = None
    comment: bytes = b""
    before: bytes = b""

    def record(self, count: int, size: int, offset: int) -> bytes:
        """The end record, and what stands before it."""
        said = self.count if self.count is not None else count
        numbers = said & 0xFFFF, said & 0xFFFF
        placed = [true if given is None else given for given, true in ((self.size, size), (self.offset, offset))]
        numbers_of_list = struct.pack("<IIH", placed[0] & UNKNOWN, placed[1] & UNKNOWN, len(self.comment))
        return self.before + b"PK\x05\x06" + struct.pack("<HHHH", 0, 0, *numbers) + numbers_of_list + self.comment


TRUE = Ending()


def zipped(members: Sequence[Member], ending: Ending = TRUE) -> bytes:
    """The archive of these members, one behind the other."""
    body, listing = bytearray(), bytearray()
    for member in members:
        listing += member.listed(len(body))
        body += member.local() + member.content
    return bytes(body + listing + ending.record(len(members), len(listing), len(body)))


def one_in_all(member: Member, count: int) -> bytes:
    """An archive whose list has one member so many times."""
    body, listing = member.local() + member.content, member.listed(0) * count
    return body + listing + TRUE.record(count, len(listing), len(body))


def overlapping(names: Sequence[bytes], kernel: Packed) -> bytes:
    """An archive in which each member holds, unpacked, the header of the next and then what that one holds.

    So all of them inflate the bytes of the last; a member's stored block steps over the header in between.
    """
    last = unchecked(names[-1], kernel)
    pieces, members = [last.local() + last.content], [last]
    for name in reversed(names[:-1]):
        quoted = members[0].local()
        step = b"\x00" + struct.pack("<HH", len(quoted), len(quoted) ^ 0xFFFF)
        content = step + b"".join(reversed(pieces))
        member = Member(name, content, len(quoted) + members[0].size)
        pieces.append(member.local() + step)
        members.insert(0, member)
    body, listing, at = b"".join(reversed(pieces)), bytearray(), 0
    for member, piece in zip(members, reversed(pieces), strict=True):
        listing += member.listed(at)
        at += len(piece)
    return body + listing + TRUE.record(len(members), len(listing), len(body))


def zip64(count: int, size: int, offset: int, place: int) -> bytes:
    """The record and the locator of ZIP64, which say so many entries, bytes and where the list is."""
    record = b"PK\x06\x06" + struct.pack("<QHHIIQQQQ", 44, 45, 45, 0, 0, count, count, size, offset)
    return record + b"PK\x06\x07" + struct.pack("<IQI", 0, place, 1)


def huge_sizes(size: int) -> bytes:
    """The extra field of ZIP64 that says these sizes and place."""
    return struct.pack("<HHQQQ", 1, 24, size, size, size)
