"""Sound files of every kind, cut short and with bits turned."""

from __future__ import annotations

import gzip
import io
import random
import zipfile
from collections.abc import Callable, Iterator
from functools import partial

from campaigns import files_books as books
from campaigns.files_archives import stored, zipped
from campaigns.files_packed import LIST
from campaigns.files_shapes import Hostile, Sizes, whole
from campaigns.files_workbooks import ANY

# What may become of a file that is damaged anywhere, its first bytes included.
DAMAGE = (*ANY, "unsupported_format", "protected_workbook", "repeated_phone_column")

Change = Callable[[bytes, random.Random], bytes]


def damaged_files(sizes: Sizes, chance: random.Random) -> Iterator[Hostile]:
    """Of each kind so many, changed at random places; of those that are archives half are changed before packing."""
    kinds = {
        "xlsx": books.xlsx(),
        "xlsb": books.xlsb(),
        "ods": books.ods(),
        "xls": books.xls(),
        "csv.gz": gzip.compress(LIST * 100),
        "csv.zip": zipped([stored(b"a.csv", LIST * 100)]),
        "csv": LIST * 100,
    }
    for kind, sound in kinds.items():
        for number in range(sizes.flips):
            change = chance.choice(CHANGES)
            inner = kind in {"xlsx", "xlsb", "ods"} and number % 2
            content = within(sound, change, chance) if inner else change(sound, chance)
            yield Hostile(f"{kind} damaged, number {number}", whole(content), DAMAGE)


def within(archive: bytes, change: Change, chance: random.Random) -> bytes:
    """The archive with one of its files changed, and packed again without a fault."""
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        contents = {name: opened.read(name) for name in opened.namelist()}
    name = chance.choice(sorted(contents))
    contents[name] = change(contents[name], chance)
    return books.packed(contents)


def bits(content: bytes, chance: random.Random, most: int) -> bytes:
    """Up to so many bits turned."""
    changed = bytearray(content)
    for _ in range(chance.randint(1, most)):
        changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
    return bytes(changed)


def cut(content: bytes, chance: random.Random) -> bytes:
    """Its beginning."""
    return content[: chance.randrange(1, len(content))]


def hole(content: bytes, chance: random.Random, filler: bytes) -> bytes:
    """Some bytes replaced."""
    at, size = chance.randrange(len(content)), chance.choice((1, 2, 4, 8, 64, 512))
    return content[:at] + (filler * size)[:size] + content[at + size :]


def left_out(content: bytes, chance: random.Random) -> bytes:
    """Some bytes gone."""
    at = chance.randrange(len(content))
    return content[:at] + content[at + chance.choice((1, 2, 8, 100)) :]


def doubled(content: bytes, chance: random.Random) -> bytes:
    """Some bytes twice."""
    at, size = chance.randrange(len(content)), chance.choice((1, 4, 100, 5000))
    return content[: at + size] + content[at:]


CHANGES: tuple[Change, ...] = (
    partial(bits, most=1),
    partial(bits, most=20),
    cut,
    partial(hole, filler=b"\xff"),
    partial(hole, filler=b"\0"),
    partial(hole, filler=b"9"),
    left_out,
    doubled,
)
