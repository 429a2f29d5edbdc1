"""The one place that makes a JSON answer: the envelope around what was asked for, or around a refusal."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import msgspec
from msgspec import UNSET, Struct
from starlette.responses import Response

from audiences import clock, conditional
from audiences.errors import NoValidRows, Refusal
from audiences.models import Created, Envelope, ErrorItem

# The word beside each status. The first group is the published page's, to the letter (with its en dash).
DESCRIPTIONS = {
    400: "Bad Request",
    401: "Unauthorized",
    404: "Not Found",
    429: "Too Many Requests – Rate limit exceeded",  # noqa: RUF001
    500: "Server Error",
    403: "Forbidden",
    405: "Method Not Allowed",
    406: "Not Acceptable",
    408: "Request Timeout",
    409: "Conflict",
    413: "Content Too Large",
    422: "Unprocessable Content",
    503: "Service Unavailable",
    507: "Insufficient Storage",
}


class Reply(Struct, kw_only=True, omit_defaults=True):
    """An answer before it is sent: all of the envelope but the time. It can be stored and replayed."""

    status: int
    description: str
    data: Any = UNSET
    errors: Any = UNSET
    report: Any = UNSET
    next_cursor: Any = UNSET
    excluded: Any = UNSET
    headers: dict[str, str] = {}

    def body(self) -> bytes:
        """The envelope as JSON, with the time of now."""
        return msgspec.json.encode(
            Envelope(
                status=self.status,
                description=self.description,
                response_time=clock.in_milliseconds(clock.now()),
                data=self.data,
                errors=self.errors,
                report=self.report,
                next_cursor=self.next_cursor,
                excluded=self.excluded,
            )
        )

    def tagged(self) -> Reply:
        """The same answer with an `ETag` over all that matters in it, unless it has one or is not a 200."""
        if self.status != HTTPStatus.OK or "ETag" in self.headers:
            return self
        data = msgspec.Raw(msgspec.json.encode(self.data))  # encoded once, for the tag and the body
        cursor = None if self.next_cursor is UNSET else self.next_cursor
        excluded = None if self.excluded is UNSET else self.excluded
        headers = self.headers | {"ETag": conditional.tag(data, cursor, excluded)}
        return msgspec.structs.replace(self, data=data, headers=headers)

    def response(self) -> Response:
        """The HTTP response."""
        headers = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"} | self.headers
        return Response(self.body(), self.status, headers, media_type="application/json")


def found(description: str, data: Any, *, next_cursor: str | None = None, status: int = 200) -> Reply:  # noqa: ANN401
    """Data that was asked for, with the cursor of the next page if there is one."""
    cursor = UNSET if next_cursor is None else next_cursor
    return Reply(status=status, description=description, data=data, next_cursor=cursor)


def created(audience_id: int) -> Reply:
    """201: the id alone, as published; the report is where `Location` points."""
    made = Created(str(audience_id))
    headers = {"Location": f"/audiences/{audience_id}"}
    return Reply(status=201, description="Audience created", data=made, headers=headers)


def changed(audience_id: int) -> Reply:
    """200: what was asked for is done; the audience's id."""
    return Reply(status=200, description="Operation successful", data=Created(str(audience_id)))


def refused(refusal: Refusal) -> Reply:
    """What a refusal is answered with."""
    items = [
        ErrorItem(one.code, one.message, UNSET if one.field is None else one.field) for one in (refusal, *refusal.also)
    ]
    return Reply(
        status=refusal.status,
        description=DESCRIPTIONS[refusal.status],
        errors=items,
        report=refusal.report if isinstance(refusal, NoValidRows) else UNSET,
        headers=refusal.headers,
    )
