"""The audiences of the account: searched, sorted, a page at a time; and those that were deleted but can be had back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import anyio.to_thread
from sqlalchemy.engine import RowMapping
from starlette.responses import Response

from audiences import cursors, queries
from audiences.console.key_shapes import ending_keys
from audiences.console.routes import Page, Visit
from audiences.errors import InvalidCursor
from audiences.library import RESTORABLE, Whole
from audiences.reports import STATIC
from audiences.store import audiences as stored
from audiences.store.audiences import Order

LIST = "/console/audiences"
PAGE_SIZE = 50
MAX_DELETED = 20

COLUMNS = ("name", "type", "contacts", "created")
OF_TEXTS = ("name", "type")
NEWEST_FIRST = "-created"

# Which way the page lies, and the key and id of the row that it begins beside.
Position = tuple[bool, str | Whole, Whole]


@dataclass(frozen=True)
class Asked:
    """What part of the list is asked for: from `beside` on, or the page before it (`is_back`)."""

    name: str | None
    sort: str
    beside: tuple[str | int, int] | None = None
    is_back: bool = False

    @property
    def order(self) -> Order:
        """The order of the list."""
        return Order(self.sort.removeprefix("-"), self.sort.startswith("-"))


async def show(visit: Visit) -> Response:
    """The list; a script gets the list alone."""
    asked = read(visit.request.query_params)
    found = await anyio.to_thread.run_sync(look, visit, asked)
    if visit.is_htmx:
        return visit.render("audiences.html", block="found", **found)
    return visit.render("audiences.html", ending=await ending_keys(visit), **found)


def read(query: Any) -> Asked:  # noqa: ANN401 - any mapping of texts
    """What the address asks for. Raises InvalidParameter or InvalidCursor; an unknown order is the usual one."""
    name = (queries.read_name({"name": query.get("q", "")}) or "").strip() or None  # type: ignore[arg-type]
    sort = query.get("sort", "")
    asked = Asked(name, sort if sort.removeprefix("-") in COLUMNS else NEWEST_FIRST)
    if not query.get("cursor"):
        return asked
    is_back, key, audience_id = cursors.decode(query["cursor"], Position)
    if isinstance(key, str) != (asked.order.column in OF_TEXTS):
        raise InvalidCursor("This address is of a list in another order.", field="cursor")
    return replace(asked, beside=(key, audience_id), is_back=is_back)


def look(visit: Visit, asked: Asked) -> dict[str, Any]:
    """What the list shows, of one moment."""
    library = visit.parts.library
    since = library.clock() - RESTORABLE
    with library.database.read() as connection:
        rows, more = page(connection, visit.account, asked)
        total = stored.count(connection, visit.account, asked.name)
        deleted = [] if asked.name else stored.deleted(connection, visit.account, since, MAX_DELETED)
    before, after = turns(asked, rows, more=more)
    return {
        "audiences": [item(row) for row in rows],
        "total": total,
        "q": asked.name or "",
        "sort": asked.sort,
        "before": before,
        "after": after,
        "deleted": [{**row, "until": row["deleted_time"] + RESTORABLE} for row in deleted],
        "is_part": visit.is_htmx,
    }


def page(connection: Any, account: int, asked: Asked) -> tuple[list[RowMapping], bool]:  # noqa: ANN401
    """A page of the list, and whether there are more that way. The page before is read from its end."""
    order = asked.order
    if asked.is_back:
        order = replace(order, descending=not order.descending)
    found = stored.sorted_page(
        connection, account, name=asked.name, order=order, beyond=asked.beside, limit=PAGE_SIZE + 1
    )
    shown = found[:PAGE_SIZE]
    return shown[::-1] if asked.is_back else shown, len(found) > PAGE_SIZE


def turns(asked: Asked, rows: list[RowMapping], *, more: bool) -> tuple[str | None, str | None]:
    """The addresses' cursors of the page before and the page after; None where there is none."""
    if not rows:
        return None, None
    has_before = more if asked.is_back else asked.beside is not None
    has_after = asked.is_back or more
    return (
        cursors.encode((True, *place(rows[0]))) if has_before else None,
        cursors.encode((False, *place(rows[-1]))) if has_after else None,
    )


def place(row: RowMapping) -> tuple[str | int, int]:
    """Where a row stands in the list."""
    return row["sort_key"], row["id"]


def item(row: RowMapping) -> Mapping[str, Any]:
    """A row as the template shows it; what follows from a rule has no count of its own."""
    return {**row, "contacts": row["user_count"] if row["type"] == STATIC else None}


PAGES: tuple[Page, ...] = (Page("GET", LIST, show, nav="Audiences", icon="people", order=1),)
