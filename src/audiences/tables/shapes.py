"""What goes into reading a table and what comes out: the vocabulary of the package, with no code of its own."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl

    from audiences.room import Room
    from audiences.tables.pieces import Pieces


@dataclass(frozen=True)
class Wanted:
    """What the caller asked for; names are compared ignoring case and surrounding blanks."""

    phone_column: str = "phone1"
    sheet: str | None = None


@dataclass(frozen=True)
class Bounds:
    """What reading one upload may cost. Bytes are of anything unpacked or transcoded; the memory is the child's.

    `room` is what all uploads share for rows that are gone through again. `workbook_turn` is held while a child reads:
    its memory is there once, not once for every upload.
    """

    max_bytes: int
    room: Room
    workbook_memory_bytes: int
    workbook_timeout_s: float
    workbook_turn: AbstractContextManager[object] = field(default_factory=nullcontext)


class Untidy(Exception):
    """The file is not what this reading of it takes; another one takes it."""


@dataclass(frozen=True)
class Piece:
    """Some rows that follow each other: as many as are worked on at once.

    `frame` has `row` Int64, and `c1` … `cn` String (an empty cell is null or ''); rows ascend. Where some are malformed
    it has `raw` String too: the whole record as it stood, of which there are no cells then; null for all others. `row`
    is the record's number as a spreadsheet shows it, from 1, title and header included. Rows in which every cell is
    blank are left out; there were `blank_rows` of them.

    Where `records` is a number, `row` counts from 0 in this piece, and that many records are in it, blank ones too.
    """

    frame: pl.DataFrame
    blank_rows: int = 0
    records: int | None = None


@dataclass(frozen=True)
class Table:
    """A file that is being read.

    `pieces` has all rows after the header, in order; it can be gone through again, and raises `Untidy` where this is
    the wrong reading of the file. `header_row` is 1-based; `phone` is a 0-based index of `columns`.
    """

    pieces: Pieces
    columns: tuple[str, ...]
    phone: int
    format: str
    encoding: str | None
    delimiter: str | None
    sheet: str | None
    header_row: int
    exact_numbers: bool
