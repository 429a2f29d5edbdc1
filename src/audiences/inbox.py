"""Receive: the request's body, as a stream, into a folder of the spool, under limits of bytes, time and disk.

The folder exists as long as the `async with` block does: whatever happens, nothing of an upload stays behind.
"""

from __future__ import annotations

import asyncio
import errno
import hashlib
import hmac
import secrets
import shutil
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import anyio.to_thread
from starlette.requests import Request

from audiences.digest import expected_digests
from audiences.errors import (
    DigestMismatch,
    DiskFull,
    MalformedRequest,
    Refusal,
    RequestTimeout,
)
from audiences.form import Form, too_large
from audiences.settings import MIB, Settings
from audiences.watch import Metrics

# Bytes that go to the parsing thread at once: large enough that the hand-over costs nothing, small beside any limit.
BATCH_BYTES = 1 * MIB

# Bytes after which the free disk is looked at again.
DISK_CHECK_BYTES = 64 * MIB

# What a form may add to its file: boundaries, headers and the other fields.
FORM_OVERHEAD_BYTES = 1 * MIB


class ClientGone(Exception):
    """The client closed the connection before its request was whole; there is nobody to answer."""


@dataclass(frozen=True)
class Upload:
    """A form that was received to its end. `path` is the file of `size` bytes, in this upload's own `folder`.

    `problem` is what is missing of the form, if anything is: an answer like any other, and one that may be repeated.
    """

    folder: Path
    path: Path
    file_name: str
    size: int
    sha256: bytes
    fields: Mapping[str, str]
    problem: Refusal | None = None


class Inbox:
    """The spool and its limits."""

    def __init__(self, spool: Path, settings: Settings, metrics: Metrics) -> None:
        self.spool = spool
        self.settings = settings
        self.metrics = metrics

    @asynccontextmanager
    async def receive(self, request: Request, required: Sequence[str] = ()) -> AsyncIterator[Upload]:
        """The upload in `request`, with the text fields that are `required`. Raises a Refusal, or ClientGone."""
        content_length = self.check_headers(request)
        self.check_room(content_length or 0)
        folder = self.spool / secrets.token_hex(16)
        try:
            with disk_errors_refused(), self.metrics.running.track_inprogress():
                folder.mkdir()
                upload = await self.read_form(request, folder, required)
                yield upload
        finally:
            await anyio.to_thread.run_sync(lambda: shutil.rmtree(folder, ignore_errors=True))

    def check_headers(self, request: Request) -> int | None:
        """The announced length in bytes, if any. Raises BodyTooLarge or MalformedRequest."""
        if request.headers.get("content-encoding", "identity").lower() != "identity":
            raise MalformedRequest(
                "Send the body without Content-Encoding. To save bytes, compress the file itself: customers.csv.gz",
                field="Content-Encoding",
            )
        text = request.headers.get("content-length")
        if text is None:
            return None
        if int(text) > self.settings.max_upload_bytes + FORM_OVERHEAD_BYTES:
            raise too_large(self.settings.max_upload_bytes)
        return int(text)

    def check_room(self, coming: int) -> None:
        """Raises DiskFull unless the disk has room for so many bytes more and the reserve."""
        if shutil.disk_usage(self.spool).free - coming < self.settings.min_free_bytes:
            raise DiskFull("The server has no room for this file. Try later, or tell the operator.")

    async def read_form(self, request: Request, folder: Path, required: Sequence[str]) -> Upload:
        """The form, read to its end. Raises a Refusal, ClientGone, or OSError."""
        path = folder / "upload"
        form = Form(request.headers.get("content-type"), path, self.settings.max_upload_bytes)
        expected = expected_digests(request.headers.getlist("content-digest"))
        content = {name: hashlib.new(name) for name in expected}
        try:
            limit = seconds(self.settings.receive_timeout_s, "The body took longer than")
            async with limit, aclosing(self.batches(request)) as batches, Behind() as behind:
                async for batch in batches:
                    await behind.run(feed, form, content, batch)
        finally:
            form.close()
        for name, digest in expected.items():
            if not hmac.compare_digest(content[name].digest(), digest):
                raise DigestMismatch(
                    "Content-Digest does not match the content that arrived. Nothing was stored; send it again.",
                    field="Content-Digest",
                )
        problem = form.finish(required)
        return Upload(folder, path, form.file_name or "", form.file_bytes, form.sha256, form.fields, problem)

    async def batches(self, request: Request) -> AsyncGenerator[bytes, None]:
        """The body in pieces of about `BATCH_BYTES`, under the limits of bytes, idle time and disk."""
        gathered, total, checked = bytearray(), 0, 0
        limit = self.settings.max_upload_bytes + FORM_OVERHEAD_BYTES
        more = True
        while more:
            chunk, more = await self.next_chunk(request)
            gathered += chunk
            total += len(chunk)
            if total > limit:
                raise too_large(self.settings.max_upload_bytes)
            if total - checked > DISK_CHECK_BYTES:
                checked = total
                self.check_room(0)
            if len(gathered) >= BATCH_BYTES or (gathered and not more):
                yield bytes(gathered)
                gathered.clear()

    async def next_chunk(self, request: Request) -> tuple[bytes, bool]:
        """Bytes of the body, and whether there are more to come."""
        async with seconds(self.settings.receive_idle_timeout_s, "Nothing of the body arrived for"):
            message = await request.receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        return message.get("body", b""), message.get("more_body", False)


class Behind:
    """One call at a time in a thread, while the caller goes on: here, a batch is parsed while the next one arrives.

    `run` returns when the call before is over, and raises what that one raised; leaving the block waits for the last.
    """

    def __init__(self) -> None:
        self.call: asyncio.Future[None] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def run(self, work: Callable[..., None], *arguments: object) -> None:
        """Starts a call, once the one before is over."""
        await self.done()
        self.call = asyncio.ensure_future(anyio.to_thread.run_sync(work, *arguments))

    async def done(self) -> None:
        """Returns when no call is under way."""
        if self.call is not None:
            await asyncio.shield(self.call)
            self.call = None

    async def __aexit__(self, kind: type[BaseException] | None, _error: object, _trace: object) -> None:
        """Waits for the last call; what it raises counts only where nothing was raised before."""
        if kind is None:
            await self.done()
        elif self.call is not None:
            await asyncio.wait([self.call])
            self.call.exception()


def feed(form: Form, content: Mapping[str, hashlib._Hash], batch: bytes) -> None:
    """One batch to the form and to the digests over the whole content."""
    for digest in content.values():
        digest.update(batch)
    form.feed(batch)


@asynccontextmanager
async def seconds(limit: float, what: str) -> AsyncIterator[None]:
    """Raises RequestTimeout if the block takes longer."""
    try:
        async with asyncio.timeout(limit):
            yield
    except TimeoutError:
        raise RequestTimeout(
            f"{what} {limit:g} seconds. Send the request again.", headers={"Connection": "close"}
        ) from None


class disk_errors_refused:  # noqa: N801 - reads as a clause of the `with` statement
    """Turns "no space left" (and its kin) inside the block into DiskFull; every other error passes."""

    FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, OSError) and error.errno in self.FULL:
            raise DiskFull(
                "The server ran out of room while it took the file. Try later, or tell the operator."
            ) from None
