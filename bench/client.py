"""Uploads, pages and exports over HTTP, with as little work of the client's as can be: it shares the server's cores.

A file goes from the page cache to the socket without passing through Python (`sendfile`); an export comes into one
buffer that is used again and again. Connecting is not timed; everything from the first byte of the request to the last
of the answer is. Parsing and checking an answer is not.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlencode, urlsplit

from bench.customers import File

BOUNDARY = "----------------------------bench0123456789"
TIMEOUT_S = 900

# Files up to this size (bytes) are sent in one write with the headers, as curl does.
ONE_WRITE_BYTES = 256 * 1024

# An export is read in parts of this size (bytes).
READ_BYTES = 1024 * 1024


class WrongAnswer(Exception):
    """The server did not answer as it has to; the figures would mean nothing."""


@dataclass(frozen=True)
class Sent:
    """An upload that was carried out: seconds it took, and the answer."""

    seconds: float
    data: Mapping[str, Any]


@dataclass(frozen=True)
class Page:
    """A page of contacts: seconds until its last byte was read, its items, and the next page's cursor if there is."""

    seconds: float
    items: list[dict[str, Any]]
    next_cursor: str | None


@dataclass(frozen=True)
class Exported:
    """An export read to its end: seconds until its last and until its first byte, its bytes as they were sent.

    `client_cpu_seconds` is the processor time that reading it cost the client.
    """

    seconds: float
    first_byte_seconds: float
    bytes: int
    client_cpu_seconds: float


class Client:
    """One caller with one connection, kept open."""

    def __init__(self, address: str, key: str = "") -> None:
        parts = urlsplit(address)
        assert parts.hostname is not None
        self.connection = HTTPConnection(parts.hostname, parts.port, timeout=TIMEOUT_S)
        self.headers = {"Authorization": f"Bearer {key}"} if key else {}
        self.buffer = memoryview(bytearray(READ_BYTES))

    def __enter__(self) -> Self:
        self.connection.connect()
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.close()

    def connect_anew(self) -> None:
        """Begins a new connection: the server closes one on which nothing was asked for some seconds."""
        self.connection.close()
        self.connection.connect()

    def upload(self, path: Path) -> Sent:
        """Uploads a file as a new audience. Raises WrongAnswer for any answer but 201."""
        return self.send(path, "POST", "/audiences", {"name": "bench"}, 201)

    def replace(self, audience: str, path: Path) -> Sent:
        """Replaces an audience's contacts by a file's. Raises WrongAnswer for any answer but 200."""
        return self.send(path, "PUT", f"/audiences/{audience}", {}, 200)

    def append(self, audience: str, path: Path) -> Sent:
        """Appends a file to an audience. Raises WrongAnswer for any answer but 200."""
        return self.send(path, "POST", f"/audiences/{audience}/contacts", {}, 200)

    def suppress(self, path: Path) -> Sent:
        """Adds a file's numbers to the do-not-contact list. Raises WrongAnswer for any answer but 200."""
        return self.send(path, "POST", "/suppressions", {}, 200)

    def send(self, path: Path, method: str, target: str, fields: Mapping[str, str], expected: int) -> Sent:
        """Sends a file as a form with these fields. Raises WrongAnswer for any answer but the expected one."""
        head, tail = _around(path.name, fields)
        if self.connection.sock is None:
            self.connection.connect()
        with path.open("rb") as file:
            size = path.stat().st_size
            begun = time.perf_counter()
            self.connection.putrequest(method, target)
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
            return Sent(time.perf_counter() - begun, _checked(status, expected, body)["data"])

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

    def get(self, target: str) -> dict[str, Any]:
        """The answer to a GET. Raises WrongAnswer for any but 200."""
        self.connection.request("GET", target, headers=self.headers)
        status, body = self._answer()
        return _checked(status, 200, body)

    def page(self, audience: str, query: Mapping[str, str]) -> Page:
        """A page of an audience's contacts. Raises WrongAnswer for any answer but 200."""
        target = f"/audiences/{audience}/contacts?{urlencode(query)}"
        begun = time.perf_counter()
        self.connection.request("GET", target, headers=self.headers)
        status, body = self._answer()
        seconds = time.perf_counter() - begun
        answer = _checked(status, 200, body)
        return Page(seconds, answer["data"], answer.get("next_cursor"))

    def export(
        self, audience: str, accept: str, coding: str = "identity", keep: Callable[[memoryview], object] | None = None
    ) -> Exported:
        """All contacts of an audience in one stream; `keep` is given what came, part by part.

        Raises WrongAnswer for any answer but a whole 200 in that coding.
        """
        headers = self.headers | {"Accept": accept, "Accept-Encoding": coding}
        begun, cpu_begun = time.perf_counter(), time.process_time()
        self.connection.request("GET", f"/audiences/{audience}/contacts", headers=headers)
        response = self.connection.getresponse()
        if response.status != 200 or response.getheader("Content-Encoding", "identity") != coding:  # noqa: PLR2004
            raise WrongAnswer(f"The export is answered {response.status}: {response.headers.as_string()}")
        first_byte_seconds, count = self._read_through(response, begun, keep)
        seconds, cpu_seconds = time.perf_counter() - begun, time.process_time() - cpu_begun
        return Exported(seconds, first_byte_seconds, count, cpu_seconds)

    def _read_through(
        self, response: HTTPResponse, begun: float, keep: Callable[[memoryview], object] | None
    ) -> tuple[float, int]:
        """Seconds from `begun` to the first byte of the body, and the bytes of all of it."""
        part = self.buffer[:1]
        count = response.readinto(part)
        first_byte_seconds = time.perf_counter() - begun
        if keep is not None:
            keep(part[:count])
        while came := response.readinto(self.buffer):
            count += came
            if keep is not None:
                keep(self.buffer[:came])
        # A stream that breaks off raises by itself; a body of known length leaves this many bytes missing.
        if response.length:
            raise WrongAnswer(f"The export broke off {response.length} bytes before its end.")
        return first_byte_seconds, count

    def checked_upload(self, file: File) -> Sent:
        """Uploads a file and, once the time is taken, looks into the report."""
        sent = self.upload(file.path)
        self.check(sent.data["id"], file)
        return sent


def _around(file_name: str, fields: Mapping[str, str]) -> tuple[bytes, bytes]:
    """What stands before and after the file in the form."""
    texts = (
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{text}\r\n'
        for name, text in fields.items()
    )
    head = "".join(texts) + (
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="audience_file"; filename="{file_name}"\r\n'
        "Content-Type: application/octet-stream\r\n\r\n"
    )
    return head.encode(), f"\r\n--{BOUNDARY}--\r\n".encode()


def _checked(status: int, expected: int, body: bytes) -> dict[str, Any]:
    if status != expected:
        raise WrongAnswer(f"The answer is {status}, not {expected}: {body[:500].decode(errors='replace')}")
    answer: dict[str, Any] = json.loads(body)
    return answer
