"""Hostile CSV files: lines, quotes, columns and encodings without end."""

from __future__ import annotations

from collections.abc import Iterator

from campaigns.files_archives import MIB, Packed, gzipped
from campaigns.files_shapes import CREATED, HEADER, PHONE, ROW, Hostile, Sizes, repeated, times, whole

NO_COLUMN, NO_TEXT, NO_ROW = "missing_phone_column", "unsupported_format", "no_valid_rows"

# A 503: one file needs more memory than all may have (docs/sizing.md).
FULL = "engine_full"

BROAD = 2_000
COLUMNS = 100_000


def text_files(sizes: Sizes) -> Iterator[Hostile]:
    """All of them."""
    for family in (long_lines, quotes, zeros, columns, many_rows, encodings, headers):
        yield from family(sizes)


def long_lines(sizes: Sizes) -> Iterator[Hostile]:
    """Lines that do not end: a row that is told as malformed, and the rows around it."""
    size = sizes.line_bytes
    before, behind = HEADER + ROW + PHONE + b"1,", b"\n" + PHONE[:-1] + b"1,b\n"
    yield Hostile("an endless line", repeated(b"x", size, before, behind), (CREATED,), 3, 2)
    packed = Packed(b"x" * MIB, size // MIB or 1, before, behind)
    yield Hostile("an endless line in gzip", lambda: gzipped(packed), (CREATED,), 3, 2)
    yield Hostile("an endless line of delimiters", repeated(b",", size, before, behind), (CREATED,), 3, 2)
    yield Hostile("an endless first line", repeated(b"x,", size, behind=b"\n" + HEADER + ROW), (NO_COLUMN,))
    yield Hostile("an endless line behind the last row", repeated(b"x", size, HEADER + ROW + b"y"), (CREATED,), 2, 1)
    long = b"y" * 400_000 + b"\n"
    rows = times(ROW + long, sizes.text_bytes)
    yield Hostile("a long line in two", repeated(ROW + long, sizes.text_bytes, HEADER), (CREATED,), 2 * rows, 1)
    size = 3 * sizes.text_bytes
    for kilobytes in (5, 50):
        long = PHONE + b"," + b"z" * (1_000 * kilobytes) + b"\n"
        yield Hostile(f"cells of {kilobytes} KB", repeated(long, size, HEADER), (CREATED,), times(long, size), 1)


def quotes(sizes: Sizes) -> Iterator[Hostile]:
    """Quotes that are not closed, or hardly anything else."""
    size = sizes.text_bytes
    rows = times(ROW, size)
    yield Hostile("an unclosed quote", repeated(ROW, size, HEADER + b'"442,'), (CREATED,), rows, 1)
    yield Hostile("an unclosed quote behind it all", repeated(ROW, size, HEADER, b'"44'), (CREATED,), rows + 1, 1)
    opened = b'442079832100,"a\n'
    yield Hostile("a quote opened in each line", repeated(opened, size, HEADER, ROW), (CREATED,), accepted=1)
    for name, unit in (("quotes", b'"'), ("quotes and commas", b'",'), ("lines of a quote", b'"\n')):
        yield Hostile(f"nothing but {name}", repeated(unit, size, HEADER, b"\n" + ROW), (CREATED, NO_ROW))
        yield Hostile(f"{name} and no header", repeated(unit, size), (NO_COLUMN, "empty_file"))
    near = b'"' + b'""' * 120_000 + b"x\n"
    # The engine looks at two thousand lines at once, and these leave no room for as many.
    yield Hostile("lines that nearly close", repeated(near, size, HEADER + ROW), (CREATED, FULL), accepted=1)
    single = b"'" + b"''" * 1000 + b"a'a"
    yield Hostile("apostrophes", repeated(single, size, b"'phone1','n'\n'442079832100','a'\n"), (CREATED,))
    yield Hostile("backslashes", repeated(b'\\"', size, HEADER + ROW + b'"'), (CREATED,), accepted=1)


def zeros(sizes: Sizes) -> Iterator[Hostile]:
    """Zero bytes, and the control characters that the reader uses itself."""
    size = sizes.text_bytes
    yield Hostile("zeros", repeated(b"\0", size), (NO_TEXT,))
    yield Hostile("zeros behind a header", repeated(b"\0", size, HEADER + ROW), (NO_TEXT,))
    yield Hostile("zeros far below", repeated(b"\0", size, HEADER + ROW * 100_000), (CREATED,), accepted=1)
    few, many = b"442079832100,abc\0defghijklm\n", b"442079832100\0,\0\n"
    yield Hostile("a zero in each line", repeated(few, size, HEADER), (CREATED,), accepted=1)
    # As many as in UTF-16: it is taken for that.
    yield Hostile("two zeros in each line", repeated(many, size, HEADER), (CREATED, NO_COLUMN))
    for mark in (b"\x01", b"\x02", b"\x01L", b"\x01X\x01n"):
        several = mark * 20 + b"\n"
        name = f"control characters {mark!r}"
        yield Hostile(name, repeated(several, size, HEADER + ROW), (CREATED,), accepted=1)


def columns(sizes: Sizes) -> Iterator[Hostile]:
    """More columns than anybody has, named and not; and tables of empty cells."""
    size = sizes.text_bytes
    named = b",".join(b"c%d" % place for place in range(COLUMNS))
    yield Hostile("100,000 columns", whole(b"phone1," + named + b"\n" + ROW), ("too_many_columns",))
    yield Hostile("100,000 nameless columns", whole(b"phone1" + b"," * COLUMNS + b"\n" + PHONE), (CREATED,), 1, 1)
    surplus = PHONE + b",x" * COLUMNS + b"\n"
    yield Hostile("rows of 100,000 cells", repeated(surplus, size, HEADER + ROW), (CREATED,), accepted=1)
    blank = PHONE + b"," * COLUMNS + b"\n"
    yield Hostile("rows of 100,000 empty cells", repeated(blank, size, HEADER), (CREATED,), accepted=1)
    few = b",".join(b"c%d" % place for place in range(BROAD - 1))
    for name, cell in (("empty cells", b""), ("cells of a digit", b"1")):
        row = PHONE + (b"," + cell) * (BROAD - 1) + b"\n"
        head = b"phone1," + few + b"\n"
        rows = times(row, size)
        yield Hostile(f"2,000 columns of {name}", repeated(row, size, head), (CREATED,), rows, 1)
        yield Hostile(
            f"2,000 columns of {name}, and a broken row", repeated(row, size, head, b'"'), (CREATED,), accepted=1
        )
    short = PHONE + b"\n"
    for name, last in (("short rows", b""), ("short rows, one of them broken,", b'"')):
        # Filled up they have more cells than memory can write.
        yield Hostile(f"{name} below 2,000 columns", repeated(short, size, head, last), (CREATED, FULL), accepted=1)
    alike = b",".join(bytes(letters) for letters in _alike())
    yield Hostile("names that are nearly phone1", whole(alike + b"\n" + ROW), (NO_COLUMN,))


def _alike() -> Iterator[bytes]:
    for place in range(40_000):
        yield b"ph%cn%c%d" % (97 + place % 26, 97 + place // 26 % 26, 2 + place // 676 % 8)


def many_rows(sizes: Sizes) -> Iterator[Hostile]:
    """Ten million lines with nothing in them, or next to nothing."""
    rows = sizes.rows
    for name, line in (("LF", b"\n"), ("CRLF", b"\r\n"), ("CR", b"\r"), ("blanks", b" \n"), ("commas", b",\n")):
        end = line.strip(b" ,")
        head, last = HEADER.replace(b"\n", end), ROW.replace(b"\n", end)
        yield Hostile(f"empty lines: {name}", repeated(line, rows * len(line), head, last), (CREATED,), 1, 1)
    above = repeated(b"\n", rows, behind=HEADER + ROW)
    yield Hostile("empty lines above the header", above, (NO_COLUMN, "empty_file"))
    mixed = b"\n\r\n\r"
    yield Hostile("empty lines of mixed ends", repeated(mixed, rows, HEADER, ROW), (CREATED,), 1, 1)
    for digit in (b"1", b"x"):
        found = times(digit + b"\n", rows * 2) + 1
        one = repeated(digit + b"\n", rows * 2, b"phone1\n", PHONE + b"\n")
        yield Hostile(f"rows of {digit.decode()}", one, (CREATED,), found, 1)
    for name, head, row in (
        ("one number again and again", HEADER, ROW),
        ("one number again and again, alone", b"phone1\n", PHONE + b"\n"),
    ):
        yield Hostile(name, repeated(row, sizes.text_bytes, head), (CREATED,), times(row, sizes.text_bytes), 1)
    found = times(b"1\n", rows * 2) + 2
    broken = repeated(b"1\n", rows * 2, HEADER + b'"', ROW)
    yield Hostile("rows of 1, one of them broken", broken, (CREATED,), accepted=1)


def encodings(sizes: Sizes) -> Iterator[Hostile]:
    """Several encodings in one file, and bytes that are in none."""
    size = sizes.text_bytes
    wide = ROW.decode().encode("utf-16-le")
    umlaut = "442079832101,Zoë\n"
    utf8, cp1252 = umlaut.encode(), umlaut.encode("cp1252")
    head = HEADER + ROW
    yield Hostile("UTF-16 behind UTF-8", repeated(wide, size, HEADER + ROW * 50_000), (CREATED, NO_TEXT), accepted=1)
    yield Hostile("UTF-16 with a mark behind UTF-8", repeated(wide, size, head * 20_000 + b"\xff\xfe"), (CREATED,))
    yield Hostile("byte order marks all over", repeated(b"\xef\xbb\xbf" + ROW, size, head), (CREATED,))
    yield Hostile("CP1252 behind UTF-8", repeated(cp1252, size, HEADER + utf8 * 50_000), (CREATED,))
    yield Hostile("UTF-8 behind CP1252", repeated(utf8, size, HEADER + cp1252 * 50_000), (CREATED,))
    yield Hostile("UTF-8 behind the mark of UTF-16", repeated(ROW, size, b"\xff\xfe" + HEADER), (NO_COLUMN, NO_TEXT))
    odd = HEADER.decode().encode("utf-16")
    yield Hostile("UTF-16 of an odd length", repeated(wide, size, odd, b"\x00"), (CREATED,), accepted=1)
    yield Hostile("lone surrogates", repeated(b"\x00\xd8", size, odd), (CREATED, NO_ROW))
    yield Hostile(
        "UTF-32", repeated(ROW.decode().encode("utf-32-le"), size, HEADER.decode().encode("utf-32")), (CREATED,)
    )
    yield Hostile("UTF-32 beyond Unicode", repeated(b"\xff" * 4, size, HEADER.decode().encode("utf-32")), (NO_ROW,))
    yield Hostile("bytes of no encoding", repeated(b"\xff\xfe\xfd", size, head), (CREATED,), accepted=1)
    yield Hostile("overlong UTF-8", repeated(b"442079832100,\xc0\xaf\n", size, head), (CREATED,))
    yield Hostile("characters of three bytes", repeated("\u4442".encode(), size, head + b"x,"), (CREATED,), 2, 1)
    yield Hostile("CP1252 that grows", repeated(b"\xe4", size, b"phone1,\xe4\n" + ROW), (CREATED,), 2, 1)


def headers(sizes: Sizes) -> Iterator[Hostile]:
    """Headers that are odd."""
    long = b"n" * 200_000
    yield Hostile("a column's name of 200 KB", whole(b"phone1," + long + b"\n" + ROW), (CREATED,), 1, 1)
    yield Hostile("phone1 a thousand times", whole(b"phone1," * 1000 + b"\n" + ROW), ("repeated_phone_column",))
    yield Hostile(
        "a header in quotes without end", repeated(b"\n", sizes.text_bytes, b'"phone1'), (NO_COLUMN, NO_ROW, CREATED)
    )
    yield Hostile("a header that is all", whole(HEADER), (NO_ROW,))
    same = b"phone1" + b",same" * (BROAD - 1) + b"\n" + ROW
    yield Hostile("2,000 columns of one name", whole(same), (CREATED,), 1, 1)
