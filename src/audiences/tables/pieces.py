"""Rows in pieces, to be gone through more than once: judged first, and written when all of them are known."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from audiences.room import Room
from audiences.tables.shapes import Piece

# Bytes of a file that make a piece: some hundred thousand rows of a customer list. Enough that what a piece costs
# beside its rows does not count, and little enough that a few of them fit into any memory.
PIECE_BYTES = 16 * 1024 * 1024


class Source(Protocol):
    """Where pieces come from."""

    def piece(self, number: int) -> Piece | None:
        """The piece of that number, from 0; None behind the last. All before it were asked for. Raises Untidy."""


class Pieces:
    """The pieces of one source: out of memory as far as there was room, read again otherwise."""

    def __init__(self, source: Source, room: Room) -> None:
        self.source = source
        self.room = room
        self.kept: dict[int, Piece] = {}
        self.taken = 0

    def __iter__(self) -> Iterator[Piece]:
        """All of them, in order."""
        number = 0
        while (piece := self.kept.get(number) or self.source.piece(number)) is not None:
            self.keep(number, piece)
            yield piece
            number += 1

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
