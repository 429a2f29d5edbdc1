"""The multipart receiver: any bytes in any pieces, and forms that Python's `email` package reads too."""

from __future__ import annotations

import email
import hashlib
import logging
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from email.message import Message
from pathlib import Path
from typing import Any

from audiences.errors import Refusal
from audiences.form import (
    FILE_FIELD,
    MAX_FIELD_BYTES,
    MAX_PART_HEADER_BYTES,
    MAX_PART_HEADERS,
    TEXT_FIELDS,
    Form,
    is_meant_as_url,
    plain_name,
)
from campaigns.fuzzing.target import Choices

logging.getLogger("python_multipart").setLevel(logging.CRITICAL)  # it tells of every body that is amiss

MAX_FILE_BYTES = 16_384
LARGEST_BODY = 100_000

# A head of a part that is too long and broken besides is either of them, by where the pieces end.
HEAD_AMISS = {"headers_too_large": "malformed_request"}

# Inputs between which the descriptors of the process are counted.
COUNT_EVERY = 256

NAMES = (*TEXT_FIELDS, FILE_FIELD, "other", "audience_files", "")
FILE_NAMES = (
    None,
    "list.csv",
    "",
    "Kundenliste Köln.csv",
    "../../etc/passwd",
    "C:\\lists\\a.csv",
    "a;b.csv",
    "%41.csv",
)
TYPES = (None, "text/csv", "application/octet-stream", "text/plain; charset=utf-8")
VALUES = (b"list", b"", b"GB", b"https://example.com/a.csv", b"\xff\xfe", "é".encode(), b"true", b" \r\n ", b"x" * 8193)


@dataclass(frozen=True)
class Part:
    """One part of a form."""

    name: str
    file_name: str | None
    content: bytes
    type: str | None = None


