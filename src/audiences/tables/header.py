"""Find the header among the first records, and give every column a name of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from audiences.errors import EmptyFile, MissingPhoneColumn, RepeatedPhoneColumn, TooManyColumns

# Titles, notes and blank lines stand above a header, but not a hundred of them; beyond it a phone1 is likelier data.
HEADER_WITHIN = 100

# Customer lists have tens of columns; Excel allows 16,384. Two thousand keeps a statement that names each of them
# (and one Parquet row group of them) small, and is far above any list of people seen in the wild.
MAX_COLUMNS = 2_000

# What is there but shows nothing, beside what str.strip() takes: byte order marks and zero-width characters.
INVISIBLE = "\ufeff\u200b\u200c\u200d\u2060\x00"


@dataclass(frozen=True)
class Header:
    """The columns, made distinct, the 0-based index of the phone column, and the header's 0-based record index."""

    columns: tuple[str, ...]
    phone: int
    index: int


def find(records: Sequence[Sequence[str]], phone_column: str) -> Header:
    """The first of `records` that holds `phone_column`.

    Raises: EmptyFile, MissingPhoneColumn, RepeatedPhoneColumn, TooManyColumns.
    """
    index = locate(records, phone_column)
    if index is None:
        if all(is_blank(record) for record in records):
            raise EmptyFile("The file is empty, or holds nothing but blank lines.", field="audience_file")
        raise MissingPhoneColumn(phone_column, likeliest(records))
    names = without_blank_tail(records[index])
    if len(names) > MAX_COLUMNS:
        raise TooManyColumns(
            f"The header has {len(names):,} columns; a file may have {MAX_COLUMNS:,}. "
            "Remove the columns that the campaign does not need.",
            field="audience_file",
        )
    keys = [key(name) for name in names]
    if keys.count(key(phone_column)) > 1:
        raise RepeatedPhoneColumn(
            f"{keys.count(key(phone_column))} columns are named {phone_column}. "
            "Rename all but the one that holds the phones to call.",
            field="audience_file",
        )
    return Header(distinct(names), keys.index(key(phone_column)), index)


def locate(records: Sequence[Sequence[str]], phone_column: str) -> int | None:
    """The 0-based index of the first record with a cell that says `phone_column`; None where there is none."""
    sought = key(phone_column)
    return next((at for at, record in enumerate(records) if sought in map(key, record)), None)


def key(name: str) -> str:
    """`name` as names are compared: without case, surrounding blanks (no-break ones too) and invisible marks."""
    return name.strip().strip(INVISIBLE).strip().casefold()


def is_blank(record: Sequence[str]) -> bool:
    """Whether no cell of `record` shows anything."""
    return not any(map(key, record))


def likeliest(records: Sequence[Sequence[str]]) -> Sequence[str]:
    """The record that was most likely meant as the header: the first of those with the most named cells."""
    return max(records, key=lambda record: sum(bool(key(cell)) for cell in record))


def without_blank_tail(names: Sequence[str]) -> list[str]:
    """`names` up to the last that says anything."""
    last = max((at for at, name in enumerate(names) if key(name)), default=-1)
    return list(names[: last + 1])


def distinct(names: Sequence[str]) -> tuple[str, ...]:
    """`names` verbatim, but an empty one by its place (`column_3`) and a repeated one by its turn (`name_2`)."""
    taken = {key(name) for name in names}
    turns: dict[str, int] = {}
    given = []
    for place, name in enumerate(names, start=1):
        own = name if key(name) else f"column_{place}"
        first = key(name) != "" and key(name) not in turns
        turns.setdefault(key(own), 1)
        given.append(own if first or key(own) not in taken else _next_free(own, taken, turns))
        taken.add(key(given[-1]))
    return tuple(given)


def _next_free(name: str, taken: set[str], turns: dict[str, int]) -> str:
    """`name_2`, or the next such name that no column has."""
    while True:
        turns[key(name)] += 1
        numbered = f"{name}_{turns[key(name)]}"
        if key(numbered) not in taken:
            return numbered
