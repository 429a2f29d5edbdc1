"""The rows of an audience: pages of contacts and rejects as JSON, or all of them in one stream."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

import anyio.to_thread
from sqlalchemy import Connection
from starlette.responses import Response

from audiences import accept, answer, calling, conditional, exports, pages, queries
from audiences.accept import JSON, WHOLE
from audiences.answer import Reply
from audiences.api.downloads import Bytes, Download, opened
from audiences.calling import Hours, Zones
from audiences.engine import MovedAway
from audiences.errors import NotReady
from audiences.exports import Export, Extras, Style
from audiences.layout import Stored
from audiences.library import Opened
from audiences.pages import Filters
from audiences.routes import Call

# Looks at the catalog before it is said that files are gone: they go when somebody is erased.
TRIES = 5

# The same address answers in several formats.
VARY = {"Vary": "Accept"}


@dataclass(frozen=True)
class Kind:
    """Contacts or rejects: what may choose among them, how a page of them is read, and what exports append."""

    name: str
    filters: Sequence[str]
    read: Callable[..., pages.Page]


CONTACTS = Kind("contacts", queries.CONTACT_FILTERS, pages.contacts)
REJECTS = Kind("rejects", queries.REJECT_FILTERS, pages.rejects)


@dataclass(frozen=True)
class Asked:
    """What a request asks for; all of it was read and can be."""

    kind: Kind
    style: Style
    filters: Filters
    hours: Hours | None
    format: str
    limit: int
    cursor: str | None

    @property
    def extras(self) -> Extras:
        """The columns that an export appends."""
        if self.kind is REJECTS:
            return exports.REJECT_EXTRAS
        return exports.CONTACT_EXTRAS if self.style.enrich else ()


@dataclass(frozen=True)
class View:
    """What it is answered from: one version of the audience, and the do-not-contact list of the same moment."""

    opened: Opened
    filters: Filters
    zones: Zones | None
    tag: str | None

    def files(self, kind: Kind) -> list[Stored]:
        """The files that the rows are in."""
        return self.opened.contacts if kind is CONTACTS else self.opened.rejects


async def list_contacts(call: Call) -> Reply | Response:
    """A page of contacts, or all of them in one stream."""
    return await answer_rows(call, read(call, CONTACTS))


async def list_rejects(call: Call) -> Reply | Response:
    """A page of the rows that were not accepted, or all of them in one stream."""
    return await answer_rows(call, read(call, REJECTS))


def read(call: Call, kind: Kind) -> Asked:
    """What the request asks for. Raises InvalidParameter or NotAcceptable."""
    query = call.request.query_params
    return Asked(
        kind=kind,
        style=queries.read_style(query),
        filters=queries.read_filters(query, kind.filters),
        hours=queries.read_callable(query),
        format=accept.choose(call.request.headers.get("accept"), (JSON, *WHOLE)),
        limit=queries.read_limit(query),
        cursor=query.get("cursor"),
    )


async def answer_rows(call: Call, asked: Asked) -> Reply | Response:
    """Rows in the format that `Accept` asks for."""
    if asked.format == JSON:
        return await call.parts.engine.reads.run(call.account, page, call, asked)
    asked = replace(asked, cursor=None)  # a whole list is of the audience as it is now
    view = await anyio.to_thread.run_sync(look, call, asked)
    headers = {"Content-Disposition": f'attachment; filename="{file_name(call, asked)}"', "Cache-Control": "no-store"}
    headers |= {"X-Content-Type-Options": "nosniff"} | VARY | tag_header(view)
    if call.request.method == "HEAD":
        return Response(None, media_type=asked.format, headers=headers)
    return Download(streamed(call, asked), asked.format, headers)


def file_name(call: Call, asked: Asked) -> str:
    """What a browser saves an export as."""
    return f"audience-{call.request.path_params['id']}-{asked.kind.name}.{WHOLE[asked.format]}"


def page(call: Call, asked: Asked) -> Reply | Response:
    """A page, read again from the catalog's newest files where those of a moment ago are gone. Raises NotReady."""
    for _ in range(TRIES):
        try:
            return page_once(call, asked)
        except MovedAway:
            continue
    raise NotReady("The audience's files change faster than they are read. Try again.", headers={"Retry-After": "1"})


def page_once(call: Call, asked: Asked) -> Reply | Response:
    """A page, or 304 for who has it already. Raises MovedAway."""
    view = look(call, asked)
    if view.tag is not None and conditional.unchanged(call.request.headers, view.tag):
        return conditional.not_modified(VARY | tag_header(view))
    items, after = call.parts.library.page(asked.kind.read, view.opened, asked.kind.name, view.filters, asked.limit)
    reply = answer.found(f"{asked.kind.name.capitalize()} retrieved", items, next_cursor=after)
    reply.headers = reply.headers | VARY | tag_header(view)
    if view.zones is not None and asked.cursor is None:
        reply.excluded = {"unknown_time_zone": count_unknown(call, view)}
    return reply


@asynccontextmanager
async def streamed(call: Call, asked: Asked) -> AsyncIterator[Bytes]:
    """All rows of one version, whose files stay until the last of them was sent."""

    def find(connection: Connection) -> tuple[View, list[str]]:
        view = look_in(connection, call, asked)
        listed = [view.filters.suppressed.name] if view.filters.suppressed else []
        return view, [*view.opened.objects[asked.kind.name], *listed]

    async with call.parts.exports.place(call.account) as folder, call.parts.leases.held(call.account, find) as view:
        headers = tag_header(view)
        if view.zones is not None:
            unknown = await call.parts.engine.reads.run(call.account, count_unknown, call, view)
            headers["Excluded-Unknown-Time-Zone"] = str(unknown)
        export = Export(view.files(asked.kind), asked.extras, asked.style, view.filters, view.opened.layouts)
        async with opened(call.parts.exports, folder, export, asked.format, headers) as rows:
            yield rows


def look(call: Call, asked: Asked) -> View:
    """What the request is answered from, as it is now. Raises UnknownAudience or InvalidCursor."""
    with call.parts.database.read() as connection:
        return look_in(connection, call, asked)


def look_in(connection: Connection, call: Call, asked: Asked) -> View:
    """The same in the caller's transaction: the audience and the do-not-contact list are of one moment."""
    found = call.parts.library.open_in(connection, call.account, call.request.path_params["id"], asked.cursor)
    listed = call.parts.suppressions.newest_in(connection, call.account).listed if asked.kind is CONTACTS else None
    zones = calling.zones(call.parts.engine.zones, asked.hours, call.parts.library.clock()) if asked.hours else None
    filters = replace(asked.filters, suppressed=listed, zones=zones.within if zones else None)
    if zones is not None:
        return View(found, filters, zones, None)  # what may be called changes by the minute
    state: list[object] = [asked.kind.name, asked.format, sorted(call.request.query_params.multi_items())]
    state += [found.version, found.objects[asked.kind.name], listed and listed.name]
    return View(found, filters, None, conditional.tag(*state))


def count_unknown(call: Call, view: View) -> int:
    """Contacts that would be there but for a time zone that nobody knows."""
    assert view.zones is not None  # noqa: S101 - asked for with `callable` only
    with call.parts.engine.connection() as connection:
        return pages.count(connection, view.opened.contacts, replace(view.filters, zones=view.zones.unknown))


def tag_header(view: View) -> dict[str, str]:
    """The view's `ETag`, if it has one."""
    return {} if view.tag is None else {"ETag": view.tag}
