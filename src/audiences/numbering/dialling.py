"""What dialled digits mean: `phonenumbers.parse`, run on numbers of which only the first digits are known.

The functions below follow the library's own, step by step and under its names. Where one asks for a digit that is not
known yet, the number is divided into its ten continuations and each is tried, until the answer is the same whatever
follows. So a handful of leaves says what happens to all numbers of a length: which leading digits go (a national or
an international prefix, a carrier code), and which come in their place (a mobile token, an area code).
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from phonenumbers import PhoneMetadata

from audiences.errors import Reason
from audiences.numbering import metadata
from audiences.numbering.automata import Automata
from audiences.numbering.matching import Match, UndeterminedError, match_start, shapes
from audiences.numbering.metadata import Length

LONGEST_DIALLED = 30
"""Digits. Longer numbers are treated like ones of this length: no prefix, at most 8 digits, makes them short enough."""
KNOWN_DIGITS = 16
"""No decision of any region looks at more leading digits than this, and with the length they fit 64 bits."""
KEY_WIDTH = 10_000_000_000_000_000
"""Routing keys of one length: ten to the power of `KNOWN_DIGITS`."""
NOT_AFTER_A_PREFIX = frozenset({Length.TOO_SHORT, Length.LOCAL_ONLY, Length.BETWEEN})
"""Lengths that a number must not have once its national prefix is gone; else the prefix stays."""


@dataclass(frozen=True)
class Route:
    """What becomes of dialled digits: the first `dropped` go, `head` comes in their place.

    `reason` is why the result is rejected when the numbering plan does not have it. An `international` route's result
    begins with a calling code and is to be routed once more.
    """

    head: str = ""
    dropped: int = 0
    reason: Reason = Reason.NOT_A_NUMBER
    international: bool = False


@dataclass(frozen=True)
class Leaf:
    """All numbers of `length` digits that begin with `known` take one route."""

    known: str
    length: int
    route: Route

    @property
    def key(self) -> int:
        """The lowest routing key of these numbers: the length, then the first sixteen digits, filled with zeros."""
        return self.length * KEY_WIDTH + int(self.known.ljust(KNOWN_DIGITS, "0"))


@dataclass(frozen=True)
class Number:
    """`head`, then the dialled digits without the first `dropped`; of the dialled digits, `known` are known."""

    known: str
    dialled: int
    head: str = ""
    dropped: int = 0

    @property
    def length(self) -> int:
        """How many digits the number has."""
        return len(self.head) + self.dialled - self.dropped

    @property
    def start(self) -> str:
        """As much of the number's beginning as is known."""
        return self.head + self.known[self.dropped :]

    def digit(self, at: int) -> str:
        """The digit at a position that the number has. Raises UndeterminedError when it is not known."""
        if at >= len(self.start):
            raise UndeterminedError
        return self.start[at]

    def begins_with(self, prefix: str) -> bool:
        """Whether the number begins with `prefix`, looking at no more digits than it takes."""
        if self.length < len(prefix):
            return False
        return all(self.digit(at) == digit for at, digit in enumerate(prefix))

    def from_digit(self, at: int, head: str = "") -> Number:
        """`head`, then this number without its first `at` digits."""
        kept, further = self.head[at:], max(at - len(self.head), 0)
        return Number(self.known, self.dialled, head + kept, self.dropped + further)


def international_routes(automata: Automata) -> Iterator[Leaf]:
    """The routes of all numbers that begin with a calling code, by length and digits.

    Their results are E.164 numbers. The reasons are those of the reference function.
    """
    dialling = _Dialling(automata)
    for length in range(LONGEST_DIALLED + 1):
        yield from leaves(dialling.international, "", length)


def national_routes(automata: Automata, region: str) -> Iterator[Leaf]:
    """The routes of all numbers that are dialled within `region` without an international prefix."""
    dialling = _Dialling(automata)
    rules = metadata.rules(0, region)
    for length in range(LONGEST_DIALLED + 1):
        yield from leaves(lambda number: dialling.national(number, rules), "", length)


