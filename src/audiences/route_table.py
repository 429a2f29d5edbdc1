"""Every route in one table: what it needs, how it is counted, what it takes and what it answers.

The server serves this table, the description at /openapi.json is made from it, and the tests walk it.
"""

from __future__ import annotations

from audiences import bodies, models, queries
from audiences import route_examples as examples
from audiences.accept import CSV, JSON, WHOLE
from audiences.api import audiences, people, rows, service, suppressions
from audiences.errors import (
    BodyTooLarge,
    DigestMismatch,
    DiskFull,
    EngineFull,
    IdempotencyKeyReused,
    InvalidBody,
    InvalidCursor,
    InvalidField,
    InvalidParameter,
    NotAcceptable,
    NothingToRestore,
    NotReady,
    RequestInProgress,
    UnknownAudience,
    catalogue,
)
from audiences.keys import PEOPLE, READ, WRITE
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
    {"type": "string", "pattern": "^(sha-256=:[A-Za-z0-9+/]{43}=:)?$"},
    "header",
)
REPLAYED = {"Idempotency-Replayed": "true, where the request was carried out before and is answered alike."}
LOCATION = {"Location": "Where the audience's report is."}

ROW_REFUSALS = (InvalidParameter, InvalidCursor, UnknownAudience, NotAcceptable, NotReady, EngineFull, DiskFull)
NOT_OF_UPLOADS = frozenset({InvalidCursor, InvalidBody, NothingToRestore})
UPLOAD_REFUSALS = tuple(
    kind for kind in catalogue() if kind.status in {400, 408, 409, 413, 422, 503, 507} and kind not in NOT_OF_UPLOADS
)

REPEATABLE = (InvalidParameter, RequestInProgress, IdempotencyKeyReused)
WITHOUT_BODY_REFUSALS = (*REPEATABLE, DigestMismatch, BodyTooLarge)
CHANGE_BY_FILE_REFUSALS = (*UPLOAD_REFUSALS, UnknownAudience)

CHANGED = Success("Operation successful", models.Created, example={"id": "312345"}, headers=REPLAYED)
CHANGED_OR_CHECKED = Success(
    "Operation successful",
    models.Created,
    other_data=models.CheckWithSamples,
    example={"id": "312345"},
    headers=REPLAYED,
    checked="Audience checked",
)

LIST_REFUSALS = (*UPLOAD_REFUSALS, InvalidBody)

