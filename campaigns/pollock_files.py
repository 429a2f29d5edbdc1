"""The files of the Pollock benchmark: one table, and each of the ways in which its file can be polluted.

Pollock is Vitagliano et al., "Pollock: A Data Loading Benchmark", VLDB 2023: 2,290 files, made from one of 84 rows and
9 columns. Names, positions and what a pollution does to the text are theirs; the table is ours, for it needs phones.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass, field
from functools import partial

ROWS, COLUMNS = 84, 9
PHONE = 3
NAMES = ("DATE", "TIME", "Qty", "phone1", "Price", "ProductType", "ProductDescription", "URL", "Comments")

# Quoted in every row, as in their table; others where they have to be.
ALWAYS_QUOTED = (6, 7)

_THINGS = ("Men's Hiking Boots", "Throw Pillow, Wooden Paddles", 'Round Table, 48"', "Kids' Bike, 24\"", "Fly Rods")
_WORDS = ("light", "rugged", 'of 9" length', "for warm, dry conditions", "that won't let you down", "made to last")


@dataclass
class Cell:
    """A value; whether it stands in quotes; and what stands before it that nobody escaped."""

    value: str
    quoted: bool = False
    stray: str = ""


@dataclass
class Row:
    """Cells, what stands between them (`gaps`, the first before all of them), and the line's end."""

    cells: list[Cell]
    gaps: list[str]
    end: str = "\r\n"


@dataclass
class File:
    """A file as a tree: `above` are rows before the header, `header` is all rows that name columns.

    `touched` are the rows (of all, from 0) that a pollution changed: what such a row says is anybody's guess.
    """

    name: str
    header: list[Row]
    data: list[Row]
    above: list[Row] = field(default_factory=list)
    quote: str = '"'
    escape: str = '"'
    encoding: str = "utf-8"
    touched: set[int] = field(default_factory=set)
    published: bool = True

    @property
    def rows(self) -> list[Row]:
        """All of them, from the file's first."""
        return [*self.above, *self.header, *self.data]

    def line(self, row: Row) -> str:
        """The row as it stands in the file, without the line's end."""
        texts = [self.text(cell) for cell in row.cells]
        return row.gaps[0] + "".join(text + gap for text, gap in zip(texts, [*row.gaps[1:], ""], strict=True))

    def text(self, cell: Cell) -> str:
        """The cell as it stands in the file."""
        value = cell.stray + cell.value.replace(self.quote, self.escape + self.quote)
        return self.quote + value + self.quote if cell.quoted else value

    def is_clear(self, row: Row) -> bool:
        """Whether the row says what it says by the rules: nothing in quotes ends them before their end."""
        return self.escape != "" or not any(cell.quoted and self.quote in cell.value for cell in row.cells)

    def content(self) -> bytes:
        """Its bytes."""
        return "".join(self.line(row) + row.end for row in self.rows).encode(self.encoding)

    def clean(self) -> list[list[str]]:
        """What a perfect reader makes of it: the header, and the values of each row."""
        header = [" ".join(names) for names in zip(*([c.value for c in row.cells] for row in self.header), strict=True)]
        return [*([header] if header else []), *([c.stray + c.value for c in row.cells] for row in self.data)]


Change = Callable[[File], None]


def source() -> File:
    """The table that all files are made of."""
    chance = random.Random(1)
    header = row_of(list(NAMES))
    data = []
    for at in range(ROWS - 1):
        thing, words = chance.choice(_THINGS), chance.sample(_WORDS, 3)
        day, hour = f"{at % 28 + 1:02}/01/2018", f"{at % 24:02}:15"
        price, url = f"${chance.randrange(9000) / 100:.2f}", f"https://www.example.com/product/{at}.html"
        cells = [
            day,
            hour,
            str(at % 5),
            str(442079832100 + at),
            price,
            thing,
            f"These are {', '.join(words)}.",
            url,
            "",
        ]
        data.append(row_of(cells))
    return File("source.csv", [header], data)


def row_of(values: list[str]) -> Row:
    """A row of these values."""
    cells = [Cell(value, at in ALWAYS_QUOTED or "," in value or '"' in value) for at, value in enumerate(values)]
    return Row(cells, ["", *[","] * (len(values) - 1)])


def ways() -> Iterator[tuple[str, Change]]:
    """Each file's name, and how it comes to be: those of the benchmark, and a few that its first version had."""
    yield "source.csv", lambda _file: None
    yield from {**TABLES, **DIALECTS}.items()
    for row in range(ROWS):
        yield from ways_of_row(row)
    yield from EARLIER.items()


def ways_of_row(row: int) -> Iterator[tuple[str, Change]]:
    """Those in which that row, the header being 0, is polluted."""
    for column in range(COLUMNS):
        yield f"row_more_sep_row{row}_col{column}.csv", partial(more_gaps, row=row, column=column)
        if column:
            yield f"row_less_sep_row{row}_col{column}.csv", partial(less_gaps, row=row, column=column)
        yield f"row_extra_quote{row}_col{column}.csv", partial(stray_quote, row=row, column=column)
    yield f"row_field_delimiter_{row}_0x20.csv", partial(row_gaps, row=row, gap=" ")


def made(name: str, change: Change) -> File:
    """The table's file after a change."""
    file = deepcopy(SOURCE)
    file.name, file.published = name, name not in EARLIER
    change(file)
    return file


