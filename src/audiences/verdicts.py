"""Verdicts: what was said of the phone in each row of a file, piece by piece as the file is read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import polars as pl

from audiences import phones
from audiences.errors import Reason
from audiences.numbering.frames import Plan
from audiences.room import Room
from audiences.tables import Piece, Table


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
    """A verdict for each row of each piece, which has `row` Int64 and the columns of `phones.VERDICT`, in order.

    They are kept in memory as far as there is room, else in files in `folder`. `rows` counts them.
    """

    folder: Path
    room: Room
    rows: int = 0
    blank_rows: int = 0
    pieces: list[pl.DataFrame | Path] = field(default_factory=list)
    taken: int = 0

    @property
    def are_in_memory(self) -> bool:
        """Whether all of them are."""
        return not any(isinstance(piece, Path) for piece in self.pieces)

    def add(self, verdicts: pl.DataFrame) -> None:
        """Takes those of the next piece."""
        self.rows += verdicts.height
        size = int(verdicts.estimated_size())
        if self.room.take(size):
            self.taken += size
            self.pieces.append(verdicts)
            return
        path = self.folder / f"verdicts-{len(self.pieces)}.arrow"
        verdicts.write_ipc(path)
        self.pieces.append(path)

    def __iter__(self) -> Iterator[pl.DataFrame]:
        """Those of each piece."""
        for piece in self.pieces:
            yield piece if isinstance(piece, pl.DataFrame) else pl.read_ipc(piece)

    def forget(self) -> None:
        """Gives back the room."""
        self.pieces.clear()
        self.room.give_back(self.taken)
        self.taken = 0


def judge(table: Table, reading: Reading, verdicts: Verdicts, step: Step) -> None:
    """Reads the table and judges its phones. Raises Untidy."""
    pieces = iter(table.pieces)
    while True:
        with step("read"):
            piece = next(pieces, None)
        if piece is None:
            return
        verdicts.blank_rows += piece.blank_rows
        with step("judge"):
            verdicts.add(of_piece(piece, table.phone, reading))


def of_piece(piece: Piece, phone: int, reading: Reading) -> pl.DataFrame:
    """The verdicts on a piece; a malformed row has no phone."""
    frame = piece.frame
    judged = reading.judge(frame[f"c{phone + 1}"])
    if "raw" in frame.columns:
        malformed = frame["raw"].is_not_null()
        said = pl.when(malformed).then(pl.lit(str(Reason.MALFORMED_ROW), phones.REASONS))
        judged = judged.with_columns(said.otherwise("reason").alias("reason"))
    return judged.insert_column(0, frame["row"])