def leaves(decide: Callable[[Number], Route], known: str, length: int) -> Iterator[Leaf]:
    """Every answer of `decide` to numbers of `length` digits that begin with `known`, in the order of the digits."""
    try:
        yield Leaf(known, length, decide(Number(known, length)))
    except UndeterminedError:
        if len(known) == KNOWN_DIGITS:
            raise ValueError("A prefix rule looks at more digits than a routing key holds.") from None
        for digit in "0123456789":
            yield from leaves(decide, known + digit, length)


class _Dialling:
    """The library's parsing functions over numbers that are known in part."""

    def __init__(self, automata: Automata) -> None:
        self.automata = automata
        self.codes = {str(code) for code in metadata.calling_codes()}
        self.code_starts = {code[:digits] for code in self.codes for digits in (1, 2)}
        self.main_rules = {str(code): metadata.main_rules(code) for code in metadata.calling_codes()}

    def international(self, number: Number) -> Route:
        """`parse("+" + number)`."""
        if number.length <= metadata.SHORTEST_NATIONAL_NUMBER:
            return Route(reason=Reason.NOT_A_NUMBER)
        code = self._calling_code(number)
        if code is None:
            return Route(reason=Reason.UNKNOWN_COUNTRY)
        return self._significant(code, number.from_digit(len(code)), self.main_rules[code])

    def national(self, number: Number, rules: PhoneMetadata) -> Route:
        """`parse(number, region)`, for a number without `+` and without an international prefix."""
        if number.length < metadata.SHORTEST_NATIONAL_NUMBER:
            return Route(reason=Reason.NOT_A_NUMBER)
        code = str(rules.country_code)
        after = self._without_default_calling_code(number, rules)
        if after is not None:
            return Route(code + after.head, after.dropped, Reason.TOO_SHORT, international=True)
        return self._significant(code, number, rules)

    def _significant(self, code: str, number: Number, rules: PhoneMetadata) -> Route:
        """The last part of `parse`: the national prefix goes where what remains has a possible length."""
        if number.length < metadata.SHORTEST_NATIONAL_NUMBER:
            return Route(reason=Reason.TOO_SHORT, dropped=number.dialled)
        after = number
        if self._prefix_may_matter(code, number.length, rules):
            after = self._without_national_prefix(number, rules)
        if metadata.length_of(rules, after.length) in NOT_AFTER_A_PREFIX:
            after = number
        reason = _reason(self.main_rules[code], after.length)
        if not after.head and after.dropped == len(code) and after.known.startswith(code):
            return Route(reason=reason)
        return Route(head=code + after.head, dropped=after.dropped, reason=reason)

    def _calling_code(self, number: Number) -> str | None:
        """`_extract_country_code`."""
        code = ""
        for at in range(3):
            code += number.digit(at)
            if code in self.codes:
                return code
            if code not in self.code_starts:
                return None
        return None

    def _without_default_calling_code(self, number: Number, rules: PhoneMetadata) -> Number | None:
        """The last part of `_maybe_extract_country_code`: the number after the region's own calling code, or None."""
        code = str(rules.country_code)
        length = number.length - len(code)
        too_long = metadata.length_of(rules, number.length) is Length.TOO_LONG
        if too_long and self._is_too_long(code, length, rules):
            return None  # It is too long with and without the calling code: no need to look at it.
        if not too_long and not self._may_be_viable(length, rules):
            return None
        if not number.begins_with(code):
            return None
        after = self._without_national_prefix(number.from_digit(len(code)), rules)
        if too_long:
            return after
        return after if not self._viable(number, rules) and self._viable(after, rules) else None

    def _without_national_prefix(self, number: Number, rules: PhoneMetadata) -> Number:
        """`_maybe_strip_national_prefix_carrier_code`."""
        prefix = rules.national_prefix_for_parsing
        match = match_start(prefix, number.start, number.length) if prefix and number.length else None
        if match is None:
            return number
        rule = rules.national_prefix_transform_rule
        transforms = bool(rule) and match.groups[-1] is not None
        after = _transformed(number, match, rule) if rule and transforms else number.from_digit(match.end)
        if after == number:
            return number
        return number if self._viable(number, rules) and not self._viable(after, rules) else after

    def _may_be_viable(self, length: int, rules: PhoneMetadata) -> bool:
        """Whether the general description matches some number that has `length` digits before its prefix goes."""
        start = self.automata.whole(metadata.general(rules).national_number_pattern or "")
        return any(self.automata.certain(start, digits) is not False for digits in _lengths_without(rules, length))

    def _prefix_may_matter(self, code: str, length: int, rules: PhoneMetadata) -> bool:
        """Whether the verdict on some number of `length` digits depends on its national prefix."""
        after = _lengths_without(rules, length) - {length}
        if {metadata.length_of(rules, digits) for digits in after} <= NOT_AFTER_A_PREFIX:
            return False
        return any(digits <= self._longest(code, rules) for digits in after | {length})

    def _is_too_long(self, code: str, length: int, rules: PhoneMetadata) -> bool:
        """Whether numbers of `length` digits are too long even when a national prefix goes twice."""
        once = _lengths_without(rules, length)
        twice = {digits for shorter in once for digits in _lengths_without(self.main_rules[code], shorter)}
        return min(once | twice) > self._longest(code, rules)

    def _longest(self, code: str, rules: PhoneMetadata) -> int:
        return max(*metadata.general(rules).possible_length, *metadata.general(self.main_rules[code]).possible_length)

    def _viable(self, number: Number, rules: PhoneMetadata) -> bool:
        """Whether the general description matches. Raises UndeterminedError when that depends on further digits."""
        state = self.automata.whole(metadata.general(rules).national_number_pattern or "")
        for digit in number.start:
            state = self.automata.row(state)[int(digit)]
        verdict = self.automata.certain(state, number.length - len(number.start))
        if verdict is None:
            raise UndeterminedError
        return verdict


