"""The description of the API (OpenAPI 3.1), made from the routes, the types of answers and the refusals.

Nothing in it is written twice: a route that is not in the table is not served, and an answer of another shape than its
type cannot be made.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import Any

import msgspec

from audiences import __version__, models
from audiences.accept import JSON, PARQUET, XLSX
from audiences.answer import DESCRIPTIONS
from audiences.errors import (
    HeadersTooLarge,
    InsufficientScope,
    InvalidToken,
    MalformedRequest,
    MissingToken,
    NotAcceptable,
    Refusal,
    RequestTimeout,
    ServerError,
    TooManyRequests,
)
from audiences.routes import Parameter, Route, Success

TEMPLATE = "#/components/schemas/{name}"
BINARY = frozenset({PARQUET, XLSX})

ABOUT = """Turns a spreadsheet of customers into an audience that a calling, SMS or WhatsApp campaign can run on.

Every answer is JSON in one envelope: `status`, `description`, `response_time`, and `data` or `errors`. Send your API
key as `Authorization: Bearer API_KEY`."""

REQUEST_ID = Parameter(
    "X-Request-ID",
    "An id of the caller's for this request, which comes back; another one is made where it has other characters.",
    {"type": "string"},
    "header",
)

ACCEPT_ENCODING = Parameter(
    "Accept-Encoding",
    "The codings that the client reads: `zstd`, `gzip`, `identity`; without it, the answer comes uncompressed.",
    {"type": "string", "examples": ["zstd, gzip"]},
    "header",
)
IF_NONE_MATCH = Parameter(
    "If-None-Match",
    "The `ETag` of an answer that the client has; where it is still the answer, 304 without a body says so.",
    {"type": "string", "examples": ['W/"8d2bd0c4a3b7b0a45f2d7a9d5c1e6f00"']},
    "header",
)

# What any route may answer, whatever it does.
ALWAYS: tuple[type[Refusal], ...] = (MalformedRequest, RequestTimeout, HeadersTooLarge, ServerError)
WITH_KEY: tuple[type[Refusal], ...] = (MissingToken, InvalidToken, InsufficientScope, TooManyRequests)

Json = dict[str, Any]

PATH_SCHEMAS: Mapping[str, Json] = {
    "id": {"type": "string", "pattern": "^[0-9]{6,15}$", "examples": ["312345"]},
    "phone": {"type": "string", "pattern": "^(\\+|00)?[1-9][0-9]{6,16}$", "examples": ["442079832100"]},
}
TAG_HEADERS = {
    "ETag": "Stands for this answer; send it as If-None-Match to be told when there is another.",
    "Cache-Control": "Keep it for yourself alone, and ask each time.",
    "Vary": "The request headers that the answer depends on.",
}
ALWAYS_HEADERS = {"X-Request-ID": "The caller's own id of the request, or a new one; it stands in the log."}
THROTTLED_HEADERS = {
    "RateLimit-Policy": "The limit in force: q requests in w seconds.",
    "RateLimit": "What is left of it: r requests, and t seconds until it is whole again.",
}


def description(routes: Sequence[Route]) -> bytes:
    """The document, as JSON."""
    kinds = [kind for route in routes for success in route.successes.values() for kind in success.kinds]
    schemas, components = msgspec.json.schema_components([*kinds, models.ErrorItem], ref_template=TEMPLATE)
    shapes = {repr(kind): schema for kind, schema in zip([*kinds, models.ErrorItem], schemas, strict=True)}
    document = {
        "openapi": "3.1.0",
        "info": {
            "title": "Audiences",
            "version": __version__,
            "description": ABOUT,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "security": [{"bearer": []}],
        "paths": paths([route for route in routes if route.listed], shapes),
        "components": {
            "schemas": components | {"Refusal": refusal_schema()},
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer", "description": "Your API key."}},
        },
    }
    return msgspec.json.encode(document)


def paths(routes: Sequence[Route], shapes: Json) -> Json:
    """Every path, with its methods."""
    found: Json = {}
    for route in routes:
        found.setdefault(route.path, {})[route.method.lower()] = operation(route, shapes)
    return found


def operation(route: Route, shapes: Json) -> Json:
    """One route: what it takes and every status that it answers."""
    made: Json = {
        "operationId": route.handler.__name__,
        "summary": route.summary,
        "parameters": [
            *path_parameters(route.path),
            *(parameter(item) for item in (*route.parameters, *common(route))),
        ],
        "responses": {
            str(status): response(status, success, route, shapes) for status, success in sorted(route.successes.items())
        }
        | refusals(route),
    }
    if is_tagged(route):
        headers = ALWAYS_HEADERS | THROTTLED_HEADERS | TAG_HEADERS
        made["responses"]["304"] = {"description": "Not Modified", "headers": headers_of(headers)}
    if route.body:
        content = {media_type: {"schema": schema} for media_type, schema in route.body.items()}
        made["requestBody"] = {"required": route.body_required, "content": content}
    if route.scope is None:
        made["security"] = []
    else:
        made["description"] = f"Needs a key with the scope `{route.scope}`."
    return made


def common(route: Route) -> list[Parameter]:
    """The headers that a route takes without saying so in the table."""
    found = [REQUEST_ID]
    if route.method == "GET":
        found.append(ACCEPT_ENCODING)
    if is_tagged(route):
        found.append(IF_NONE_MATCH)
    return found


def is_tagged(route: Route) -> bool:
    """Whether the route answers with an account's data, and an `ETag`."""
    return route.method == "GET" and route.scope is not None


