"""What is exported: rows of an audience's files, under which names, chosen how, in which style."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from audiences import layout
from audiences.layout import Layout, Stored
from audiences.pages import Filters
from audiences.sql import identifier
from audiences.tables import header


@dataclass(frozen=True)
class Style:
    """`enrich` appends country, line type and time zones; `safe` puts ' before cells that a spreadsheet would run."""

    enrich: bool = False
    safe: bool = False


# Appended columns: the name that each gets, and where it is stored.
Extras = Sequence[tuple[str, str]]

# What is appended to a contact (with `enrich`), and always to a reject.
CONTACT_EXTRAS = (
    ("country", layout.COUNTRY),
    ("line_type", layout.LINE_TYPE),
    ("time_zones", layout.TIME_ZONES),
)
FILE = "file"  # not stored: all rows of a stored file are of one uploaded file
REJECT_EXTRAS = (
    ("file", FILE),
    ("row", layout.ROW),
    ("reason", layout.REASON),
    ("first_file", layout.FIRST_FILE),
    ("first_row", layout.FIRST_ROW),
    ("raw", layout.RAW),
)

# An audience that no file was uploaded to: its header is that of phones alone.
NO_FILE = Layout(("phone1",), ("phone1",), 0)

NUMBERS = frozenset({FILE, layout.ROW, layout.FIRST_FILE, layout.FIRST_ROW})


@dataclass(frozen=True)
class Export:
    """What is exported: rows of `files` that pass the filters, with what is appended, in a style.

    `plans` are the layouts of all uploaded files, where not every one has a stored one: the header stays what it was
    when the last row of a file is gone.
    """

    files: Sequence[Stored]
    extras: Extras = ()
    style: Style = Style()
    filters: Filters = Filters()
    plans: Sequence[Layout] = ()

    @cached_property
    def layouts(self) -> Sequence[Layout]:
        """How the columns of all files lie, those of which no row is stored (any more) among them."""
        return self.plans or [stored.layout for stored in self.files] or [NO_FILE]

    @cached_property
    def columns(self) -> list[str]:
        """The names of all files' columns, in the order in which they first come."""
        return list(dict.fromkeys(name for plan in self.layouts for name in self.given(plan)))

    @cached_property
    def appended(self) -> list[str]:
        """The names of the appended columns: prefixed `audience_` where the name exists, and numbered if need be."""
        taken = {header.key(name) for name in self.columns}
        names = []
        for name, _ in self.extras:
            names.append(layout.unused(f"audience_{name}" if name in taken else name, taken))
            taken.add(names[-1])
        return names

    @property
    def names(self) -> list[str]:
        """The header."""
        return [*self.columns, *self.appended]

    def given(self, plan: Layout) -> list[str]:
        """The names under which a file's columns are exported, in its order.

        Every file's phones stand in the first file's phone column, whatever the file calls its own; an ordinary column
        of that name, which an upload would take for a second column of phones, gets another one.
        """
        phone = self.layouts[0].names[self.layouts[0].phone]
        return [
            phone if index == plan.phone else self.stand_in if header.key(name) == header.key(phone) else name
            for index, name in enumerate(plan.names)
        ]

    @cached_property
    def stand_in(self) -> str:
        """The name of an ordinary column that is called what the first file calls its phones."""
        first = self.layouts[0]
        taken = {header.key(name) for plan in self.layouts for name in plan.names}
        return layout.unused(first.names[first.phone], taken)

    def cells(self, stored: Stored) -> list[str]:
        """The expressions of a file's cells under `columns`: texts, empty where the cell is or the column is not."""
        own = dict(zip(self.given(stored.layout), stored.layout.stored, strict=True))
        return [f"coalesce({identifier(own[name])}::VARCHAR, '')" if name in own else "''" for name in self.columns]

    def as_data(self, stored: Stored) -> list[str]:
        """The expressions of all cells of a file, where the appended ones need not be texts."""
        return [*self.cells(stored), *(data(stored, column) for _, column in self.extras)]


def as_text(stored: Stored, column: str) -> str:
    """The expression of an appended column as text."""
    return f"({held(stored, column)})::VARCHAR"


def data(stored: Stored, column: str) -> str:
    """The expression of an appended column as data: rows are numbers, time zones a list, the rest texts."""
    if column == layout.TIME_ZONES:
        return f"string_split({column}::VARCHAR, '{layout.ZONE_SEPARATOR}')"
    return f"({held(stored, column)})::BIGINT" if column in NUMBERS else as_text(stored, column)


def held(stored: Stored, column: str) -> str:
    """The expression of an appended column in a stored file, which may be of a time when not all were stored."""
    if column == FILE:
        return str(int(stored.file))
    if column == layout.FIRST_FILE and stored.layout.revision < layout.REVISION:
        return f"CASE WHEN {layout.FIRST_ROW} IS NOT NULL THEN {int(stored.file)} END"
    return column
