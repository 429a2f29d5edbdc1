"""What came back, as what a call returns or raises."""

from __future__ import annotations

import re
import ssl
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import TypeVar

import httpx
import msgspec

from audiences.client.errors import TEMPORARY_STATUSES, ClientError, UnexpectedAnswer, Unreachable, kind_of
from audiences.client.shapes import Answer
from audiences.models import CheckWithSamples, Envelope

T = TypeVar("T")


def decoded(response: httpx.Response, decoder: msgspec.json.Decoder[Answer[T]]) -> Answer[T]:
    """What a success holds. Raises UnexpectedAnswer."""
    try:
        return decoder.decode(response.read())
    except msgspec.MsgspecError:
        raise foreign(response) from None


def refusal(response: httpx.Response) -> ClientError:
    """The error for an answer that is no success; its body has been read."""
    try:
        envelope = msgspec.json.decode(response.content, type=Envelope)
    except msgspec.MsgspecError:
        return foreign(response)
    if not isinstance(envelope.errors, list) or not envelope.errors:
        return foreign(response)
    return kind_of(response.status_code, envelope.errors[0].code)(
        response.status_code,
        envelope.errors,
        request_id=response.headers.get("x-request-id"),
        report=report_of(envelope),
        retry_after_s=retry_after(response.headers),
    )


def report_of(envelope: Envelope) -> CheckWithSamples | None:
    """The report that a refusal of a whole file has."""
    try:
        return msgspec.convert(envelope.report, CheckWithSamples)
    except msgspec.ValidationError:
        return None


def foreign(response: httpx.Response) -> UnexpectedAnswer:
    """The error for an answer without the envelope. Its text is not quoted: a proxy's page may repeat the request."""
    status, place = response.status_code, origin(response.request.url)
    kind = response.headers.get("content-type", "no content type").partition(";")[0]
    message = f"{place} answered {status} with something that is not this service's ({kind})."
    if response.has_redirect_location:
        message = f"{place} answered {status}, a redirect, and the key is not taken to other addresses. "
        message += "Give the address it leads to, if you trust it."
    return UnexpectedAnswer(
        message, status, temporary=status in TEMPORARY_STATUSES, retry_after_s=retry_after(response.headers)
    )


def unreachable(url: httpx.URL, error: httpx.HTTPError) -> Unreachable:
    """The error for a request without an answer. A certificate that is not trusted is not so a moment later."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, ssl.SSLCertVerificationError):
        cause = cause.__cause__ or cause.__context__
    if cause is not None:
        return Unreachable(f"The certificate of {origin(url)} is not trusted: {cause.verify_message}.")
    if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
        told = re.sub(r"^\[Errno -?\d+\] ", "", str(error)) or "it took too long"
        return Unreachable(f"No connection to {origin(url)}: {told}.", temporary=True)
    what = "took too long" if isinstance(error, httpx.TimeoutException) else "broke"
    return Unreachable(f"The connection to {origin(url)} {what} before the answer was whole.", temporary=True)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that `Retry-After` asks for, as a number or as a date."""
    text = headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    except ValueError:
        return None


def origin(url: httpx.URL) -> str:
    """Scheme, host and port: of an address the part that names no audience and no number."""
    return f"{url.scheme}://{url.netloc.decode('ascii')}"
