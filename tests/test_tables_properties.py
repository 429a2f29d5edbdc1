"""Claims about reading that hold for every file: against Python's own csv module, and for arbitrary bytes."""

from __future__ import annotations

import csv
import io
from typing import Literal

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audiences.errors import Refusal
from test_tables_reading import BOUNDS, Rows, careful, read

few = settings(max_examples=28, deadline=None, suppress_health_check=[HealthCheck.too_slow])

texts = st.text(st.sampled_from("ab 4,;|\t\"'\\é\u00a0€\n=.+"), max_size=8)
phones = st.sampled_from(["442079832100", "+44 20 7983 2100", "31612345678"])
rows = st.lists(st.tuples(phones, texts, texts), min_size=1, max_size=12)


@few
@given(
    rows, st.sampled_from(",;\t|"), st.sampled_from(["\n", "\r\n"]), st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL])
)
def test_well_formed_csv_arrives_as_the_csv_module_reads_it(
    body: list[tuple[str, str, str]], delimiter: str, line_end: str, quoting: Literal[0, 1]
) -> None:
    out = io.StringIO(newline="")
    writer = csv.writer(out, delimiter=delimiter, lineterminator=line_end, quoting=quoting)
    writer.writerows([("phone1", "a", "b"), *body])
    expected = _expected(out.getvalue(), delimiter)

    found = read(out.getvalue())

    assert (found.rows, found.malformed) == (expected, [])
    assert careful(out.getvalue().encode())[0] == expected


def _expected(text: str, delimiter: str) -> Rows:
    """The records after the header as Python reads them; records are numbered, not lines."""
    records = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    return [(number, *record) for number, record in enumerate(records, start=1) if number > 1]


lines = st.lists(
    st.sampled_from(
        [
            "4420,x,y",
            "4420,x",
            "4420",
            "",
            ",,",
            '4420,"x',
            '"4420",x,"y"',
            'x",y',
            '4420,"a""b",c',
            '"z',
            '""',
            '","',
            ",,,z",
            "4420,x,y\r",
            '4420,"x\r',
            "4420,é,\x00",
            '4420,"x" y,z',
            "'a','b'",
            "4420;x;y",
        ]
    ),
    max_size=14,
)


@few
@given(lines)
def test_every_line_is_in_a_row_or_malformed_or_blank(body: list[str]) -> None:
    """Rows are conserved: physical lines are those of the rows, of the malformed records, and the blank ones."""
    text = "phone1,a,b\n" + "".join(line + "\n" for line in body)
    found = read(text)
    careful_rows, careful_blanks = careful(text.encode())
    assert (found.rows, found.blank_rows) == (careful_rows, careful_blanks)
    numbers = [row[0] for row in found.rows] + [row for row, _ in found.malformed]
    assert len(set(numbers)) == len(numbers)
    inner = sum(cell.count("\n") for row in found.rows for cell in row[1:])
    inner += sum(raw.count("\n") for _, raw in found.malformed)
    assert len(numbers) + found.blank_rows + inner == len(body)


soup = st.lists(
    st.sampled_from(
        [
            b"phone1",
            b"4420",
            b",",
            b";",
            b'"',
            b"'",
            b"\n",
            b"\r",
            b"\r\n",
            b"\0",
            b"\xff",
            b"\xc3\xa9",
            b"\xe9",
            b" ",
            b"\\",
            b"\x01",
            b"\xef\xbb\xbf",
            b"\xff\xfe",
            b"\t",
            b"\xef\xbf\xbd",
            b"\x1f\x8b",
            b"PK\x03\x04",
            b"{",
            b"<",
            b"\x02",
            b"|",
            b"sep=;",
        ]
    ),
    max_size=30,
).map(b"".join)


@settings(few, max_examples=150)
@given(st.one_of(soup, soup.map(lambda tail: b"phone1,a\n" + tail), st.binary(max_size=200)))
def test_arbitrary_bytes_are_read_or_refused(data: bytes) -> None:
    """Nothing but a refusal is ever raised; `read` asserts that the counts agree."""
    try:
        read(data, bounds=BOUNDS)
    except Refusal as refusal:
        assert refusal.status in {400, 413}  # noqa: PT017 - what is raised is the claim
