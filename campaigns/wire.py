"""Raw HTTP/1.1 on a socket: what is sent is sent as it is, and what comes back is read strictly."""

from __future__ import annotations

import json
import re
import socket
import struct
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

STATUS_LINE = re.compile(rb"HTTP/1\.1 ([1-5]\d\d) [ -~]*")
FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+): ?([ -~\t\x80-\xff]*)")

# Statuses whose answers have no body.
BODILESS = frozenset({100, 204, 304})

# Bytes to send, seconds to wait, or None for the end of what is sent (the connection can still be read).
Piece = bytes | float | None


class NotHttp(Exception):
    """What came back is no sequence of whole answers."""


@dataclass(frozen=True)
class Answer:
    """One answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def envelope(self) -> dict[str, Any] | None:
        """The body as an envelope, if it is one and says the same status."""
        try:
            found = json.loads(self.body)
        except ValueError:
            return None
        whole = isinstance(found, dict) and found.get("status") == self.status and "response_time" in found
        return found if whole else None

    @property
    def codes(self) -> list[str]:
        """The codes of its errors."""
        return [error["code"] for error in (self.envelope or {}).get("errors", [])]


@dataclass(frozen=True)
class Exchange:
    """What came back on one connection: the answers, how it ended and after how many seconds."""

    answers: list[Answer]
    ending: str
    seconds: float
    broken: str = ""

    @property
    def statuses(self) -> list[int]:
        """The statuses of all final answers."""
        return [answer.status for answer in self.answers if answer.status != 100]  # noqa: PLR2004


@dataclass
class Reading:
    """Bytes that came back, read from the front."""

    left: bytes
    at: int = field(default=0)

    def line(self) -> bytes:
        """The next line, without its end."""
        end = self.left.find(b"\r\n", self.at)
        if end < 0:
            raise NotHttp(f"a line breaks off: {self.left[self.at : self.at + 80]!r}")
        line = self.left[self.at : end]
        self.at = end + 2
        return line

    def take(self, size: int) -> bytes:
        """So many bytes."""
        found = self.left[self.at : self.at + size]
        if len(found) < size:
            raise NotHttp(f"a body breaks off at {len(found)} of {size} bytes")
        self.at += size
        return found

    def rest(self) -> bytes:
        """All that is left."""
        return self.take(len(self.left) - self.at)


def answers_in(received: bytes, methods: Iterable[str] = ()) -> Iterator[Answer]:
    """The answers in what came back; `methods` are those of the requests, where they are known. Raises NotHttp."""
    reading, asked = Reading(received), iter(methods)
    while reading.at < len(received):
        matched = STATUS_LINE.fullmatch(reading.line())
        if matched is None:
            raise NotHttp(f"no status line: {received[:80]!r}")
        status, headers = int(matched[1]), {}
        while line := reading.line():
            pair = FIELD.fullmatch(line)
            if pair is None:
                raise NotHttp(f"no header: {line[:80]!r}")
            headers[pair[1].decode().lower()] = pair[2].decode("latin-1")
        method = "GET" if status == 100 else next(asked, "GET")  # noqa: PLR2004
        yield Answer(status, headers, b"" if method == "HEAD" or status in BODILESS else body_of(reading, headers))


def body_of(reading: Reading, headers: dict[str, str]) -> bytes:
    """The body behind those headers."""
    if headers.get("transfer-encoding") == "chunked":
        body = bytearray()
        while size := int(reading.line(), 16):
            body += reading.take(size)
            if reading.line():
                raise NotHttp("a chunk is longer than it says")
        if reading.line():
            raise NotHttp("there is a trailer")
        return bytes(body)
    if "content-length" in headers:
        return reading.take(int(headers["content-length"]))
    return reading.rest()


def talk(
    address: tuple[str, int], pieces: Sequence[Piece], methods: Iterable[str] = (), patience_s: float = 30.0
) -> Exchange:
    """Sends the pieces, and reads until the server ends the connection or says nothing for so many seconds."""
    begun = time.monotonic()
    received, ending = bytearray(), "closed"
    with socket.create_connection(address, patience_s) as connection:
        send_all(connection, pieces)
        try:
            while chunk := connection.recv(65536):
                received += chunk
        except ConnectionError:
            ending = "reset"
        except TimeoutError:
            ending = "open"
    seconds, found = time.monotonic() - begun, []
    try:
        for answer in answers_in(bytes(received), methods):
            found.append(answer)  # noqa: PERF402 - those before what is broken are kept
    except (NotHttp, ValueError) as error:
        return Exchange(found, ending, seconds, str(error))
    return Exchange(found, ending, seconds)


def send_all(connection: socket.socket, pieces: Sequence[Piece]) -> None:
    """Sends the pieces, as far as the server takes them."""
    for piece in pieces:
        try:
            if piece is None:
                connection.shutdown(socket.SHUT_WR)
            elif isinstance(piece, float):
                time.sleep(piece)
            else:
                connection.sendall(piece)
        except OSError:  # it has answered and hung up
            return


def hang_up(address: tuple[str, int], sent: bytes, *, reset: bool) -> None:
    """Sends bytes and goes away without reading: in order, or as a machine does that lost its power."""
    with socket.create_connection(address, 30) as connection:
        if reset:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        send_all(connection, [sent])