def path_parameters(path: str) -> list[Json]:
    """The parameters in a path."""
    names = re.findall(r"\{(\w+)\}", path)
    return [{"name": name, "in": "path", "required": True, "schema": PATH_SCHEMAS[name]} for name in names]


def parameter(item: Parameter) -> Json:
    """A query parameter or header."""
    return {"name": item.name, "in": item.where, "description": item.about, "schema": dict(item.schema)}


def response(status: int, success: Success, route: Route, shapes: Json) -> Json:
    """An answer that is not a refusal, in each of the route's formats."""
    properties = {
        "status": {"type": "integer"},
        "description": {"enum": [success.description, success.checked] if success.checked else [success.description]},
        "response_time": {"type": "string", "format": "date-time", "examples": ["2025-02-06T07:51:52.258Z"]},
        "data": data_of(success, shapes),
        "next_cursor": {"type": "string", "description": "Only while there is more."},
        "excluded": {
            "type": "object",
            "properties": {"unknown_time_zone": {"type": "integer", "minimum": 0}},
            "description": "With `callable`, on the first page: contacts left out since nobody knows their time zone.",
        },
    }
    envelope = {
        "type": "object",
        "required": ["status", "description", "response_time", "data"],
        "properties": properties,
    }
    content: Json = {JSON: {"schema": envelope}}
    for kind in route.formats[1:]:
        content[kind] = {"schema": {"type": "string", **({"format": "binary"} if kind in BINARY else {})}}
    headers = ALWAYS_HEADERS | (THROTTLED_HEADERS if route.policy else {}) | dict(success.headers)
    headers |= TAG_HEADERS if is_tagged(route) else {}
    about = success.description + (f"; with dry_run, {success.checked}" if success.checked else "")
    made: Json = {"description": about, "content": content, "headers": headers_of(headers)}
    if success.example is not None:
        content[JSON]["example"] = {
            "status": int(status),
            "description": success.description,
            "response_time": "2025-02-06T07:51:52.258Z",
            "data": success.example,
        }
    if success.leads_to:
        parameters = {"id": "$response.body#/data/id"}
        made["links"] = {name: {"operationId": name, "parameters": parameters} for name in success.leads_to}
    return made


def data_of(success: Success, shapes: Json) -> Json:
    """The schema of an answer's `data`."""
    found: list[Json] = [shapes[repr(kind)] for kind in success.kinds]
    return found[0] if len(found) == 1 else {"anyOf": found}


def refusals(route: Route) -> Json:
    """The refusals that the route may answer, by status, each with an example of every code."""
    kinds = {*route.refusals, *ALWAYS}
    if route.scope is not None:
        kinds |= {*WITH_KEY}
    if route.method == "GET":
        kinds.add(NotAcceptable)  # by Accept-Encoding
    by_status: dict[int, list[type[Refusal]]] = {}
    for kind in sorted(kinds, key=lambda kind: kind.code):
        by_status.setdefault(kind.status, []).append(kind)
    return {str(status): refusal(status, found) for status, found in sorted(by_status.items())}


def refusal(status: int, kinds: Iterable[type[Refusal]]) -> Json:
    """The answers of one status."""
    examples = {kind.code: {"summary": kind.meaning(), "value": example(kind)} for kind in kinds}
    made: Json = {
        "description": DESCRIPTIONS[status],
        "content": {JSON: {"schema": {"$ref": "#/components/schemas/Refusal"}, "examples": examples}},
    }
    headers = dict(ALWAYS_HEADERS)
    if status in {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE}:
        headers["Retry-After"] = "Seconds to wait."
    if status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        headers["WWW-Authenticate"] = "What was wrong with the token (RFC 6750)."
    made["headers"] = headers_of(headers)
    return made


def headers_of(described: Mapping[str, str]) -> Json:
    """Headers of an answer, each with what it tells."""
    return {name: {"description": about, "schema": {"type": "string"}} for name, about in described.items()}


def example(kind: type[Refusal]) -> Json:
    """What a refusal looks like."""
    return {
        "status": kind.status,
        "description": DESCRIPTIONS[kind.status],
        "response_time": "2025-02-06T07:51:52.258Z",
        "errors": [{"code": kind.code, "message": kind.meaning()}],
    }


def refusal_schema() -> Json:
    """The envelope around what was wrong."""
    return {
        "type": "object",
        "required": ["status", "description", "response_time", "errors"],
        "properties": {
            "status": {"type": "integer"},
            "description": {"enum": list(DESCRIPTIONS.values())},
            "response_time": {"type": "string", "format": "date-time"},
            "errors": {"type": "array", "minItems": 1, "items": {"$ref": "#/components/schemas/ErrorItem"}},
            "report": {"type": "object", "description": "Of no_valid_rows: what became of the rows."},
        },
    }
