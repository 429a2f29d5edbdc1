"""Patterns of digits, and two questions to one without trying numbers: automata, and a match of a half-known number.

libphonenumber describes numbers by regular expressions over digits that match finitely many texts: literals, classes,
groups, choices and counted repeats. `parse` reads that subset and refuses anything else, so that a metadata release
with new syntax fails the build instead of changing a verdict.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
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


class Automata:
    """Deterministic automata over digits, made lazily and shared by all patterns.

    A state is a small integer; `DEAD` is the one from which nothing matches any more. Equal continuations are one
    state whichever pattern they come from, which keeps a walk over many patterns at once small.
    """

    DEAD = 0
    _ACCEPT, _REST = 0, 1

    def __init__(self) -> None:
        # Positions in a pattern: which digits lead on, and to which positions. The first two are built in.
        self._positions: list[tuple[int, frozenset[int]]] = [(0, frozenset()), (ANY_DIGIT, frozenset({self._REST}))]
        self._numbers = {position: number for number, position in enumerate(self._positions)}
        self._sets: list[frozenset[int]] = []
        self._states: dict[frozenset[int], int] = {}
        self._rows: dict[int, tuple[int, ...]] = {}
        self._certain: dict[tuple[int, int], bool | None] = {}
        self._wholes: dict[str, int] = {}
        self._state(frozenset())

    def whole(self, pattern: str) -> int:
        """The start of an automaton that accepts what `pattern` matches from first to last digit."""
        if pattern not in self._wholes:
            self._wholes[pattern] = self._state(self._build(parse(pattern), frozenset({self._ACCEPT})))
        return self._wholes[pattern]

    def beginning(self, pattern: str) -> int:
        """The start of an automaton that accepts everything that begins with a match of `pattern`."""
        return self._state(self._build(parse(pattern), frozenset({self._REST})))

    def accepts(self, state: int) -> bool:
        """Whether the digits that led to `state` are accepted."""
        return not self._sets[state].isdisjoint((self._ACCEPT, self._REST))

    def row(self, state: int) -> tuple[int, ...]:
        """The ten states that the ten digits lead to from `state`."""
        known = self._rows.get(state)
        if known is None:
            known = self._rows[state] = tuple(self._step(state, digit) for digit in range(10))
        return known

    def certain(self, state: int, remaining: int) -> bool | None:
        """Whether all (True) or none (False) of the continuations by `remaining` digits are accepted; else None."""
        if remaining == 0 or state == self.DEAD:
            return self.accepts(state)
        key = (state, remaining)
        if key not in self._certain:
            verdicts = {self.certain(following, remaining - 1) for following in self.row(state)}
            self._certain[key] = verdicts.pop() if len(verdicts) == 1 else None
        return self._certain[key]

    def _step(self, state: int, digit: int) -> int:
        following: set[int] = set()
        for number in self._sets[state]:
            mask, after = self._positions[number]
            if mask >> digit & 1:
                following |= after
        return self._state(frozenset(following))

    def _state(self, positions: frozenset[int]) -> int:
        if positions not in self._states:
            self._states[positions] = len(self._sets)
            self._sets.append(positions)
        return self._states[positions]

    def _build(self, node: Node, after: frozenset[int]) -> frozenset[int]:
        """The positions at which `node` begins when the positions `after` follow it."""
        match node:
            case Digit(mask):
                return frozenset({self._position(mask, after)})
            case Sequence(parts):
                return functools.reduce(lambda rest, part: self._build(part, rest), reversed(parts), after)
            case Choice(options):
                return frozenset[int]().union(*(self._build(option, after) for option in options))
            case Repeat(part, least, most):
                start = after
                for _ in range(most - least):
                    start = after | self._build(part, start)
                for _ in range(least):
                    start = self._build(part, start)
                return start
            case Group(_, part):
                return self._build(part, after)
        raise ValueError("An automaton cannot end in the middle of a pattern.")

    def _position(self, mask: int, after: frozenset[int]) -> int:
        position = (mask, after)
        if position not in self._numbers:
            self._numbers[position] = len(self._positions)
            self._positions.append(position)
        return self._numbers[position]


class UndeterminedError(Exception):
    """The answer depends on a digit that is not known yet."""


Spans = tuple[tuple[int, int] | None, ...]


@dataclass(frozen=True)
class Match:
    """Where a match at the start of a number ends, and the spans of its groups (None: took no part)."""

    end: int
    groups: Spans


@functools.cache
def group_count(pattern: str) -> int:
    """How many capturing groups `pattern` has."""
    return re.compile(pattern).groups


@functools.cache
def widest(pattern: str) -> int | None:
    """How many digits a match of `pattern` takes at most; None where the number's end matters."""
    return None if "$" in pattern else _width(parse(pattern))


