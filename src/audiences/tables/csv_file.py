"""A text file, from bytes to a table: encoding, dialect and header, rows."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import duckdb

from audiences.errors import EmptyFile, MissingPhoneColumn, Refusal, UnsupportedFormat
from audiences.tables import encoding, unpack
from audiences.tables.csv_careful import CarefulFile
from audiences.tables.csv_tidy import TidyFile
from audiences.tables.encoding import Text
from audiences.tables.pieces import Pieces, Source
from audiences.tables.shapes import Bounds, Table, Untidy, Wanted
from audiences.tables.sniff import SAMPLE_CHARACTERS, Found, sniff


def readings(
    connection: duckdb.DuckDBPyConnection, path: Path, folder: Path, wanted: Wanted, bounds: Bounds
) -> Iterator[Table]:
    """The table of the text file at `path`: as a tidy one, should it be that, and as whatever it is.

    Most files are tidy UTF-8, and are taken for that before all of their bytes were seen. The reader finds out if they
    are not; only then are encoding and dialect asked of the whole file.

    Raises: EmptyFile, UnsupportedFormat, MissingPhoneColumn, RepeatedPhoneColumn, TooManyColumns, BodyTooLarge.
    """
    with suppress(Refusal, Untidy):  # what is wrong with it is said of the whole file
        text = encoding.presumed(path)
        if text is not None:
            found = _sniff(text, wanted)
            yield _table(TidyFile(path, text.mark, found), text, found, bounds)
    text = encoding.read(path, folder, bounds.max_bytes)
    found = _sniff(text, wanted)
    if text.utf8 is not None and text.utf8 != path:
        with suppress(Untidy):
            yield _table(TidyFile(text.utf8, 0, found), text, found, bounds)
    yield _table(CarefulFile(connection, text, found, folder, bounds.max_bytes), text, found, bounds)


def _table(source: Source, text: Text, found: Found, bounds: Bounds) -> Table:
    return Table(
        pieces=Pieces(source, bounds.room, found.header.index + 2),
        columns=found.header.columns,
        phone=found.header.phone,
        format="csv",
        encoding=text.codec,
        delimiter=found.dialect.delimiter,
        sheet=None,
        header_row=found.header.index + 1,
        exact_numbers=False,
    )


def _sniff(text: Text, wanted: Wanted) -> Found:
    sample = encoding.sample(text, SAMPLE_CHARACTERS)
    if not sample.strip():
        raise EmptyFile("The file is empty, or holds nothing but blank lines.", field="audience_file")
    try:
        return sniff(sample, wanted.phone_column)
    except MissingPhoneColumn:
        looks = unpack.looks_like(sample)
        if looks is None:
            raise
        raise UnsupportedFormat(
            f"The file looks like {looks}. Send a CSV file, or an Excel or OpenDocument workbook.",
            field="audience_file",
        ) from None
