"""Matches of a pattern at the start of a number of which only the first digits are known."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from dataclasses import dataclass

from audiences.numbering.patterns import ANY_DIGIT, Choice, Digit, End, Group, Node, Repeat, Sequence, parse


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
