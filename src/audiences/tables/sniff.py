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
from audiences.tables.dialect import LINE, Dialect, Record, records
from audiences.tables.header import HEADER_WITHIN, Header

DELIMITERS = (",", ";", "\t", "|")

# Enough for a hundred records of a wide table, and little enough to be looked at in a few ways.
SAMPLE_CHARACTERS = 1 << 18

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
    lines = LINE.findall(sample)
    best = max(_candidates(lines), key=lambda dialect: _worth(lines, dialect, phone_column))
    head = list(records(lines, best, HEADER_WITHIN))
    found = header.find([record.cells for record in head], phone_column)
    return Found(best, found, sum(record.lines for record in head[: found.index + 1]))


def _candidates(lines: Sequence[str]) -> Iterator[Dialect]:
    """The dialects that the lines may be in; of equals the first wins."""
    hint = _HINT.fullmatch(lines[0]) if lines else None
    if hint and hint[1] in DELIMITERS:
        yield from (Dialect(hint[1], quote, escape) for quote, escape in _quotings(lines))
        return
    present = [delimiter for delimiter in DELIMITERS if any(delimiter in line for line in lines)]
    for quote, escape in _quotings(lines):
        yield Dialect(None, quote, escape)
        yield from (Dialect(delimiter, quote, escape) for delimiter in present)


def _quotings(lines: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Quote and escape: the usual ones, unless the text clearly has others."""
    text = "".join(lines)
    if '"' in text:
        odd = len(re.findall(r'\\"(?![,;\t|\r\n]|$)', text))
        doubled = len(re.findall(r'[^,;\t|\r\n]""', text))
        yield '"', ("\\" if odd > doubled else '"')
    elif _single_quoted(text):
        yield "'", "'"
    else:
        yield '"', '"'


def _single_quoted(text: str) -> bool:
    """Whether cells in single quotes are the rule: one in every line, and nearly none that is only opened.

    A lone apostrophe before a number is a spreadsheet's sign for text, not a quote.
    """
    opened = len(re.findall(r"(?:^|[,;\t|])'", text, re.MULTILINE))
    closed = len(re.findall(r"(?:^|[,;\t|])'[^'\r\n]*(?:''[^'\r\n]*)*'(?=[,;\t|\r\n]|\Z)", text, re.MULTILINE))
    filled = sum(1 for line in text.splitlines() if line.strip())
    return closed >= max(1, filled - 1) and closed * 10 >= opened * 9


def _worth(lines: Sequence[str], dialect: Dialect, phone_column: str) -> tuple[bool, bool, float]:
    """How well `dialect` fits: the header is found by it, and has neighbours; records are of one width and not one."""
    head = list(records(lines, dialect, HEADER_WITHIN))
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
