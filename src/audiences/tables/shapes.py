"""What goes into reading a table and what comes out: the vocabulary of the package, with no code of its own."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Wanted:
    """What the caller asked for; names are compared ignoring case and surrounding blanks."""

    phone_column: str = "phone1"
    sheet: str | None = None


@dataclass(frozen=True)
class Bounds:
    """What reading one upload may cost. Bytes are of anything unpacked or transcoded; the memory is the child's.

    `workbook_turn` is held while a child reads: its memory is there once, not once for every upload.
    """

    max_bytes: int
    workbook_memory_bytes: int
    workbook_timeout_s: float
    workbook_turn: AbstractContextManager[object] = field(default_factory=nullcontext)


@dataclass(frozen=True)
class Table:
    """A file that was read: two relations on the caller's connection, and how they came about.

    `relation` has `row BIGINT, c1 … cn VARCHAR` (an empty cell is NULL or ''), without blank and malformed rows.
    `malformed` has `row BIGINT, raw VARCHAR`, the whole record as it stood. `row` is the record's number as a
    spreadsheet shows it, from 1, title and header included. `row_count` is the sum of both. `blank_rows` are those
    after the header in which every cell is blank. `header_row` is 1-based; `phone` is a 0-based index of `columns`.
    """

    relation: str
    malformed: str
    columns: tuple[str, ...]
    phone: int
    row_count: int
    blank_rows: int
    format: str
    encoding: str | None
    delimiter: str | None
    sheet: str | None
    header_row: int
    exact_numbers: bool
