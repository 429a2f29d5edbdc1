"""What a CSV text holds, read slowly: one record after the other, in plain Python.

It shares encoding, dialect and header with the package, and nothing of how the readers go about a file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from audiences.tables.dialect import LINE, MAX_RECORD_BYTES, MAX_RECORD_LINES, NO_DELIMITER, Dialect
from audiences.tables.sniff import Found

BLANK = re.compile("[\x00\t-\r\x1c-\x20\x85\xa0\u1680\u2000-\u200d\u2028\u2029\u202f\u205f\u2060\u3000\ufeff]*")
DAMAGED = re.compile("[\ud800-\udfff]")

# Stands for a character that the text has, and that the package has given a meaning of its own.
STAND_IN = "\ue002"


@dataclass
class Records:
    """The rows with their numbers, the malformed records as they stand, and how many were blank; their lines, too."""

    rows: list[tuple[int | str, ...]] = field(default_factory=list)
    malformed: list[tuple[int, str]] = field(default_factory=list)
    blank_rows: int = 0
    lines: int = 0


def read(text: str, found: Found) -> Records:
    """The records of `text` behind the header; a lone surrogate in it stands for what cannot be decoded."""
    if found.dialect.delimiter is None:
        text = text.replace(NO_DELIMITER, STAND_IN)
    lines = LINE.findall(text)[found.lines :]
    records = Records(lines=len(lines))
    columns = len(found.header.columns)
    taken = 0
    for row, (raw, count, whole) in enumerate(_records(lines, found.dialect, columns), found.header.index + 2):
        taken += count
        cells = found.dialect.split(raw) if whole and not DAMAGED.search(raw) else None
        if cells is None or not _is_blank(cells[columns:]):
            records.malformed.append((row, _plain(DAMAGED.sub("\ufffd", raw))))
        elif _is_blank(cells[:columns]):
            records.blank_rows += 1
        else:
            padded = [*cells[:columns], *[""] * (columns - len(cells))]
            records.rows.append((row, *map(_plain, padded)))
    assert taken == len(lines), "the oracle lost a line"
    return records


def _records(lines: Sequence[str], dialect: Dialect, columns: int) -> Iterator[tuple[str, int, bool]]:
    """Each record's text without its line end, how many lines it takes, and whether its quoting is whole."""
    at = 0
    while at < len(lines):
        raw = _unended(lines[at])
        whole = dialect.split(raw) is not None
        taken = 1
        if not whole and dialect.opens(raw):
            taken = _closed_after(lines, at, dialect, columns)
            raw, whole = _unended("".join(lines[at : at + taken])), taken > 1
        yield raw, taken, whole
        at += taken


def _closed_after(lines: Sequence[str], at: int, dialect: Dialect, columns: int) -> int:
    """How many lines the record that begins in line `at` takes; 1 where it is not closed as it should be."""
    for taken in range(2, min(MAX_RECORD_LINES, len(lines) - at) + 1):
        raw = _unended("".join(lines[at : at + taken]))
        if dialect.split(raw) is not None:
            narrow = _width(raw, dialect) <= columns and len(raw.encode(errors="replace")) < MAX_RECORD_BYTES
            return taken if narrow else 1
        if not dialect.opens(raw):
            return 1
    return 1


def _width(raw: str, dialect: Dialect) -> int:
    """How many cells a record has, without those at its end that hold nothing but spaces."""
    pattern = rf"(?s)(^|[{dialect.separator}]) *{dialect.quote}{dialect.body}{dialect.quote} *"
    outside = re.sub(pattern, r"\1x", raw)
    return outside.rstrip(dialect.separator + " ").count(dialect.separator) + 1


def _unended(line: str) -> str:
    for end in ("\r\n", "\n", "\r"):
        if line.endswith(end):
            return line.removesuffix(end)
    return line


def _is_blank(cells: Sequence[str]) -> bool:
    return BLANK.fullmatch("".join(cells)) is not None


def _plain(text: str) -> str:
    return text.replace(STAND_IN, NO_DELIMITER)