TABLE: tuple[Route, ...] = (
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
                example=examples.CHECKED | {"sample_contacts": [examples.CONTACT], "sample_rejects": [examples.REJECT]},
                headers=REPLAYED,
            ),
        },
        scope=WRITE,
        policy=UPLOADS,
        parameters=(IDEMPOTENCY_KEY, CONTENT_DIGEST),
        refusals=UPLOAD_REFUSALS,
        body=bodies.NEW_AUDIENCE,
    ),
    Route(
        "GET",
        "/audiences",
        audiences.list_audiences,
        "List the account's audiences, newest first",
        {200: Success("Audiences retrieved", list[models.AudienceItem], example=[examples.LISTED])},
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
        {
            200: Success(
                "Audience retrieved",
                models.AudienceReport,
                example={"id": "312345", **examples.CHECKED, **examples.TIMES},
            )
        },
        scope=READ,
        policy=READS,
        refusals=(UnknownAudience,),
    ),
    Route(
        "PUT",
        "/audiences/{id}",
        audiences.replace_audience,
        "Replace all contacts of an audience by a file's, all or nothing",
        {200: CHANGED_OR_CHECKED},
        scope=WRITE,
        policy=UPLOADS,
        parameters=(IDEMPOTENCY_KEY, CONTENT_DIGEST),
        refusals=CHANGE_BY_FILE_REFUSALS,
        body=bodies.FILE,
    ),
    Route(
        "POST",
        "/audiences/{id}/contacts",
        audiences.append_contacts,
        "Append a further file to an audience; a number that is there already is a duplicate",
        {200: CHANGED_OR_CHECKED},
        scope=WRITE,
        policy=UPLOADS,
        parameters=(IDEMPOTENCY_KEY, CONTENT_DIGEST),
        refusals=CHANGE_BY_FILE_REFUSALS,
        body=bodies.FILE,
    ),
    Route(
        "PATCH",
        "/audiences/{id}",
        audiences.rename_audience,
        "Rename an audience",
        {200: CHANGED},
        scope=WRITE,
        policy=READS,
        parameters=(IDEMPOTENCY_KEY, CONTENT_DIGEST),
        refusals=(*REPEATABLE, UnknownAudience, InvalidBody, InvalidField, DigestMismatch, BodyTooLarge),
        body=bodies.RENAMING,
    ),
    Route(
        "DELETE",
        "/audiences/{id}",
        audiences.delete_audience,
        "Delete an audience; it can be restored for 7 days",
        {200: CHANGED},
        scope=WRITE,
        policy=READS,
        parameters=(IDEMPOTENCY_KEY, CONTENT_DIGEST),
        refusals=(*WITHOUT_BODY_REFUSALS, UnknownAudience),
    ),
    Route(
        "POST",
        "/audiences/{id}/restore",
        audiences.restore_audience,
        "Undo the last PUT, append or DELETE of the last 7 days",
        {200: CHANGED},
        scope=WRITE,
        policy=READS,
        parameters=(IDEMPOTENCY_KEY, CONTENT_DIGEST),
        refusals=(*WITHOUT_BODY_REFUSALS, UnknownAudience, NothingToRestore),
    ),
    Route(
        "GET",
        "/audiences/{id}/contacts",
        rows.list_contacts,
        "Contacts, by page as JSON, or all of them as CSV, NDJSON, Parquet or Excel",
        {200: Success("Contacts retrieved", list[models.Contact], example=[examples.CONTACT])},
        scope=READ,
        policy=READS,
        parameters=(
            queries.LIMIT,
            queries.CURSOR,
            queries.COUNTRY,
            queries.LINE_TYPE,
            queries.PHONE,
            queries.SEARCH,
            queries.CALLABLE,
            queries.ENRICH,
            queries.SPREADSHEET,
        ),
        refusals=ROW_REFUSALS,
        formats=(JSON, *WHOLE),
    ),
    Route(
        "GET",
        "/audiences/{id}/rejects",
        rows.list_rejects,
        "Rows that were not accepted, with reasons: by page as JSON, or all of them as CSV, NDJSON, Parquet or Excel",
        {200: Success("Rejects retrieved", list[models.Reject], example=[examples.REJECT])},
        scope=READ,
        policy=READS,
        parameters=(queries.LIMIT, queries.CURSOR, queries.REASON, queries.SEARCH, queries.SPREADSHEET),
        refusals=ROW_REFUSALS,
        formats=(JSON, *WHOLE),
    ),
    Route(
        "GET",
        "/suppressions",
        suppressions.list_suppressions,
        "The account's do-not-contact list, by page as JSON, or all of it as CSV",
        {200: Success("Suppressions retrieved", list[models.Suppression], example=[examples.LISTED_NUMBER])},
        scope=READ,
        policy=READS,
        parameters=(queries.LIMIT, queries.CURSOR, queries.PHONE),
        refusals=(InvalidParameter, InvalidCursor, NotAcceptable, EngineFull),
        formats=(JSON, CSV),
    ),
    Route(
        "POST",
        "/suppressions",
        suppressions.add_suppressions,
        "Put numbers on the do-not-contact list: they are no contacts of any audience from then on",
        {
            200: Success(
                "Operation successful",
                models.SuppressionsAdded,
                example={"rows": 3, "added": 1, "already": 1, **examples.LIST_REJECTS},
                headers=REPLAYED,
                checked="Suppressions checked",
            )
        },
        scope=WRITE,
        policy=UPLOADS,
        parameters=(IDEMPOTENCY_KEY, CONTENT_DIGEST),
        refusals=LIST_REFUSALS,
        body=bodies.PHONES_OR_FILE,
    ),
    Route(
        "DELETE",
        "/suppressions",
        suppressions.remove_suppressions,
        "Take numbers off the do-not-contact list",
        {
            200: Success(
                "Operation successful",
                models.SuppressionsRemoved,
                example={"rows": 3, "removed": 1, "unknown": 1, **examples.LIST_REJECTS},
                headers=REPLAYED,
                checked="Suppressions checked",
            )
        },
        scope=WRITE,
        # As an addition: it may bring a file, and which of the two it is would be known behind the door only.
        policy=UPLOADS,
        parameters=(queries.PHONES, queries.DEFAULT_REGION, queries.DRY_RUN, IDEMPOTENCY_KEY, CONTENT_DIGEST),
        refusals=LIST_REFUSALS,
        body=bodies.PHONES_OR_FILE,
        body_required=False,
    ),
    Route(
        "GET",
        "/contacts/{phone}",
        people.get_contact,
        "All that the account holds on one number",
        {200: Success("Contact retrieved", models.Held, example=examples.HELD)},
        scope=PEOPLE,
        policy=READS,
        refusals=(InvalidParameter, EngineFull, NotReady),
    ),
    Route(
        "DELETE",
        "/contacts/{phone}",
        people.erase_contact,
        "Erase one number from everything that the account holds; this cannot be undone",
        {200: Success("Operation successful", models.Erased, example=examples.ERASED, headers=REPLAYED)},
        scope=PEOPLE,
        policy=READS,
        parameters=(IDEMPOTENCY_KEY, CONTENT_DIGEST),
        refusals=(*WITHOUT_BODY_REFUSALS, EngineFull, NotReady, DiskFull),
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

# What is served, described and walked: each route with a key takes its own query parameters, and no other.
ROUTES: tuple[Route, ...] = tuple(queries.strict(route) for route in TABLE)
