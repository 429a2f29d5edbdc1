"""The parts of a multipart form, as they arrive: text fields in memory, the file in the spool.

The parser is python-multipart's; this module decides what each part is and what it may cost.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

from python_multipart.exceptions import FormParserError, MultipartParseError
from python_multipart.multipart import MAX_BOUNDARY_LENGTH, MultipartParser, parse_options_header

from audiences.errors import (
    BodyTooLarge,
    FieldTooLong,
    FileNotAttached,
    HeadersTooLarge,
    InvalidField,
    MalformedRequest,
    MissingField,
    NotMultipart,
    Refusal,
    RepeatedField,
    TooManyParts,
    TruncatedBody,
)

FILE_FIELD = "audience_file"
TEXT_FIELDS = ("name", "phone_column", "default_region", "sheet", "dry_run")

# Bounds of a form, far above what any client sends. A part's headers are Content-Disposition and Content-Type.
MAX_PARTS = 100
MAX_PART_HEADERS = 16
MAX_PART_HEADER_BYTES = 4096
MAX_FIELD_BYTES = 8192
MAX_FILE_NAME = 255


class Form:
    """One form under way. Feed it the body's bytes, `finish` it, then read its `fields` and the file's facts.

    `fields` are the recognised text fields; `file_name`, `file_bytes` and `sha256` are the file's, whose content is at
    `path`. Where the form `takes_urls` and has one in place of the file, `url` is that text, and the file is taken by
    `open_file` and `take` once it is fetched. Parts of unknown names are read over.
    """

    def __init__(self, content_type: str | None, path: Path, max_file_bytes: int, *, takes_urls: bool = False) -> None:
        self.path = path
        self.max_file_bytes = max_file_bytes
        self.takes_urls = takes_urls
        self.url: str | None = None
        self.fields: dict[str, str] = {}
        self.file_name: str | None = None
        self.file_bytes = 0
        self.digest = hashlib.sha256()
        self.text_as_file = False
        self.parts = 0
        self.begun = False
        self.ended = False
        self.file: BinaryIO | None = None
        self.field: str | None = None
        self.value = bytearray()
        self.header: tuple[bytearray, bytearray] = (bytearray(), bytearray())
        self.headers: dict[bytes, bytes] = {}
        self.parser = self.open_parser(content_type)

    def open_parser(self, content_type: str | None) -> MultipartParser:
        """The push parser for the header's boundary. Raises NotMultipart."""
        kind, options = parse_options_header(content_type)
        boundary = options.get(b"boundary")
        if kind != b"multipart/form-data" or not boundary:
            raise NotMultipart(
                "The body must be multipart/form-data, with the boundary in Content-Type. "
                "Clients do this when a file is attached: curl -F name=NE_USA-above50 -F audience_file=@customers.csv",
                field="Content-Type",
            )
        callbacks = {
            "on_part_begin": self.on_part_begin,
            "on_header_field": lambda data, start, end: self.header[0].extend(data[start:end]),
            "on_header_value": lambda data, start, end: self.header[1].extend(data[start:end]),
            "on_header_end": self.on_header_end,
            "on_headers_finished": self.on_headers_finished,
            "on_part_data": self.on_part_data,
            "on_part_end": self.on_part_end,
            "on_end": self.on_end,
        }
        bounds = {"max_header_count": MAX_PART_HEADERS, "max_header_size": MAX_PART_HEADER_BYTES}
        try:
            return MultipartParser(boundary, callbacks, **bounds)  # type: ignore[arg-type]
        except FormParserError:
            raise NotMultipart(
                f"The boundary in Content-Type is longer than {MAX_BOUNDARY_LENGTH} characters."
            ) from None

    def feed(self, data: bytes) -> None:
        """Takes the next bytes of the body. Raises a Refusal, or OSError from the spool."""
        if not self.begun:  # the parser would read over a text behind line ends, or refuse it, by how it comes in
            data = data.lstrip(b"\r\n")
            self.begun = bool(data)
        try:
            self.parser.write(data)
        except MultipartParseError as error:
            if "exceeded" in str(error):
                raise HeadersTooLarge(
                    f"A part of the form has more than {MAX_PART_HEADERS} headers, "
                    f"or one of more than {MAX_PART_HEADER_BYTES} bytes."
                ) from None
            raise MalformedRequest("The multipart body is broken: a boundary or a header of a part is amiss.") from None

    def finish(self, required: Sequence[str]) -> Refusal | None:
        """Says that the body is at its end; what is missing of the form, or None. Raises TruncatedBody."""
        self.close()
        if not self.ended:
            raise TruncatedBody("The body ended before its closing boundary. Send it again, whole.")
        missing = [missing_field(name) for name in required if name not in self.fields]
        if self.text_as_file and self.url is None:
            missing.append(FileNotAttached())
        elif self.file_name is None and self.url is None:
            missing.append(missing_field(FILE_FIELD))
        if not missing:
            return None
        missing[0].also = missing[1:]
        return missing[0]

    def close(self) -> None:
        """Closes the spool file."""
        if self.file is not None:
            self.file.close()
            self.file = None

    @property
    def sha256(self) -> bytes:
        """The file's digest."""
        return self.digest.digest()

    def on_part_begin(self) -> None:
        """Counts a part."""
        self.parts += 1
        self.headers = {}
        if self.parts > MAX_PARTS:
            raise TooManyParts(f"The form has more than {MAX_PARTS} parts; it needs two: name and audience_file.")

    def on_header_end(self) -> None:
        """Keeps a header of a part."""
        name, value = bytes(self.header[0]).lower(), bytes(self.header[1])
        if name in self.headers:  # of two, one reader would believe the first, another the last
            raise MalformedRequest("A part of the form has the same header twice.")
        self.headers[name] = value
        self.header = (bytearray(), bytearray())

    def on_headers_finished(self) -> None:
        """Decides what this part is: the file, a field that is known, or one to read over."""
        disposition = self.headers.get(b"content-disposition", b"").decode("latin-1")
        _, options = parse_options_header(disposition)
        name = options.get(b"name", b"").decode("utf-8", "replace")
        file_name = options.get(b"filename")
        if file_name is None and "filename*=" in disposition.lower():
            file_name = (
                b"file"  # older clients send names beyond ASCII this way alone (RFC 5987), though RFC 7578 forbids it
            )
        self.field, self.value = None, bytearray()
        if name == FILE_FIELD:
            self.begin_file(file_name)
        elif name in TEXT_FIELDS:
            self.begin_field(name, file_name)

    def begin_field(self, name: str, file_name: bytes | None) -> None:
        """A text field's value comes next."""
        if name in self.fields:
            raise RepeatedField(f"The form field {name} was sent more than once. Send it once.", field=name)
        if file_name is not None:
            raise InvalidField(f"The form field {name} must be text, not a file.", field=name)
        self.field = name

    def begin_file(self, file_name: bytes | None) -> None:
        """The file's bytes come next; or text, where the caller forgot to attach one; or nothing was chosen."""
        if self.file_name is not None or self.text_as_file:
            raise RepeatedField("audience_file was sent more than once. Send one file a request.", field=FILE_FIELD)
        if file_name is None:
            self.text_as_file = True
            self.field = FILE_FIELD if self.takes_urls else None
        elif file_name:
            self.open_file(file_name)

    def open_file(self, name: bytes) -> None:
        """The file's bytes come next, under that name."""
        self.file_name = plain_name(name)
        self.file = self.path.open("wb", buffering=0)

    def take(self, chunk: bytes | memoryview) -> None:
        """Takes bytes of the file. Raises BodyTooLarge, or OSError from the spool."""
        assert self.file is not None  # noqa: S101 - it was opened
        self.file_bytes += len(chunk)
        if self.file_bytes > self.max_file_bytes:
            raise too_large(self.max_file_bytes)
        self.digest.update(chunk)
        write_all(self.file, memoryview(chunk))

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        """Takes bytes of a part's content."""
        if self.file is not None:
            self.take(memoryview(data)[start:end])
        elif self.field is not None:
            self.value += data[start:end]
            if len(self.value) > MAX_FIELD_BYTES:
                self.refuse_long_field(self.field)

    def refuse_long_field(self, field: str) -> None:
        """Raises FieldTooLong; but a whole file that was sent as text is told that it is none, at the form's end."""
        if field == FILE_FIELD and not is_meant_as_url(self.value):
            self.field = None
            return
        raise FieldTooLong(f"The form field {field} is longer than {MAX_FIELD_BYTES} bytes.", field=field)

    def on_part_end(self) -> None:
        """Closes the file, or decodes the field."""
        self.close()
        if self.field is None or (self.field == FILE_FIELD and not is_meant_as_url(self.value)):
            return
        try:
            text = self.value.decode()
        except UnicodeDecodeError:
            raise InvalidField(f"The form field {self.field} is not UTF-8 text.", field=self.field) from None
        if self.field == FILE_FIELD:
            self.url = text.strip()
        else:
            self.fields[self.field] = text

    def on_end(self) -> None:
        """The closing boundary was there."""
        self.ended = True


