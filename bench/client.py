"""One upload over HTTP, from a file on disk, with as little work of the client's as can be.

The file goes from the page cache to the socket without passing through Python (`sendfile`), so that the client leaves
the cores to the server. Connecting is not timed; everything from the first byte of the request to the last of the
answer is.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from bench.customers import File

BOUNDARY = "----------------------------bench0123456789"
TIMEOUT_S = 900

# Files up to this size (bytes) are sent in one write with the headers, as curl does.
ONE_WRITE_BYTES = 256 * 1024


class WrongAnswer(Exception):
    """The server did not answer as it has to; the figures would mean nothing."""


@dataclass(frozen=True)
class Sent:
    """An upload that was answered 201: seconds it took, and the answer."""

    seconds: float
    data: Mapping[str, Any]


class Client:
    """One caller with one connection, kept open."""

    def __init__(self, address: str, key: str = "") -> None:
        parts = urlsplit(address)
        assert parts.hostname is not None
        self.connection = HTTPConnection(parts.hostname, parts.port, timeout=TIMEOUT_S)
        self.headers = {"Authorization": f"Bearer {key}"} if key else {}

    def __enter__(self) -> Self:
        self.connection.connect()
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.close()

    def upload(self, path: Path) -> Sent:
        """Uploads a file as a new audience. Raises WrongAnswer for any answer but 201."""
        head, tail = _around(path.name)
        if self.connection.sock is None:
            self.connection.connect()
        with path.open("rb") as file:
            size = path.stat().st_size
            begun = time.perf_counter()
            self.connection.putrequest("POST", "/audiences")
            self._put_headers(len(head) + size + len(tail))
            # A server that refuses early closes its side; its answer says more than the broken pipe.
            with suppress(BrokenPipeError, ConnectionResetError):
                if size <= ONE_WRITE_BYTES:
                    self.connection.endheaders(head + file.read() + tail)
                else:
                    self.connection.endheaders(head)
                    self.connection.sock.sendfile(file)
                    self.connection.sock.sendall(tail)
            status, body = self._answer()
            return Sent(time.perf_counter() - begun, _checked(status, 201, body)["data"])

    def _put_headers(self, length: int) -> None:
        for name, value in self.headers.items():
            self.connection.putheader(name, value)
        self.connection.putheader("Content-Type", f"multipart/form-data; boundary={BOUNDARY}")
        self.connection.putheader("Content-Length", str(length))

    def _answer(self) -> tuple[int, bytes]:
        response = self.connection.getresponse()
        return response.status, response.read()

    def check(self, audience: str, file: File) -> None:
        """Looks into the report of the audience. Raises WrongAnswer if it differs from what is in the file."""
        self.connection.request("GET", f"/audiences/{audience}", headers=self.headers)
        status, body = self._answer()
        report = _checked(status, 200, body)["data"]
        found = {name: report[name] for name in file.counts}
        if found != file.counts:
            raise WrongAnswer(f"{file.path.name}: the report says {found}, the file holds {file.counts}.")

    def checked_upload(self, file: File) -> Sent:
        """Uploads a file and, once the time is taken, looks into the report."""
        sent = self.upload(file.path)
        self.check(sent.data["id"], file)
        return sent


def _around(file_name: str) -> tuple[bytes, bytes]:
    """What stands before and after the file in the form."""
    head = (
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="name"\r\n\r\nbench\r\n'
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="audience_file"; filename="{file_name}"\r\n'
        "Content-Type: application/octet-stream\r\n\r\n"
    )
    return head.encode(), f"\r\n--{BOUNDARY}--\r\n".encode()


def _checked(status: int, expected: int, body: bytes) -> dict[str, Any]:
    if status != expected:
        raise WrongAnswer(f"The answer is {status}, not {expected}: {body[:500].decode(errors='replace')}")
    answer: dict[str, Any] = json.loads(body)
    return answer
