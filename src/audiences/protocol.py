"""HTTP as it comes in: uvicorn's protocol with limits on headers, and with our own words for what is not HTTP.

uvicorn answers a broken request in plain text and lets headers grow and drip without end; every answer has the envelope
(invariant 8), and a connection that does not get to its request is given up.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from audiences import answer
from audiences.errors import HeadersTooLarge, MalformedRequest, Refusal, RequestTimeout

# The request line and all headers. Other servers allow 8 to 64 KiB; nothing of ours needs more than one.
MAX_HEADER_BYTES = 32 * 1024

# Seconds from the first byte of a request, or from the connection, to the end of its headers.
HEADER_TIMEOUT_S = 20.0


class BoundedHttp(HttpToolsProtocol):
    """One connection."""

    def __init__(self, *arguments: Any, **named: Any) -> None:  # noqa: ANN401 - uvicorn's own
        super().__init__(*arguments, **named)
        self.in_headers = True
        self.header_bytes = 0
        self.refusal: Refusal | None = None
        self.header_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Starts the clock."""
        super().connection_made(transport)
        self.await_headers()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stops it."""
        self.stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Counts what belongs to headers, before the parser takes it in."""
        if self.transport.is_closing():
            return
        if self.in_headers:
            self.header_bytes += len(data)
            if self.header_bytes > MAX_HEADER_BYTES and b"\r\n\r\n" not in data[:MAX_HEADER_BYTES]:
                self.refuse(HeadersTooLarge(f"The request's headers are larger than {MAX_HEADER_BYTES} bytes."))
                return
        super().data_received(data)

    def on_message_begin(self) -> None:
        """A request begins, perhaps on a connection that served others before."""
        super().on_message_begin()
        self.await_headers()

    def on_headers_complete(self) -> None:
        """The headers are whole; from here on the inbox keeps the limits."""
        self.in_headers, self.header_bytes = False, 0
        self.stop_timer()
        super().on_headers_complete()

    def await_headers(self) -> None:
        """Counts and times the headers of a request that is coming."""
        self.in_headers, self.header_bytes = True, 0
        self.stop_timer()
        self.header_timer = self.loop.call_later(HEADER_TIMEOUT_S, self.headers_are_late)

    def stop_timer(self) -> None:
        """Forgets the deadline."""
        if self.header_timer is not None:
            self.header_timer.cancel()
            self.header_timer = None

    def headers_are_late(self) -> None:
        """Ends a connection whose request does not come."""
        if not self.transport.is_closing():
            self.refuse(RequestTimeout(f"The request's headers took longer than {HEADER_TIMEOUT_S:g} seconds."))

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - uvicorn's words are replaced by ours
        """What uvicorn says of bytes that are not HTTP, in the envelope."""
        self.refuse(MalformedRequest("This is not a valid HTTP/1.1 request."))

    def refuse(self, refusal: Refusal) -> None:
        """Writes the refusal's answer and closes the connection."""
        reply = answer.refused(refusal)
        body = reply.body()
        head = [
            STATUS_LINE[reply.status],
            b"content-type: application/json\r\n",
            b"content-length: %d\r\n" % len(body),
            b"connection: close\r\n\r\n",
        ]
        self.transport.write(b"".join([*head, body]))
        self.transport.close()