def _transformed(number: Number, match: Match, rule: str) -> Number:
    """`re.sub` of the matched prefix by `rule`, which is text and references to groups; then the rest of the number."""
    pieces: list[str | tuple[int, int]] = []
    for piece in re.split(r"(\\\d)", rule):
        if piece.startswith("\\"):
            pieces.append(match.groups[int(piece[1:]) - 1] or "")
        elif piece:
            pieces.append(piece)
    rest = match.end
    while pieces and isinstance(pieces[-1], tuple) and pieces[-1][1] == rest:
        rest = pieces.pop()[0]  # type: ignore[assignment]  # a span, as the line above has seen
    head = "".join(piece if isinstance(piece, str) else _span(number, *piece) for piece in pieces)
    return number.from_digit(rest, head)


def _span(number: Number, start: int, end: int) -> str:
    return "".join(number.digit(at) for at in range(start, end))


@functools.cache
def _lengths_after(prefix: str, rule: str, length: int) -> frozenset[int]:
    literals, references = len(re.sub(r"\\\d", "", rule)), [int(number) for number in re.findall(r"\\(\d)", rule)]
    found = {length}
    for shape in shapes(prefix, length) if prefix else ():
        rest = length - shape.end
        if rule and shape.groups[-1] is not None:
            spans = [shape.groups[number - 1] or (0, 0) for number in references]
            rest += literals + sum(end - start for start, end in spans)
        found.add(rest)
    return frozenset(found)


def _lengths_without(rules: PhoneMetadata, length: int) -> frozenset[int]:
    """The lengths that numbers of `length` digits may have with or without the national prefix of `rules`."""
    return _lengths_after(rules.national_prefix_for_parsing or "", rules.national_prefix_transform_rule or "", length)


def _reason(rules: PhoneMetadata, digits: int) -> Reason:
    """Why a national number of `digits` digits is rejected if it is not valid: `is_possible_number_with_reason`."""
    verdict = metadata.length_of(rules, digits)
    if verdict in {Length.TOO_SHORT, Length.LOCAL_ONLY}:
        return Reason.TOO_SHORT
    return Reason.TOO_LONG if verdict is Length.TOO_LONG else Reason.INVALID_NUMBER
