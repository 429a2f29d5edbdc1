"""A proxy in front of the S3 server that is slow and fails as networks and services do, by a plan drawn from a seed.

It passes heads on as they are: a request is signed with the address that its client knows, which is the proxy's.
"""

from __future__ import annotations

import random
import re
import socket
import socketserver
import struct
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from enum import StrEnum
from typing import BinaryIO


class Way(StrEnum):
    """What becomes of a request."""

    PASS = "passed"
    DELAY = "delayed"
    RESET = "reset at once"
    HALF_SENT = "broken off in the request"
    HALF_ANSWERED = "broken off in the answer"
    LOST = "answer lost"
    ERROR = "500"
    SLOW_DOWN = "503"


# What is answered in place of the server, once the request's body was read.
CANNED = {Way.ERROR: ("500 Internal Server Error", "InternalError"), Way.SLOW_DOWN: ("503 Slow Down", "SlowDown")}

WRONG = [way for way in Way if way is not Way.PASS]

# Closing with this option resets the connection, so that the other side knows that it broke.
AT_ONCE = struct.pack("ii", 1, 0)


@dataclass
class Plan:
    """Of all requests such a share goes another way than it should; a delay takes up to so many seconds."""

    seed: str
    share: float = 0.3
    longest_delay_s: float = 0.5

    def __post_init__(self) -> None:
        self.chance = random.Random(self.seed)
        self.lock = threading.Lock()

    def draw(self) -> tuple[Way, float]:
        """The next request's way, and the seconds by which it is late."""
        with self.lock:
            way = self.chance.choice(WRONG) if self.chance.random() < self.share else Way.PASS
            return way, self.chance.uniform(0, self.longest_delay_s) if way is Way.DELAY else 0.0


@dataclass
class InjectingProxy:
    """Its port; by which plan it fails, or None to pass everything on; and what became of requests under a plan."""

    upstream: int
    port: int = 0
    plan: Plan | None = None
    done: Counter[Way] = field(default_factory=Counter)

    @property
    def endpoint(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    def fail(self, plan: Plan) -> None:
        """It fails by the plan from now on."""
        self.plan = plan

    def pass_on(self) -> Counter[Way]:
        """It passes everything on again; what became of requests under the plan."""
        self.plan = None
        done, self.done = self.done, Counter()
        return done

    def way(self) -> Way:
        """What becomes of the request that has come, once it is time."""
        if self.plan is None:
            return Way.PASS
        way, delay_s = self.plan.draw()
        self.done[way] += 1
        time.sleep(delay_s)
        return way


@contextmanager
def injecting_proxy(upstream: int) -> Iterator[InjectingProxy]:
    """A proxy for the server at that port, until the end of the block."""
    proxy = InjectingProxy(upstream)

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with suppress(OSError), self.request.makefile("rb") as coming:
                while (head := read_head(coming)) and carry_out(proxy, self.request, head, coming):
                    pass
            break_off(self.request)

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        request_queue_size = 100

    with Server(("127.0.0.1", 0), Handler) as server:
        proxy.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield proxy
        finally:
            server.shutdown()
            thread.join()


def carry_out(proxy: InjectingProxy, client: socket.socket, head: bytes, coming: BinaryIO) -> bool:
    """Serves one request; whether the connection goes on."""
    way = proxy.way()
    if way is Way.RESET:
        return False
    body = coming.read(length_of(head))
    if way in CANNED:
        client.sendall(canned(*CANNED[way]))
        return True
    with socket.create_connection(("127.0.0.1", proxy.upstream)) as server, server.makefile("rb") as answering:
        if way is Way.HALF_SENT:
            server.sendall(head + body[: len(body) // 2])
            break_off(server)
            return False
        server.sendall(head + body)
        answer = read_answer(answering, head)
    if way in {Way.LOST, Way.HALF_ANSWERED} or not answer:
        client.sendall(answer[: len(answer) // 2] if way is Way.HALF_ANSWERED else b"")
        return False
    client.sendall(answer)
    return True


def read_head(stream: BinaryIO) -> bytes:
    """A head with its empty line; nothing if the connection ends before."""
    lines = []
    while line := stream.readline():
        lines.append(line)
        if line == b"\r\n":
            return b"".join(lines)
    return b""


def read_answer(stream: BinaryIO, request: bytes) -> bytes:
    """A whole answer to the request with that head; nothing if the server ends it before."""
    head = read_head(stream)
    if not head or request.startswith(b"HEAD ") or head.split()[1] in {b"204", b"304"}:
        return head
    if b"transfer-encoding: chunked" in head.lower():
        return head + b"".join(read_chunks(stream))
    length = length_of(head)
    body = stream.read(length)
    return head + body if len(body) == length else b""


def read_chunks(stream: BinaryIO) -> Iterator[bytes]:
    """The chunks of a body, as they come."""
    while line := stream.readline():
        size = int(line, 16)
        yield line + stream.read(size + 2)
        if size == 0:
            return


def length_of(head: bytes) -> int:
    """The announced length of a body."""
    found = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
    return int(found[1]) if found else 0


def canned(status: str, code: str) -> bytes:
    """An answer as S3 refuses."""
    body = f'<?xml version="1.0" encoding="UTF-8"?><Error><Code>{code}</Code><Message>Not now.</Message></Error>'
    return f"HTTP/1.1 {status}\r\nContent-Type: application/xml\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()


def break_off(connection: socket.socket) -> None:
    """Ends a connection as if its other side were gone."""
    with suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, AT_ONCE)
        connection.close()
