"""Requests as bytes, the valid ones that the hostile ones are made of."""

from __future__ import annotations

from dataclasses import dataclass

BOUNDARY = b"campaign-boundary"
DELIMITER = b"--" + BOUNDARY
END = DELIMITER + b"--\r\n"
MULTIPART = b"Content-Type: multipart/form-data; boundary=" + BOUNDARY
ROWS = b"phone1,note\n442079832100,a\n442079832101,b\n"


def part(name: bytes, content: bytes, more: bytes = b"") -> bytes:
    """A part of a form, with more parameters of its Content-Disposition."""
    return (
        DELIMITER + b'\r\nContent-Disposition: form-data; name="' + name + b'"' + more + b"\r\n\r\n" + content + b"\r\n"
    )


NAME = part(b"name", b"campaign")
FILE = part(b"audience_file", ROWS, b'; filename="a.csv"')
FORM = NAME + FILE + END


def head(line: bytes, *fields: bytes) -> bytes:
    """A request's line and header fields."""
    return b"\r\n".join((line, *fields, b"", b""))


def get(path: bytes = b"/healthz", *fields: bytes) -> bytes:
    """A GET with a Host."""
    return head(b"GET " + path + b" HTTP/1.1", b"Host: x", *fields)


def chunks(body: bytes, size: int = 50) -> bytes:
    """The body in chunks of so many bytes, and the last one."""
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


@dataclass(frozen=True)
class Caller:
    """Whose key it is that requests carry."""

    key: str

    @property
    def authorization(self) -> bytes:
        """The header field."""
        return b"Authorization: Bearer " + self.key.encode()

    def get(self, path: bytes, *fields: bytes) -> bytes:
        """A GET."""
        return get(path, self.authorization, *fields)

    def send(self, line: bytes, body: bytes, *fields: bytes) -> bytes:
        """A request with a body of the length that it says."""
        return head(line, b"Host: x", self.authorization, *fields, b"Content-Length: %d" % len(body)) + body

    def upload(self, form: bytes = FORM, *fields: bytes, kind: bytes = MULTIPART) -> bytes:
        """POST /audiences with such a form."""
        return self.send(b"POST /audiences HTTP/1.1", form, kind, *fields)

    def upload_in_chunks(self, form: bytes = FORM, *fields: bytes) -> bytes:
        """The same, of no length that it says."""
        coded = b"Transfer-Encoding: chunked"
        return head(b"POST /audiences HTTP/1.1", b"Host: x", self.authorization, MULTIPART, coded, *fields) + chunks(
            form
        )
