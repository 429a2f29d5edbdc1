"""The routes: a handler each, a line a step.

Who asks, how often, and with which scope is settled by `door.admit` before a handler is called and before the first
byte of a body is read; `route_table` says it for every route, and `queries` reads their parameters.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable

import anyio.to_thread
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from audiences import accept, answer, creation, docs_page, exports, models, pages, queries, repeats, reports
from audiences import errors as refuse
from audiences.accept import CSV, JSON
from audiences.answer import Reply
from audiences.exports import Export
from audiences.inbox import Upload
from audiences.pages import Stored
from audiences.parts import Parts
from audiences.repeats import Claim
from audiences.routes import Call


async def create_audience(call: Call) -> Reply:
    """One file in, one audience out: each line is one step, and one module of the package."""
    await anyio.to_thread.run_sync(call.parts.creation.refuse_full_account, call.account)
    key = repeats.check_key(call.request.headers.get("idempotency-key"))
    async with call.parts.inbox.receive(call.request, required=("name",)) as upload:
        same = repeats.fingerprint("POST", "/audiences", upload.fields, upload.sha256)

        async def work(claim: Claim) -> Reply:
            return await call.parts.engine.run(carry_out, call.parts, call.account, upload, claim)

        return await call.parts.repeats.once(call.account, key, same, work)


def carry_out(parts: Parts, account: int, upload: Upload, claim: Claim) -> Reply:
    """Creates the audience, or checks its file; the answer commits together with the audience."""
    if upload.problem is not None:
        raise upload.problem
    wanted = creation.instructions(upload.fields)
    if wanted.dry_run:
        return answer.found("Audience checked", reports.in_order(parts.creation.check(upload, wanted)))
    made = parts.creation.create(
        account, upload, wanted, lambda connection, new: parts.repeats.keep(connection, claim, answer.created(new))
    )
    return answer.created(made)


async def list_audiences(call: Call) -> Reply:
    """All audiences of the account, as published; or a page of them."""
    query = call.request.query_params
    name = queries.read_name(query)
    paged = bool({"limit", "cursor", "name"} & query.keys())
    limit = queries.read_limit(query) if paged else None
    find = call.parts.library.listed
    items, cursor = await anyio.to_thread.run_sync(find, call.account, name, limit, query.get("cursor"))
    return answer.found("Audiences retrieved", items, next_cursor=cursor)


async def get_audience(call: Call) -> Reply:
    """The report of one audience."""
    audience_id = call.request.path_params["id"]
    found = await anyio.to_thread.run_sync(call.parts.library.report, call.account, audience_id)
    return answer.found("Audience retrieved", reports.in_order(found))


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


async def healthz(_call: Call) -> Reply:
    """Liveness: the process answers."""
    return answer.found("Alive", models.Health("ok"))


async def readyz(call: Call) -> Reply:
    """Readiness: every store is within reach."""
    stores = await anyio.to_thread.run_sync(call.parts.reachable)
    missing = [name for name, reachable in stores.items() if not reachable]
    if missing:
        raise refuse.NotReady(f"Out of reach: {', '.join(missing)}. Try again soon.", headers={"Retry-After": "5"})
    return answer.found("Ready", models.Health("ok", dict.fromkeys(stores, "ok")))


async def openapi_json(call: Call) -> Response:
    """The description of all routes (OpenAPI 3.1)."""
    return Response(call.request.app.state.description, media_type=JSON)


async def docs(_call: Call) -> Response:
    """The description as a page for people; all it loads is served from here."""
    return Response(docs_page.index(), media_type="text/html", headers=docs_page.HEADERS)


async def docs_asset(call: Call) -> Response:
    """A file of that page."""
    found = docs_page.asset(call.request.path_params["name"])
    if found is None:
        raise refuse.UnknownPath("There is no such file. The page is at /docs.")
    content, kind = found
    return Response(content, media_type=kind, headers=docs_page.HEADERS)


def download(request: Request, rows: AsyncGenerator[bytes, None], name: str) -> Response:
    """A stream that a browser saves under `name`; its headers alone for HEAD."""
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"}
    headers |= {"X-Content-Type-Options": "nosniff"}
    if request.method == "HEAD":
        return Response(None, media_type=CSV, headers=headers)
    return StreamingResponse(rows, media_type=CSV, headers=headers)
