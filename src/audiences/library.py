"""The audiences that there are: the list, one report, and what its pages and exports are read from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated

import msgspec
from msgspec import UNSET, Meta
from sqlalchemy.engine import RowMapping

from audiences import clock, cursors, pages, reports
from audiences.engine import Engine
from audiences.errors import UnknownAudience
from audiences.layout import Layout
from audiences.models import AudienceItem, AudienceReport
from audiences.pages import Filters, Stored
from audiences.store import audiences as stored
from audiences.store.database import Database
from audiences.store.files import FileStore

# What a column of 64 bits can hold; a cursor beyond it is none of ours.
Whole = Annotated[int, Meta(ge=0, le=2**63 - 1)]
ListPosition = tuple[Whole, Whole]
RowPosition = tuple[Whole, Whole]


@dataclass(frozen=True)
class Opened:
    """One version of an audience, and the files to read it from."""

    row: RowMapping
    contacts: list[Stored]
    rejects: list[Stored]


class Library:
    """What a key's account may see of the catalog."""

    def __init__(self, database: Database, files: FileStore, engine: Engine) -> None:
        self.database = database
        self.files = files
        self.engine = engine

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

    def open(self, account: int, audience_id: str) -> Opened:
        """What the audience is read from. Raises UnknownAudience."""
        row, files = self.find(account, audience_id)
        return Opened(row, self.parts(files, "contacts_object"), self.parts(files, "rejects_object"))

    def page(
        self, read: Callable[..., pages.Page], files: Sequence[Stored], filters: Filters, limit: int, cursor: str | None
    ) -> tuple[msgspec.Raw, str | None]:
        """A page of `files` as `pages.contacts` or `pages.rejects` read it, and the next one's cursor."""
        after = (0, 0) if cursor is None else cursors.decode(cursor, RowPosition)
        with self.engine.connection() as connection:
            found = read(connection, files, filters, limit, after)
        return msgspec.Raw(found.items), None if found.after is None else cursors.encode(found.after)

    def find(self, account: int, audience_id: str) -> tuple[RowMapping, list[RowMapping]]:
        """The rows of an audience and its files, of one moment."""
        number = int(audience_id) if audience_id.isascii() and audience_id.isdigit() and len(audience_id) < 16 else -1  # noqa: PLR2004
        with self.database.read() as connection:
            row = stored.find(connection, account, number)
            if row is None:
                raise UnknownAudience("There is no audience of this id. GET /audiences lists those of your account.")
            return row, stored.files(connection, row["id"], row["version"])

    def parts(self, files: list[RowMapping], kind: str) -> list[Stored]:
        """The Parquet files of that kind, in upload order."""
        return [
            Stored(file["position"], self.files.local(file[kind]), msgspec.convert(file["layout"], Layout))
            for file in files
            if file[kind] is not None
        ]


def as_item(row: RowMapping) -> AudienceItem:
    """An audience as the list shows it (contract, siblings)."""
    static = row["type"] == reports.STATIC
    created = clock.in_seconds(row["created_time"])
    return AudienceItem(str(row["id"]), row["name"], created, row["type"], row["user_count"] if static else UNSET)


def position_of(row: RowMapping) -> ListPosition:
    """Where the list goes on behind `row`."""
    return row["created_time"], row["id"]
