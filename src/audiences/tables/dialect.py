"""How a CSV file separates and quotes its cells, and the grammar that follows from it.

The patterns are written once, in the syntax that Python's `re` and DuckDB's RE2 share, so that the sample which decides
about the header and the SQL which reads the rest cannot disagree.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import islice

# Stands for the delimiter of a file that has none: a control character, escaped where a file holds it.
NO_DELIMITER = "\x02"

# A quoted cell of an address or a note has a few line breaks. A quote that is still open after so many lines, or after
# so many bytes, was never meant to open a cell, and must not swallow the rows below it. The bytes are eight of Excel's
# longest cells; the engine works on two thousand records at a time, so this bounds its memory too.
MAX_RECORD_LINES = 1_000
MAX_RECORD_BYTES = 1 << 18

# A title or a column name with line breaks in it has a handful of them.
MAX_HEADER_LINES = 20

LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+\Z")


@dataclass(frozen=True)
class Dialect:
    """The delimiter (None: one column), the quote, and what escapes a quote: itself or a backslash."""

    delimiter: str | None
    quote: str = '"'
    escape: str = '"'

    @property
    def separator(self) -> str:
        """The delimiter, or the character that stands for none."""
        return self.delimiter or NO_DELIMITER

    @property
    def body(self) -> str:
        """What stands between the quotes of a cell."""
        if self.escape == "\\":
            return rf"[^{self.quote}\\]*(?:\\.[^{self.quote}\\]*)*"
        return rf"[^{self.quote}]*(?:{self.quote}{self.quote}[^{self.quote}]*)*"

    @property
    def quoted(self) -> str:
        """A quoted cell; spaces may stand around the quotes and do not belong to it."""
        return rf" *{self.quote}{self.body}{self.quote} *"

    @property
    def cell(self) -> str:
        """A cell: quoted, or text that does not begin with a quote and may hold some."""
        text = rf" *(?:[^{self.quote} {self.separator}][^{self.separator}]*)?"
        return rf"(?:{self.quoted}|{text})"

    @property
    def closed(self) -> str:
        """One whole record."""
        return rf"(?s){self.cell}(?:[{self.separator}]{self.cell})*"

    @property
    def open(self) -> str:
        """A record up to the end of a line that lies within a quoted cell."""
        return rf"(?s)(?:{self.cell}[{self.separator}])* *{self.quote}{self.body}\\?"

    @property
    def inside(self) -> str:
        """A quote and a text that does not close it."""
        return rf"(?s){self.quote}{self.body}\\?"

    @property
    def each_cell(self) -> str:
        """A delimiter and the cell behind it, to be found again and again in `separator || record`."""
        return rf"(?s)[{self.separator}]{self.cell}"

    @cached_property
    def _patterns(self) -> tuple[re.Pattern[str], re.Pattern[str], re.Pattern[str]]:
        return re.compile(self.closed), re.compile(self.open), re.compile(self.each_cell)

    def split(self, record: str) -> list[str] | None:
        """The cells of one whole record; None where its quoting is broken."""
        if self.quote not in record:
            return record.split(self.separator)
        closed, _, each_cell = self._patterns
        if not closed.fullmatch(record):
            return None
        return [self.unquote(found[1:]) for found in each_cell.findall(self.separator + record)]

    def loosely(self, record: str) -> list[str]:
        """The cells of a record whose quoting is broken, as if it had no quotes."""
        return [cell.strip(f" {self.quote}") for cell in record.split(self.separator)]

    def unquote(self, cell: str) -> str:
        """The text of one cell as it stands in the file."""
        bare = cell.strip(" ")
        if not bare.startswith(self.quote):
            return cell
        if self.escape == "\\":
            return re.sub(r"(?s)\\(.)", r"\1", bare[1:-1])
        return bare[1:-1].replace(self.quote * 2, self.quote)

    def opens(self, line: str) -> bool:
        """Whether `line`, begun outside of quotes, ends inside of them."""
        return self._patterns[1].fullmatch(line) is not None


@dataclass(frozen=True)
class Record:
    """One record of a sample: its cells, and how many physical lines it takes."""

    cells: list[str]
    lines: int


class Lines:
    """The physical lines of a text, with their ends; each is found when it is asked for, since a header takes few."""

    def __init__(self, text: str) -> None:
        self.found: list[str] = []
        self.further = LINE.finditer(text)

    def some(self, first: int, count: int) -> list[str]:
        """So many lines from the `first` on, counted from 0, or as many as there are."""
        missing = first + count - len(self.found)
        if missing > 0:
            self.found.extend(line[0] for line in islice(self.further, missing))
        return self.found[first : first + count]


def records(lines: Lines, dialect: Dialect, limit: int, *, loose: bool = False) -> Iterator[Record]:
    """At most `limit` records of `lines`.

    A line of broken quoting is a record of one cell, or with `loose` of those that it would have without its quotes.
    """
    at = 0
    for _ in range(limit):
        if not lines.some(at, 1):
            return
        record = _record(lines, at, dialect, loose=loose)
        at += record.lines
        yield record


def _record(lines: Lines, at: int, dialect: Dialect, *, loose: bool) -> Record:
    first = lines.some(at, 1)[0].rstrip("\r\n")
    cells = dialect.split(first)
    if cells is not None:
        return Record(cells, 1)
    if dialect.opens(first):
        following = lines.some(at, MAX_HEADER_LINES)
        for taken in range(2, len(following) + 1):
            cells = dialect.split("".join(following[:taken]).rstrip("\r\n"))
            if cells is not None:
                return Record(cells, taken)
    return Record(dialect.loosely(first) if loose else [first], 1)
