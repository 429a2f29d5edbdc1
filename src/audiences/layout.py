"""How a file's columns lie in Parquet.

Each keeps its own name, so that any reader finds what it expects; what we add is prefixed `audience_`. Parquet readers
compare names without case, so a name that would collide gets a number; the catalog keeps which is which.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from msgspec import Struct

ROW, COUNTRY, LINE_TYPE, TIME_ZONES = "audience_row", "audience_country", "audience_line_type", "audience_time_zones"
REASON, FIRST_FILE, FIRST_ROW = "audience_reason", "audience_first_file", "audience_first_row"
RAW, PHONE = "audience_raw", "audience_phone"
OURS = (ROW, COUNTRY, LINE_TYPE, TIME_ZONES, REASON, FIRST_FILE, FIRST_ROW, RAW, PHONE)

# The columns beside `phone1` that are normalised where they hold a valid phone, and never reject a row.
PHONE_COLUMNS = tuple(f"phone{number}" for number in range(2, 10))

# Rejects have `FIRST_FILE`, and `PHONE`, from this revision on.
REVISION = 2

# Zone names hold no comma, and one text is cheaper to write than a list.
ZONE_SEPARATOR = ","

MAX_STORED_NAME = 200


class Layout(Struct, frozen=True):
    """`names` are a file's columns as its header has them, `stored` as Parquet has them, `phone` indexes both.

    `revision` says which columns of ours a file of rejects has.
    """

    names: tuple[str, ...]
    stored: tuple[str, ...]
    phone: int
    revision: int = 1

    @property
    def others(self) -> list[tuple[str, str]]:
        """(name, stored name) of every column but the phone column."""
        pairs = zip(self.names, self.stored, strict=True)
        return [pair for index, pair in enumerate(pairs) if index != self.phone]

    @property
    def phone_column(self) -> str:
        """The stored name of the phone column."""
        return self.stored[self.phone]


@dataclass(frozen=True)
class Stored:
    """A Parquet file of an audience: the number of the uploaded file that it came from, and how its columns lie.

    `locate` finds it when it is first read; `count` rows are stored here, of the `rows` that the uploaded file had; 0
    where that is not known.
    """

    file: int
    locate: Callable[[], Path]
    layout: Layout
    count: int = 0
    rows: int = 0
    found: list[Path] = field(default_factory=list, init=False, repr=False, compare=False)

    @property
    def path(self) -> Path:
        """Where it can be read, as long as this object lives. A file on another machine is brought here first.

        Raises FileNotFoundError, or NotReady.
        """
        # Not a `cached_property`: in Python 3.11 all objects share its one lock, and a slow file would hold up others.
        if not self.found:
            self.found.append(self.locate())
        return self.found[0]

    @classmethod
    def at(cls, file: int, path: Path, layout: Layout, count: int = 0, rows: int = 0) -> Stored:
        """One that lies at `path` already."""
        return cls(file, lambda: path, layout, count, rows)


def plan(names: Sequence[str], phone: int) -> Layout:
    """The layout of a file with these columns."""
    taken = set(OURS)
    stored = []
    for number, name in enumerate(names, 1):
        stored.append(unused(storable(name, number), taken))
        taken.add(stored[-1].lower())
    return Layout(tuple(names), tuple(stored), phone, REVISION)


def storable(name: str, number: int) -> str:
    """`name` if a Parquet file can carry it, or one made of the column's number."""
    fits = name.isprintable() and len(name) <= MAX_STORED_NAME and name.strip()
    return name if fits else f"column_{number}"


def unused(name: str, taken: set[str]) -> str:
    """`name`, with a number behind it where it is taken whatever the case."""
    candidate, number = name, 2
    while candidate.lower() in taken:
        candidate, number = f"{name}_{number}", number + 1
    return candidate
