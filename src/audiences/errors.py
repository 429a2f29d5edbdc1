"""Why something was refused: a whole request (`Refusal`, raised), or one row of a file (`Reason`, data).

The tree of refusals. Each leaf is one error code, and the leaves together are the catalogue in `docs/errors.md`::

    Refusal
    ├── BadRequest 400
    │   ├── the request    MalformedRequest · TruncatedBody · NotMultipart · InvalidParameter · InvalidCursor
    │   │                  DigestMismatch · InvalidBody
    │   ├── the form       MissingField · RepeatedField · InvalidField · FileNotAttached
    │   │                  UrlNotAllowed · UrlUnreachable
    │   ├── the file       EmptyFile · UnsupportedFormat · UnreadableFile · ProtectedWorkbook · WorkbookTooLarge
    │   │                  SheetNotFound
    │   ├── the table      MissingPhoneColumn · RepeatedPhoneColumn · TooManyColumns · NoValidRows
    │   └── the audience   DynamicAudience · NothingToRestore
    ├── Unauthorized 401   MissingToken · InvalidToken
    ├── Forbidden 403      InsufficientScope
    ├── NotFound 404       UnknownPath · UnknownAudience
    ├── MethodNotAllowed 405
    ├── NotAcceptable 406
    ├── RequestTimeout 408
    ├── Conflict 409       RequestInProgress
    ├── TooLarge 413       BodyTooLarge · TooManyParts · HeadersTooLarge · FieldTooLong
    ├── Unprocessable 422  IdempotencyKeyReused
    ├── TooManyRequests 429
    ├── ServerError 500
    ├── Unavailable 503    NotReady · EngineFull · TooManyConnections
    └── NoRoom 507         DiskFull · QuotaExceeded

The domain raises; `answer` is the only place that turns a refusal into a response. A message is for a person: it says
what was wrong and how to mend it. It may quote names of columns and fields, never a cell, a phone number or a key.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Any, ClassVar


class Reason(StrEnum):
    """Why one row was not accepted: the closed list of the contract.

    All but `DUPLICATE` and `SUPPRESSED` sum up to a report's `rejected`.
    """

    EMPTY = "empty"
    NOT_A_NUMBER = "not_a_number"
    UNKNOWN_COUNTRY = "unknown_country"
    TOO_SHORT = "too_short"
    TOO_LONG = "too_long"
    INVALID_NUMBER = "invalid_number"
    SCIENTIFIC_NOTATION = "scientific_notation"
    MALFORMED_ROW = "malformed_row"
    DUPLICATE = "duplicate"
    SUPPRESSED = "suppressed"


REASON_SENTENCES: Mapping[Reason, str] = {
    Reason.EMPTY: "The phone cell is empty.",
    Reason.NOT_A_NUMBER: "The phone cell holds something that is not a phone number.",
    Reason.UNKNOWN_COUNTRY: "The number does not begin with a country calling code that exists.",
    Reason.TOO_SHORT: "The number has too few digits for its country.",
    Reason.TOO_LONG: "The number has too many digits for its country.",
    Reason.INVALID_NUMBER: "The number has a right length, but no such number is in use in its country.",
    Reason.SCIENTIFIC_NOTATION: "A spreadsheet rounded the number (4.42E+11); its last digits are lost.",
    Reason.MALFORMED_ROW: "The row could not be read: surplus cells, an unclosed quote, or undecodable bytes.",
    Reason.DUPLICATE: "The number stands in an earlier row already.",
    Reason.SUPPRESSED: "The number is on the account's do-not-contact list.",
}


class CannotOpen(Exception):
    """What the program works on cannot be opened; the message is for whoever started it."""


class Refusal(Exception):
    """A request that is answered with an error.

    `status` is the HTTP status, `code` the stable name of the error; a leaf's first line is its line in the catalogue.
    `field` the form field, query parameter or header that is to blame, if one is; `also` are further things that were
    wrong with the same request.
    """

    status: ClassVar[int] = 500
    code: ClassVar[str] = ""

    def __init__(self, message: str, *, field: str | None = None, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.field = field
        self.headers = dict(headers or {})
        self.also: Sequence[Refusal] = ()

    @classmethod
    def meaning(cls) -> str:
        """The refusal's line in the catalogue."""
        return (cls.__doc__ or "").partition("\n")[0]


class BadRequest(Refusal):
    """The request, its form, its file or its table is not right."""

    status = 400


class MalformedRequest(BadRequest):
    """The request is not valid HTTP, or its multipart body is broken."""

    code = "malformed_request"


