"""The inbox: what a body costs while it comes in, and whom it waits for."""

from __future__ import annotations

import asyncio
import socket
import threading
import tracemalloc
from collections.abc import Iterator
from contextlib import aclosing, closing
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import Request

from audiences import fetch_guard
from audiences.fetch import Fetcher
from audiences.inbox import Inbox
from audiences.watch import Metrics
from conftest import plain_settings

FORM = (
    b'--x\r\nContent-Disposition: form-data; name="audience_file"; filename="a.csv"\r\n\r\n'
    b"phone1\n442079832100\n\r\n--x--\r\n"
)


@pytest.fixture
def inbox(tmp_path: Path) -> Iterator[Inbox]:
    """One with its spool in an empty folder."""
    settings = plain_settings(tmp_path, min_free_bytes=0)
    with closing(Inbox(tmp_path, settings, Metrics(), Fetcher(settings))) as opened:
        yield opened


def test_bodies_that_come_two_bytes_at_a_time_take_little_more_memory_than_their_bytes(inbox: Inbox) -> None:
    """Each piece is an object of 35 bytes, and a place in a list, if it is kept until there are enough."""
    inbox.gathering = 1000
    size = left = inbox.batch_bytes()

    async def next_chunk() -> tuple[bytes, bool]:
        nonlocal left
        left -= 2
        return left.to_bytes(4)[2:], left > 0

    async def gathered() -> list[int]:
        async with aclosing(inbox.batches(next_chunk, size)) as batches:
            tracemalloc.start()
            return [len(batch) async for batch in batches]

    try:
        assert asyncio.run(gathered()) == [size]
        assert tracemalloc.get_traced_memory()[1] < 3 * size
    finally:
        tracemalloc.stop()


def test_uploads_come_in_while_more_names_are_looked_up_than_there_are_threads_for_it(
    inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    answered = threading.Event()

    def unanswered(*_: object, **__: object) -> list[Any]:
        assert answered.wait(60)
        return []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": FORM}

    async def received() -> int:
        looked_up = [asyncio.create_task(fetch_guard.resolve("files.example.test", 443)) for _ in range(64)]
        await asyncio.sleep(0)  # each of them has asked
        asyncio.get_running_loop().call_later(5, answered.set)  # an upload that waits for it would never end
        headers = [(b"content-type", b"multipart/form-data; boundary=x")]
        async with inbox.receive(Request({"type": "http", "headers": headers}, receive)) as upload:
            assert not answered.is_set()
        answered.set()
        assert await asyncio.gather(*looked_up) == [[]] * 64
        return upload.size

    monkeypatch.setattr(socket, "getaddrinfo", unanswered)
    assert asyncio.run(received()) == len(b"phone1\n442079832100\n")
