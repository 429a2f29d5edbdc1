"""The regular expressions of libphonenumber's metadata, as trees.

It describes numbers by patterns over digits that match finitely many texts: literals, classes, groups, choices and
counted repeats. `parse` reads that subset and refuses anything else, so that a metadata release with new syntax fails
the build instead of changing a verdict.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass

ANY_DIGIT = 0b11_1111_1111


@dataclass(frozen=True)
class Digit:
    """One digit out of a set; bit `d` of `mask` stands for the digit `d`."""

    mask: int


@dataclass(frozen=True)
class Sequence:
    """Parts one after the other."""

    parts: tuple[Node, ...]


@dataclass(frozen=True)
class Choice:
    """One of several, tried in this order."""

    options: tuple[Node, ...]


@dataclass(frozen=True)
class Repeat:
    """A part `least` to `most` times, as often as possible first."""

    part: Node
    least: int
    most: int


@dataclass(frozen=True)
class Group:
    """A part whose span is remembered under `number`, from 1."""

    number: int
    part: Node


@dataclass(frozen=True)
class End:
    """The `$` of a pattern: nothing may follow."""


Node = Digit | Sequence | Choice | Repeat | Group | End

TOKEN = re.compile(r"\d|\\d|\[[\d-]+\]|\(\?:|\(|\)|\||\?|\{\d+(?:,\d+)?\}|\$")


@functools.cache
def parse(pattern: str) -> Node:
    """The tree of `pattern`. Raises ValueError for syntax outside the subset."""
    tokens = TOKEN.findall(pattern)
    if "".join(tokens) != pattern:
        raise ValueError(f"This pattern has syntax that is not understood: {pattern}")
    return _Reader(tokens).choice()


class _Reader:
    """Reads the tokens of one pattern by recursive descent."""

    def __init__(self, tokens: list[str]) -> None:
        self.tokens = tokens
        self.position = 0
        self.groups = 0

    def peek(self) -> str:
        return self.tokens[self.position] if self.position < len(self.tokens) else ""

    def take(self) -> str:
        token = self.peek()
        self.position += 1
        return token

    def choice(self) -> Node:
        options = [self.sequence()]
        while self.peek() == "|":
            self.take()
            options.append(self.sequence())
        return options[0] if len(options) == 1 else Choice(tuple(options))

    def sequence(self) -> Node:
        parts = []
        while self.peek() not in {"", "|", ")"}:
            parts.append(self.quantified(self.atom()))
        return parts[0] if len(parts) == 1 else Sequence(tuple(parts))

    def atom(self) -> Node:
        symbol = self.take()
        if symbol == "(":
            self.groups += 1
            number = self.groups
            return Group(number, self.closed())
        if symbol == "(?:":
            return self.closed()
        if symbol == "$":
            return End()
        return Digit(_mask(symbol))

    def closed(self) -> Node:
        inner = self.choice()
        if self.take() != ")":
            raise ValueError("A group is not closed.")
        return inner

    def quantified(self, part: Node) -> Node:
        symbol = self.peek()
        if symbol == "?":
            self.take()
            return Repeat(part, 0, 1)
        if symbol.startswith("{"):
            least, _, most = self.take()[1:-1].partition(",")
            return Repeat(part, int(least), int(most or least))
        return part


def _mask(symbol: str) -> int:
    if symbol == r"\d":
        return ANY_DIGIT
    return sum(1 << digit for digit in range(10) if re.fullmatch(symbol, str(digit)))
