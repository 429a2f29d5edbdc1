"""Where in a list of rows a page is, as its address carries it: cursors lead forward, and one wants back, too."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from starlette.datastructures import QueryParams

PAGE_SIZE = 50

# Pages that one can go back, one by one; their addresses are that much longer.
MAX_TRAIL = 20

MAX_DIGITS = 10


@dataclass(frozen=True)
class Place:
    """Where in the list a page is: how many rows come before it, and the cursors of the pages that led here."""

    BEGIN: ClassVar[str] = "0"

    before: int
    trail: tuple[str, ...]
    cursor: str

    def next(self, cursor: str, shown: int) -> dict[str, str]:
        """What the address of the page after this one carries."""
        trail = (*self.trail, self.cursor or self.BEGIN)[-MAX_TRAIL:]
        return {"cursor": cursor, "trail": ".".join(trail), "after": str(self.before + shown)}

    def previous(self) -> dict[str, str] | None:
        """The same of the page before this one, or None on the first. A trail that is used up leads to the first."""
        if not self.cursor:
            return None
        if not self.trail or self.trail[-1] == self.BEGIN:
            return {}
        before = str(max(self.before - PAGE_SIZE, 0))
        return {"cursor": self.trail[-1], "trail": ".".join(self.trail[:-1]), "after": before}


def read_place(query: QueryParams) -> Place:
    """The place that an address carries. Of what makes no sense nothing worse comes than wrong numbers on the page."""
    before = query.get("after", "")
    is_number = before.isascii() and before.isdigit() and len(before) <= MAX_DIGITS
    trail = tuple(part for part in query.get("trail", "").split(".") if part)[-MAX_TRAIL:]
    return Place(int(before) if is_number else 0, trail, query.get("cursor", ""))
