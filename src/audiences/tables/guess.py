"""Guess which single-byte encoding a text is in. A module of its own so that only such texts pay for the library.

The library is Firefox's detector: of those tried on one to twenty names it was the most often right, and it never
answers with an encoding that no spreadsheet writes. It does not know ISO-8859-15, which it takes for Windows-1252:
the euro sign and a few capitals of such a file come out wrong.
"""

from __future__ import annotations

import codecs
import re

# What Western European systems write, and what a spreadsheet takes a file for where nothing tells otherwise.
FALLBACK = "cp1252"

# The detector takes Lithuanian for Western. Its š and ž are the bytes of the Icelandic ð and þ; but Icelandic names
# also have ó, ú or ý, whose bytes the Baltic languages have not.
_LITHUANIAN = re.compile(rb"[\xd0\xde\xf0\xfe]")
_ICELANDIC = re.compile(rb"[\xd3\xda\xdd\xf3\xfa\xfd]")

# The detector reads a lone ï as Latvian in ISO-8859-4, which hardly any file is in; it takes more to believe it.
RARE_NEEDS_BYTES = 4
ASCII = bytes(range(128))


def single_byte(sample: bytes) -> str:
    """The name of the codec that most likely made `sample`: lines that hold non-ASCII bytes."""
    from chardetng_py import EncodingDetector  # type: ignore[import-untyped]

    detector = EncodingDetector()
    detector.feed(sample, last=True)
    name = detector.guess(tld=None, allow_utf8=False).lower().removesuffix("-i")
    if name == "iso-8859-4" and len(set(sample.translate(None, ASCII))) < RARE_NEEDS_BYTES:
        name = FALLBACK
    if name == "windows-1252" and _LITHUANIAN.search(sample) and not _ICELANDIC.search(sample):
        name = "windows-1257"
    try:
        return codecs.lookup(name).name
    except LookupError:
        return FALLBACK