def _width(node: Node) -> int:
    match node:
        case Digit():
            return 1
        case Sequence(parts):
            return sum(map(_width, parts))
        case Choice(options):
            return max(map(_width, options))
        case Repeat(part, _, most):
            return most * _width(part)
        case Group(_, part):
            return _width(part)
    return 0


def match_start(pattern: str, known: str, length: int) -> Match | None:
    """What `re.match(pattern, number)` finds in a number of `length` digits of which the first are `known`.

    Raises UndeterminedError when that depends on a further digit.
    """
    width = widest(pattern)
    found = (
        _first_match(pattern, known, length)
        if width is None
        else _first_match(pattern, known[:width], min(length, width))
    )
    if isinstance(found, UndeterminedError):
        raise found
    return found


@functools.cache
def shapes(pattern: str, length: int) -> frozenset[Match]:
    """Every match that `match_start` could find in some number of `length` digits, and perhaps more than those."""
    groups = (None,) * group_count(pattern)
    return frozenset(Match(end, spans) for end, spans in _attempts(parse(pattern), 0, groups, None, length))


@functools.cache
def _first_match(pattern: str, known: str, length: int) -> Match | UndeterminedError | None:
    trials = _attempts(parse(pattern), 0, (None,) * group_count(pattern), known, length)
    try:
        return next((Match(end, groups) for end, groups in trials), None)
    except UndeterminedError:
        return UndeterminedError()


def _attempts(node: Node, at: int, groups: Spans, known: str | None, length: int) -> Iterator[tuple[int, Spans]]:
    """All matches of `node` at `at` in the order in which a backtracking matcher tries them.

    With `known` None every digit is taken to fit.
    """
    match node:
        case Digit(mask):
            if _digit_is_in(mask, at, known, length):
                yield at + 1, groups
        case End():
            yield from ((at, groups),) if at == length else ()
        case Choice(options):
            for option in options:
                yield from _attempts(option, at, groups, known, length)
        case Sequence(parts):
            yield from _in_a_row(parts, at, groups, known, length)
        case Group() | Repeat():
            yield from _grouped_or_repeated(node, at, groups, known, length)


def _grouped_or_repeated(
    node: Group | Repeat, at: int, groups: Spans, known: str | None, length: int
) -> Iterator[tuple[int, Spans]]:
    if isinstance(node, Group):
        for end, inner in _attempts(node.part, at, groups, known, length):
            yield end, (*inner[: node.number - 1], (at, end), *inner[node.number :])
        return
    if node.most:
        rest = Repeat(node.part, max(node.least - 1, 0), node.most - 1)
        yield from _in_a_row((node.part, rest), at, groups, known, length)
    if not node.least:
        yield at, groups


def _in_a_row(
    parts: tuple[Node, ...], at: int, groups: Spans, known: str | None, length: int
) -> Iterator[tuple[int, Spans]]:
    if not parts:
        yield at, groups
        return
    for middle, inner in _attempts(parts[0], at, groups, known, length):
        yield from _in_a_row(parts[1:], middle, inner, known, length)


def _digit_is_in(mask: int, at: int, known: str | None, length: int) -> bool:
    if at >= length:
        return False
    if mask == ANY_DIGIT or known is None:
        return True
    if at >= len(known):
        raise UndeterminedError
    return bool(mask >> int(known[at]) & 1)
