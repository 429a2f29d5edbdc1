"""The rows of one audience, a page at a time: its contacts, and the rows that were set aside with their reasons."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import msgspec
from starlette.datastructures import QueryParams
from starlette.responses import Response

from audiences import clock, pages, queries
from audiences.api import rows
from audiences.api.rows import CONTACTS, REJECTS, Asked, Kind, View
from audiences.console import audience_frame, audience_hours, audience_words, shapes
from audiences.console.audience_frame import AUDIENCE, Seen, framed
from audiences.console.audience_hours import FROM_TO
from audiences.console.audience_place import PAGE_SIZE, Place, read_place
from audiences.console.routes import Page, Visit
from audiences.errors import shorten
from audiences.exports import Style
from audiences.keys import SCOPES, Caller
from audiences.routes import Call

# Columns of the file that a page shows beside the number's own; all of them are in the download.
MAX_COLUMNS = 6

Item = dict[str, Any]


@dataclass(frozen=True)
class Shown:
    """A page of rows; `total` is how many pass the filters, None where counting them would take too long."""

    seen: Seen
    items: list[Item]
    after: str | None
    total: int | None
    unknown: int


async def contacts(visit: Visit) -> Response:
    """A page of contacts."""
    return await page(visit, CONTACTS, "audience_contacts.html")


async def rejects(visit: Visit) -> Response:
    """A page of the rows that were set aside."""
    return await page(visit, REJECTS, "audience_rejects.html")


async def page(visit: Visit, kind: Kind, template: str) -> Response:
    """The page of a list; a script gets the list alone."""
    asked, place = read(visit, kind)
    shown = await visit.parts.engine.reads.run(visit.account, audience_frame.looked_up, partial(look, visit, asked))
    filters, phones = given(visit, kind), phone_columns(shown.seen)
    named = columns(shown.items, phones)
    context = (
        framed(visit, shown.seen, kind.name)
        | turns(shown, place, filters, "contact" if kind is CONTACTS else "row")
        | {
            "shown": shown,
            "filters": filters,
            "columns": named,
            "heads": [("", shorten(name), "text") for name in named],
            "several": len(shown.seen.files) > 1,
            "words": audience_words,
            "local_times": partial(audience_hours.local_times, now=clock.now()),
            "choices": choices(shown.seen),
            "from_to": FROM_TO,
            "phone_columns": phones,
        }
    )
    return visit.render(template, block="found" if visit.is_htmx else None, **context)


def given(visit: Visit, kind: Kind) -> dict[str, str]:
    """The filters in the address that say anything; a field that was left empty does not."""
    query = visit.request.query_params
    return {name: query[name].strip() for name in kind.filters if query.get(name, "").strip()}


def read(visit: Visit, kind: Kind, file_format: str = "", style: Style | None = None) -> tuple[Asked, Place]:
    """What the address asks for, and where in the list that is. Raises InvalidParameter."""
    filters, query = QueryParams(given(visit, kind)), visit.request.query_params
    place = read_place(query)
    asked = Asked(
        kind=kind,
        style=style or Style(),
        filters=queries.read_filters(filters, kind.filters),
        hours=queries.read_callable(filters),
        format=file_format,
        limit=PAGE_SIZE,
        cursor=place.cursor or None,
    )
    return asked, place


def look(visit: Visit, asked: Asked) -> Shown:
    """The page. Raises NotFound, InvalidCursor, or MovedAway."""
    call, library = as_call(visit), visit.parts.library
    seen = audience_frame.find(visit)
    view = rows.look(call, asked)
    items, after = library.page(asked.kind.read, view.opened, asked.kind.name, view.filters, asked.limit)
    found = msgspec.json.decode(items)
    unknown = rows.count_unknown(call, view) if view.zones is not None else 0
    return Shown(seen, found, after, count(visit, asked, view), unknown)


def count(visit: Visit, asked: Asked, view: View) -> int | None:
    """How many rows pass the filters. To look for a text in a million rows once more would double the wait."""
    if asked.filters.search is not None:
        return None
    files = view.files(asked.kind)
    # Without a filter, the files know. A list of numbers to leave out is a filter as well.
    if replace(view.filters, of_rejects=False) == pages.Filters():
        return sum(stored.count for stored in files)
    with visit.parts.engine.connection() as connection:
        return pages.count(connection, files, view.filters)


def as_call(visit: Visit) -> Call:
    """The visit as the API's handlers know a request: the account is the session's, and there is no key."""
    caller = Caller(visit.account, visit.user.id, frozenset(SCOPES))
    audience_frame.audience_id(visit)
    return Call(visit.request, visit.parts, caller)


def turns(shown: Shown, place: Place, filters: Mapping[str, str], noun: str) -> dict[str, Any]:
    """Where the pages before and after are, and what is said of this one."""
    back = place.previous()
    first, last = place.before + 1, place.before + len(shown.items)
    of = "" if shown.total is None else f" of {shown.total:,}"
    several = place.before > 0 or shown.after is not None
    return {
        "before": None if back is None else shapes.query(**filters, **back),
        "next": None if shown.after is None else shapes.query(**filters, **place.next(shown.after, len(shown.items))),
        "where": f"{first:,} to {last:,}{of}" if shown.items else "No more",
        "found": found_text(shown, last, noun, is_all=shown.after is None),
        "is_long": several,
    }


def found_text(shown: Shown, last: int, noun: str, *, is_all: bool) -> str:
    """How many rows there are, as it is read out."""
    total = last if is_all and shown.total is None else shown.total
    return f"More than {audience_words.counted(last, noun)}" if total is None else audience_words.counted(total, noun)


def columns(items: list[Item], phones: Mapping[int, str]) -> list[str]:
    """The columns that the page shows beside that of the number, which rows that were set aside have among theirs."""
    names = (name for item in items for name in item["columns"] if name != phones.get(item["file"]))
    return list(dict.fromkeys(names))[:MAX_COLUMNS]


def phone_columns(seen: Seen) -> dict[int, str]:
    """The name of the column of numbers by the number of its file."""
    return {row["position"]: file.phone_column for row, file in zip(seen.files, seen.report.files, strict=True)}


def choices(seen: Seen) -> dict[str, list[tuple[str, str]]]:
    """What the filters offer: only what this audience has."""
    report = seen.report
    reasons = dict(report.rejected_by_reason)
    reasons |= {"duplicate": report.duplicates, "suppressed": report.suppressed}
    countries = sorted((shapes.country(code), code) for code in report.countries)
    return {
        "country": [("", "All countries"), *((code, name) for name, code in countries)],
        "line_type": [("", "All line types"), *((kind, audience_words.line_type(kind)) for kind in report.line_types)],
        "reason": [
            ("", "All reasons"),
            *((key, f"{audience_words.REASONS[key]} ({number:,})") for key, number in reasons.items() if number),
        ],
    }


PAGES: tuple[Page, ...] = (
    Page("GET", f"{AUDIENCE}/contacts", contacts),
    Page("GET", f"{AUDIENCE}/rejects", rejects),
)
