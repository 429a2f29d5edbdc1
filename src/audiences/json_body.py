"""A request's JSON body: read whole, under limits of bytes and time, into the type that its route takes."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Generic, TypeVar

import msgspec
from starlette.requests import Request

from audiences import digest
from audiences.errors import InvalidBody
from audiences.inbox import Inbox

Kind = TypeVar("Kind")

# Of a body that a route has no use for: some clients send {} with every request.
MAX_UNUSED_BYTES = 16 * 1024


@dataclass(frozen=True)
class Body(Generic[Kind]):
    """What the body says, and the SHA-256 of that."""

    value: Kind
    sha256: bytes


async def read(inbox: Inbox, request: Request, kind: type[Kind], max_bytes: int, shape: str) -> Body[Kind]:
    """The body as a `kind`; `shape` shows a caller what it looks like.

    Raises InvalidBody, BodyTooLarge, DigestMismatch, RequestTimeout, or ClientGone.
    """
    content = await content_of(inbox, request, max_bytes)
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise InvalidBody(f"Send JSON, with Content-Type: application/json, like {shape}", field="Content-Type")
    try:
        return as_body(msgspec.json.decode(content, type=kind))
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        # What the decoder says may quote what was sent.
        raise InvalidBody(
            f"The JSON body is not what this route takes. Send {shape}, with no member that it does not know."
        ) from None


def as_body(value: Kind) -> Body[Kind]:
    """The body that says `value`: however it is spaced and spelled, it is the same, and so is its SHA-256."""
    return Body(value, hashlib.sha256(msgspec.json.encode(value, order="deterministic")).digest())


async def read_unused(inbox: Inbox, request: Request) -> None:
    """Reads the body of a route that takes none, and holds it against its digest; what it says has no effect.

    Raises BodyTooLarge, DigestMismatch, RequestTimeout, or ClientGone.
    """
    await content_of(inbox, request, MAX_UNUSED_BYTES)


async def content_of(inbox: Inbox, request: Request, max_bytes: int) -> bytes:
    """The body's bytes, which are those that its digest says."""
    inbox.check_headers(request)
    expected = digest.expected_digests(request.headers.getlist("content-digest"))
    large = f"The body is larger than {max_bytes:,} bytes. Send less at a time, or a file."
    content = await inbox.whole_body(request, max_bytes, "The body took longer than", large)
    digest.check(expected, {name: hashlib.new(name, content) for name in expected})
    return bytes(content)
