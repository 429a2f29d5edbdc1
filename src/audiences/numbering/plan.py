"""Every number of the world as sorted intervals: what the library says of each, found by walking its patterns.

For one calling code and one length of national number, the automata of all patterns of all its regions are walked at
once, digit by digit. At the last digit the library's own logic decides from what they accept: `region_code_for_number`
for the country, then `_number_type_helper` for the type. Equal neighbours are merged on the way up, and equal sets of
states are walked once.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from phonenumbers import PhoneMetadata
from phonenumbers.phonemetadata import PhoneNumberDesc
from phonenumbers.timezone import UNKNOWN_TIMEZONE
from phonenumbers.tzdata import TIMEZONE_DATA, TIMEZONE_LONGEST_PREFIX

from audiences.numbering import metadata
from audiences.numbering.automata import Automata

# Calling codes whose mobile numbers have a place (`_GEO_MOBILE_COUNTRIES` of the library).
GEOGRAPHIC_MOBILE_CODES = frozenset({52, 54, 55, 62, 86})

Line = tuple[str, str]
"""A country and a line type."""
Runs = tuple[tuple[int, Line | None], ...]
"""Counts of successive numbers, each with the line that they all are."""


@dataclass(frozen=True, order=True)
class Place:
    """What is known with a valid number."""

    country: str
    line_type: str
    time_zones: tuple[str, ...]


@dataclass(frozen=True)
class Interval:
    """The numbers from `low` up to, but not with, `end`; all of one length."""

    low: int
    end: int
    place: Place


@dataclass(frozen=True)
class _Region:
    """One region of a calling code; the integers are places in the tuple of automata that are walked."""

    name: str
    leading: int | None
    general: int
    types: tuple[tuple[str, int], ...]
    fixed: int
    mobile: int
    same: bool


def intervals(automata: Automata) -> Iterator[Interval]:
    """All valid E.164 numbers, in the order of their lengths and digits for one calling code after the other."""
    for calling_code in metadata.calling_codes():
        walk = _Walk(automata, calling_code)
        for digits in walk.lengths():
            yield from _with_time_zones(calling_code, digits, walk.runs(digits))


class _Walk:
    """The automata of all regions of one calling code, and the walk over them."""

    def __init__(self, automata: Automata, calling_code: int) -> None:
        self.automata = automata
        self._patterns: dict[tuple[str, tuple[int, ...], bool], int] = {}
        self.sources = [
            (region, metadata.rules(calling_code, region)) for region in metadata.calling_codes()[calling_code]
        ]
        self.regions = [self._region(name, source) for name, source in self.sources]
        self._known: dict[tuple[tuple[int, ...], int], Runs] = {}

    def lengths(self) -> list[int]:
        """The lengths of national number that at least one region has."""
        return sorted({digits for _, source in self.sources for digits in metadata.general(source).possible_length})

    def runs(self, digits: int) -> Runs:
        """All national numbers of `digits` digits, from all zeros to all nines."""
        states = tuple(self._start(*pattern, digits=digits) for pattern in self._patterns)
        return self._walk(states, digits)

    def _start(self, pattern: str, lengths: tuple[int, ...], begins: bool, *, digits: int) -> int:  # noqa: FBT001
        if not pattern or (lengths and digits not in lengths):
            return Automata.DEAD
        return self.automata.beginning(pattern) if begins else self.automata.whole(pattern)

    def _slot(self, pattern: str, lengths: Sequence[int], *, begins: bool = False) -> int:
        return self._patterns.setdefault((pattern, tuple(lengths), begins), len(self._patterns))

    def _type(self, description: PhoneNumberDesc | None) -> int:
        if description is None:
            return self._slot("", ())
        return self._slot(description.national_number_pattern or "", description.possible_length)

    def _region(self, name: str, source: PhoneMetadata) -> _Region:
        leading = source.leading_digits
        return _Region(
            name=name,
            leading=None if leading is None else self._slot(leading, (), begins=True),
            general=self._type(source.general_desc),
            types=tuple((kind, self._type(getattr(source, kind))) for kind in metadata.SPECIAL_TYPES),
            fixed=self._type(source.fixed_line),
            mobile=self._type(source.mobile),
            same=bool(source.same_mobile_and_fixed_line_pattern),
        )

    def _walk(self, states: tuple[int, ...], remaining: int) -> Runs:
        if not any(states):
            return ((10**remaining, None),)
        if not remaining:
            return ((1, self._line(states)),)
        key = (states, remaining)
        if key not in self._known:
            children = zip(*(self.automata.row(state) for state in states), strict=True)
            self._known[key] = _merged(run for child in children for run in self._walk(child, remaining - 1))
        return self._known[key]

    def _line(self, states: tuple[int, ...]) -> Line | None:
        """`region_code_for_number`, then `number_type`, of a number that ends in `states`."""
        accepted = tuple(self.automata.accepts(state) for state in states)
        for region in self.regions:
            if len(self.regions) > 1 and region.leading is not None:
                if not accepted[region.leading]:
                    continue
                line_type = _line_type(region, accepted)
                return None if line_type is None else (region.name, line_type)
            line_type = _line_type(region, accepted)
            if line_type is not None:
                return region.name, line_type
        return None


def _line_type(region: _Region, accepted: tuple[bool, ...]) -> str | None:
    """`_number_type_helper` of the library, with the patterns already matched."""
    if not accepted[region.general]:
        return None
    special = next((name for name, slot in region.types if accepted[slot]), None)
    if special is not None:
        return special
    if accepted[region.fixed]:
        return "fixed_line_or_mobile" if region.same or accepted[region.mobile] else "fixed_line"
    return "mobile" if not region.same and accepted[region.mobile] else None


def _merged(runs: Iterator[tuple[int, Line | None]]) -> Runs:
    merged: list[tuple[int, Line | None]] = []
    for count, line in runs:
        if merged and merged[-1][1] == line:
            count += merged.pop()[0]  # noqa: PLW2901
        merged.append((count, line))
    return tuple(merged)


def _with_time_zones(calling_code: int, digits: int, runs: Runs) -> Iterator[Interval]:
    """The valid ones of `runs` as intervals, divided where the time zones change."""
    steps = _TimeZones(calling_code, len(str(calling_code)) + digits)
    low = calling_code * 10**digits
    for count, line in runs:
        end = low + count
        if line is not None:
            country, line_type = line
            geographic = line_type in {"fixed_line", "fixed_line_or_mobile"} or (
                line_type == "mobile" and calling_code in GEOGRAPHIC_MOBILE_CODES
            )
            for start, stop, zones in steps.within(low, end) if geographic else [(low, end, steps.of_country)]:
                yield Interval(start, stop, Place(country, line_type, zones))
        low = end


class _TimeZones:
    """The time zones of all numbers of one calling code that have `digits` digits in all.

    `time_zones_for_geographical_number` takes the longest prefix of the number that the library has zones for;
    `_country_level_time_zones_for_number` does so with the calling code, of which it looks at two digits or more.
    """

    def __init__(self, calling_code: int, digits: int) -> None:
        code = str(calling_code)
        self.of_country = _zones(code) or _zones(code[:2]) or (UNKNOWN_TIMEZONE,)
        prefixes = [prefix for prefix in TIMEZONE_DATA if prefix.startswith(code) and len(prefix) <= digits]
        starts = {int(code) * 10 ** (digits - len(code))}
        for prefix in prefixes:
            width = 10 ** (digits - len(prefix))
            starts |= {int(prefix) * width, (int(prefix) + 1) * width}
        self._starts = sorted(starts)
        self._zones = [_longest_prefix_zones(str(start)) for start in self._starts]

    def within(self, low: int, end: int) -> Iterator[tuple[int, int, tuple[str, ...]]]:
        """The numbers from `low` to before `end` in pieces of one list of time zones each."""
        at = bisect_right(self._starts, low) - 1
        while low < end:
            zones = self._zones[at]
            while at + 1 < len(self._starts) and self._starts[at + 1] < end and self._zones[at + 1] == zones:
                at += 1
            stop = min(end, self._starts[at + 1]) if at + 1 < len(self._starts) else end
            yield low, stop, zones
            low, at = stop, at + 1


def _zones(prefix: str) -> tuple[str, ...] | None:
    return TIMEZONE_DATA.get(prefix)


def _longest_prefix_zones(number: str) -> tuple[str, ...]:
    prefixes = (number[:length] for length in range(TIMEZONE_LONGEST_PREFIX, 0, -1))
    return next((zones for prefix in prefixes if (zones := _zones(prefix))), (UNKNOWN_TIMEZONE,))
