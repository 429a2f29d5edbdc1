"""An HTTPS server for tests of what fetches: it says, byte for byte, what a test wants it to say."""

from __future__ import annotations

import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

Answer = bytes | Callable[[ssl.SSLSocket], None]


def make_certificates(folder: Path, names: Sequence[str]) -> Path:
    """`folder` with an authority of its own (`ca.pem`) and, by it, a server's certificate for `names` (`cert.pem`)."""
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-x509"]
    also = f"subjectAltName={','.join(f'DNS:{name}' for name in names)}"
    authority = ["-subj", "/CN=test authority", "-keyout", "ca.key", "-out", "ca.pem"]
    server = ["-subj", "/CN=server", "-addext", also, "-addext", "basicConstraints=critical,CA:FALSE"]
    server += ["-CA", "ca.pem", "-CAkey", "ca.key", "-keyout", "key.pem", "-out", "cert.pem"]
    for command in (authority, server):
        subprocess.run(["openssl", "req", *key, *command], cwd=folder, check=True, capture_output=True)
    return folder


class Server:
    """The server, with the certificates of `make_certificates`.

    `answers` holds by path what is sent: bytes, or what to do with the connection. `seen` are the requests' heads.
    """

    def __init__(self, certificates: Path) -> None:
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.tls.load_cert_chain(certificates / "cert.pem", certificates / "key.pem")
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listener.getsockname()[1]
        self.answers: dict[str, Answer] = {}
        self.seen: list[bytes] = []
        self.connections = 0
        self.left = threading.Event()
        threading.Thread(target=self.run, daemon=True).start()

    def run(self) -> None:
        """Takes connections until the listener is closed."""
        while True:
            try:
                plain, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self.serve, args=(plain,), daemon=True).start()

    def serve(self, plain: socket.socket) -> None:
        """Answers the one request of a connection."""
        plain.settimeout(10)
        with suppress(OSError), plain, self.tls.wrap_socket(plain, server_side=True) as connection:
            head = b""
            while b"\r\n\r\n" not in head:
                head += connection.recv(65536)
            self.seen.append(head)
            answer = self.answers[head.split()[1].decode()]
            try:
                answer(connection) if callable(answer) else connection.sendall(answer)
            except OSError:
                self.left.set()

    def url(self, path: str, host: str) -> str:
        """The URL of a path."""
        return f"https://{host}:{self.port}{path}"


def ok(body: bytes, *headers: str, length: int | None = None) -> bytes:
    """An answer with a body."""
    lines = ["HTTP/1.1 200 OK", f"Content-Length: {len(body) if length is None else length}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


def to(location: str, status: int = 302) -> bytes:
    """A redirect."""
    return f"HTTP/1.1 {status} Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n".encode()


def endless(connection: ssl.SSLSocket) -> None:
    """A body without end."""
    connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        connection.sendall(b"4000\r\n" + b"1" * 0x4000 + b"\r\n")


def dripping(connection: ssl.SSLSocket) -> None:
    """A body of one byte now and then."""
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
    while True:
        connection.sendall(b"1")
        time.sleep(0.2)


def silent(connection: ssl.SSLSocket) -> None:
    """A body that stops coming."""
    connection.sendall(ok(b"phone1\n", length=1000))
    if not connection.recv(1):
        raise ConnectionResetError


def endless_headers(connection: ssl.SSLSocket) -> None:
    """Headers without end."""
    connection.sendall(b"HTTP/1.1 200 OK\r\n")
    while True:
        connection.sendall(b"X-More: " + b"1" * 8000 + b"\r\n")
