"""Rows in pieces, to be gone through more than once: judged first, and written when all of them are known."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import islice, starmap
from typing import Protocol, TypeVar

import polars as pl

from audiences.room import Room
from audiences.tables.shapes import Piece

# Bytes of a file that make a piece: some hundred thousand rows of a customer list. Enough that what a piece costs
# beside its rows does not count, and little enough that a few of them fit into any memory.
PIECE_BYTES = 8 * 1024 * 1024

# Pieces that are parsed while one is being worked on.
AHEAD = 2

Job = Callable[[], Piece]
Result = TypeVar("Result")


class Source(Protocol):
    """Where pieces come from."""

    def job(self, number: int) -> Job | None:
        """What makes the piece of that number, from 0, in any thread; None behind the last.

        Those of all pieces before it were asked for. Both this and the job raise Untidy.
        """


class Pieces:
    """The pieces of one source: out of memory as far as there was room, made again otherwise.

    Rows of a source that does not know how many there are before a piece count from 0 in each; `first_row` is then the
    number of the first of all.
    """

    def __init__(self, source: Source, room: Room, first_row: int = 0) -> None:
        self.source = source
        self.room = room
        self.first_rows = [first_row]
        self.kept: dict[int, Piece] = {}
        self.taken = 0

    def __iter__(self) -> Iterator[Piece]:
        """All of them, in order."""
        return (piece for piece, _ in self.each(lambda _number, _piece: None))

    def each(self, work: Callable[[int, Piece], Result]) -> Iterator[tuple[Piece, Result]]:
        """All of them, in order, each with what `work` makes of its number and itself, a few at once in threads.

        `work` sees the piece before its rows have their place among all.
        """
        for number, (piece, result) in enumerate(self.worked(work)):
            placed = self.kept.get(number) or self.placed(number, piece)
            self.keep(number, placed)
            yield placed, result

    def worked(self, work: Callable[[int, Piece], Result]) -> Iterator[tuple[Piece, Result]]:
        """The same as they come out of the threads; a single piece needs none."""

        def worked(number: int, job: Job) -> tuple[Piece, Result]:
            piece = job()
            return piece, work(number, piece)

        jobs = enumerate(self.jobs())
        begun = list(islice(jobs, AHEAD))
        if len(begun) < AHEAD:
            yield from starmap(worked, begun)
            return
        with ThreadPoolExecutor(AHEAD, "pieces") as threads:
            coming = deque(threads.submit(worked, *job) for job in begun)
            try:
                while coming:
                    coming.extend(threads.submit(worked, *job) for job in islice(jobs, 1))
                    yield coming.popleft().result()
            finally:
                threads.shutdown(cancel_futures=True)

    def jobs(self) -> Iterator[Job]:
        """What gives each piece."""
        number = 0
        while (job := self.job(number)) is not None:
            yield job
            number += 1

    def job(self, number: int) -> Job | None:
        """What gives the piece of that number."""
        kept = self.kept.get(number)
        return self.source.job(number) if kept is None else lambda: kept

    def placed(self, number: int, piece: Piece) -> Piece:
        """The piece at its place among the rows."""
        if piece.records is None:
            return piece
        first = self.first_rows[number]
        if len(self.first_rows) == number + 1:
            self.first_rows.append(first + piece.records)
        return replace(piece, frame=piece.frame.with_columns(pl.col("row") + first), records=None)

    def keep(self, number: int, piece: Piece) -> None:
        """Keeps a piece, if there is room."""
        size = int(piece.frame.estimated_size())
        if number not in self.kept and self.room.take(size):
            self.taken += size
            self.kept[number] = piece

    def forget(self) -> None:
        """Gives back the room."""
        self.kept.clear()
        self.room.give_back(self.taken)
        self.taken = 0
