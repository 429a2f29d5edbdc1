"""Generated customer lists: the same bytes each time, and known beforehand how many rows are valid.

In every hundred rows 96 have a valid number of their own, 1 repeats an earlier one and 3 are not valid (empty, letters,
too short), in a fixed pattern. Numbers are spread over prefixes of many countries; each prefix is six digits short of a
full number, and the library was asked about a hundred of the million numbers behind it.

The messy list has the same customers, as lists that many people have kept by hand come: see `write_messy`.
"""

from __future__ import annotations

import csv
import functools
import gzip
import math
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import duckdb
import phonenumbers
import xlsxwriter  # type: ignore[import-untyped]
from phonenumbers import PhoneNumberFormat, PhoneNumberType

from bench.machine import CACHE

# To be raised whenever the content changes: it is part of the files' names.
VERSION = 2

REGIONS = """
    AE AR AT AU BE BG BR CA CH CL CN CO CZ DE DK EG ES FI FR GB GR HK HU ID IE IL IN IT JP KE KR MA MX MY NG NL NO NZ
    PE PH PK PL PT RO RS RU SA SE SG TH TR TW UA US VN ZA
"""
SUFFIX_DIGITS = 6
CONTACTS_IN_HUNDRED = 96
DUPLICATES = (50,)
NOT_VALID = (7, 33, 71)

# A workbook's number is a double: more digits than these are not kept.
EXACT_DIGITS = 15

# Of so many rows of the messy list one has one of so many oddities; of each so many lines it has written at a time.
ODD_IN, ODDITIES = 1000, 8
LINES_AT_ONCE = 100_000

FIRST = "Anna Ben Chloé Daniel Emma Farid Grace Hugo Ines José Kenji Lena Maria Noah Olivia Priya Quentin Rosa Tom Zoë"
LAST = "Smith Jones García Müller Rossi Novák Silva Kim Nguyen Patel Jansen Andersson Kowalski Okafor Haddad Tanaka"
CITIES = "Amsterdam|Berlin|Washington, DC|Lagos|Mumbai|São Paulo|Manchester|Osaka|Lyon|Toronto|Warsaw|Nairobi|Santiago"


@dataclass(frozen=True)
class File:
    """A file to upload, and what has to come of it: of `rows`, so many malformed; the blank lines are no rows."""

    path: Path
    rows: int
    malformed: int = 0
    blank_rows: int = 0

    @property
    def bytes(self) -> int:
        """Its size."""
        return self.path.stat().st_size

    @property
    def counts(self) -> dict[str, int]:
        """What the report has to say."""
        duplicates, not_valid = (sum(map(self.rows_at, places)) for places in (DUPLICATES, NOT_VALID))
        return {
            "rows": self.rows,
            "accepted": self.rows - duplicates - not_valid - self.malformed,
            "duplicates": duplicates,
            "rejected": not_valid + self.malformed,
        }

    def rows_at(self, place: int) -> int:
        """How many rows are at this place of their hundred."""
        return (self.rows + 99 - place) // 100


def csv_file(rows: int, first: int = 0) -> File:
    """A CSV file of `rows` rows (at least a hundred) and six columns, in the page cache.

    With `first`, a multiple of 200, it goes on where the file of so many rows ends: what repeats repeats a row of that.
    """
    rows = max(100, rows)
    name = f"customers-{rows}" + (f"-from-{first}" if first else "")
    return File(_made_once(name, ".csv", lambda path: write_csv(path, first, first + rows)), rows)


def wide_file(rows: int, columns: int) -> File:
    """A CSV file of so many columns: the six, and short texts."""
    rows = max(100, rows)
    texts = (f"chr(97 + ((i + {place}) % 26)::INTEGER) || (i * {place} % 9973)" for place in range(7, columns + 1))
    further = ", ".join(f"{text} AS column_{place}" for place, text in enumerate(texts, start=7))
    statement = CUSTOMERS.format(first=0, end=rows).replace("AS amount\n", f"AS amount, {further}\n")
    return File(_made_once(f"customers-{rows}-by-{columns}", ".csv", partial(_copy, statement)), rows)


def messy_file(rows: int) -> File:
    """The messy list, of so many rows; see `write_messy`."""
    rows = max(100, rows)
    path = _made_once(f"messy-{rows}", ".csv", lambda path: write_messy(path, rows))
    return messy(path, rows)


