"""A request's JSON body: read whole, under limits of bytes and time, into the type that its route takes."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from typing import Generic, TypeVar

import msgspec
from starlette.requests import Request

from audiences.digest import expected_digests
from audiences.errors import BodyTooLarge, DigestMismatch, InvalidBody
from audiences.inbox import Inbox, seconds

Kind = TypeVar("Kind")


@dataclass(frozen=True)
class Body(Generic[Kind]):
    """What the body says, and the SHA-256 of its bytes."""

    value: Kind
    sha256: bytes


async def read(inbox: Inbox, request: Request, kind: type[Kind], max_bytes: int, shape: str) -> Body[Kind]:
    """The body as a `kind`; `shape` shows a caller what it looks like.

    Raises InvalidBody, BodyTooLarge, DigestMismatch, RequestTimeout, or ClientGone.
    """
    content = await content_of(inbox, request, max_bytes)
    for name, digest in expected_digests(request.headers.getlist("content-digest")).items():
        if not hmac.compare_digest(hashlib.new(name, content).digest(), digest):
            raise mismatch()
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise InvalidBody(f"Send JSON, with Content-Type: application/json, like {shape}", field="Content-Type")
    try:
        return Body(msgspec.json.decode(content, type=kind), hashlib.sha256(content).digest())
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        # What the decoder says may quote what was sent.
        raise InvalidBody(f"The JSON body is not what this route takes. Send {shape}") from None


async def content_of(inbox: Inbox, request: Request, max_bytes: int) -> bytes:
    """The body's bytes."""
    inbox.check_headers(request)
    content, more = bytearray(), True
    async with seconds(inbox.settings.receive_timeout_s, "The body took longer than"):
        while more:
            chunk, more = await inbox.next_chunk(request)
            content += chunk
            if len(content) > max_bytes:
                raise BodyTooLarge(
                    f"The JSON body is larger than {max_bytes:,} bytes. Send less at a time, or a file.",
                    headers={"Connection": "close"},
                )
    return bytes(content)


def mismatch() -> DigestMismatch:
    """The refusal of content that is not what its digest says."""
    return DigestMismatch(
        "Content-Digest does not match the content that arrived. Nothing was stored; send it again.",
        field="Content-Digest",
    )
