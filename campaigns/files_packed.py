"""Hostile archives: bombs, archives in archives, and archives that lie about what is in them."""

from __future__ import annotations

import gzip
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import repeat

from campaigns.files_archives import (
    ENCRYPTED,
    MIB,
    SIZES_BEHIND,
    STORED,
    UNKNOWN,
    Ending,
    Member,
    Packed,
    deflated,
    gzipped,
    huge_sizes,
    one_in_all,
    overlapping,
    stored,
    unchecked,
    zip64,
    zipped,
)
from campaigns.files_quine import quine
from campaigns.files_shapes import CREATED, HEADER, ROW, Hostile, Sizes, repeated, whole

DAMAGED, FOREIGN, LARGE, LOCKED = "unreadable_file", "unsupported_format", "body_too_large", "protected_workbook"

LIST = HEADER + ROW


def packed_files(sizes: Sizes) -> Iterator[Hostile]:
    """All of them."""
    for family in (bombs, gzips, nested, lying, endings, odd_members, others):
        yield from family(sizes)


def bombs(sizes: Sizes) -> Iterator[Hostile]:
    """Little that inflates to more than a file may have."""
    for name, unit in (("zeros", bytes(MIB)), ("rows", ROW * (MIB // len(ROW)))):
        bomb = Packed(unit, sizes.bomb_bytes // len(unit) + 1, HEADER)
        # Bound now: a generator's names are looked up late.
        yield Hostile(f"a gzip bomb of {name}", lambda bomb=bomb: gzipped(bomb, UNKNOWN), (LARGE,))  # type: ignore[misc]
        member = unchecked(b"a.csv", bomb)
        yield Hostile(f"a ZIP bomb of {name}", whole(zipped([member])), (LARGE, DAMAGED))
    small = Packed(bytes(MIB), 64)
    many = sizes.bomb_bytes // small.size + 1
    one = b"".join(gzipped(small))
    yield Hostile("a gzip bomb of many members", lambda: repeat(one, many), (LARGE,))


def gzips(sizes: Sizes) -> Iterator[Hostile]:
    """What a gzip file may say or leave out."""
    packed, sound = Packed(LIST), gzip.compress(LIST)
    lies: Mapping[str, Iterable[bytes]] = {
        "says a larger size": gzipped(packed, 1_000_000_000),
        "says a smaller size": gzipped(packed, 1),
        "says no size": gzipped(packed, 0),
        "has another checksum": gzipped(packed, check=1),
        "breaks off": [sound[:-9]],
        "ends in its header": [sound[:7]],
        "has rubbish behind": [sound, b"rubbish"],
        "has half a member behind": [sound, sound[:15]],
        "says another method": [sound[:2], b"\x07", sound[3:]],
        "has reserved flags": [sound[:3], b"\xe0", sound[4:]],
    }
    for name, pieces in lies.items():
        yield Hostile(f"a gzip file that {name}", whole(b"".join(pieces)), (DAMAGED,))
    yield Hostile("a gzip file of nothing", whole(gzip.compress(b"")), ("empty_file",))
    named = sound[:3] + b"\x18" + sound[4:10]
    endless = repeated(b"n", sizes.text_bytes, named, b"\0comment\0" + sound[10:])
    yield Hostile("a gzip file with an endless name", endless, (CREATED,), 1, 1)
    empty = gzip.compress(b"")
    many = repeated(empty, len(empty) * sizes.entries, sound)
    yield Hostile("a gzip file of empty members", many, (FOREIGN,))
    yield Hostile("a gzip file with zeros behind", repeated(bytes(MIB), sizes.text_bytes, sound), (CREATED,), 1, 1)


def nested(sizes: Sizes) -> Iterator[Hostile]:
    """Archives in archives; the innermost may be a bomb."""
    content, bomb = LIST, zipped([unchecked(b"a.csv", Packed(bytes(MIB), sizes.bomb_bytes // MIB + 1))])
    for depth in range(2, 8):
        content = zipped([deflated(b"a.zip", content)])
        bomb = zipped([deflated(b"a.zip", bomb)])
        if depth > 2:  # noqa: PLR2004
            yield Hostile(f"ZIP in ZIP, {depth} deep", whole(content), (FOREIGN,))
        yield Hostile(f"a bomb in ZIP in ZIP, {depth} deep", whole(bomb), (FOREIGN,))
    yield Hostile("gzip in gzip", whole(gzip.compress(gzip.compress(LIST))), (FOREIGN,))
    yield Hostile("a gzip file in itself", whole(quine()), (FOREIGN,))
    yield Hostile("a ZIP file of a gzip file in itself", whole(zipped([stored(b"q.gz", quine())])), (FOREIGN,))
    yield Hostile("gzip in ZIP", whole(zipped([stored(b"a.csv", gzip.compress(LIST))])), (FOREIGN,))
    yield Hostile("ZIP in gzip", whole(gzip.compress(zipped([stored(b"a.csv", LIST)]))), (FOREIGN,))
    halves = [deflated(b"%d.zip" % place, bomb) for place in range(16)]
    yield Hostile("sixteen bombs in one", whole(zipped(halves)), (FOREIGN,))
    kernel = Packed(bytes(MIB), 100)
    names = [b"%d.csv" % place for place in range(250)]
    yield Hostile("overlapping members", whole(overlapping(names, kernel)), (FOREIGN,))
    yield Hostile("members in one place", whole(one_in_all(unchecked(b"a.csv", kernel), 250)), (FOREIGN,))
    yield Hostile("a list of members without end", whole(one_in_all(stored(b"a", b""), sizes.entries)), (FOREIGN,))


def lying(_sizes: Sizes) -> Iterator[Hostile]:
    """One member, of which something is said that is not so."""
    true = deflated(b"a.csv", LIST)
    lies: Mapping[str, tuple[Mapping[str, int], tuple[str, ...]]] = {
        "a negative packed size": ({"packed_size": -1}, (DAMAGED, CREATED)),
        "a negative size": ({"size": -1}, (DAMAGED, CREATED)),
        "negative sizes and place": ({"packed_size": -1, "size": -1, "offset": -1}, (DAMAGED,)),
        "a place behind the end": ({"offset": 10_000}, (DAMAGED,)),
        "a negative place": ({"offset": -2}, (DAMAGED,)),
        "a place amid its bytes": ({"offset": 3}, (DAMAGED,)),
        "a size of none": ({"size": 0}, (DAMAGED, "empty_file")),
        "a size of one": ({"size": 1}, (DAMAGED,)),
        "a packed size of none": ({"packed_size": 0}, (DAMAGED,)),
        "a packed size of one": ({"packed_size": 1}, (DAMAGED,)),
        "another checksum": ({"check": 1}, (DAMAGED,)),
        "a method that there is not": ({"method": 99}, (DAMAGED,)),
        "that it is stored": ({"method": STORED}, (DAMAGED,)),
        "bzip2": ({"method": 12}, (DAMAGED,)),
        "LZMA": ({"method": 14}, (DAMAGED,)),
        "that it is encrypted": ({"flags": ENCRYPTED}, (LOCKED,)),
        "that its sizes stand behind": ({"flags": SIZES_BEHIND}, (CREATED,)),
        "that it is patched": ({"flags": 0x20}, (DAMAGED,)),
        "a name of 65,535 bytes": ({"name": 65_535}, (DAMAGED, FOREIGN, CREATED)),
        "extra fields of 65,535 bytes": ({"extra": 65_535}, (DAMAGED, FOREIGN, CREATED)),
        "that it is a link": ({"attributes": 0o120777 << 16}, (CREATED,)),
    }
    for name, (said, due) in lies.items():
        yield Hostile(f"a ZIP member that says {name}", whole(zipped([replace(true, central=said)])), due)
    for size in (0, 1, 2**40, 2**63, 2**64 - 1):
        member = replace(true, extra=huge_sizes(size), central={"packed_size": -1, "size": -1, "offset": -1})
        yield Hostile(f"a member of {size:,} bytes by ZIP64", whole(zipped([member])), (DAMAGED, "empty_file"))
    short = replace(true, extra=huge_sizes(0)[:9], central={"size": -1})
    yield Hostile("a ZIP64 field that breaks off", whole(zipped([short])), (DAMAGED,))


def endings(_sizes: Sizes) -> Iterator[Hostile]:
    """What the end of an archive says of its list."""
    members = [deflated(b"a.csv", LIST)]
    ends: Mapping[str, tuple[Ending, tuple[str, ...]]] = {
        "no members": (Ending(count=0), (CREATED, FOREIGN, DAMAGED)),
        "65,535 members": (Ending(count=65_535), (CREATED, DAMAGED)),
        "a list of no bytes": (Ending(size=0), (DAMAGED, FOREIGN)),
        "a list of one byte": (Ending(size=1), (DAMAGED,)),
        "a list of 4 GiB": (Ending(size=-1), (DAMAGED, FOREIGN)),
        "a list before the beginning": (Ending(offset=-1), (DAMAGED,)),
        "a list at the beginning": (Ending(offset=0), (DAMAGED, CREATED)),
        "an end within its comment": (Ending(comment=Ending(count=9).record(9, 9, 9) * 2900), (CREATED, DAMAGED)),
        "a list of 2^63 by ZIP64": (Ending(-1, -1, -1, before=zip64(1, 2**63, 0, 0)), (DAMAGED, FOREIGN)),
        "a place of 2^63 by ZIP64": (Ending(-1, -1, -1, before=zip64(1, 51, 2**63, 0)), (DAMAGED, FOREIGN)),
        "2^63 members by ZIP64": (Ending(-1, -1, -1, before=zip64(2**63, 51, 0, 0)), (DAMAGED, FOREIGN)),
        "a record of ZIP64 elsewhere": (Ending(-1, -1, -1, before=zip64(1, 51, 0, 2**63)), (DAMAGED, FOREIGN)),
    }
    for name, (ending, due) in ends.items():
        yield Hostile(f"an archive that says {name}", whole(zipped(members, ending)), due)
    sound = zipped(members)
    for name, content in {
        "without its end": sound[:-22],
        "that breaks off": sound[:60],
        "of an end alone": sound[-22:],
        "of a beginning alone": sound[:4],
        "without members": zipped([]),
        "behind something else": b"PK\x03\x04" + bytes(5000) + sound,
    }.items():
        yield Hostile(f"an archive {name}", whole(content), (DAMAGED, FOREIGN, CREATED, "empty_file"))


def odd_members(_sizes: Sizes) -> Iterator[Hostile]:
    """Names that are paths, or nothing else; and members where folders are expected."""
    names = (
        *(b"../../../../tmp/a.csv", b"/etc/passwd", b"C:\\a.csv", b"a\0.csv", b"", b"\xff\xfe", b"a" * 65_000),
        *(b"upload", b"unpacked", b"con", b"a/b/c.csv"),
    )
    for name in names:
        due = (CREATED, DAMAGED, FOREIGN)
        yield Hostile(f"a member named {name[:20]!r}", whole(zipped([deflated(name, LIST)])), due)
    yield Hostile("a folder that holds a list", whole(zipped([deflated(b"a/", LIST)])), (FOREIGN,))
    yield Hostile("two members of one name", whole(zipped([deflated(b"a.csv", LIST)] * 2)), (FOREIGN,))


def others(_sizes: Sizes) -> Iterator[Hostile]:
    """Kinds of archives that are not taken, and two kinds at once."""
    for magic in (b"BZh91AY&SY", b"\xfd7zXZ\x00", b"\x28\xb5\x2f\xfd", b"7z\xbc\xaf\x27\x1c", b"Rar!\x1a\x07\x01\x00"):
        yield Hostile(f"an archive that begins {magic!r}", whole(magic + bytes(2_000)), (FOREIGN,))
    two = LIST + zipped([deflated(b"a.csv", LIST)])
    yield Hostile("a list that is an archive as well", whole(two), (CREATED, FOREIGN, DAMAGED))
    book = Member(b"[Content_Types].xml", b"", 0, method=STORED)
    yield Hostile("an Office document of nothing", whole(zipped([book])), (FOREIGN,))
