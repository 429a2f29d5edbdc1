"""A proxy in front of the server that fails as networks and gateways do, one way for each request in turn."""

from __future__ import annotations

import re
import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

# What happens to a request: it is carried out and answered; carried out, and the answer is lost; carried out, and the
# answer breaks off in its middle. Any other text is sent back in place of the server's answer; behind EARLY before the
# request's body is read, and the connection is closed at once.
PASS, LOST, CUT, EARLY = "pass", "lost", "cut", "early "


def canned(status: str, body: str, *headers: str) -> str:
    """An answer that did not come from the server."""
    return "\r\n".join((f"HTTP/1.1 {status}", *headers, f"Content-Length: {len(body)}", "Connection: close", "", body))


def refused(status: str, code: str, *headers: str) -> str:
    """A refusal as the server writes it."""
    errors = f'[{{"code": "{code}", "message": "Not now."}}]'
    body = f'{{"status": {status}, "description": "x", "response_time": "x", "errors": {errors}}}'
    return canned(f"{status} X", body, "Content-Type: application/json", *headers)


BAD_GATEWAY = canned("502 Bad Gateway", "<html><h1>502 Bad Gateway</h1></html>", "Content-Type: text/html")


@dataclass
class Faults:
    """The proxy's address, what it does with the requests to come (then it passes them on), and what it has seen."""

    url: str
    plan: list[str] = field(default_factory=list)
    seen: list[bytes] = field(default_factory=list)

    @property
    def keys(self) -> list[bytes]:
        """The Idempotency-Key of each request."""
        return [found for head in self.seen for found in re.findall(rb"(?i)idempotency-key: (\S+)", head)]


@contextmanager
def faulty(upstream: str) -> Iterator[Faults]:
    """The proxy, until the end of the block."""
    host, port = upstream.removeprefix("http://").split(":")

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            while head := until(self.request, b"\r\n\r\n"):
                faults.seen.append(head)
                way = faults.plan.pop(0) if faults.plan else PASS
                if way.startswith(EARLY):
                    self.request.sendall(way.removeprefix(EARLY).encode())
                    return
                body = exactly(self.request, length_of(head))
                if way not in {PASS, LOST, CUT}:
                    self.request.sendall(way.encode())
                    return
                with socket.create_connection((host, int(port))) as server:
                    server.sendall(head + body)
                    answer = response(server)
                if way == LOST:
                    return
                self.request.sendall(answer if way == PASS else answer[: len(answer) - len(answer) // 4])
                if way == CUT:
                    return

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as proxy:
        proxy.daemon_threads = True
        faults = Faults(f"http://127.0.0.1:{proxy.server_address[1]}")
        thread = threading.Thread(target=proxy.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield faults
        finally:
            proxy.shutdown()
            thread.join()


def until(connection: socket.socket, end: bytes) -> bytes:
    """What comes up to `end`; nothing if the connection ends first."""
    gathered = b""
    while not gathered.endswith(end):
        chunk = connection.recv(1)
        if not chunk:
            return b""
        gathered += chunk
    return gathered


def exactly(connection: socket.socket, size: int) -> bytes:
    """So many bytes."""
    gathered = bytearray()
    while len(gathered) < size:
        chunk = connection.recv(min(size - len(gathered), 1 << 16))
        if not chunk:
            break
        gathered += chunk
    return bytes(gathered)


def length_of(head: bytes) -> int:
    """The announced length of a body."""
    found = re.search(rb"(?i)\r\ncontent-length: (\d+)", head)
    return int(found[1]) if found else 0


def response(server: socket.socket) -> bytes:
    """A whole answer."""
    head = until(server, b"\r\n\r\n")
    return head + (until(server, b"\r\n0\r\n\r\n") if b"chunked" in head.lower() else exactly(server, length_of(head)))
