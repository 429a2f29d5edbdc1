"""A text file, from bytes to a table: encoding, dialect and header, rows."""

from __future__ import annotations

from pathlib import Path

import duckdb

from audiences.errors import EmptyFile, MissingPhoneColumn, UnsupportedFormat
from audiences.tables import csv_careful, csv_fast, encoding, unpack
from audiences.tables.encoding import Text
from audiences.tables.records import MALFORMED, RELATION
from audiences.tables.shapes import Bounds, Table, Wanted
from audiences.tables.sniff import SAMPLE_CHARACTERS, Found, sniff


def read(connection: duckdb.DuckDBPyConnection, path: Path, folder: Path, wanted: Wanted, bounds: Bounds) -> Table:
    """The table of the text file at `path`.

    Raises: EmptyFile, UnsupportedFormat, MissingPhoneColumn, RepeatedPhoneColumn, TooManyColumns, BodyTooLarge.
    """
    text = encoding.read(path, folder, bounds.max_bytes)
    found = _sniff(text, wanted)
    records = csv_fast.read(connection, text, found) or csv_careful.read(
        connection, text, found, folder, bounds.max_bytes
    )
    return Table(
        relation=RELATION,
        malformed=MALFORMED,
        columns=found.header.columns,
        phone=found.header.phone,
        row_count=records.row_count,
        blank_rows=records.blank_rows,
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
