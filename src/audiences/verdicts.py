"""Verdicts: what was said of the phone in each row of a file, piece by piece as the file is read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import polars as pl

from audiences import phones
from audiences.errors import Reason
from audiences.numbering.frames import Plan
from audiences.parquet import Extent
from audiences.room import Room
from audiences.tables import Piece, Table

# How many times as many rows there are when it is asked again whether they can be written.
CHECK_AGAIN = 1.1


class Step(Protocol):
    """Times a step by its name."""

    def __call__(self, name: str) -> AbstractContextManager[None]:
        """Times what is done within the block."""


@dataclass(frozen=True)
class Reading:
    """How texts are read as phones."""

    plan: Plan
    default_region: str | None
    exact: bool

    def judge(self, texts: pl.Series) -> pl.DataFrame:
        """See `phones.judge`."""
        return phones.judge(self.plan, texts, default_region=self.default_region, exact=self.exact)

    def normalise(self, texts: pl.Series) -> pl.Series:
        """See `phones.normalise`."""
        return phones.normalise(self.plan, texts, default_region=self.default_region, exact=self.exact)


@dataclass
class Verdicts:
    """A verdict for each row of each piece, with the columns of `phones.VERDICT`, and `row` Int64, in order.

    They are kept in memory as far as there is room, else in files in `folder`. `extent` is that of the table so far;
    `check` is told of it from time to time, and raises a Refusal where it is too large.
    """

    folder: Path
    room: Room
    extent: Extent
    check: Callable[[Extent], object] = lambda _extent: None
    blank_rows: int = 0
    check_from: int = 0
    pieces: list[Said | Path] = field(default_factory=list)
    taken: int = 0

    @property
    def rows(self) -> int:
        """How many there are."""
        return self.extent.rows

    @property
    def are_in_memory(self) -> bool:
        """Whether all of them are."""
        return not any(isinstance(piece, Path) for piece in self.pieces)

    def add(self, rows: pl.Series, verdicts: pl.DataFrame, size: int = 0) -> None:
        """Takes those of the next piece, which has `size` bytes in memory, and the numbers of its rows."""
        self.extent.add(verdicts.height, size)
        if self.extent.rows >= self.check_from:
            self.check(self.extent)
            self.check_from = int(self.extent.rows * CHECK_AGAIN)
        said = Said.of(rows, verdicts)
        if self.room.take(said.size):
            self.taken += said.size
            self.pieces.append(said)
        else:
            self.pieces.append(self.written(len(self.pieces), said))

    def written(self, number: int, said: Said) -> Path:
        """The file in which those of a piece are now."""
        path = self.folder / f"verdicts-{number}.arrow"
        said.frame().write_ipc(path)
        return path

    def put_down(self) -> None:
        """Leaves all of them in files, and gives back the room: something else needs the memory."""
        for number, piece in enumerate(self.pieces):
            if isinstance(piece, Said):
                self.pieces[number] = self.written(number, piece)
        self.room.give_back(self.taken)
        self.taken = 0

    def __iter__(self) -> Iterator[pl.DataFrame]:
        """Those of each piece."""
        return map(self.piece, range(len(self.pieces)))

    def piece(self, number: int) -> pl.DataFrame:
        """Those of one piece."""
        said = self.pieces[number]
        return said.frame() if isinstance(said, Said) else pl.read_ipc(said)

    def forget(self) -> None:
        """Gives back the room."""
        self.pieces.clear()
        self.room.give_back(self.taken)
        self.taken = 0


@dataclass(frozen=True)
class Said:
    """The verdicts on a piece. `rows` are their numbers, or the first of numbers without a gap, which take no room."""

    rows: pl.Series | int
    verdicts: pl.DataFrame

    @classmethod
    def of(cls, rows: pl.Series, verdicts: pl.DataFrame) -> Said:
        """Those with these numbers, which rise."""
        if not len(rows) or rows[-1] - rows[0] + 1 == len(rows):
            return cls(rows[0] if len(rows) else 0, verdicts)
        return cls(rows, verdicts)

    @property
    def size(self) -> int:
        """Bytes that they take."""
        return int(self.verdicts.estimated_size()) + (0 if isinstance(self.rows, int) else len(self.rows) * 8)

    def frame(self) -> pl.DataFrame:
        """All of them with their numbers."""
        rows = self.rows
        if isinstance(rows, int):
            rows = pl.int_range(rows, rows + self.verdicts.height, eager=True)
        return pl.DataFrame([rows.alias("row"), *self.verdicts.get_columns()])


def judge(table: Table, reading: Reading, verdicts: Verdicts, step: Step) -> None:
    """Reads the table and judges its phones. Raises Untidy."""

    def judged(piece: Piece) -> pl.DataFrame:
        with step("judge"):
            return of_piece(piece, table.phone, reading)

    pieces = table.pieces.each(judged)
    while True:
        with step("read"):
            made = next(pieces, None)
        if made is None:
            return
        piece, said = made
        verdicts.blank_rows += piece.blank_rows
        verdicts.add(piece.frame["row"], said, int(piece.frame.estimated_size()))


def of_piece(piece: Piece, phone: int, reading: Reading) -> pl.DataFrame:
    """The verdicts on a piece; a malformed row has no phone."""
    frame = piece.frame
    judged = reading.judge(frame[f"c{phone + 1}"])
    if "raw" in frame.columns:
        malformed = frame["raw"].is_not_null()
        said = pl.when(malformed).then(pl.lit(str(Reason.MALFORMED_ROW), phones.REASONS))
        judged = judged.with_columns(said.otherwise("reason").alias("reason"))
    return judged