def more_gaps(file: File, row: int, column: int) -> None:
    """A delimiter too many before a cell."""
    file.rows[row].gaps[column] += ","
    file.touched.add(row)


def less_gaps(file: File, row: int, column: int) -> None:
    """No delimiter before a cell."""
    file.rows[row].gaps[column] = ""
    file.touched.add(row)


def stray_quote(file: File, row: int, column: int) -> None:
    """A quote at the beginning of a cell's text, which nothing closes."""
    file.rows[row].cells[column].stray = file.quote
    file.touched.add(row)


def row_gaps(file: File, row: int, gap: str) -> None:
    """Another delimiter in one row."""
    file.rows[row].gaps[1:] = [gap] * (COLUMNS - 1)
    file.touched.add(row)


def gaps(file: File, gap: str) -> None:
    """Another delimiter everywhere."""
    for row in file.rows:
        row.gaps[1:] = [gap] * (len(row.cells) - 1)


def ends(file: File, end: str) -> None:
    """Another line end everywhere."""
    for row in file.rows:
        row.end = end


def quotes(file: File, quote: str) -> None:
    """Other quotes everywhere; theirs are not escaped in cells that have some."""
    file.quote, file.escape = quote, ""


def escapes(file: File, escape: str) -> None:
    """Another escape of quotes in quotes, or none."""
    file.escape = escape


def empty(file: File) -> None:
    """No bytes at all."""
    file.header, file.data = [], []


def last_end(file: File, end: str) -> None:
    """Another end of the last line."""
    file.data[-1].end = end


def headers(file: File, count: int) -> None:
    """The header several times. All but the first are data to a reader that seeks one header."""
    file.header = [deepcopy(file.header[0]) for _ in range(count)]


def preamble(file: File, *, delimited: bool) -> None:
    """A title, and an empty row between it and the table."""
    if delimited:
        file.above = [row_of(["PREAMBLE", *[""] * 8]), row_of([""] * 9)]
        return
    file.above = [Row([Cell("PREAMBLE")], [""]), Row([Cell("")], [""])]


def footnote(file: File) -> None:
    """Three rows of one cell below the table."""
    file.data += [Row([Cell("FOOTNOTE")], [""]) for _ in range(3)]


def second_table(file: File, columns: int) -> None:
    """The same table once more below, in another width."""
    for row in [*file.header, *file.data]:
        values = [cell.value for cell in row.cells]
        file.data.append(row_of([*values, "col1"][:columns] if row is file.header[0] else [*values, ""][:columns]))


def cut_rows(file: File, count: int) -> None:
    """No more rows than that."""
    file.data = file.data[:count]


def accents(file: File, encoding: str) -> None:
    """Another encoding, and something in it that tells."""
    file.encoding = encoding
    for row in file.data:
        row.cells[8].value = "déjà vu, façade à l'été"
        row.cells[8].quoted = True


def no_header(file: File) -> None:
    """Data alone."""
    file.header = []


TABLES: dict[str, Change] = {
    "file_no_payload.csv": empty,
    "file_no_trailing_newline.csv": lambda file: last_end(file, ""),
    "file_double_trailing_newline.csv": lambda file: last_end(file, "\r\n\r\n"),
    "file_no_header.csv": no_header,
    "file_header_multirow_2.csv": lambda file: headers(file, 2),
    "file_header_multirow_3.csv": lambda file: headers(file, 3),
    "file_preamble.csv": lambda file: preamble(file, delimited=True),
    "file_multitable_less.csv": lambda file: second_table(file, 8),
    "file_multitable_same.csv": lambda file: second_table(file, 9),
    "file_multitable_more.csv": lambda file: second_table(file, 10),
    "file_header_only.csv": lambda file: cut_rows(file, 0),
    "file_one_data_row.csv": lambda file: cut_rows(file, 1),
}

DIALECTS: dict[str, Change] = {
    "file_field_delimiter_0x3B.csv": lambda file: gaps(file, ";"),
    "file_field_delimiter_0x9.csv": lambda file: gaps(file, "\t"),
    "file_field_delimiter_0x2C_0x20.csv": lambda file: gaps(file, ", "),
    "file_field_delimiter_0x20.csv": lambda file: gaps(file, " "),
    "file_record_delimiter_0xA.csv": lambda file: ends(file, "\n"),
    "file_record_delimiter_0xD.csv": lambda file: ends(file, "\r"),
    "file_quotation_char_0x27.csv": lambda file: quotes(file, "'"),
    "file_escape_char_0x5C.csv": lambda file: escapes(file, "\\"),
    "file_escape_char_0x00.csv": lambda file: escapes(file, ""),
}

EARLIER: dict[str, Change] = {
    "file_field_delimiter_0x7C.csv": lambda file: gaps(file, "|"),
    "file_encoding_latin_1.csv": lambda file: accents(file, "latin-1"),
    "file_encoding_utf_8.csv": lambda file: accents(file, "utf-8"),
    "file_encoding_utf_16.csv": lambda file: accents(file, "utf-16"),
    "file_preamble_1_not_delimited_empty_row.csv": lambda file: preamble(file, delimited=False),
    "file_footnote_3_not_delimited.csv": footnote,
}

SOURCE = source()