def missing_field(name: str) -> Refusal:
    """The refusal of a form without that field."""
    how = {"name": "-F name=NE_USA-above50", FILE_FIELD: "-F audience_file=@customers.csv"}[name]
    what = {"name": "the new audience's name", FILE_FIELD: "a CSV or Excel file"}[name]
    return MissingField(f"The form field {name} is missing. Send {what}; with curl: {how}", field=name)


def is_meant_as_url(value: bytes | bytearray) -> bool:
    """Whether the text begins as an https URL does; whether it is one is for `fetch` to say."""
    return value.lstrip()[:8].lower() == b"https://"


def too_large(limit: int) -> Refusal:
    """The refusal of a body or file over the limit."""
    return BodyTooLarge(
        f"The body is larger than the {limit:,} bytes that this server takes. Split the file, or compress it (.gz).",
        headers={"Connection": "close"},
    )


def plain_name(raw: bytes) -> str:
    """A file's own name as it may be shown: no folders, no control characters, at most 255 characters."""
    base = re.split(r"[/\\]", raw.decode("utf-8", "replace"))[-1]
    return "".join(character for character in base if character.isprintable())[-MAX_FILE_NAME:] or "file"


def write_all(file: BinaryIO, chunk: memoryview) -> None:
    """Writes every byte, also where a raw write takes a part of them."""
    while chunk:
        chunk = chunk[file.write(chunk) :]
