"""A gzip file that is what it inflates to, by Russ Cox's construction ("Zip Files All The Way Down", 2010).

Deflate has two instructions, of five bytes each here: `literal(n)` says the next n units of five bytes as they are,
`AGAIN` says the last four once more. A program of these can say itself, with a head before and an end behind it.
"""

from __future__ import annotations

import struct
from zlib import crc32

UNIT = 5

# Method, flags (a name follows), time, extra flags, system; and the name: three units.
HEAD = b"\x1f\x8b\x08\x08" + bytes(5) + b"\x03" + b"q.gz\0"

# A block of two copies of 10 bytes from 20 bytes before, and its end, in fixed codes: just 40 bits.
AGAIN = bytes.fromhex("42 88 21 c4 00")

# Two empty blocks in fixed codes and an empty stored one, the last.
LAST = bytes.fromhex("02 08 10 00 00 ff ff")


def literal(units: int) -> bytes:
    """The instruction that what follows is said as it is."""
    return struct.pack("<BHH", 0, units * UNIT, 0xFFFF ^ (units * UNIT))


def quine() -> bytes:
    """The file."""
    return saying(fixed_check())


def saying(check: int) -> bytes:
    """The file, but for its checksum, which is given."""
    none, one, four = map(literal, (0, 1, 4))
    body = HEAD + four + HEAD + four + AGAIN + one + AGAIN + none + four + one + AGAIN + none + four
    body += (AGAIN + four) * 4
    end = AGAIN + LAST + struct.pack("<II", check, len(body) + 8 * UNIT)
    return body + end + end


def fixed_check() -> int:
    """The checksum of the file that says this checksum: CRC is linear, so that is a system of equations in 32 bits."""
    none = crc32(saying(0))
    rows = [(crc32(saying(1 << bit)) ^ none ^ (1 << bit), 1 << bit) for bit in range(32)]
    solved: list[tuple[int, int]] = []
    for start, start_from in rows:
        value, come_from = start, start_from
        for other, other_from in solved:
            if value ^ other < value:
                value, come_from = value ^ other, come_from ^ other_from
        if value:
            solved = sorted([*solved, (value, come_from)], reverse=True)
    wanted, check = none, 0
    for value, come_from in solved:
        if wanted ^ value < wanted:
            wanted, check = wanted ^ value, check ^ come_from
    if wanted:
        raise AssertionError("no checksum is its own with this head")
    return check