class Target:
    """See `target.Target`."""

    words = (
        b"\r\n--B", b"--B\r\n", b"--\r\n", b"Content-Disposition: form-data; name=", b'"audience_file"', b'"name"',
        b'; filename="a.csv"', b"filename*=UTF-8''a", b"Content-Type: text/csv", b"\r\n\r\n", b"\r", b"\n", b"\0",
    )  # fmt: skip

    def __init__(self) -> None:
        self.figures = dict.fromkeys(("forms of any bytes", "forms from parts", "forms taken", "pieces"), 0)
        self.folder = tempfile.TemporaryDirectory(prefix="fuzz-form-")
        self.path = Path(self.folder.name) / "upload"
        self.descriptors = 0
        self.tried = 0
        plain = body_of([Part("name", None, b"list"), Part(FILE_FIELD, "a.csv", b"phone1\r\n442079460958\r\n")], b"B")
        self.seeds = [
            bytes([0, 1, 7]) + plain,
            bytes([0, 0, 1]) + plain.replace(b"\r\n", b"\n"),
            bytes([0, 0, 3]) + plain[:-6],
            bytes([0, 0, 2]) + plain * 2,
            bytes([0, 0, 3]) + b"\r\nhello\r\n" + plain,
            bytes([1, 5]) + b"X-Long: " + b"x" * 90,
            bytes([2, 0, 0, 0, 0, 4, 0, 5, 1, 1, 60]) + b"phone1\n4420\n" * 5,
            bytes([2, 1, 2, 5, 0, 1, 40]) + b"https://example.com/a.csv",
        ]

    def try_one(self, data: bytes) -> None:
        """An input is bytes of a body, a few bytes of it very often, or parts to make a body of."""
        choices = Choices(data)
        kind = choices.number(3)
        if kind == 2:  # noqa: PLR2004 - the third
            self.try_parts(choices)
        else:
            self.try_bytes(choices, repeated=kind == 1)
        self.tried += 1
        if self.tried % COUNT_EVERY == 0:
            self.count_descriptors()

    def end(self) -> None:
        """Nothing is left to say."""
        self.count_descriptors()
        self.folder.cleanup()

    def try_bytes(self, choices: Choices, *, repeated: bool) -> None:
        """Any bytes are a form or refused, and the same in whatever pieces they come."""
        takes_urls, step = choices.number(2) == 1, choices.number(64) + 1
        body = choices.rest()
        if repeated:
            unit, _, tail = body.partition(b"|")
            body = b'--B\r\nContent-Disposition: form-data; name="name"\r\n' + unit * (
                LARGEST_BODY // max(len(unit), 1) % (1 + step * 2_000)
            )
            body += tail
        self.figures["forms of any bytes"] += 1
        whole = self.outcome(body, [body], "multipart/form-data; boundary=B", takes_urls=takes_urls)
        if whole[0] == "taken":
            self.figures["forms taken"] += 1
        for pieces in (pieces_of(body, step), pieces_of(body, 1) if len(body) <= COUNT_EVERY else []):
            if pieces:
                cut = self.outcome(body, pieces, "multipart/form-data; boundary=B", takes_urls=takes_urls)
                assert cut == whole, f"in pieces {cut}, whole {whole}"

    def try_parts(self, choices: Choices) -> None:
        """A well-formed form is read as `email` reads it, and by the rules for its fields."""
        takes_urls, step = choices.number(2) == 1, choices.number(64) + 1
        parts: list[Part] = []
        while choices.left and len(parts) < 8:  # noqa: PLR2004 - enough for every field
            name, file_name, kind = choices.one_of(NAMES), choices.one_of(FILE_NAMES), choices.one_of(TYPES)
            content = choices.take(choices.number(256)) if choices.number(2) else choices.one_of(VALUES)
            parts.append(Part(name, file_name, content, kind))
        boundary = next(text for text in (b"B%d" % turn for turn in range(1000)) if not holds(parts, text))
        body = body_of(parts, boundary)
        self.figures["forms from parts"] += 1
        read_back = read_by_email(body, boundary)
        assert read_back == [(each.name, each.file_name, each.content) for each in parts], "the oracle is amiss"
        kind = f'multipart/form-data; boundary="{boundary.decode()}"'
        found = self.outcome(body, pieces_of(body, step), kind, takes_urls=takes_urls)
        expected = Expected(takes_urls).outcome(parts)
        if found[0] == "taken":
            self.figures["forms taken"] += 1
        assert found == expected, f"found {found}, expected {expected}"

    def outcome(self, body: bytes, pieces: Sequence[bytes], kind: str, *, takes_urls: bool) -> tuple[Any, ...]:
        """What becomes of a body that comes in those pieces."""
        form = Form(kind, self.path, MAX_FILE_BYTES, takes_urls=takes_urls)
        largest = max(map(len, pieces), default=0)
        try:
            for piece in pieces:
                self.figures["pieces"] += 1
                form.feed(piece)
                assert held(form) <= MAX_FIELD_BYTES * 8 + MAX_PART_HEADER_BYTES * (MAX_PART_HEADERS + 2) + 2 * largest
            problem = form.finish(("name",))
        except Refusal as refusal:
            return "refused", HEAD_AMISS.get(refusal.code, refusal.code), refusal.field
        finally:
            form.close()
            assert form.file is None, "the spool file is open"
        return self.taken(form, problem, body)

    def taken(self, form: Form, problem: Refusal | None, body: bytes) -> tuple[Any, ...]:
        """What was received; the file in the spool is what was counted and hashed."""
        content = b""
        if form.file_name is not None:
            content = self.path.read_bytes()
            assert (len(content), hashlib.sha256(content).digest()) == (form.file_bytes, form.sha256)
            assert content in body, "the file is not what was sent"
        missing = [] if problem is None else [(each.code, each.field) for each in (problem, *problem.also)]
        return "taken", missing, form.fields, form.url, form.file_name, content

    def count_descriptors(self) -> None:
        """There are no more of them than before."""
        count = len(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").exists() else 0  # noqa: PTH208 - it is quick
        assert count <= (self.descriptors or count), f"{count} descriptors, {self.descriptors} before"
        self.descriptors = self.descriptors or count


def held(form: Form) -> int:
    """Bytes of the body that the form has in memory."""
    headers = sum(len(name) + len(value) for name, value in form.headers.items())
    fields = sum(len(value.encode()) for value in form.fields.values())
    return len(form.value) + sum(map(len, form.header)) + headers + fields + len(form.url or "")


def pieces_of(body: bytes, step: int) -> list[bytes]:
    """The body in pieces: of `step` bytes, every other one of half as many more."""
    pieces, at, turn = [], 0, 0
    while at < len(body):
        size = max(step, len(body) // 4096) * (3 if turn % 2 else 2) // 2
        pieces.append(body[at : at + max(size, 1)])
        at, turn = at + max(size, 1), turn + 1
    return pieces


def holds(parts: Sequence[Part], boundary: bytes) -> bool:
    """Whether some content has what would end it early."""
    return any(b"--" + boundary in each.content for each in parts)


def body_of(parts: Sequence[Part], boundary: bytes) -> bytes:
    """The body of a form of these parts, as browsers write it."""
    written = bytearray()
    for part in parts:
        written += b'--%b\r\nContent-Disposition: form-data; name="%b"' % (boundary, part.name.encode())
        if part.file_name is not None:
            written += b'; filename="%b"' % part.file_name.replace("\\", "\\\\").encode()
        written += b"\r\n" if part.type is None else b"\r\nContent-Type: %b\r\n" % part.type.encode()
        written += b"\r\n%b\r\n" % part.content
    return bytes(written) + b"--%b--\r\n" % boundary


def read_by_email(body: bytes, boundary: bytes) -> list[tuple[str, str | None, bytes]]:
    """Name, file name and content of each part, as Python's `email` package reads them."""
    head = b'Content-Type: multipart/form-data; boundary="%b"\r\n\r\n' % boundary
    message = email.message_from_string((head + body).decode("latin-1"))
    parts = message.get_payload() if message.is_multipart() else []
    return [
        (parameter(part, "name") or "", parameter(part, "filename"), str(part.get_payload()).encode("latin-1"))
        for part in parts
        if isinstance(part, Message)
    ]


def parameter(part: Message, name: str) -> str | None:
    """A parameter of the part's Content-Disposition; its bytes are UTF-8."""
    found = dict(part.get_params(header="content-disposition") or []).get(name)
    return None if found is None else found.encode("latin-1").decode()


@dataclass
class Expected:
    """What has to become of a form, by the rules, part by part."""

    takes_urls: bool
    fields: dict[str, str] = dataclass_field(default_factory=dict)
    url: str | None = None
    file_name: str | None = None
    content: bytes = b""
    as_text: bool = False

    def outcome(self, parts: Sequence[Part]) -> tuple[Any, ...]:
        """What becomes of a form of these parts; in the shape of `Target.outcome`."""
        for part in parts:
            refused = self.take_file(part) if part.name == FILE_FIELD else self.take_field(part)
            if refused:
                return "refused", refused, part.name
        missing = [] if "name" in self.fields else [("missing_field", "name")]
        if self.as_text and self.url is None:
            missing.append(("file_not_attached", FILE_FIELD))
        elif self.file_name is None and self.url is None:
            missing.append(("missing_field", FILE_FIELD))
        return "taken", missing, self.fields, self.url, self.file_name, self.content

    def take_file(self, part: Part) -> str | None:
        """Takes the part that is to be the file; the code of its refusal, if it is refused."""
        if self.file_name is not None or self.as_text:
            return "repeated_field"
        self.as_text = part.file_name is None
        if part.file_name:
            self.file_name, self.content = plain_name(part.file_name.encode()), part.content
        elif self.as_text and self.takes_urls and is_meant_as_url(part.content):
            text = text_of(part.content)
            if text is None:
                return "invalid_field"
            self.url = text.strip()
        return None

    def take_field(self, part: Part) -> str | None:
        """Takes a part that is no file; the code of its refusal, if it is refused."""
        if part.name not in TEXT_FIELDS:
            return None
        if part.name in self.fields:
            return "repeated_field"
        text = text_of(part.content)
        if part.file_name is None and len(part.content) > MAX_FIELD_BYTES:
            return "field_too_long"
        if part.file_name is not None or text is None:
            return "invalid_field"
        self.fields[part.name] = text
        return None


def text_of(content: bytes) -> str | None:
    """Its text, where it is UTF-8."""
    try:
        return content.decode()
    except UnicodeDecodeError:
        return None
