"""Receiving, straight on the inbox: bodies in the smallest pieces, and a server whose other threads are all waiting."""

from __future__ import annotations

import asyncio
import threading
import tracemalloc
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import Request

from audiences.fetch import Fetcher
from audiences.inbox import Inbox
from audiences.settings import MIB
from audiences.watch import Metrics
from conftest import settings_in

BODY = (
    b'--x\r\nContent-Disposition: form-data; name="name"\r\n\r\nn\r\n'
    b'--x\r\nContent-Disposition: form-data; name="audience_file"; filename="a.csv"\r\n\r\nphone1\n442079832100\n'
    b"\r\n--x--\r\n"
)


@pytest.fixture
def inbox(tmp_path: Path) -> Iterator[Inbox]:
    settings = settings_in(tmp_path, min_free_bytes=0)
    with closing(Inbox(tmp_path, settings, Metrics(), Fetcher(settings))) as opened:
        yield opened


def test_a_body_in_the_smallest_pieces_takes_no_more_memory_than_in_large_ones(inbox: Inbox) -> None:
    """A client chooses the pieces. Kept as they came, each of two bytes would take some fifty."""
    piece, count = b"ab", MIB // 2

    async def gathered() -> int:
        left = iter(range(count - 1, -1, -1))

        async def next_chunk() -> tuple[bytes, bool]:
            return piece, next(left) > 0

        return sum([len(batch) async for batch in inbox.batches(next_chunk, 2 * MIB)])

    tracemalloc.start()
    try:
        assert asyncio.run(gathered()) == count * len(piece)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 4 * MIB


def test_uploads_are_received_while_every_other_thread_waits_for_the_net(inbox: Inbox) -> None:
    """Names are looked up in threads of the event loop's own, and a slow look-up takes half a minute."""
    over = threading.Event()

    async def received() -> int:
        loop = asyncio.get_running_loop()
        looking_up = [loop.run_in_executor(None, over.wait, 30) for _ in range(64)]
        try:
            async with asyncio.timeout(10), inbox.receive(Request(scope(), body()), ("name",)) as upload:
                return upload.size
        finally:
            over.set()
            await asyncio.gather(*looking_up)

    assert asyncio.run(received()) == len(b"phone1\n442079832100\n")


def scope() -> dict[str, Any]:
    """A request with a form whose boundary is x."""
    return {"type": "http", "headers": [(b"content-type", b"multipart/form-data; boundary=x")]}


def body() -> Callable[[], Awaitable[dict[str, Any]]]:
    """Its body, in one piece."""

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": BODY}

    return receive