class TruncatedBody(BadRequest):
    """The body ended before its last boundary or before its announced length."""

    code = "truncated_body"


class NotMultipart(BadRequest):
    """The body is not multipart/form-data with a boundary."""

    code = "not_multipart"


class InvalidParameter(BadRequest):
    """A query parameter or header has a value that it cannot have."""

    code = "invalid_parameter"


class InvalidCursor(BadRequest):
    """The cursor is not one that this list gave out."""

    code = "invalid_cursor"


class DigestMismatch(BadRequest):
    """Content-Digest does not match the content received; nothing was stored."""

    code = "digest_mismatch"


class InvalidBody(BadRequest):
    """The JSON body is not what this route takes."""

    code = "invalid_body"


class MissingField(BadRequest):
    """A required form field is missing."""

    code = "missing_field"


class RepeatedField(BadRequest):
    """A form field that may stand once was sent more than once."""

    code = "repeated_field"


class InvalidField(BadRequest):
    """A form field has a value that it cannot have."""

    code = "invalid_field"


class FileNotAttached(BadRequest):
    """audience_file was sent as text, not as a file; with curl the @ is missing."""

    code = "file_not_attached"

    def __init__(self) -> None:
        super().__init__(
            "audience_file was sent as text, not as a file. Attach the file itself; with curl put @ before its path: "
            "curl -F name=NE_USA-above50 -F audience_file=@customers.csv",
            field="audience_file",
        )


class UrlNotAllowed(BadRequest):
    """audience_file is a URL that the operator has not allowed, or whose host has no public address."""

    code = "url_not_allowed"


class UrlUnreachable(BadRequest):
    """The file at the URL could not be fetched."""

    code = "url_unreachable"


class EmptyFile(BadRequest):
    """The file has no bytes, or nothing but blank lines."""

    code = "empty_file"


class UnsupportedFormat(BadRequest):
    """The content is neither CSV nor an Excel or OpenDocument workbook."""

    code = "unsupported_format"


class UnreadableFile(BadRequest):
    """The file is damaged: its workbook or archive cannot be read."""

    code = "unreadable_file"


class ProtectedWorkbook(BadRequest):
    """The workbook or archive is protected by a password."""

    code = "protected_workbook"


class WorkbookTooLarge(BadRequest):
    """Reading the workbook took more memory or time than a workbook may take."""

    code = "workbook_too_large"


class SheetNotFound(BadRequest):
    """The workbook has no visible sheet of the name in the form field sheet."""

    code = "sheet_not_found"


class MissingPhoneColumn(BadRequest):
    """The file has no column named phone1 (or as phone_column says).

    The message names the columns that there are, and the likeliest one.
    """

    code = "missing_phone_column"

    def __init__(self, wanted: str, columns: Sequence[str]) -> None:
        sentences = [f"There is no column named {wanted}."]
        named = [column for column in columns if column.strip()]
        if named:
            shown = ", ".join(shorten(column) for column in named[:20])
            more = f" and {len(named) - 20} more" if len(named) > 20 else ""  # noqa: PLR2004
            sentences.append(f"The file has: {shown}{more}.")
        likely = likeliest_phone_column(wanted, named)
        if likely is not None:
            sentences.append(f"Did you mean {shorten(likely)}? Send phone_column={shorten(likely)}.")
        else:
            sentences.append("Name a column phone1, or send phone_column=NAME with the name of the column of phones.")
        super().__init__(" ".join(sentences), field="audience_file")


class RepeatedPhoneColumn(BadRequest):
    """The phone column's name stands in the header more than once."""

    code = "repeated_phone_column"


class TooManyColumns(BadRequest):
    """The header has more columns than a file may have."""

    code = "too_many_columns"


class NoValidRows(BadRequest):
    """No row of the file was accepted; the answer's report says why."""

    code = "no_valid_rows"

    def __init__(self, message: str, report: Mapping[str, Any], field: str = "audience_file") -> None:
        super().__init__(message, field=field)
        self.report = report


class DynamicAudience(BadRequest):
    """A dynamic audience has no file that could be replaced or appended to."""

    code = "dynamic_audience"


class NothingToRestore(BadRequest):
    """No change of the last 7 days is left to undo."""

    code = "nothing_to_restore"


class Unauthorized(Refusal):
    """It is not known who asks."""

    status = 401


class MissingToken(Unauthorized):
    """There is no Authorization header with a bearer token."""

    code = "missing_token"


class InvalidToken(Unauthorized):
    """The bearer token is not a key of this service, or it expired or was revoked."""

    code = "invalid_token"


