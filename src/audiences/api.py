"""The routes: a handler each, a line a step.

Who asks, how often, and with which scope is settled by `door.admit` before a handler is called and before the first
byte of a body is read; the table at the end says it for every route.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Callable, Sequence

import anyio.to_thread
from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from audiences import accept, answer, creation, docs_page, exports, models, pages, repeats, reports
from audiences import errors as refuse
from audiences.accept import CSV, JSON
from audiences.answer import Reply
from audiences.exports import Export
from audiences.inbox import Upload
from audiences.keys import READ, WRITE
from audiences.pages import DEFAULT_LIMIT, MAX_LIMIT, Filters, Stored
from audiences.parts import Parts
from audiences.repeats import Claim
from audiences.routes import Call, Parameter, Route, Success
from audiences.throttle import READS, UPLOADS

# E.164 has at most 15 digits; libphonenumber reads up to 17 behind the country code.
PHONE_PATTERN = r"\+?[0-9]{1,17}"

CONTACT_FILTERS = ("country", "line_type", "phone", "search")
REJECT_FILTERS = ("reason", "search")
# `callable` is the contract's and not built yet: ignored, it would have people rung up at night.
ALL_FILTERS = (*CONTACT_FILTERS, *REJECT_FILTERS, "callable")
MAX_NAME_FILTER = 255


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
    if len(query.get("name", "")) > MAX_NAME_FILTER:
        raise refuse.InvalidParameter(f"name takes at most {MAX_NAME_FILTER} characters.", field="name")
    paged = bool({"limit", "cursor", "name"} & query.keys())
    limit = read_limit(query) if paged else None
    find = call.parts.library.listed
    items, cursor = await anyio.to_thread.run_sync(find, call.account, query.get("name"), limit, query.get("cursor"))
    return answer.found("Audiences retrieved", items, next_cursor=cursor)


async def get_audience(call: Call) -> Reply:
    """The report of one audience."""
    audience_id = call.request.path_params["id"]
    found = await anyio.to_thread.run_sync(call.parts.library.report, call.account, audience_id)
    return answer.found("Audience retrieved", reports.in_order(found))


async def list_contacts(call: Call) -> Reply | Response:
    """A page of contacts, or all of them in one stream."""
    query = call.request.query_params
    style = read_style(query)
    extras = exports.CONTACT_EXTRAS if style.enrich else ()
    export = Export(await open_files(call, "contacts"), extras, style, read_filters(query, CONTACT_FILTERS))
    return await answer_rows(call, "contacts", export, pages.contacts)


async def list_rejects(call: Call) -> Reply | Response:
    """A page of the rows that were not accepted, or all of them in one stream."""
    query = call.request.query_params
    style, filters = read_style(query), read_filters(query, REJECT_FILTERS)
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
    limit, cursor = read_limit(query), query.get("cursor")
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


def read_limit(query: QueryParams) -> int:
    """The page's size. Raises InvalidParameter unless it is 1 to 1,000."""
    text = query.get("limit", str(DEFAULT_LIMIT))
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(MAX_LIMIT)) and 1 <= int(text) <= MAX_LIMIT):
        raise refuse.InvalidParameter(f"limit takes a whole number from 1 to {MAX_LIMIT}.", field="limit")
    return int(text)


def read_filters(query: QueryParams, known: Sequence[str]) -> Filters:
    """What the rows must have. Raises InvalidParameter, also for a filter that this list does not have."""
    foreign = [name for name in ALL_FILTERS if name in query and name not in known]
    if foreign:
        offered = ", ".join(known)
        raise refuse.InvalidParameter(f"{foreign[0]} does not choose rows here. {offered} do.", field=foreign[0])
    phone = query.get("phone")
    if phone is not None and re.fullmatch(PHONE_PATTERN, phone) is None:
        raise refuse.InvalidParameter("phone takes a number's digits with its country code.", field="phone")
    reason = query.get("reason")
    if reason is not None and reason not in set(refuse.Reason):
        raise refuse.InvalidParameter(f"reason takes one of {', '.join(refuse.Reason)}.", field="reason")
    country = query.get("country")
    return Filters(
        country=country and country.upper(),
        line_type=query.get("line_type"),
        phone=None if phone is None else int(phone),
        search=query.get("search"),
        reason=reason,
        of_rejects="reason" in known,
    )


def read_style(query: QueryParams) -> exports.Style:
    """How cells are exported. Raises InvalidParameter."""
    for field, known in (("enrich", ("true", "false")), ("spreadsheet", ("safe", "verbatim"))):
        if query.get(field, known[0]) not in known:
            raise refuse.InvalidParameter(f"{field} takes {' or '.join(known)}.", field=field)
    return exports.Style(enrich=query.get("enrich") == "true", safe=query.get("spreadsheet") == "safe")


