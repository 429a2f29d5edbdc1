"""Classes of characters that phone numbers are written with outside ASCII, as regular expressions of the engine.

They are made from Python's Unicode tables, which the reference function uses, and not taken from the engine's: the two
may be of different Unicode versions.
"""

from __future__ import annotations

import sys
import unicodedata
from collections.abc import Iterator

INVISIBLE_CATEGORIES = frozenset({"Cc", "Cf"})
BLANK_CATEGORIES = frozenset({"Zs", "Zl", "Zp"})


def classes() -> Iterator[tuple[str, str]]:
    """Names and patterns: `invisible`, `blank`, `digit`, and `0` to `9` for the digits of that value."""
    found: dict[str, list[int]] = {}
    for point in range(128, sys.maxunicode + 1):
        category = unicodedata.category(chr(point))
        if category in INVISIBLE_CATEGORIES:
            found.setdefault("invisible", []).append(point)
        elif category in BLANK_CATEGORIES:
            found.setdefault("blank", []).append(point)
        elif category == "Nd":
            found.setdefault("digit", []).append(point)
            found.setdefault(str(unicodedata.decimal(chr(point))), []).append(point)
    for name, points in found.items():
        yield name, _pattern(points)


def _pattern(points: list[int]) -> str:
    """A class that matches exactly `points`, which ascend."""
    ranges: list[list[int]] = []
    for point in points:
        if ranges and ranges[-1][1] == point - 1:
            ranges[-1][1] = point
        else:
            ranges.append([point, point])
    return "[" + "".join(rf"\x{{{first:X}}}-\x{{{last:X}}}" for first, last in ranges) + "]"
