"""A workbook, read by a child process under limits, as a table. Whatever the child dies of is one refusal."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import duckdb

from audiences.errors import (
    EmptyFile,
    ProtectedWorkbook,
    Refusal,
    SheetNotFound,
    TooManyColumns,
    UnreadableFile,
    WorkbookTooLarge,
    shorten,
)
from audiences.tables import header
from audiences.tables.header import MAX_COLUMNS
from audiences.tables.records import MALFORMED, RELATION, publish
from audiences.tables.shapes import Bounds, Table, Wanted
from audiences.tables.unpack import Content
from audiences.tables.workbook_child import Answer, Question
from audiences.tables.workbook_keep import Kept, columns, head, scan

TABLE = "audiences_sheet"

_TOO_LARGE = (
    "Reading the workbook took too much memory or time. Save the sheet as CSV and send that; "
    "or delete stray cells far below and far right of the data."
)
_START = Path(__file__).with_name("workbook_start.py")


def read(
    connection: duckdb.DuckDBPyConnection, content: Content, folder: Path, wanted: Wanted, bounds: Bounds
) -> Table:
    """The table of one sheet of the workbook.

    Raises: UnreadableFile, ProtectedWorkbook, WorkbookTooLarge, SheetNotFound, EmptyFile, MissingPhoneColumn,
    RepeatedPhoneColumn, TooManyColumns.
    """
    with bounds.workbook_turn:
        answer = _ask(content, folder, wanted, bounds)
    if answer.trouble is not None:
        raise _refusal(answer, wanted)
    kept = Kept(tuple(folder / name for name in answer.files), answer.left, answer.width)
    found = header.find(head(connection, kept), wanted.phone_column)
    connection.execute(
        f"CREATE TEMP TABLE {TABLE} AS SELECT {columns(kept)} FROM {scan(kept)} "
        f"WHERE file_index > 0 OR file_row_number > {found.index}"
    )
    records = publish(connection, TABLE, found, answer.width)
    return Table(
        relation=RELATION,
        malformed=MALFORMED,
        columns=found.columns,
        phone=found.phone,
        row_count=records.row_count,
        blank_rows=records.blank_rows,
        format=content.format,
        encoding=None,
        delimiter=None,
        sheet=answer.sheet,
        header_row=found.index + 1,
        exact_numbers=True,
    )


def _ask(content: Content, folder: Path, wanted: Wanted, bounds: Bounds) -> Answer:
    """The child's answer; its death is an answer too."""
    question = Question(
        path=str(content.path),
        folder=str(folder),
        phone_column=wanted.phone_column,
        sheet=wanted.sheet,
        memory_bytes=bounds.workbook_memory_bytes,
        file_bytes=bounds.max_bytes,
        cpu_s=int(bounds.workbook_timeout_s) + 1,
    )
    try:
        child = subprocess.run(
            [sys.executable, "-s", "-P", os.fspath(_START)],
            input=json.dumps(asdict(question)).encode(),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={"LC_ALL": "C.UTF-8"},
            timeout=bounds.workbook_timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Answer("too_large")
    if child.returncode != 0:
        return Answer("too_large")
    answer = json.loads(child.stdout)
    return Answer(**{**answer, "sheets": tuple(answer["sheets"]), "files": tuple(answer["files"])})


def _refusal(answer: Answer, wanted: Wanted) -> Refusal:
    """What a person reads about the child's trouble."""
    if answer.trouble == "no_sheet":
        names = ", ".join(shorten(name) for name in answer.sheets[:20]) or "none that is visible"
        return SheetNotFound(
            f"There is no visible sheet named {shorten(wanted.sheet or '')}. The workbook has: {names}.", field="sheet"
        )
    kind, message = {
        "protected": (ProtectedWorkbook, "The workbook is protected by a password. Save it without one."),
        "too_large": (WorkbookTooLarge, _TOO_LARGE),
        "too_wide": (
            TooManyColumns,
            f"The sheet has cells beyond column {MAX_COLUMNS:,}. Delete stray cells far right of the data.",
        ),
        "empty": (EmptyFile, "The workbook has no cells in any visible sheet."),
    }.get(
        answer.trouble or "",
        (UnreadableFile, "The workbook is damaged and cannot be read. Open it, save it again and send the new file."),
    )
    return kind(message, field="audience_file")
