"""A workbook, read by a child process under limits, as a table. Whatever the child dies of is one refusal."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path

import polars as pl

from audiences.errors import (
    DiskFull,
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
from audiences.tables.header import MAX_COLUMNS, Header
from audiences.tables.pieces import PIECE_BYTES, Job, Pieces
from audiences.tables.records import settled
from audiences.tables.shapes import Bounds, Piece, Table, Wanted
from audiences.tables.sql import cells
from audiences.tables.unpack import Content
from audiences.tables.workbook_child import Answer, Question
from audiences.tables.workbook_keep import Kept, head

_TOO_LARGE = (
    "Reading the workbook took too much memory or time. Save the sheet as CSV and send that; "
    "or delete stray cells far below and far right of the data."
)
_START = Path(__file__).with_name("workbook_start.py")


def read(content: Content, folder: Path, wanted: Wanted, bounds: Bounds) -> Table:
    """The table of one sheet of the workbook.

    Raises: UnreadableFile, ProtectedWorkbook, WorkbookTooLarge, SheetNotFound, EmptyFile, MissingPhoneColumn,
    RepeatedPhoneColumn, TooManyColumns, DiskFull.
    """
    with bounds.workbook_turn:
        answer = _ask(content, folder, wanted, bounds)
    if answer.trouble is not None:
        raise _refusal(answer, wanted)
    kept = Kept(tuple(folder / name for name in answer.files), answer.left, answer.width)
    found = header.find(head(kept), wanted.phone_column)
    return Table(
        pieces=Pieces(SheetFiles(kept, found), bounds.room),
        columns=found.columns,
        phone=found.phone,
        format=content.format,
        encoding=None,
        delimiter=None,
        sheet=answer.sheet,
        header_row=found.index + 1,
        exact_numbers=True,
    )


class SheetFiles:
    """The records after the header in the files that a sheet was left as. See `pieces.Source`."""

    def __init__(self, kept: Kept, found: Header) -> None:
        self.kept = kept
        self.found = found
        self.size = sum(path.stat().st_size for path in kept.files)
        self.slices = list(self.cut(found.index + 1))

    def cut(self, skip: int) -> Iterator[tuple[Path, int, int, int]]:
        """Of each piece the file, the rows of it that come before, how many it has, and the number of the first."""
        number = 1
        for path in self.kept.files:
            rows = int(pl.scan_ipc(path).select(pl.len()).collect().item())
            step = max(rows * PIECE_BYTES // (path.stat().st_size + 1), 1)
            for at in range(skip, rows, step):
                yield path, at, min(step, rows - at), number + at
            number += rows
            skip = max(skip - rows, 0)

    def job(self, number: int) -> Job | None:
        """See `pieces.Source`."""
        return partial(self.piece, *self.slices[number]) if number < len(self.slices) else None

    def piece(self, path: Path, at: int, length: int, row: int) -> Piece:
        """So many rows of a file, behind the first `at`; the first is row `row` of the sheet."""
        given = pl.scan_ipc(path)
        there = set(given.collect_schema().names())
        wanted = zip(cells(self.kept.left + self.kept.width)[self.kept.left :], cells(self.kept.width), strict=True)
        columns = [(pl.col(name) if name in there else pl.lit(None, pl.String)).alias(own) for name, own in wanted]
        rows = pl.int_range(row, row + pl.len(), dtype=pl.Int64).alias("row")
        return settled(given.slice(at, length).select(rows, *columns).collect(), self.found)


def _ask(content: Content, folder: Path, wanted: Wanted, bounds: Bounds, *, hurried: bool = True) -> Answer:
    """The child's answer; its death is an answer too. One that could not cut a sheet for speed is asked again."""
    question = Question(
        path=str(content.path),
        folder=str(folder),
        phone_column=wanted.phone_column,
        sheet=wanted.sheet,
        memory_bytes=bounds.workbook_memory_bytes,
        file_bytes=bounds.max_bytes,
        cpu_s=int(bounds.workbook_timeout_s) + 1,
        hurried=hurried,
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
    if child.returncode == -signal.SIGXCPU:
        return Answer("too_wide")
    if child.returncode != 0:
        return Answer("too_large")
    answer = json.loads(child.stdout)
    if answer["trouble"] == "not_cut":
        return _ask(content, folder, wanted, bounds, hurried=False)
    return Answer(**{**answer, "sheets": tuple(answer["sheets"]), "files": tuple(answer["files"])})


def _refusal(answer: Answer, wanted: Wanted) -> Refusal:
    """What a person reads about the child's trouble. Raises OSError where the disk failed it."""
    if answer.trouble == "broken_disk":
        raise OSError(errno.EIO, os.strerror(errno.EIO))
    if answer.trouble == "no_room":
        return DiskFull("The server ran out of room while it read the workbook. Try later, or tell the operator.")
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
