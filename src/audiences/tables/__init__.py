"""Read a table out of whatever was uploaded: the content decides, not the name.

    shapes          Wanted, Bounds, Table: what goes in and what comes out
    unpack          what the bytes are; archives of one file are unpacked
                      a text
    encoding        as UTF-8; guess asks a library, where it is neither UTF-8 nor UTF-16
    sniff           dialect and header, from a sample; header names the columns, dialect is the grammar
    csv_fast        the reader for tidy files, which proves that they were
    csv_careful     the reader for all others: lines, spans
                      a workbook
    workbook        asks a process of its own under limits, which workbook_start begins as workbook_child:
                      workbook_parts, workbook_slices cut a large sheet, workbook_book reads, workbook_keep hands over

Rows that cannot be read are data (`Table.malformed`); files that cannot be read are refusals.
"""

from __future__ import annotations

from pathlib import Path

import duckdb

from audiences.tables import csv_file, unpack, workbook
from audiences.tables.shapes import Bounds, Table, Wanted

__all__ = ["Bounds", "Table", "Wanted", "read"]


def read(connection: duckdb.DuckDBPyConnection, path: Path, folder: Path, wanted: Wanted, bounds: Bounds) -> Table:
    """The table in the file at `path`, in temporary relations of `connection`; other files it needs go to `folder`.

    One upload, one connection, one folder: the names of the relations and files are fixed. The connection keeps the
    order in which rows are inserted (DuckDB's default).

    Raises: EmptyFile, UnsupportedFormat, UnreadableFile, ProtectedWorkbook, WorkbookTooLarge, SheetNotFound,
    MissingPhoneColumn, RepeatedPhoneColumn, TooManyColumns, BodyTooLarge. And DuckDB's OutOfMemoryException where the
    connection's memory does not suffice, which is its owner's to answer.
    """
    content = unpack.unpack(path, folder, bounds.max_bytes)
    if content.format == "csv":
        return csv_file.read(connection, content.path, folder, wanted, bounds)
    return workbook.read(connection, content, folder, wanted, bounds)
