"""Every route in one table: what it needs, how it is counted, what it takes and what it answers.

The server serves this table, the description at /openapi.json is made from it, and the tests walk it.
"""

from __future__ import annotations

from typing import Any

from audiences import models, queries
from audiences.accept import CSV, JSON
from audiences.api import audiences, rows, service
from audiences.errors import (
    EngineFull,
    InvalidCursor,
    InvalidParameter,
    NotAcceptable,
    NotReady,
    UnknownAudience,
    catalogue,
)
from audiences.keys import READ, WRITE
from audiences.routes import Parameter, Route, Success
from audiences.throttle import READS, UPLOADS

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
REPLAYED = {"Idempotency-Replayed": "true, where the request was carried out before and is answered alike."}
LOCATION = {"Location": "Where the audience's report is."}

ROW_REFUSALS = (InvalidParameter, InvalidCursor, UnknownAudience, NotAcceptable, EngineFull)
UPLOAD_REFUSALS = tuple(
    kind
    for kind in catalogue()
    if kind.status in {400, 408, 409, 413, 422, 503, 507} and kind not in {InvalidCursor, NotReady}
)

COUNTS = {"rows": 4, "accepted": 2, "duplicates": 1, "suppressed": 0, "rejected": 1}
REASONS = {"rejected_by_reason": {"not_a_number": 1}, "blank_rows": 0}
FACTS = {"bytes": 96, "sha256": "5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef", "format": "csv"}
READ_AS = {"encoding": "utf-8", "delimiter": ",", "sheet": None, "header_row": 1, "phone_column": "phone1"}
CONTACT = {
    "file": 1,
    "row": 2,
    "phone1": "442079832100",
    "country": "GB",
    "line_type": "fixed_line",
    "time_zones": ["Europe/London"],
    "columns": {"name": "Ann"},
}
REJECT = {"file": 1, "row": 5, "reason": "not_a_number", "columns": {"phone1": "call me", "name": "Cy"}}
CHECKED: dict[str, Any] = {
    "name": "NE_USA-above50",
    "type": "Static",
    "user_count": 2,
    **COUNTS,
    **REASONS,
    "columns": ["phone1", "name"],
    "countries": {"GB": 2},
    "line_types": {"fixed_line": 1, "mobile": 1},
    "files": [{"name": "customers.csv", **FACTS, **READ_AS, **COUNTS, **REASONS}],
}
TIMES = {"created_time": "2025-10-01T09:10:00Z", "updated_time": "2025-10-01T09:10:00Z"}
LISTED = {
    "id": "31234000",
    "name": "NE_USA-above50",
    "created_time": "2025-10-01T09:10:00Z",
    "type": "Static",
    "user_count": 1542,
}

ROUTES: tuple[Route, ...] = (
    Route(
        "POST",
        "/audiences",
        audiences.create_audience,
        "Create an audience from a CSV or Excel file",
        {
            201: Success(
                "Audience created",
                models.Created,
                leads_to=("get_audience", "list_contacts", "list_rejects"),
                example={"id": "312345"},
                headers=LOCATION | REPLAYED,
            ),
            200: Success(
                "Audience checked",
                models.CheckWithSamples,
                example=CHECKED | {"sample_contacts": [CONTACT], "sample_rejects": [REJECT]},
                headers=REPLAYED,
            ),
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
        audiences.list_audiences,
        "List the account's audiences, newest first",
        {200: Success("Audiences retrieved", list[models.AudienceItem], example=[LISTED])},
        scope=READ,
        policy=READS,
        parameters=(queries.LIMIT, queries.CURSOR, queries.NAME),
        refusals=(InvalidParameter, InvalidCursor),
    ),
    Route(
        "GET",
        "/audiences/{id}",
        audiences.get_audience,
        "The report of an audience: its counts, and what was understood of its files",
        {200: Success("Audience retrieved", models.AudienceReport, example={"id": "312345", **CHECKED, **TIMES})},
        scope=READ,
        policy=READS,
        refusals=(UnknownAudience,),
    ),
    Route(
        "GET",
        "/audiences/{id}/contacts",
        rows.list_contacts,
        "Contacts, by page as JSON, or all of them as CSV",
        {200: Success("Contacts retrieved", list[models.Contact], example=[CONTACT])},
        scope=READ,
        policy=READS,
        parameters=(
            queries.LIMIT,
            queries.CURSOR,
            queries.COUNTRY,
            queries.LINE_TYPE,
            queries.PHONE,
            queries.SEARCH,
            queries.ENRICH,
            queries.SPREADSHEET,
        ),
        refusals=ROW_REFUSALS,
        formats=(JSON, CSV),
    ),
    Route(
        "GET",
        "/audiences/{id}/rejects",
        rows.list_rejects,
        "Rows that were not accepted, each with its reason: by page as JSON, or all of them as CSV",
        {200: Success("Rejects retrieved", list[models.Reject], example=[REJECT])},
        scope=READ,
        policy=READS,
        parameters=(queries.LIMIT, queries.CURSOR, queries.REASON, queries.SEARCH, queries.SPREADSHEET),
        refusals=ROW_REFUSALS,
        formats=(JSON, CSV),
    ),
    Route(
        "GET", "/healthz", service.healthz, "Liveness", {200: Success("Alive", models.Health, example={"status": "ok"})}
    ),
    Route(
        "GET",
        "/readyz",
        service.readyz,
        "Readiness: every store is within reach",
        {200: Success("Ready", models.Health, example={"status": "ok", "stores": {"catalog": "ok", "files": "ok"}})},
        refusals=(NotReady,),
    ),
    Route("GET", "/openapi.json", service.openapi_json, "This description", {}, listed=False),
    Route("GET", "/docs", service.docs, "This description as a page", {}, listed=False),
    Route("GET", "/docs/{name}", service.docs_asset, "A file of that page", {}, listed=False),
)
