"""What a target of the fuzzing is, and the choices that it makes of the bytes it is given."""

from __future__ import annotations

import traceback
from collections.abc import Iterable, Sequence
from typing import Protocol, TypeVar

Anything = TypeVar("Anything")


class Target(Protocol):
    """One thing that is fuzzed. `figures` are counts by what they count, `seeds` inputs to begin with.

    `words` are what an input may be made of.
    """

    figures: dict[str, int]
    seeds: Iterable[bytes]
    words: Iterable[bytes]

    def try_one(self, data: bytes) -> None:
        """Raises for an input on which something is not as it must be."""

    def end(self) -> None:
        """Says that there is no further input. Raises as `try_one` does, about any before."""


class Choices:
    """Choices that an input makes, byte by byte; zeros where it is at its end."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def number(self, below: int) -> int:
        """A number under `below`, which is at most 256."""
        self.at += 1
        return self.data[self.at - 1] % below if self.at <= len(self.data) else 0

    def one_of(self, things: Sequence[Anything]) -> Anything:
        """One of `things`."""
        return things[self.number(len(things))]

    def take(self, count: int) -> bytes:
        """The next so many bytes, or what is left of them."""
        taken = self.data[self.at : self.at + count]
        self.at += count
        return taken

    def rest(self) -> bytes:
        """All bytes that are left."""
        return self.take(len(self.data))

    @property
    def left(self) -> bool:
        """Whether there are bytes left."""
        return self.at < len(self.data)


def kind_of(error: BaseException) -> str:
    """What went wrong and where, so that one defect is told once: the error's type and its last lines of code."""
    places = traceback.extract_tb(error.__traceback__)[-2:]
    return f"{type(error).__name__} at " + " < ".join(
        f"{place.name}:{place.lineno}" for place in reversed(places) if place.line
    )
