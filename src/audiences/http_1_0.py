"""HTTP/1.0: a body whose length is not known ends with its connection, since such a client knows no chunks."""

from __future__ import annotations

from uvicorn._types import ASGISendEvent
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle


def send_without_chunks(cycle: RequestResponseCycle) -> None:
    """Has the cycle send its answer so; it is the last on its connection."""
    plain_send = cycle.send
    counted = True

    async def send(message: ASGISendEvent) -> None:
        """Sends a part of the answer; uvicorn takes each part of one that has no length for the whole."""
        nonlocal counted
        if message["type"] == "http.response.start":
            counted = any(name.lower() == b"content-length" for name, _ in message.get("headers", ()))
            cycle.chunked_encoding = None if counted else False
        elif message["type"] == "http.response.body" and not counted:
            cycle.expected_content_length = len(message.get("body", b""))
        await plain_send(message)

    cycle.send = send  # type: ignore[method-assign]
