"""The rows of an audience: pages of contacts and rejects as JSON, or all of them in one stream."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable

import anyio.to_thread
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from audiences import accept, answer, exports, pages, queries
from audiences.accept import CSV, JSON
from audiences.answer import Reply
from audiences.exports import Export
from audiences.pages import Stored
from audiences.routes import Call


async def list_contacts(call: Call) -> Reply | Response:
    """A page of contacts, or all of them in one stream."""
    query = call.request.query_params
    style = queries.read_style(query)
    extras = exports.CONTACT_EXTRAS if style.enrich else ()
    export = Export(
        await open_files(call, "contacts"), extras, style, queries.read_filters(query, queries.CONTACT_FILTERS)
    )
    return await answer_rows(call, "contacts", export, pages.contacts)


async def list_rejects(call: Call) -> Reply | Response:
    """A page of the rows that were not accepted, or all of them in one stream."""
    query = call.request.query_params
    style, filters = queries.read_style(query), queries.read_filters(query, queries.REJECT_FILTERS)
    export = Export(await open_files(call, "rejects"), exports.REJECT_EXTRAS, style, filters)
    return await answer_rows(call, "rejects", export, pages.rejects)


async def open_files(call: Call, kind: str) -> list[Stored]:
    """The files of one version of the audience. Raises UnknownAudience."""
    opened = await anyio.to_thread.run_sync(call.parts.library.open, call.account, call.request.path_params["id"])
    return opened.contacts if kind == "contacts" else opened.rejects


async def answer_rows(call: Call, kind: str, export: Export, read: Callable[..., pages.Page]) -> Reply | Response:
    """Rows in the format that `Accept` asks for."""
    query, library = call.request.query_params, call.parts.library
    if accept.choose(call.request.headers.get("accept"), (JSON, CSV)) == CSV:
        call.parts.exports.check_place()
        rows = call.parts.exports.as_csv(export)
        return download(call.request, rows, f"audience-{call.request.path_params['id']}-{kind}.csv")
    limit, cursor = queries.read_limit(query), query.get("cursor")
    page, after = await anyio.to_thread.run_sync(library.page, read, export.files, export.filters, limit, cursor)
    return answer.found(f"{kind.capitalize()} retrieved", page, next_cursor=after)


def download(request: Request, rows: AsyncGenerator[bytes, None], name: str) -> Response:
    """A stream that a browser saves under `name`; its headers alone for HEAD."""
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"}
    headers |= {"X-Content-Type-Options": "nosniff"}
    if request.method == "HEAD":
        return Response(None, media_type=CSV, headers=headers)
    return StreamingResponse(rows, media_type=CSV, headers=headers)
