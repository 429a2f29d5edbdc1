"""Patterns as automata over digits, to ask what holds for many numbers at once without trying them."""

from __future__ import annotations

import functools

from audiences.numbering.patterns import ANY_DIGIT, Choice, Digit, Group, Node, Repeat, Sequence, parse


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
