"""The audiences that there are: the list, one report, and what its pages and exports are read from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated

import msgspec
from msgspec import UNSET, Meta
from sqlalchemy import Connection
from sqlalchemy.engine import RowMapping

from audiences import clock, cursors, pages, reports
from audiences.clock import DAY, Clock
from audiences.engine import Engine
from audiences.errors import InvalidCursor, UnknownAudience
from audiences.layout import TIME_ZONES, Layout, Stored
from audiences.models import AudienceItem, AudienceReport
from audiences.pages import Filters
from audiences.store import audiences as stored
from audiences.store import versions
from audiences.store.database import Database
from audiences.store.files import FileStore

# What a column of 64 bits can hold; a cursor beyond it is none of ours.
Whole = Annotated[int, Meta(ge=0, le=2**63 - 1)]
ListPosition = tuple[Whole, Whole]
RowPosition = tuple[Whole, Whole, Whole]
Read = Callable[..., pages.Page]

MAX_ID_DIGITS = 15

# How long what a PUT, an append or a DELETE took away is kept, and can be had back (contract, routes).
RESTORABLE = 7 * DAY
KINDS = ("contacts", "rejects")


@dataclass(frozen=True)
class Opened:
    """One version of an audience, and the files to read it from.

    `after` is the (file, row) behind which its next page begins; `objects` are the stored names of its files, `layouts`
    how the columns of all uploaded ones lie, even where nothing of them is stored (any more).
    """

    row: RowMapping
    version: int
    after: tuple[int, int]
    contacts: list[Stored]
    rejects: list[Stored]
    objects: Mapping[str, list[str]]
    last_file: int
    layouts: Sequence[Layout]

    def has_moved(self, now: Opened) -> bool:
        """Whether the audience has another version now, or other files, since a person was erased from them."""
        return self.row["version"] != now.row["version"] or self.objects != now.objects


class Library:
    """What a key's account may see of the catalog."""

    def __init__(self, database: Database, files: FileStore, engine: Engine, clock: Clock) -> None:
        self.database = database
        self.files = files
        self.engine = engine
        self.clock = clock

    def listed(
        self, account: int, name: str | None, limit: int | None, cursor: str | None
    ) -> tuple[list[AudienceItem], str | None]:
        """Audiences, newest first, and the next page's cursor. Raises InvalidCursor."""
        after = None if cursor is None else cursors.decode(cursor, ListPosition)
        with self.database.read() as connection:
            one_more = None if limit is None else limit + 1
            rows = stored.page(connection, account, name=name, after=after, limit=one_more)
        shown = rows[:limit]
        more = len(rows) > len(shown)
        return [as_item(row) for row in shown], cursors.encode(position_of(shown[-1])) if more else None

    def report(self, account: int, audience_id: str) -> AudienceReport:
        """The report of an audience. Raises UnknownAudience."""
        row, files = self.find(account, audience_id)
        return reports.of_audience(row, files)

    def open(self, account: int, audience_id: str, cursor: str | None = None) -> Opened:
        """What the audience is read from: as it is now, or as it was for the page that gave the cursor.

        Raises UnknownAudience, or InvalidCursor.
        """
        with self.database.read() as connection:
            return self.open_in(connection, account, audience_id, cursor)

    def open_in(self, connection: Connection, account: int, audience_id: str, cursor: str | None = None) -> Opened:
        """The same in the caller's transaction."""
        position = None if cursor is None else cursors.decode(cursor, RowPosition)
        row = self.row_in(connection, account, audience_id)
        version = row["version"] if position is None else position[0]
        if version != row["version"]:
            since = self.clock() - RESTORABLE
            if not versions.is_kept(connection, row["id"], version, since):
                raise InvalidCursor(
                    "The audience was changed since that page. Begin again without a cursor.", field="cursor"
                )
        files = stored.files(connection, row["id"], version)
        return Opened(
            row,
            version,
            (0, 0) if position is None else position[1:],
            self.parts(files, "contacts"),
            self.parts(files, "rejects"),
            {kind: [file[f"{kind}_object"] for file in files if file[f"{kind}_object"]] for kind in KINDS},
            files[-1]["position"] if files else 0,
            [msgspec.convert(file["layout"], Layout) for file in files],
        )

    def page(
        self, read: Read, opened: Opened, kind: str, filters: Filters, limit: int
    ) -> tuple[msgspec.Raw, str | None]:
        """A page of contacts or rejects, and the next one's cursor. Raises MovedAway."""
        files = opened.contacts if kind == "contacts" else opened.rejects
        with self.engine.connection() as connection:
            found = read(connection, files, filters, limit, opened.after, self.engine.known)
        after = None if found.after is None else cursors.encode((opened.version, *found.after))
        return msgspec.Raw(found.items), after

    def undoable(self, audience: RowMapping) -> RowMapping | None:
        """The last change of the audience that can be undone, or None."""
        with self.database.read() as connection:
            change = versions.newest_change(connection, audience["id"])
        return change if change is not None and change["created_time"] > self.clock() - RESTORABLE else None

    def zone_counts(self, contacts: list[Stored]) -> dict[str, int]:
        """How many contacts have each value of the column of time zones. Raises MovedAway."""
        counts: Counter[str] = Counter()
        with self.engine.connection() as connection:
            for stored_file in contacts:
                found = connection.execute(
                    f"SELECT {TIME_ZONES}::VARCHAR, count(*) FROM read_parquet(?) GROUP BY 1", [str(stored_file.path)]
                )
                counts.update(dict(found.fetchall()))
        return counts

    def find(self, account: int, audience_id: str) -> tuple[RowMapping, list[RowMapping]]:
        """The rows of an audience and its files, of one moment."""
        with self.database.read() as connection:
            row = self.row_in(connection, account, audience_id)
            return row, stored.files(connection, row["id"], row["version"])

    def row_in(self, connection: Connection, account: int, audience_id: str) -> RowMapping:
        """The audience's row. Raises UnknownAudience."""
        row = stored.find(connection, account, as_number(audience_id))
        if row is None:
            raise unknown_audience()
        return row

    def parts(self, files: list[RowMapping], kind: str) -> list[Stored]:
        """The Parquet files of that kind, in upload order."""
        return [self.part(file, kind) for file in files if file[f"{kind}_object"] is not None]

    def part(self, file: RowMapping, kind: str) -> Stored:
        """One of them."""
        report = file["report"]["file"]
        rows = int(report["rows"])
        count = file["accepted"] if kind == "contacts" else rows - file["accepted"] - report.get("erased", 0)
        plan = msgspec.convert(file["layout"], Layout)
        locate = partial(self.files.local, file[f"{kind}_object"])
        return Stored(file["position"], locate, plan, count, rows)


def as_number(audience_id: str) -> int:
    """The id that a path's text means; one that no audience has where it means none."""
    known = audience_id.isascii() and audience_id.isdigit() and len(audience_id) <= MAX_ID_DIGITS
    return int(audience_id) if known else -1


def unknown_audience() -> UnknownAudience:
    """The refusal of an id that the account has no audience of."""
    return UnknownAudience("There is no audience of this id. GET /audiences lists those of your account.")


def as_item(row: RowMapping) -> AudienceItem:
    """An audience as the list shows it (contract, siblings)."""
    static = row["type"] == reports.STATIC
    created = clock.in_seconds(row["created_time"])
    return AudienceItem(str(row["id"]), row["name"], created, row["type"], row["user_count"] if static else UNSET)


def position_of(row: RowMapping) -> ListPosition:
    """Where the list goes on behind `row`."""
    return row["created_time"], row["id"]
