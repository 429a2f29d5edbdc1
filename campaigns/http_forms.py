"""Games with multipart: boundaries, parts and names, each with the answer it has to get."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from campaigns.http_requests import BOUNDARY, DELIMITER, END, FILE, FORM, MULTIPART, NAME, ROWS, part

KIND = b"Content-Type: multipart/form-data; boundary="


@dataclass(frozen=True)
class FormCase:
    """A form, and the status and code that come back; of a 201, the rows that the file then has."""

    name: str
    form: bytes
    status: int
    code: str = ""
    kind: bytes = MULTIPART
    rows: int = 2
    file_name: str = "a.csv"


def form_cases() -> Iterator[FormCase]:
    """All of them."""
    for family in (boundaries, ends, contents, parts, names, file_names, counts):
        yield from family()


def boundaries() -> Iterator[FormCase]:
    """How a boundary may be written."""
    for length in (1, 70, 256):
        other = b"y" * length
        yield FormCase(f"a boundary of {length}", FORM.replace(BOUNDARY, other), 201, kind=KIND + other)
    longest = b"y" * 257
    yield FormCase("a boundary of 257", FORM.replace(BOUNDARY, longest), 400, "not_multipart", KIND + longest)
    fine = {
        "in quotes": (b'"%s"' % BOUNDARY, BOUNDARY),
        "with blanks behind it": (BOUNDARY + b"  ", BOUNDARY),
        "that ends with a blank, in quotes": (b'"%s "' % BOUNDARY, BOUNDARY + b" "),
        "of all characters that it may have": (b'"\'()+_,-./:=?"', b"'()+_,-./:=?"),
        "of dashes": (b"--", b"--"),
        "beyond ASCII": (b"\xe9\xff", b"\xe9\xff"),
        "with a quote": (b'"a\\"b"', b'a"b'),
    }
    for name, (said, meant) in fine.items():
        yield FormCase(f"a boundary {name}", FORM.replace(BOUNDARY, meant), 201, kind=KIND + said)
    upper = b"CONTENT-TYPE: Multipart/Form-Data; BOUNDARY=" + BOUNDARY
    yield FormCase("a kind in other letters", FORM, 201, kind=upper)
    yield FormCase("two boundaries", FORM, 400, "malformed_request", MULTIPART + b"; boundary=other")
    yield FormCase("a boundary of RFC 2231", FORM, 400, "not_multipart", KIND[:-1] + b"*=utf-8''" + BOUNDARY)
    yield FormCase("no boundary", FORM, 400, "not_multipart", KIND[: KIND.index(b";")])
    yield FormCase("an empty boundary", FORM, 400, "not_multipart", KIND)
    yield FormCase("another kind", FORM, 400, "not_multipart", b"Content-Type: multipart/mixed; boundary=" + BOUNDARY)


def ends() -> Iterator[FormCase]:
    """Where a form begins and ends."""
    body = NAME + FILE
    cut = {
        "without dashes at its end": body + DELIMITER + b"\r\n",
        "with one dash": body + DELIMITER + b"-\r\n",
        "without its last boundary": body,
        "of nothing": b"",
        "of line ends": b"\r\n" * 1000,
    }
    for name, form in cut.items():
        yield FormCase(f"a form {name}", form, 400, "truncated_body")
    amiss = {
        "with LF alone": FORM.replace(b"\r\n", b"\n"),
        "with CR alone": FORM.replace(b"\r\n", b"\r"),
        "with a preamble": b"preamble\r\n" + FORM,
        "with blanks behind its boundaries": FORM.replace(DELIMITER + b"\r\n", DELIMITER + b"  \r\n"),
    }
    for name, form in amiss.items():
        yield FormCase(f"a form {name}", form, 400, "malformed_request")
    fine = {
        "with an empty line in front": b"\r\n" + FORM,
        "without a line end behind it": FORM.removesuffix(b"\r\n"),
        "with blanks behind its last boundary": FORM.removesuffix(b"\r\n") + b"  \r\n",
        "with an epilogue": FORM + b"epilogue" + DELIMITER + b"\r\n",
        "with another form behind it": FORM + FORM,
    }
    for name, form in fine.items():
        yield FormCase(f"a form {name}", form, 201)


def contents() -> Iterator[FormCase]:
    """Files that look like what is around them: all of their rows arrive."""

    def holding(content: bytes) -> bytes:
        return NAME + part(b"audience_file", content, b'; filename="a.csv"') + END

    like = {
        "the boundary's beginning": b"\r\n" + DELIMITER[:-1] + b"\r\n" + DELIMITER[: len(DELIMITER) // 2],
        "the boundary and more": DELIMITER + b"x\r\n" + DELIMITER + b"-x\r\n",
        "another boundary": b"--other\r\n--other--\r\n",
    }
    for name, more in like.items():
        rows = 2 + len([line for line in more.splitlines() if line])
        yield FormCase(f"a file that holds {name}", holding(ROWS + more), 201, rows=rows)
    headers = b'Content-Disposition: form-data; name="name"\r\n\r\n'
    yield FormCase("a file that begins like headers", holding(headers + ROWS), 201)
    inner = part(
        b"audience_file", b"--inner\r\n\r\nx\r\n--inner--", b'; filename="a.csv"\r\nContent-Type: multipart/mixed'
    )
    yield FormCase("a form within a form", NAME + inner + END, 400, "missing_phone_column")
    coded = part(b"audience_file", b"cGhvbmUxCg==", b'; filename="a.csv"\r\nContent-Transfer-Encoding: base64')
    yield FormCase("a file in base64", NAME + coded + END, 400, "missing_phone_column")


def parts() -> Iterator[FormCase]:
    """Parts that are none, or two at once."""
    bare = DELIMITER + b"\r\n\r\nx\r\n"
    yield FormCase("a part without headers", NAME + bare + FILE + END, 201)
    yield FormCase("a part of nothing", NAME + DELIMITER + b"\r\n" + FILE + END, 400, "malformed_request")
    twice = b'; filename="a.csv"\r\nContent-Disposition: form-data; name="name"'
    yield FormCase("two dispositions", part(b"audience_file", ROWS, twice) + NAME + END, 400, "malformed_request")
    folded = part(b"audience_file", ROWS, b';\r\n filename="a.csv"')
    yield FormCase("a folded header", NAME + folded + END, 400, "malformed_request")
    empty = FILE.replace(b"\r\n", b"\r\n: x\r\n", 1)
    yield FormCase("a header without a name", NAME + empty + END, 400, "malformed_request")
    none = FILE.replace(b"Content-Disposition: form-data", b"Content-Type: text/csv")
    yield FormCase("no disposition", NAME + none + END, 400, "missing_field")
    repeated = {"name": NAME + NAME + FILE, "audience_file": NAME + FILE + FILE}
    for field, form in repeated.items():
        yield FormCase(f"{field} twice", form + END, 400, "repeated_field")
    yield FormCase("an order of its own", FILE + NAME + END, 201)


def names() -> Iterator[FormCase]:
    """How a part may be named."""
    plain = b'name="audience_file"; filename="a.csv"'
    fine = (b"name=audience_file; filename=a.csv", b'NAME="audience_file"; FILENAME="a.csv"')
    for said in fine:
        yield FormCase(f"a name as {said!r}", NAME + FILE.replace(plain, said) + END, 201)
    other = (
        b"name*=utf-8''audience_file; filename=\"a.csv\"",
        b'name="x"; name*=utf-8\'\'audience_file; filename="a.csv"',
        b"name='audience_file'; filename='a.csv'",
        b'name="\\audience_file"; filename="a.csv"',
        b'name="Audience_File"; filename="a.csv"',
        b'na\0me="audience_file"; filename="a.csv"',
        b'name="audience_file\0"; filename="a.csv"',
    )
    for said in other:
        yield FormCase(f"a name as {said!r}", NAME + FILE.replace(plain, said) + END, 400, "missing_field")
    charset = part(b"_charset_", b"iso-8859-1") + part(b"name", b"\xe9") + FILE + END
    yield FormCase("a _charset_", charset, 400, "invalid_field")


def file_names() -> Iterator[FormCase]:
    """Names of files: shown as they are, without folders and control characters, and never a path."""
    shown = {
        b"../../etc/passwd": "passwd",
        b"..\\..\\boot.ini": "boot.ini",
        b"/etc/passwd": "passwd",
        b"C:\\x\\y.csv": "y.csv",
        b"a\0b.csv": "ab.csv",
        b"a\x01\x1b[31mb": "a[31mb",
        b"a%00b%22.csv": "a%00b%22.csv",
        b'a\\"b.csv': 'a"b.csv',
        b"<script>": "<script>",
        b"\xff\xfe": "\ufffd\ufffd",
        "\u202evsc.exe".encode(): "vsc.exe",
        b"..": "..",
        b"/": "file",
        b"x" * 3900: "x" * 255,
    }
    for said, meant in shown.items():
        file = FILE.replace(b"a.csv", said, 1)
        yield FormCase(f"a file named {said[:20]!r}", NAME + file + END, 201, file_name=meant)
    star = FILE.replace(b'filename="a.csv"', b"filename*=utf-8''..%2f%00")
    yield FormCase("a file named by filename* alone", NAME + star + END, 201, file_name="file")
    yield FormCase("no name of a file", NAME + FILE.replace(b"a.csv", b"", 1) + END, 400, "missing_field")
    long = FILE.replace(b"a.csv", b"x" * 10240, 1)
    yield FormCase("a file's name of 10 KB", NAME + long + END, 413, "headers_too_large")


def counts() -> Iterator[FormCase]:
    """More of all than a form needs."""
    many = part(b"f", b"")
    yield FormCase("10,000 parts", NAME + many * 10_000 + FILE + END, 413, "too_many_parts")
    yield FormCase("100 parts", NAME + many * 98 + FILE + END, 201)
    more = b"".join(b"\r\nX-%d: y" % number for number in range(1000))
    headers = part(b"audience_file", ROWS, b'; filename="a.csv"' + more)
    yield FormCase("1,000 headers of a part", NAME + headers + END, 413, "headers_too_large")
    yield FormCase("a name of 9 KB", part(b"name", b"x" * 9000) + FILE + END, 413, "field_too_long")
    yield FormCase("a part's name of 5 KB", part(b"x" * 5000, b"") + NAME + FILE + END, 413, "headers_too_large")
