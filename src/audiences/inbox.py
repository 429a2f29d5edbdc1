"""Receive: the request's body, as a stream, into a folder of the spool, under limits of bytes, time and disk.

The folder exists as long as the `async with` block does: whatever happens, nothing of an upload stays behind.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import shutil
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Self

import anyio.to_thread
from starlette.requests import Request

from audiences import digest, disk, tracing
from audiences.errors import (
    BodyTooLarge,
    DiskFull,
    EngineFull,
    MalformedRequest,
    Refusal,
    RequestTimeout,
    TruncatedBody,
)
from audiences.fetch import Fetcher
from audiences.form import Form, too_large
from audiences.settings import MIB, Settings
from audiences.watch import Metrics, log

# Bytes that go to the parsing thread at once: large enough that the hand-over costs nothing, small beside any limit.
BATCH_BYTES = 1 * MIB

# Bytes that all uploads together may wait with to be handed over, shared by those that there are; but a small batch, as
# it comes over the wire, may any of them.
GATHERED_BYTES, LEAST_BATCH_BYTES = 16 * MIB, MIB // 16

# Threads that parse batches, each for a millisecond or two, and wait for the spool's disk.
PARSERS = 16

# Bytes of bodies that are read whole that the server holds at once; but a small one may anybody send.
HELD_BYTES, SMALL_BYTES = 64 * MIB, MIB // 16

# Bytes after which the free disk is looked at again.
DISK_CHECK_BYTES = 64 * MIB

# What a form may add to its file: boundaries, headers and the other fields.
FORM_OVERHEAD_BYTES = 1 * MIB

# The extension of a request's scope that says that its body broke off, or went wrong, before its end.
CUT_SHORT = "audiences.cut_short"


class ClientGone(Exception):
    """The client closed the connection before its request was whole; there is nobody to answer."""


@dataclass(frozen=True)
class Upload:
    """A form that was received to its end, with its file, attached or fetched.

    `path` is the file of `size` bytes, in this upload's own `folder`.

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

    def __init__(self, spool: Path, settings: Settings, metrics: Metrics, fetcher: Fetcher) -> None:
        self.spool = spool
        self.settings = settings
        self.metrics = metrics
        self.fetcher = fetcher
        self.threads = ThreadPoolExecutor(PARSERS, "inbox")
        self.gathering = 0
        self.held = 0

    def close(self) -> None:
        """Ends its threads, once no body is received any more."""
        self.threads.shutdown()

    @asynccontextmanager
    async def receive(self, request: Request, required: Sequence[str] = ()) -> AsyncIterator[Upload]:
        """The upload in `request`, with the text fields that are `required`. Raises a Refusal, or ClientGone."""
        content_length = self.check_headers(request)
        self.check_room(content_length or 0)
        folder = self.spool / secrets.token_hex(16)
        try:
            with disk_errors_refused(), self.metrics.running.track_inprogress():
                folder.mkdir()
                with tracing.span("receive"), self.metrics.step("receive"):
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
        bound = self.settings.max_upload_bytes
        form = Form(request.headers.get("content-type"), path, bound, takes_urls=self.fetcher.allows_any)
        expected = digest.expected_digests(request.headers.getlist("content-digest"))
        content = {name: hashlib.new(name) for name in expected}
        try:
            limit = seconds(self.settings.receive_timeout_s, "The body took longer than")
            body = self.batches(partial(self.next_chunk, request), bound + FORM_OVERHEAD_BYTES)
            async with limit, aclosing(body) as batches, Behind(self.threads) as behind:
                async for batch in batches:
                    await behind.run(feed, form, content, batch)
        finally:
            form.close()
        digest.check(expected, content)
        problem = form.finish(required)
        if form.url is not None and problem is None:
            await while_connected(request, self.fetch(form, form.url))
        return Upload(folder, path, form.file_name or "", form.file_bytes, form.sha256, form.fields, problem)

    async def fetch(self, form: Form, url: str) -> None:
        """Hands the file at `url` to the form, as if it had been attached. Raises a Refusal, or OSError."""
        bound, begun = self.settings.max_upload_bytes, time.perf_counter()
        try:
            async with self.fetcher.fetch(url) as found:
                if found.length is not None and found.length > bound:
                    raise too_large(bound)
                self.check_room(found.length or 0)
                form.open_file(found.file_name)
                async with aclosing(self.batches(found.next_chunk, bound)) as batches, Behind(self.threads) as behind:
                    async for batch in batches:
                        await behind.run(form.take, memoryview(batch))
        finally:
            form.close()
        log("fetched", bytes=form.file_bytes, milliseconds=round((time.perf_counter() - begun) * 1000, 1))

    async def batches(
        self, next_chunk: Callable[[], Awaitable[tuple[bytes, bool]]], limit: int
    ) -> AsyncGenerator[bytearray, None]:
        """What comes, about `BATCH_BYTES` at once, under a limit of bytes and that of the disk."""
        gathered, total, checked = bytearray(), 0, 0
        more = True
        self.gathering += 1
        try:
            while more:
                chunk, more = await next_chunk()
                gathered += chunk
                total += len(chunk)
                if total > limit:
                    raise too_large(self.settings.max_upload_bytes)
                if total - checked > DISK_CHECK_BYTES:
                    checked = total
                    self.check_room(0)
                if len(gathered) >= self.batch_bytes() or (gathered and not more):
                    yield gathered
                    gathered = bytearray()
        finally:
            self.gathering -= 1

    def batch_bytes(self) -> int:
        """Bytes to gather before they are handed over: fewer where many send, each of whom may stop before that."""
        return min(BATCH_BYTES, max(LEAST_BATCH_BYTES, GATHERED_BYTES // max(1, self.gathering)))

    async def whole_body(self, request: Request, most: int, late: str, large: str) -> bytearray:
        """The bytes of a body that is small enough to be read whole, at most `most` of them.

        `late` and `large` are what is said of one that is not. Raises BodyTooLarge, RequestTimeout, EngineFull, or
        ClientGone.
        """
        content, more, held = bytearray(), True, 0
        try:
            async with seconds(self.settings.receive_timeout_s, late):
                while more:
                    chunk, more = await self.next_chunk(request)
                    content += chunk
                    if len(content) > most:
                        raise BodyTooLarge(large, headers={"Connection": "close"})
                    held += self.hold(len(content) - held)
        finally:
            self.held -= held
        return content

    def hold(self, coming: int) -> int:
        """Counts bytes of a body that is read whole, unless it is small. Raises EngineFull where there are too many."""
        if coming <= SMALL_BYTES:
            return 0
        if self.held + coming > HELD_BYTES:
            raise EngineFull(
                "Too many large bodies are coming in at once. Try again in a moment.",
                headers={"Retry-After": "5", "Connection": "close"},
            )
        self.held += coming
        return coming

    async def next_chunk(self, request: Request) -> tuple[bytes, bool]:
        """Bytes of the body, and whether there are more to come."""
        async with seconds(self.settings.receive_idle_timeout_s, "Nothing of the body arrived for"):
            message = await request.receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        more = message.get("more_body", False)
        if not more and CUT_SHORT in request.scope.get("extensions", ()):
            raise TruncatedBody("The body broke off before its end, or its chunks are amiss. Send it again, whole.")
        return message.get("body", b""), more


class Behind:
    """One call at a time in a thread, while the caller goes on: here, a batch is parsed while the next one arrives.

    It is handed over at once. By `anyio` it would take three turns of the event loop, in each of which more of the body
    is read: a millisecond, a hundred times in a body of 100 MB. The `threads` are for nothing else.

    `run` returns when the call before is over, and raises what that one raised; leaving the block waits for the last.
    """

    def __init__(self, threads: ThreadPoolExecutor) -> None:
        self.threads = threads
        self.call: asyncio.Future[None] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def run(self, work: Callable[..., None], *arguments: object) -> None:
        """Starts a call, once the one before is over."""
        await self.done()
        self.call = asyncio.get_running_loop().run_in_executor(self.threads, work, *arguments)

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


def feed(form: Form, content: Mapping[str, hashlib._Hash], batch: bytearray) -> None:
    """One batch of the body to the form and to the digests over the whole content."""
    for running in content.values():
        running.update(batch)
    form.feed(bytes(batch))


async def while_connected(request: Request, work: Coroutine[object, object, None]) -> None:
    """Carries out `work`, and breaks it off where the client goes away. Raises what `work` does, or ClientGone."""
    working, leaving = asyncio.create_task(work), asyncio.create_task(left(request))
    try:
        await asyncio.wait([working, leaving], return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ClientGone
        working.result()
    finally:
        for task in (working, leaving):
            task.cancel()
        await asyncio.gather(working, leaving, return_exceptions=True)


async def left(request: Request) -> None:
    """Returns when the client has closed its connection; its body was read before."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


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

    def __init__(self, doing: str = "took the file") -> None:
        """`doing` is what the server did then."""
        self.doing = doing

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if error is not None and disk.is_full(error):
            raise DiskFull(
                f"The server ran out of room while it {self.doing}. Try later, or tell the operator."
            ) from None