def messy(path: Path, rows: int) -> File:
    """The file that `write_messy` has written."""
    odd = [rows // ODD_IN // ODDITIES + (kind < rows // ODD_IN % ODDITIES) for kind in range(ODDITIES)]
    return File(path, rows, malformed=odd[0], blank_rows=odd[1] + odd[2])


def packed_file(rows: int) -> File:
    """The CSV file of so many rows, as gzip."""
    plain = csv_file(rows)
    return File(_made_once(f"customers-{plain.rows}", ".csv.gz", lambda path: _pack(path, plain.path)), plain.rows)


def contacts_file(contacts: int) -> File:
    """The CSV file of which at least so many contacts come, and at most 95 more."""
    return csv_file(100 * math.ceil(contacts / CONTACTS_IN_HUNDRED))


def opt_outs(file: File, numbers: int) -> File:
    """A CSV file of `numbers` numbers, no two the same: every other one is a contact of `file`, the rest are not in it.

    Those of `file` are spread evenly over it.
    """
    half = numbers // 2
    name = f"opt-outs-{half}-of-{file.rows}"
    return File(_made_once(name, ".csv", lambda path: _write_opt_outs(path, file.rows, half)), 2 * half)


def workbook(rows: int) -> File:
    """The same as an xlsx file, its numbers as numeric cells."""
    source = csv_file(rows)
    name = f"customers-{source.rows}"
    return File(_made_once(name, ".xlsx", lambda path: _write_workbook(path, source.path)), source.rows)


def _made_once(name: str, suffix: str, write: Callable[[Path], None]) -> Path:
    CACHE.mkdir(parents=True, exist_ok=True)
    path = CACHE / f"{name}-v{VERSION}-{phonenumbers.__version__}{suffix}"
    if not path.exists():
        partial = path.with_name(f"partial-{path.name}")
        write(partial)
        partial.rename(path)
    with path.open("rb", buffering=0) as file:
        while file.read(1 << 24):
            pass
    return path


def write_csv(path: Path, first: int, end: int) -> None:
    """Writes the customers from `first` to before `end`."""
    with _macros() as connection:
        connection.execute(f"COPY ({CUSTOMERS.format(first=first, end=end)}) TO '{path}' (FORMAT csv, HEADER)")


def _copy(statement: str, path: Path) -> None:
    with _macros() as connection:
        connection.execute(f"COPY ({statement}) TO '{path}' (FORMAT csv, HEADER)")


def write_messy(path: Path, rows: int) -> None:
    """Writes a list as many people have kept it: in Windows-1252, line ends of two kinds, numbers in five spellings.

    All cities have needless quotes. One row in a thousand is odd, in turn: a cell too many, with text (malformed); a
    blank line behind it; a line of commas alone behind it; only its first two cells; empty cells too many; a line break
    in quotes; quotes in quotes; a lone quote in a cell.
    """
    statement = MESSY.format(customers=CUSTOMERS.format(first=0, end=rows).replace("SELECT\n", "SELECT i,\n", 1))
    with _macros() as connection, path.open("wb") as file:
        lines = connection.execute(statement)
        file.write(b"phone1,first_name,last_name,email,city,amount\n")
        while some := lines.fetchmany(LINES_AT_ONCE):
            file.write("".join(line for (line,) in some).encode("cp1252"))


def _pack(path: Path, source: Path) -> None:
    with source.open("rb") as plain, gzip.open(path, "wb", compresslevel=6) as packed:
        shutil.copyfileobj(plain, packed, 1 << 20)


def _write_opt_outs(path: Path, rows: int, half: int) -> None:
    step = rows // 100 * CONTACTS_IN_HUNDRED // half
    statement = OPT_OUTS.format(rows=rows, half=half, step=step)
    with _macros() as connection:
        connection.execute(f"COPY ({statement}) TO '{path}' (FORMAT csv, HEADER)")


@contextmanager
def _macros() -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection that knows the functions of the statements below."""
    with duckdb.connect() as connection:
        values = {"prefixes": prefixes(), "first": FIRST.split(), "last": LAST.split(), "cities": CITIES.split("|")}
        for name, items in values.items():
            texts = ", ".join(f"'{item}'" for item in items)
            connection.execute(f"CREATE MACRO {name}(i) AS ([{texts}])[1 + i % {len(items)}]")
        connection.execute("CREATE MACRO spread(i, salt) AS ((i + salt) * 2654435761 % 4294967296) // 65536")
        connection.execute(
            f"CREATE MACRO phone(i) AS prefixes(i + i // {len(prefixes())}) "
            f"|| lpad((i // {len(prefixes())} * 7919 % 1000000)::VARCHAR, {SUFFIX_DIGITS}, '0')"
        )
        yield connection


CUSTOMERS = """
    SELECT
        CASE i % 100
            WHEN 7 THEN NULL
            WHEN 33 THEN 'n/a'
            WHEN 71 THEN left(phone(i), 5)
            WHEN 50 THEN phone(i // 200 * 100 + 43)
            WHEN 12 THEN '+' || phone(i)
            ELSE phone(i)
        END AS phone1,
        first(spread(i, 1)) AS first_name,
        last(spread(i, 70)) AS last_name,
        lower(strip_accents(left(first_name, 1) || last_name)) || i % 9973 || '@example.com' AS email,
        cities(spread(i, 900)) AS city,
        printf('%.2f', spread(i, 5000) / 37.0) AS amount
    FROM (SELECT range AS i FROM range({first}, {end}))
    ORDER BY i
"""

# Whole lines, with their ends. Odd are rows of a place of their hundred that no pattern touches.
MESSY = """
    SELECT
        CASE odd WHEN 3 THEN concat_ws(',', phone, first_name)
                 WHEN 0 THEN concat_ws(',', line, 'moved house')
                 WHEN 4 THEN line || ',,'
                 ELSE line END
        || line_end
        || CASE odd WHEN 1 THEN line_end WHEN 2 THEN ',,,,,' || line_end ELSE '' END
    FROM (
        SELECT i, phone, first_name, odd, line_end, concat_ws(',', phone,
            CASE odd WHEN 6 THEN '"' || first_name || ' ""Jo""' || '"'
                     WHEN 7 THEN first_name || ' "Jo'
                     ELSE first_name END,
            CASE WHEN i % 50 = 1 THEN 'O' || chr(8217) || last_name ELSE last_name END,
            email,
            '"' || city || CASE odd WHEN 5 THEN chr(10) || '2nd floor' ELSE '' END || '"',
            amount) AS line
        FROM (
            SELECT *, CASE WHEN i % 1000 = 999 THEN i // 1000 % 8 END AS odd,
                CASE WHEN i // 10000 % 2 = 1 THEN chr(13) ELSE '' END || chr(10) AS line_end,
                CASE WHEN phone1 IS NULL OR length(phone1) < 8 THEN coalesce(phone1, '')
                     WHEN starts_with(phone1, '+') OR i % 5 = 0 THEN phone1
                     WHEN i % 5 = 1 THEN '+' || left(phone1, 3) || ' ' || phone1[4:6] || ' ' || phone1[7:]
                     WHEN i % 5 = 2 THEN '00' || left(phone1, 4) || '-' || phone1[5:]
                     WHEN i % 5 = 3 THEN '(+' || left(phone1, 3) || ') ' || phone1[4:7] || '.' || phone1[8:]
                     ELSE '" ' || phone1 || ' "' END AS phone
            FROM ({customers})))
    ORDER BY i
"""

# Behind the last row the numbers go on. Every so many contacts of the file, one is taken.
OPT_OUTS = """
    WITH contacts AS (
        SELECT range AS i, row_number() OVER (ORDER BY range) - 1 AS place FROM range({rows})
        WHERE range % 100 NOT IN (7, 33, 50, 71))
    SELECT phone(i) AS phone1 FROM (
        (SELECT i, place // {step} AS place FROM contacts WHERE place % {step} = 0 ORDER BY place LIMIT {half})
        UNION ALL
        SELECT {rows} + range, range FROM range({half}))
    ORDER BY place, i
"""


@functools.cache
def prefixes() -> list[str]:
    """Beginnings of numbers, mobile and fixed, of which six further digits make a valid number whatever they are."""
    kinds = (PhoneNumberType.MOBILE, PhoneNumberType.FIXED_LINE)
    examples = [phonenumbers.example_number_for_type(region, kind) for region in REGIONS.split() for kind in kinds]
    texts = [phonenumbers.format_number(found, PhoneNumberFormat.E164)[1:] for found in examples if found is not None]
    candidates = dict.fromkeys(text[:-SUFFIX_DIGITS] for text in texts)
    return [prefix for prefix in candidates if _all_valid(prefix)]


def _all_valid(prefix: str) -> bool:
    """Whether the numbers behind `prefix` are valid, by one of ten thousand, and none is when cut to five digits."""
    step = 10_007
    suffixes = (f"{number:0{SUFFIX_DIGITS}d}" for number in range(0, 10**SUFFIX_DIGITS, step))
    return all(is_valid(prefix + suffix) and not is_valid((prefix + suffix)[:5]) for suffix in suffixes)


def is_valid(digits: str) -> bool:
    """Whether the library takes these international digits for a valid number."""
    try:
        return phonenumbers.is_valid_number(phonenumbers.parse("+" + digits))
    except phonenumbers.NumberParseException:
        return False


def _write_workbook(path: Path, source: Path) -> None:
    with xlsxwriter.Workbook(path, {"constant_memory": True}) as book, source.open(encoding="utf-8") as file:
        sheet = book.add_worksheet("customers")
        for row, cells in enumerate(csv.reader(file)):
            for column, text in enumerate(cells):
                if text.isdigit() and len(text) <= EXACT_DIGITS:
                    sheet.write_number(row, column, int(text))
                elif text:
                    sheet.write_string(row, column, text)
