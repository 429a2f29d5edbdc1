"""Rows in pieces, to be gone through more than once: judged first, and written when all of them are known."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Protocol, TypeVar

import polars as pl

from audiences.room import Room
from audiences.tables.ahead import ahead
from audiences.tables.shapes import Piece

# Bytes of a file that make a piece: some hundred thousand rows of a customer list. Enough that what a piece costs
# beside its rows does not count, and little enough that a few of them fit into any memory.
PIECE_BYTES = 8 * 1024 * 1024

# Bytes of memory that a byte of text takes in columns: a cell has sixteen beside its own (measured: 2.1).
GROWTH = 2.4

# Cells of a piece, at most, about: an empty one takes as much memory as any, and a byte of the file. Of customer lists
# PIECE_BYTES have as many.
PIECE_CELLS = 800_000

# Bytes that a cell takes beside its own.
CELL_BYTES = 16

Job = Callable[[], Piece]
Result = TypeVar("Result")


class Source(Protocol):
    """Where pieces come from: `size` bytes of text, or None where they are not to be kept in memory."""

    @property
    def size(self) -> int | None:
        """See above."""

    def job(self, number: int) -> Job | None:
        """What makes the piece of that number, from 0, in any thread; None behind the last.

        Those of all pieces before it were asked for. Both this and the job raise Untidy.
        """


class Pieces:
    """The pieces of one source: out of memory where there is room for all of them, made again otherwise.

    Some of them in memory would spare little, and stand in the way of others.

    Rows of a source that does not know how many there are before a piece count from 0 in each; `first_row` is then the
    number of the first of all.
    """

    def __init__(self, source: Source, room: Room, first_row: int = 0) -> None:
        self.source = source
        self.room = room
        self.first_rows = [first_row]
        self.kept: dict[int, Piece] = {}
        size = 0 if source.size is None else int(source.size * GROWTH)
        self.taken = size if room.take(size) else 0

    def __iter__(self) -> Iterator[Piece]:
        """All of them, in order."""
        return (piece for piece, _ in self.each(lambda _piece: None))

    def each(self, work: Callable[[Piece], Result]) -> Iterator[tuple[Piece, Result]]:
        """All of them, in order, each with what `work` makes of it before its rows have their place among all."""

        def worked(job: Job) -> tuple[Piece, Result]:
            piece = job()
            return piece, work(piece)

        for number, (piece, result) in enumerate(ahead(partial(worked, job) for job in self.jobs())):
            placed = self.kept.get(number) or self.placed(number, piece)
            if self.taken:
                self.kept[number] = placed
            yield placed, result

    def again(self, work: Callable[[int, Piece], Result]) -> Iterator[Result]:
        """What `work` makes of the number of each piece and itself, in order, for the last time.

        All were gone through before. One that was kept in memory is given up with this.
        """

        def worked(number: int, job: Job) -> Result:
            return work(number, self.placed(number, job()))

        return ahead(partial(worked, number, job) for number, job in enumerate(self.jobs(last=True)))

    def jobs(self, *, last: bool = False) -> Iterator[Job]:
        """What gives each piece, which is not asked for again after the `last` time."""
        number = 0
        while (job := self.job(number, last=last)) is not None:
            yield job
            number += 1

    def job(self, number: int, *, last: bool) -> Job | None:
        """What gives the piece of that number."""
        kept = self.kept.pop(number, None) if last else self.kept.get(number)
        return self.source.job(number) if kept is None else lambda: kept

    def placed(self, number: int, piece: Piece) -> Piece:
        """The piece at its place among the rows."""
        if piece.records is None:
            return piece
        first = self.first_rows[number]
        if len(self.first_rows) == number + 1:
            self.first_rows.append(first + piece.records)
        row, *others = piece.frame.get_columns()
        return replace(piece, frame=pl.DataFrame([row + first, *others]), records=None)

    def forget(self) -> None:
        """Gives back the room."""
        self.kept.clear()
        self.room.give_back(self.taken)
        self.taken = 0
