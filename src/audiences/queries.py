"""Query parameters: how each is read, and how it is described. What cannot be is refused, never ignored."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from functools import wraps

from starlette.datastructures import QueryParams
from starlette.responses import Response

from audiences import calling, exports
from audiences.answer import Reply
from audiences.bodies import FIELDS
from audiences.calling import Hours
from audiences.errors import InvalidParameter, Reason
from audiences.pages import DEFAULT_LIMIT, MAX_LIMIT, Filters
from audiences.routes import Call, Parameter, Route

# E.164 has at most 15 digits; libphonenumber reads up to 17 behind the country code.
PHONE_PATTERN = r"\+?[0-9]{1,17}"

CONTACT_FILTERS = ("country", "line_type", "phone", "search", "callable")
REJECT_FILTERS = ("reason", "search")
SUPPRESSION_FILTERS = ("phone",)
MAX_NAME_FILTER = 255


def strict(route: Route) -> Route:
    """The route behind a check of its query, if it is one with a key.

    Whatever is misspelled would be ignored otherwise: every contact in place of some, a change in place of a dry run.
    """
    if route.scope is None:
        return route
    handler = route.handler

    @wraps(handler)
    async def checked(call: Call) -> Reply | Response:
        check_names(call.request.query_params, route)
        return await handler(call)

    return replace(route, handler=checked, refusals=tuple(dict.fromkeys((InvalidParameter, *route.refusals))))


def check_names(query: QueryParams, route: Route) -> None:
    """Raises InvalidParameter for a name that the route does not take, and for one that stands there twice.

    A list may stand there as often as it has items.
    """
    known = {parameter.name: parameter for parameter in route.parameters if parameter.where == "query"}
    for name in query:
        if name not in known:
            offered = f"It takes {', '.join(known)}." if known else "It takes none."
            hint = " Fields go into the body." if route.body else ""
            raise InvalidParameter(f"This route does not take such a query parameter. {offered}{hint}", field=name)
        if len(query.getlist(name)) > 1 and known[name].schema.get("type") != "array":
            raise InvalidParameter(f"{name} stands in the query more than once. Send it once.", field=name)


def read_name(query: QueryParams) -> str | None:
    """The text that names must contain. Raises InvalidParameter."""
    name = query.get("name")
    if name is not None and len(name) > MAX_NAME_FILTER:
        raise InvalidParameter(f"name takes at most {MAX_NAME_FILTER} characters.", field="name")
    if name is not None and "\0" in name:
        raise InvalidParameter("name takes text without NUL characters.", field="name")
    return name


def read_limit(query: QueryParams) -> int:
    """The page's size. Raises InvalidParameter unless it is 1 to 1,000."""
    text = query.get("limit", str(DEFAULT_LIMIT))
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(MAX_LIMIT)) and 1 <= int(text) <= MAX_LIMIT):
        raise InvalidParameter(f"limit takes a whole number from 1 to {MAX_LIMIT}.", field="limit")
    return int(text)


def read_filters(query: QueryParams, known: Sequence[str]) -> Filters:
    """What the rows must have, of a list that has the filters `known`. Raises InvalidParameter."""
    phone = query.get("phone")
    if phone is not None and re.fullmatch(PHONE_PATTERN, phone) is None:
        raise InvalidParameter("phone takes a number's digits with its country code.", field="phone")
    reason = query.get("reason")
    if reason is not None and reason not in set(Reason):
        raise InvalidParameter(f"reason takes one of {', '.join(Reason)}.", field="reason")
    country = query.get("country")
    return Filters(
        country=country and country.upper(),
        line_type=query.get("line_type"),
        phone=None if phone is None else int(phone),
        search=query.get("search"),
        reason=reason,
        of_rejects="reason" in known,
    )


def read_callable(query: QueryParams) -> Hours | None:
    """The hours in which contacts may be called now, if asked for. Raises InvalidParameter."""
    text = query.get("callable")
    return None if text is None else calling.read_hours(text)


def read_style(query: QueryParams) -> exports.Style:
    """How cells are exported. Raises InvalidParameter."""
    for field, known in (("enrich", ("true", "false")), ("spreadsheet", ("safe", "verbatim"))):
        if query.get(field, known[0]) not in known:
            raise InvalidParameter(f"{field} takes {' or '.join(known)}.", field=field)
    return exports.Style(enrich=query.get("enrich") == "true", safe=query.get("spreadsheet") == "safe")


LIMIT = Parameter(
    "limit",
    f"Items on a page. Default {DEFAULT_LIMIT}.",
    {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT},
)
CURSOR = Parameter("cursor", "`next_cursor` of the page before.", {"type": "string"})
ENRICH = Parameter("enrich", "Whole lists: append country, line type and time zones.", {"enum": ["true", "false"]})
SPREADSHEET = Parameter(
    "spreadsheet",
    "CSV: `safe` puts ' before cells that a spreadsheet would run as a formula.",
    {"enum": ["safe", "verbatim"]},
)
PHONE = Parameter("phone", "Only this number.", {"type": "string", "pattern": f"^{PHONE_PATTERN}$"})
PHONES = Parameter(
    "phone",
    "A number, in place of the body; may be repeated.",
    {"type": "array", "items": {"type": "string"}, "examples": [["442079832100"]]},
)
DEFAULT_REGION = Parameter(
    "default_region", "With phone: the region whose national numbers are let in.", FIELDS["default_region"]
)
DRY_RUN = Parameter("dry_run", "With phone: true changes nothing, and answers the report.", FIELDS["dry_run"])
SEARCH = Parameter("search", "Only rows with this text in a cell, whatever the case.", {"type": "string"})
NAME = Parameter(
    "name", "Only names that contain this text, whatever the case.", {"type": "string", "maxLength": MAX_NAME_FILTER}
)
COUNTRY = Parameter("country", "Only this region code.", {"type": "string", "examples": ["GB"]})
CALLABLE = Parameter(
    "callable",
    "Only contacts for whom it is now within these hours in every time zone that their number may be in. Those of an "
    "unknown zone are left out; `excluded` says how many.",
    {"type": "string", "pattern": f"^{calling.HOURS.pattern}$", "examples": ["09:00-20:00"]},
)
LINE_TYPE = Parameter("line_type", "Only this line type.", {"type": "string", "examples": ["mobile"]})
REASON = Parameter("reason", "Only this reason.", {"enum": list(Reason)})