class Forbidden(Refusal):
    """It is known who asks, and they may not."""

    status = 403


class InsufficientScope(Forbidden):
    """The key is valid but lacks the scope that this route needs."""

    code = "insufficient_scope"


class NotFound(Refusal):
    """There is no such thing, for this caller."""

    status = 404


class UnknownPath(NotFound):
    """There is no such route."""

    code = "unknown_path"


class UnknownAudience(NotFound):
    """The key's account has no audience of that id."""

    code = "unknown_audience"


class MethodNotAllowed(Refusal):
    """The route exists but not for this method; Allow names those."""

    status, code = 405, "method_not_allowed"


class NotAcceptable(Refusal):
    """The route has none of the formats that Accept asks for."""

    status, code = 406, "not_acceptable"


class RequestTimeout(Refusal):
    """The request came too slowly, or stopped coming."""

    status, code = 408, "request_timeout"


class Conflict(Refusal):
    """It clashes with something under way."""

    status = 409


class RequestInProgress(Conflict):
    """A request with the same Idempotency-Key is running."""

    code = "request_in_progress"


class TooLarge(Refusal):
    """It is larger than a limit."""

    status = 413


class BodyTooLarge(TooLarge):
    """The body or the unpacked file is larger than AUDIENCES_MAX_UPLOAD_BYTES."""

    code = "body_too_large"


class TooManyParts(TooLarge):
    """The multipart body has more parts than it may have."""

    code = "too_many_parts"


class HeadersTooLarge(TooLarge):
    """The headers of the request or of a part are larger than they may be."""

    code = "headers_too_large"


class FieldTooLong(TooLarge):
    """A text field of the form is longer than it may be."""

    code = "field_too_long"


class Unprocessable(Refusal):
    """It contradicts an earlier request."""

    status = 422


class IdempotencyKeyReused(Unprocessable):
    """The Idempotency-Key was used for a different request before."""

    code = "idempotency_key_reused"


class TooManyRequests(Refusal):
    """More requests than the limit allows; Retry-After says when to go on."""

    status, code = 429, "rate_limited"


class ServerError(Refusal):
    """A fault of the server; the request id finds it in the log."""

    status, code = 500, "server_error"


class Unavailable(Refusal):
    """Not now."""

    status = 503


class NotReady(Unavailable):
    """A store is out of reach, or the server is starting or stopping; try again soon."""

    code = "not_ready"


def out_of_reach(store: str) -> NotReady:
    """The refusal while a store ("the catalog", "the file store") does not answer.

    Whether it kept what it was given is not known. A request may be sent again; its Idempotency-Key makes it one.
    """
    message = f"The server cannot reach {store} at the moment. Send the same request again in a few seconds."
    return NotReady(message, headers={"Retry-After": "5"})


class EngineFull(Unavailable):
    """What is under way leaves too little memory or too few places; try again soon, or ask for less at once."""

    code = "engine_full"


class TooManyConnections(Unavailable):
    """The server has as many connections as it may; one that sends its request at once is served."""

    code = "too_many_connections"


class NoRoom(Refusal):
    """There is nowhere to put it."""

    status = 507


class DiskFull(NoRoom):
    """The server has no room for the file."""

    code = "disk_full"


class QuotaExceeded(NoRoom):
    """The account's quota of stored bytes (AUDIENCES_ACCOUNT_BYTES) is full, or its do-not-contact list is."""

    code = "quota_exceeded"


def catalogue() -> list[type[Refusal]]:
    """Every refusal that has a code, in the order of the tree: what `docs/errors.md` and the API's schema list."""

    def leaves(kind: type[Refusal]) -> Iterator[type[Refusal]]:
        if kind.code:
            yield kind
        for child in kind.__subclasses__():
            yield from leaves(child)

    return list(leaves(Refusal))


def shorten(name: str, limit: int = 60) -> str:
    """`name` on one line and at most `limit` characters, fit to stand in a message."""
    line = "".join(character if character.isprintable() else " " for character in name).strip()
    return line if len(line) <= limit else line[: limit - 1] + "…"


def likeliest_phone_column(wanted: str, columns: Sequence[str]) -> str | None:
    """The one of `columns` that a person most likely meant by `wanted`, or None where none is near."""
    folded = {column.strip().casefold(): column for column in reversed(columns)}
    near = difflib.get_close_matches(wanted.strip().casefold(), folded, n=1, cutoff=0.6)
    if near:
        return folded[near[0]]
    words = ("phone", "mobile", "msisdn", "telephone", "cell", "whatsapp", "tel", "number")
    return next((folded[name] for word in words for name in folded if word in name), None)
