"""The numbering plan as rows: everything that `load` puts into the engine, built from the library's metadata."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass

from audiences.numbering import characters, dialling, metadata, plan
from audiences.numbering.automata import Automata
from audiences.numbering.dialling import Leaf, Route

Row = tuple[object, ...]


@dataclass(frozen=True)
class Table:
    """A table's name, its columns with their types, and what it holds."""

    name: str
    columns: dict[str, str]
    meaning: str


TABLES = (
    Table(
        "numbering_plan",
        {"lo": "UBIGINT", "place": "USMALLINT", "direct": "USMALLINT"},
        "The E.164 numbers from `lo` up to the next row's: their place, NULL where none is valid. `direct` is the "
        "same, but NULL also where `+` and these digits would be read as another number (a prefix in them goes).",
    ),
    Table(
        "numbering_places",
        {"place": "USMALLINT", "country": "VARCHAR", "line_type": "VARCHAR", "time_zones": "VARCHAR[]"},
        "What is known with a number in a place.",
    ),
    Table(
        "numbering_routes",
        {
            "region": "VARCHAR",
            "lo": "UBIGINT",
            "head": "VARCHAR",
            "dropped": "UTINYINT",
            "reason": "VARCHAR",
            "international": "BOOLEAN",
        },
        "What becomes of dialled digits whose routing key is `lo` up to the next row's: see `dialling.Route`. "
        "Region `001` is for digits that begin with a calling code.",
    ),
    Table("numbering_characters", {"name": "VARCHAR", "pattern": "VARCHAR"}, "See `characters.classes`."),
)


def build() -> dict[str, list[Row]]:
    """The rows of every table by its name; takes some seconds."""
    automata = Automata()
    intervals = sorted(plan.intervals(automata), key=lambda interval: interval.low)
    international = list(dialling.international_routes(automata))
    places = {place: number for number, place in enumerate(sorted({each.place for each in intervals}))}
    routes = [*_routes(metadata.NON_GEOGRAPHIC, international)]
    for region in metadata.regions():
        routes.extend(_routes(region, dialling.national_routes(automata, region)))
    return {
        "numbering_plan": list(_plan(intervals, places, _Rewritten(international))),
        "numbering_places": [
            (number, place.country, place.line_type, list(place.time_zones)) for place, number in places.items()
        ],
        "numbering_routes": routes,
        "numbering_characters": list(characters.classes()),
    }


def _plan(intervals: list[plan.Interval], places: dict[plan.Place, int], rewritten: _Rewritten) -> Iterator[Row]:
    """Rows of (lo, place, direct), ascending; the gaps between intervals are rows too."""
    last: tuple[int | None, int | None] | None = None
    end = 0
    for interval in intervals:
        place = places[interval.place]
        pieces: list[tuple[int, int | None, int | None]] = [(end, None, None)] if interval.low > end else []
        pieces += [(low, place, None if goes else place) for low, goes in rewritten.within(interval.low, interval.end)]
        for low, settled, direct in pieces:
            if (settled, direct) != last:
                last = settled, direct
                yield low, settled, direct
        end = interval.end
    yield end, None, None


class _Rewritten:
    """The numbers that lose a prefix when they are read as international ones."""

    def __init__(self, leaves: list[Leaf]) -> None:
        self._bounds = [0]
        for low, end in sorted(_numbers(leaf) for leaf in leaves if leaf.route.dropped):
            if self._bounds[-1] == low:
                self._bounds[-1] = end
            else:
                self._bounds += [low, end]

    def within(self, low: int, end: int) -> Iterator[tuple[int, bool]]:
        """Where in `low` to before `end` a stretch begins that is rewritten throughout, or nowhere."""
        at = bisect_right(self._bounds, low) - 1
        yield low, at % 2 == 1
        while at + 1 < len(self._bounds) and self._bounds[at + 1] < end:
            at += 1
            yield self._bounds[at], at % 2 == 1


def _numbers(leaf: Leaf) -> tuple[int, int]:
    width = 10 ** (leaf.length - len(leaf.known))
    return int(leaf.known) * width, (int(leaf.known) + 1) * width


def _routes(region: str, leaves: Iterator[Leaf] | list[Leaf]) -> Iterator[Row]:
    """Rows of the routing table, with equal neighbours merged."""
    last: Route | None = None
    for leaf in leaves:
        route = leaf.route
        if route != last:
            yield region, leaf.key, route.head, route.dropped, str(route.reason), route.international
        last = route