LIMIT = Parameter(
    "limit",
    f"Items on a page. Default {DEFAULT_LIMIT}.",
    {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT},
)
CURSOR = Parameter("cursor", "`next_cursor` of the page before.", {"type": "string"})
ENRICH = Parameter("enrich", "CSV: append country, line type and time zones.", {"enum": ["true", "false"]})
SPREADSHEET = Parameter(
    "spreadsheet",
    "CSV: `safe` puts ' before cells that a spreadsheet would run as a formula.",
    {"enum": ["safe", "verbatim"]},
)
PHONE = Parameter("phone", "Only this number.", {"type": "string", "pattern": f"^{PHONE_PATTERN}$"})
SEARCH = Parameter("search", "Only rows with this text in a cell, whatever the case.", {"type": "string"})
IDEMPOTENCY_KEY = Parameter(
    "Idempotency-Key",
    "A text of the caller's for this one request; sent again within 24 hours, it is answered alike and done once.",
    {"type": "string", "pattern": "^[ -~]{1,255}$"},
    "header",
)
CONTENT_DIGEST = Parameter(
    "Content-Digest",
    "The digest of the body (RFC 9530); where it does not match, nothing is stored.",
    {"type": "string", "pattern": "^sha-256=:[A-Za-z0-9+/]{43}=:$"},
    "header",
)

ROW_REFUSALS = (
    refuse.InvalidParameter,
    refuse.InvalidCursor,
    refuse.UnknownAudience,
    refuse.NotAcceptable,
    refuse.EngineFull,
)
UPLOAD_REFUSALS = tuple(
    kind
    for kind in refuse.catalogue()
    if kind.status in {400, 408, 409, 413, 422, 503, 507} and kind is not refuse.InvalidCursor
)

ROUTES: tuple[Route, ...] = (
    Route(
        "POST",
        "/audiences",
        create_audience,
        "Create an audience from a CSV or Excel file",
        {
            201: Success(
                "Audience created", models.Created, leads_to=("get_audience", "list_contacts", "list_rejects")
            ),
            200: Success("Audience checked", models.CheckWithSamples),
        },
        scope=WRITE,
        policy=UPLOADS,
        parameters=(IDEMPOTENCY_KEY, CONTENT_DIGEST),
        refusals=UPLOAD_REFUSALS,
        takes_form=True,
    ),
    Route(
        "GET",
        "/audiences",
        list_audiences,
        "List the account's audiences, newest first",
        {200: Success("Audiences retrieved", list[models.AudienceItem])},
        scope=READ,
        policy=READS,
        parameters=(
            LIMIT,
            CURSOR,
            Parameter(
                "name", "Only names that contain this text, whatever the case.", {"type": "string", "maxLength": 255}
            ),
        ),
        refusals=(refuse.InvalidParameter, refuse.InvalidCursor),
    ),
    Route(
        "GET",
        "/audiences/{id}",
        get_audience,
        "The report of an audience: its counts, and what was understood of its files",
        {200: Success("Audience retrieved", models.AudienceReport)},
        scope=READ,
        policy=READS,
        refusals=(refuse.UnknownAudience,),
    ),
    Route(
        "GET",
        "/audiences/{id}/contacts",
        list_contacts,
        "Contacts, by page as JSON, or all of them as CSV",
        {200: Success("Contacts retrieved", list[models.Contact])},
        scope=READ,
        policy=READS,
        parameters=(
            LIMIT,
            CURSOR,
            Parameter("country", "Only this region code.", {"type": "string", "examples": ["GB"]}),
            Parameter("line_type", "Only this line type.", {"type": "string", "examples": ["mobile"]}),
            PHONE,
            SEARCH,
            ENRICH,
            SPREADSHEET,
        ),
        refusals=ROW_REFUSALS,
        formats=(JSON, CSV),
    ),
    Route(
        "GET",
        "/audiences/{id}/rejects",
        list_rejects,
        "Rows that were not accepted, each with its reason: by page as JSON, or all of them as CSV",
        {200: Success("Rejects retrieved", list[models.Reject])},
        scope=READ,
        policy=READS,
        parameters=(
            LIMIT,
            CURSOR,
            Parameter("reason", "Only this reason.", {"enum": list(refuse.Reason)}),
            SEARCH,
            SPREADSHEET,
        ),
        refusals=ROW_REFUSALS,
        formats=(JSON, CSV),
    ),
    Route("GET", "/healthz", healthz, "Liveness", {200: Success("Alive", models.Health)}),
    Route(
        "GET",
        "/readyz",
        readyz,
        "Readiness: every store is within reach",
        {200: Success("Ready", models.Health)},
        refusals=(refuse.NotReady,),
    ),
    Route("GET", "/openapi.json", openapi_json, "This description", {}, listed=False),
    Route("GET", "/docs", docs, "This description as a page", {}, listed=False),
    Route("GET", "/docs/{name}", docs_asset, "A file of that page", {}, listed=False),
)
