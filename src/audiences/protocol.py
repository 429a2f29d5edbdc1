"""HTTP as it comes in: uvicorn's protocol with limits on headers, and with our own words for what is not HTTP.

uvicorn answers a broken request in plain text and lets headers grow and drip without end; every answer has the envelope
(invariant 8), and a connection that does not get to its request is given up.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from audiences import answer, browsers, framing, http_1_0, inbox
from audiences.crowd import Crowd
from audiences.errors import HeadersTooLarge, MalformedRequest, Refusal, RequestTimeout, TooManyConnections
from audiences.parser import Parser
from audiences.watch import log, request_id

# The request line and all headers. Other servers allow 8 to 64 KiB; nothing of ours needs more than one.
MAX_HEADER_BYTES = 32 * 1024

# Seconds from the first byte of a request, or from the connection, to the end of its headers.
HEADER_TIMEOUT_S = 20.0

# Seconds for which a client that was answered early may go on sending its body, so that it gets to read the answer.
LINGER_S = 10.0

# Requests that may wait for the answer of one that came before them on their connection; behind more of them it is
# closed. No client of today sends any, and each costs some kilobytes.
MOST_PIPELINED = 20

# Bytes that such a client may send where what it sent was no request: far more than a mistake takes.
LINGER_BYTES = 1024 * 1024


class BoundedHttp(HttpToolsProtocol):
    """One connection."""

    def __init__(self, *arguments: Any, crowd: Crowd | None = None, **named: Any) -> None:  # noqa: ANN401 - uvicorn's
        super().__init__(*arguments, **named)
        self.parser = Parser(self)  # type: ignore[assignment]
        self.crowd = crowd or Crowd()
        self.in_headers = True
        self.header_bytes = 0
        self.unclaimed_bytes = 0
        self.deaf = False
        self.ignored_bytes = 0
        self.begun = 0
        self.fault: Refusal | None = None
        self.timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Starts the clock."""
        super().connection_made(transport)
        self.await_headers()
        if not self.crowd.enter(self):
            self.refuse(too_many_connections())

    @property
    def address(self) -> str:
        """Where it comes from."""
        return self.client[0] if self.client else ""

    @property
    def is_receiving(self) -> bool:
        """Whether the body of its request is still coming."""
        return self.cycle is not None and self.cycle.more_body and not self.deaf

    def give_way(self) -> None:
        """Ends the connection for another one; a request that has begun is told why."""
        if not self.deaf and self.in_headers and (self.cycle is None or self.header_bytes):
            self.refuse(too_many_connections())
        self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stops it."""
        self.crowd.leave(self)
        self.stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Counts what belongs to headers and what to nothing, around the parser."""
        if self.deaf:
            self.ignore(len(data))
        if self.deaf or self.transport.is_closing():
            return
        if not self.in_headers and self.timer is None and (self.cycle is None or self.cycle.response_complete):
            self.await_headers()  # uvicorn's own timer ended with these bytes, and they need not be a request
        self.unclaimed_bytes += len(data)
        waited, before = self.in_headers, self.begun
        super().data_received(data)
        if waited and self.begun - before <= 1:
            self.header_bytes += len(data) if self.in_headers else 0  # all of it is of headers that have no end yet
        self.check_bounds()

    def check_bounds(self) -> None:
        """Refuses headers without end, or a trailer, which the parser would gather without end as well."""
        unbounded = self.header_bytes if self.in_headers else self.unclaimed_bytes
        if unbounded > MAX_HEADER_BYTES and not self.deaf:
            self.refuse(headers_too_large())

    def ignore(self, size: int) -> None:
        """Reads over what a refused client goes on sending, up to a bound."""
        self.ignored_bytes += size
        if self.ignored_bytes > LINGER_BYTES:
            self.transport.close()

    def eof_received(self) -> bool:  # type: ignore[override]
        """The client has said all it will say: a body that is not whole is truncated, and that can be answered."""
        return self.end_of_input()

    def on_message_begin(self) -> None:
        """A request begins, perhaps on a connection that served others before."""
        super().on_message_begin()
        self.begun += 1
        self.await_headers()

    def on_headers_complete(self) -> None:
        """The headers are whole; from here on the inbox keeps the limits."""
        if self.deaf or len(self.pipeline) >= MOST_PIPELINED:
            self.end_of_input()
            return
        self.in_headers, self.header_bytes, self.unclaimed_bytes = False, 0, 0
        self.stop_timer()
        version = self.parser.get_http_version()
        self.fault = self.fault_in_headers(version)
        if self.fault is not None:
            raise ValueError(self.fault)  # which the parser passes on as its own
        self.crowd.serve(self)
        if version == "1.0":
            self.expect_100_continue = False
        super().on_headers_complete()
        if version == "1.0":
            http_1_0.send_without_chunks(self.cycle)

    def fault_in_headers(self, version: str) -> Refusal | None:
        """Why a request with these headers is refused, or None."""
        if len(self.url) + sum(len(name) + len(value) + 3 for name, value in self.headers) > MAX_HEADER_BYTES:
            return headers_too_large()
        sentence = framing.fault_in(version, self.headers)
        return None if sentence is None else MalformedRequest(sentence)

    def on_body(self, body: bytes) -> None:
        """Bytes of a body came out of the parser."""
        self.unclaimed_bytes = 0
        if not self.deaf:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is whole."""
        self.unclaimed_bytes = 0
        if self.deaf or self.parser.should_upgrade():
            return
        if self.cycle.response_complete:
            self.cycle.more_body = False
            self.stop_timer()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """The answer is out; a body that is still coming is read over for a while, then the connection ends."""
        super().on_response_complete()
        if self.cycle.response_complete:
            self.crowd.wait(self)
        if self.cycle.more_body and self.cycle.response_complete and not self.transport.is_closing():
            self.start_timer(LINGER_S, self.transport.close)

    def await_headers(self) -> None:
        """Counts and times the headers of a request that is coming."""
        self.in_headers, self.header_bytes, self.unclaimed_bytes = True, 0, 0
        self.start_timer(HEADER_TIMEOUT_S, self.headers_are_late)

    def start_timer(self, seconds: float, then: Callable[[], None]) -> None:
        """Sets the one deadline that a connection has."""
        self.stop_timer()
        self.timer = self.loop.call_later(seconds, then)

    def stop_timer(self) -> None:
        """Forgets the deadline."""
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None

    def headers_are_late(self) -> None:
        """Ends a connection whose request does not come."""
        self.timer = None
        if not self.transport.is_closing():
            self.refuse(RequestTimeout(f"The request's headers took longer than {HEADER_TIMEOUT_S:g} seconds."))

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - uvicorn's words are replaced by ours
        """What uvicorn says of bytes that are not HTTP, in the envelope."""
        self.refuse(self.fault or MalformedRequest("This is not a valid HTTP/1.1 request."))

    def end_of_input(self) -> bool:
        """Takes nothing more; a request under way is told that its body ended. Whether there is one to answer."""
        self.deaf = True
        cycle = self.cycle
        if cycle is None or cycle.response_complete:
            return False
        cycle.keep_alive = False
        if cycle.more_body:
            cycle.more_body = False
            cycle.scope["extensions"] = {inbox.CUT_SHORT: {}}
            cycle.message_event.set()
        return True

    def refuse(self, refusal: Refusal) -> None:
        """Answers what is no request, and closes; behind a request under way that one's answer is the last."""
        self.stop_timer()
        if self.end_of_input():
            return
        reply, name = answer.refused(refusal), request_id(None)
        body, told = reply.body(), browsers.HEADERS | reply.headers
        head = [
            STATUS_LINE[reply.status],
            b"content-type: application/json\r\n",
            b"content-length: %d\r\n" % len(body),
            b"x-request-id: %s\r\n" % name.encode(),
            *(b"%s: %s\r\n" % (field.lower().encode(), value.encode()) for field, value in told.items()),
            b"connection: close\r\n\r\n",
        ]
        self.transport.write(b"".join([*head, body]))
        # Closed while its bytes still come, a connection is reset, and the client may lose the answer on its way.
        self.transport.write_eof()
        self.start_timer(LINGER_S, self.transport.close)
        log("refused_connection", request=name, status=reply.status, code=refusal.code)


def headers_too_large() -> HeadersTooLarge:
    """The refusal of more than a request's headers may have."""
    return HeadersTooLarge(f"The request's headers are larger than {MAX_HEADER_BYTES} bytes.")


def too_many_connections() -> TooManyConnections:
    """The refusal of a connection that there is no place for."""
    return TooManyConnections(
        "The server has too many connections. Try again in a moment.", headers={"Retry-After": "1"}
    )
