"""Read a table out of whatever was uploaded: the content decides, not the name.

    shapes          Wanted, Bounds, Table, Piece: what goes in and what comes out
    unpack          what the bytes are; archives of one file are unpacked
                      a text
    encoding        as UTF-8; guess asks a library, where it is neither UTF-8 nor UTF-16
    sniff           dialect and header, from a sample; header names the columns, dialect is the grammar
    csv_tidy        the reader for tidy files, which proves that they are; quoting proves it of quotes
    csv_careful     the reader for all others: lines, spans, cutting
                      a workbook
    workbook        asks a process of its own under limits, which workbook_start begins as workbook_child:
                      workbook_parts, workbook_slices cut a large sheet, workbook_book reads, workbook_keep hands over,
                      the slices by two threads (ahead); workbook_lease ends it where a sheet has far too many
                      columns
                      both
    records         which records are blank, and which have more cells than the header
    pieces          rows in pieces, those that there is room for kept to be gone through again

Rows that cannot be read are data (`Piece.frame`, `raw`); files that cannot be read are refusals.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import duckdb

from audiences.tables import unpack
from audiences.tables.shapes import Bounds, Piece, Table, Untidy, Wanted

__all__ = ["Bounds", "Piece", "Table", "Untidy", "Wanted", "readings"]


def readings(
    connection: duckdb.DuckDBPyConnection, path: Path, folder: Path, wanted: Wanted, bounds: Bounds
) -> Iterator[Table]:
    """The table in the file at `path`, in every reading of it, the quickest first; the last one is never `Untidy`.

    Temporary relations go to `connection`, other files that are needed to `folder`. One upload, one connection, one
    folder: the names of the relations and files are fixed. The connection keeps the order in which rows are inserted
    (DuckDB's default).

    Raises: EmptyFile, UnsupportedFormat, UnreadableFile, ProtectedWorkbook, WorkbookTooLarge, SheetNotFound,
    MissingPhoneColumn, RepeatedPhoneColumn, TooManyColumns, BodyTooLarge. And DuckDB's OutOfMemoryException where the
    connection's memory does not suffice, which is its owner's to answer.
    """
    # What reads rows loads Polars, which a server that has received nothing yet does without.
    from audiences.tables import csv_file, workbook

    content = unpack.unpack(path, folder, bounds.max_bytes)
    if content.format == "csv":
        yield from csv_file.readings(connection, content.path, folder, wanted, bounds)
    else:
        yield workbook.read(content, folder, wanted, bounds)
