"""Find out a CSV file's dialect and its header from a sample of its first records.

The name of the phone column is the best witness there is: it stands between two delimiters, whatever commas a title
above it or an amount below it may have.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from audiences.tables import header
from audiences.tables.dialect import Dialect, Lines, Record, records
from audiences.tables.header import HEADER_WITHIN, Header

DELIMITERS = (",", ";", "\t", "|")

# Enough for a hundred records of a wide table, and little enough to be looked at in a few ways.
SAMPLE_CHARACTERS = 1 << 18

# What a cell has to hold to be taken for a phone, where nothing but that tells that a broken line is the header.
FEWEST_DIGITS = 6

# Cells in apostrophes that a file has at least, where these are its quotes: in a file of a row or two, one may be text.
FEWEST_QUOTED = 3

_HINT = re.compile(r"\s*\"?sep=(.)\"?\s*", re.IGNORECASE)


@dataclass(frozen=True)
class Found:
    """The dialect, the header, and how many physical lines the records up to the header take, it included."""

    dialect: Dialect
    header: Header
    lines: int


def sniff(sample: str, phone_column: str) -> Found:
    """The dialect and the header of the text that begins with `sample`.

    Raises: what `header.find` raises.
    """
    lines = Lines(sample)
    dialect, head = _best(lines, sample, phone_column)
    if header.locate([record.cells for record in head], phone_column) is None:
        dialect, head = _under_broken_header(lines, sample, phone_column) or (dialect, head)
    found = header.find([record.cells for record in head], phone_column)
    return Found(dialect, found, sum(record.lines for record in head[: found.index + 1]))


def _best(lines: Lines, sample: str, phone_column: str, *, loose: bool = False) -> tuple[Dialect, list[Record]]:
    """The dialect that fits best, and the first records in it; of equals the one without a delimiter, or the first.

    A file of one column is not thought of where a delimiter finds the header, and neighbours of the phone's in it.
    """
    best: tuple[Dialect, list[Record]] | None = None
    most = (False, False, -1.0)
    for found in _candidates(lines, sample):
        if found.delimiter is None and most[1]:
            continue
        head = list(records(lines, found, HEADER_WITHIN, loose=loose))
        worth = _worth(head, phone_column)
        if worth > most or (worth == most and found.delimiter is None):
            best, most = (found, head), worth
    assert best is not None  # noqa: S101 - there is a candidate for any sample
    return best


def _under_broken_header(lines: Lines, sample: str, phone_column: str) -> tuple[Dialect, list[Record]] | None:
    """Dialect and records, if the header's quoting is broken, and what stands below the column's name are phones."""
    dialect, head = _best(lines, sample, phone_column, loose=True)
    at = header.locate([record.cells for record in head], phone_column)
    if at is None:
        return None
    phone = [*map(header.key, head[at].cells)].index(header.key(phone_column))
    below = [record.cells[phone] for record in head[at + 1 :] if len(record.cells) > phone]
    are_phones = sum(map(_is_like_a_phone, below)) * 2 > len(head) - at - 1
    return (dialect, head) if are_phones else None


def _is_like_a_phone(cell: str) -> bool:
    """Whether a cell has digits enough, and no letters."""
    return sum(map(str.isdigit, cell)) >= FEWEST_DIGITS and not any(map(str.isalpha, cell))


def _candidates(lines: Lines, sample: str) -> Iterator[Dialect]:
    """The dialects that the sample, which consists of `lines`, may be in; the one without a delimiter is the last."""
    first = lines.some(0, 1)
    hint, (quote, escape) = _HINT.fullmatch(first[0]) if first else None, _quoting(sample)
    if hint and hint[1] in DELIMITERS:
        yield Dialect(hint[1], quote, escape)
        return
    yield from (Dialect(delimiter, quote, escape) for delimiter in DELIMITERS if delimiter in sample)
    yield Dialect(None, quote, escape)


def _quoting(text: str) -> tuple[str, str]:
    """Quote and escape: the usual ones, unless the text clearly has others."""
    if '"' in text and not (_single_quoted(text) and _seldom_double_quoted(text)):
        odd = len(re.findall(r'\\"(?![,;\t|\r\n]|$)', text)) if '\\"' in text else 0
        doubled = len(re.findall(r'[^,;\t|\r\n]""', text)) if odd else 0
        return '"', ("\\" if odd > doubled else '"')
    return ("'", "'") if _single_quoted(text) else ('"', '"')


def _single_quoted(text: str) -> bool:
    """Whether cells in single quotes are the rule: one in every line, and nearly none that is only opened.

    A lone apostrophe before a number is a spreadsheet's sign for text, not a quote; one between letters is neither.
    """
    if "'" not in text:
        return False
    opened, fewest = len(re.findall(r"(?:^|[,;\t|])'", text, re.MULTILINE)), max(FEWEST_QUOTED, _filled(text) - 1)
    if opened < fewest:
        return False
    inside = r"(?:[^'\r\n]|''|(?<=\w)'(?=\w))*"
    closed = len(re.findall(rf"(?:^|[,;\t|])'{inside}'(?=[,;\t|\r\n]|\Z)", text, re.MULTILINE))
    return closed >= fewest and closed * 10 >= opened * 9


def _seldom_double_quoted(text: str) -> bool:
    """Whether a double quote hardly ever begins a cell: it is for inches, then."""
    return len(re.findall(r'(?:^|[,;\t|]) *"', text, re.MULTILINE)) * 10 < _filled(text)


def _filled(text: str) -> int:
    """How many lines have something in them."""
    return sum(1 for line in text.splitlines() if line.strip())


def _worth(head: Sequence[Record], phone_column: str) -> tuple[bool, bool, float]:
    """How well a dialect fits: the header is found by it, and has neighbours; records are of one width and not one."""
    at = header.locate([record.cells for record in head], phone_column)
    if at is None:
        return False, False, _evenness(head)
    return True, len(head[at].cells) > 1, _evenness(head[at:])


def _evenness(head: Sequence[Record]) -> float:
    """The share of records that have the commonest width, times that width, up to a few cells; 0 where it is one."""
    widths = Counter(len(record.cells) for record in head if not header.is_blank(record.cells))
    if not widths:
        return 0.0
    width, count = widths.most_common(1)[0]
    return 0.0 if width == 1 else count / widths.total() * min(width, 4)
