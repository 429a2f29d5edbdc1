"""Conditional requests: an answer has a tag, and a client that shows it is spared what it has (RFC 9110, section 13).

Tags are weak: the same answer comes with another `response_time`, or in another coding, and stands for the same data.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from http import HTTPStatus

import msgspec
from starlette.datastructures import Headers
from starlette.responses import Response

from audiences import __version__

# A client may keep the answer, nobody between may, and it asks each time whether that is still the answer.
KEPT = "private, no-cache"

# What a 304 repeats of the 200 that it stands for (RFC 9110, section 15.4.5).
REPEATED = ("ETag", "Vary", "Cache-Control", "Content-Location", "Expires")

# The part of an entity tag that is compared; a comma may stand in it (RFC 9110, section 8.8.3).
OPAQUE = re.compile(r'"([\x21\x23-\x7e\x80-\xff]*)"')


def tag(*parts: object) -> str:
    """The entity tag of an answer that `parts` and this version of the package determine, as `ETag` carries it.

    A part is anything that JSON can write; in what order a mapping was filled makes no difference.
    """
    canonical = msgspec.json.encode([__version__, *parts], order="deterministic")
    return f'W/"{hashlib.sha256(canonical).hexdigest()[:32]}"'


def unchanged(headers: Headers, etag: str) -> bool:
    """Whether `If-None-Match` among a request's headers names `etag`, strong or weak (RFC 9110, section 13.1.2).

    `*` names every tag. Only for a request that would be answered 200 to GET or HEAD.
    """
    given = ", ".join(headers.getlist("if-none-match")).strip()
    if given == "*":
        return True
    mine = OPAQUE.findall(etag)
    return any(opaque in mine for opaque in OPAQUE.findall(given))


def not_modified(headers: Mapping[str, str]) -> Response:
    """304 in place of a 200 that has, or would have, these headers; among them its `ETag`."""
    given = Headers(headers)
    kept = {name: given[name] for name in REPEATED if name in given}
    return Response(None, HTTPStatus.NOT_MODIFIED, {"Cache-Control": KEPT} | kept)


def as_asked(headers: Headers, response: Response) -> Response:
    """The response to GET or HEAD, or 304 where the request's headers show that the client has it already.

    Whatever has a tag may be kept; `Cache-Control` says so here, for handlers that set a tag themselves, too.
    """
    etag = response.headers.get("etag")
    if etag is None or response.status_code != HTTPStatus.OK:
        return response
    response.headers["Cache-Control"] = KEPT
    return not_modified(response.headers) if unchanged(headers, etag) else response
