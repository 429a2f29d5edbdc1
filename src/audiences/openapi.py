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
from audiences.answer import DESCRIPTIONS
from audiences.errors import (
    HeadersTooLarge,
    InsufficientScope,
    InvalidToken,
    MalformedRequest,
    MissingToken,
    Refusal,
    RequestTimeout,
    ServerError,
    TooManyRequests,
)
from audiences.routes import Parameter, Route, Success

TEMPLATE = "#/components/schemas/{name}"
JSON = "application/json"

ABOUT = """Turns a spreadsheet of customers into an audience that a calling, SMS or WhatsApp campaign can run on.

Every answer is JSON in one envelope: `status`, `description`, `response_time`, and `data` or `errors`. Send your API
key as `Authorization: Bearer API_KEY`."""

REQUEST_ID = Parameter(
    "X-Request-ID",
    "An id of the caller's for this request, which comes back; another one is made where it has other characters.",
    {"type": "string"},
    "header",
)

# What any route may answer, whatever it does.
ALWAYS: tuple[type[Refusal], ...] = (MalformedRequest, RequestTimeout, HeadersTooLarge, ServerError)
WITH_KEY: tuple[type[Refusal], ...] = (MissingToken, InvalidToken, InsufficientScope, TooManyRequests)

FORM = {
    "type": "object",
    "required": ["name", "audience_file"],
    "properties": {
        "name": {
            "type": "string",
            "minLength": 1,
            "maxLength": 255,
            "pattern": "\\S",
            "description": "The new audience's name.",
            "examples": ["NE_USA-above50"],
        },
        "audience_file": {
            "type": "string",
            "format": "binary",
            "contentMediaType": "application/octet-stream",
            "description": "A CSV or Excel file with a column named phone1 that holds phone numbers with the full "
            "country code, e.g. 442079832100. Also .ods, .gz and .zip.",
            "examples": ["phone1,name\n442079832100,Ann\n"],
        },
        "phone_column": {"type": "string", "description": "Another column that plays phone1.", "examples": ["mobile"]},
        "default_region": {
            "type": "string",
            "pattern": "^[A-Za-z]{2}$",
            "description": "The region whose national numbers are let in.",
            "examples": ["GB"],
        },
        "sheet": {"type": "string", "description": "The workbook's sheet, by name.", "examples": ["Customers"]},
        "dry_run": {
            "enum": ["true", "false"],
            "description": "true: check the file, store nothing, answer the report.",
        },
    },
}

Json = dict[str, Any]

ALWAYS_HEADERS = {"X-Request-ID": "The caller's own id of the request, or a new one; it stands in the log."}
THROTTLED_HEADERS = {
    "RateLimit-Policy": "The limit in force: q requests in w seconds.",
    "RateLimit": "What is left of it: r requests, and t seconds until it is whole again.",
}


def description(routes: Sequence[Route]) -> bytes:
    """The document, as JSON."""
    kinds = [success.data for route in routes for success in route.successes.values()]
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
        "parameters": [*path_parameters(route.path), *(parameter(item) for item in (*route.parameters, REQUEST_ID))],
        "responses": {
            str(status): response(status, success, route, shapes) for status, success in sorted(route.successes.items())
        }
        | refusals(route),
    }
    if route.takes_form:
        made["requestBody"] = {"required": True, "content": {"multipart/form-data": {"schema": FORM}}}
    if route.scope is None:
        made["security"] = []
    else:
        made["description"] = f"Needs a key with the scope `{route.scope}`."
    return made


def path_parameters(path: str) -> list[Json]:
    """The parameters in a path; all are ids so far."""
    schema = {"type": "string", "pattern": "^[0-9]{6,15}$", "examples": ["312345"]}
    return [{"name": name, "in": "path", "required": True, "schema": schema} for name in re.findall(r"\{(\w+)\}", path)]


def parameter(item: Parameter) -> Json:
    """A query parameter or header."""
    return {"name": item.name, "in": item.where, "description": item.about, "schema": dict(item.schema)}


def response(status: int, success: Success, route: Route, shapes: Json) -> Json:
    """An answer that is not a refusal, in each of the route's formats."""
    properties = {
        "status": {"type": "integer"},
        "description": {"const": success.description},
        "response_time": {"type": "string", "format": "date-time", "examples": ["2025-02-06T07:51:52.258Z"]},
        "data": shapes[repr(success.data)],
        "next_cursor": {"type": "string", "description": "Only while there is more."},
    }
    envelope = {
        "type": "object",
        "required": ["status", "description", "response_time", "data"],
        "properties": properties,
    }
    content: Json = {JSON: {"schema": envelope}}
    for kind in route.formats[1:]:
        content[kind] = {"schema": {"type": "string"}}
    headers = ALWAYS_HEADERS | (THROTTLED_HEADERS if route.policy else {}) | dict(success.headers)
    made: Json = {"description": success.description, "content": content, "headers": headers_of(headers)}
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


def refusals(route: Route) -> Json:
    """The refusals that the route may answer, by status, each with an example of every code."""
    kinds = {*route.refusals, *ALWAYS}
    if route.scope is not None:
        kinds |= {*WITH_KEY}
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
