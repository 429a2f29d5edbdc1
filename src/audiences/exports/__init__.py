"""Export: all contacts or rejects of an audience, in the format that was asked for.

Lines (CSV, NDJSON) are made in pieces, ahead of the reader and no further than that; a file (Parquet, workbook) is made
whole in the spool before it is sent. Top to bottom::

    export      what is exported: columns, names, cells
    ranges      where stored files are cut into pieces
    lines       CSV and NDJSON: how they begin, and how a cell is written
    statements  the statements that write a piece of lines, of wide tables in slices of columns
    pieces      pieces made ahead of the reader, and removed
    parquet     the statement that writes a Parquet file
    workbook    a workbook: `survey` measures, `sheet` is its XML, `workbook_packing` the child that packs it
"""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import anyio
import anyio.to_thread

from audiences.accept import XLSX
from audiences.engine import Engine
from audiences.errors import EngineFull, Refusal
from audiences.exports import parquet, workbook
from audiences.exports.export import CONTACT_EXTRAS, REJECT_EXTRAS, Export, Extras, Style
from audiences.exports.lines import FORMATS
from audiences.exports.pieces import Making, Piece, making
from audiences.exports.ranges import Span, spans
from audiences.exports.workbook_packing import Limits

__all__ = ["CONTACT_EXTRAS", "MAX_EXPORTS", "REJECT_EXTRAS", "Export", "Exports", "Extras", "Limits", "Style"]

# Exports at a time: each holds up to three pieces, or a file, in the spool for as long as its reader takes.
MAX_EXPORTS = 16


class BrokenOff(Exception):
    """An export failed with its answer under way; the answer must not end as if it were whole."""


class Exports:
    """The exports under way."""

    def __init__(self, engine: Engine, spool: Path, limits: Limits | None = None) -> None:
        self.engine = engine
        self.spool = spool
        self.limits = limits or Limits()
        self.running = 0
        self.own_threads: anyio.CapacityLimiter | None = None

    @property
    def threads(self) -> anyio.CapacityLimiter:
        """Threads in which pieces are made: as many as there are processors, and two at least."""
        if self.own_threads is None:
            self.own_threads = anyio.CapacityLimiter(max(2, os.cpu_count() or 1))
        return self.own_threads

    @asynccontextmanager
    async def lines(self, export: Export, kind: str) -> AsyncIterator[AsyncGenerator[bytes, None]]:
        """All rows as CSV or NDJSON. The first are ready when the block begins, so what fails with them can be told.

        Raises EngineFull; in the midst, BrokenOff.
        """
        form = FORMATS[kind]
        async with self.place() as folder:
            cut = await anyio.to_thread.run_sync(self.cut, export, limiter=self.threads)
            pieces = [form.piece(export, span, folder / str(number)) for number, span in enumerate(cut)]
            async with making(self.engine, self.threads, pieces) as made:
                await made.first()
                yield whole(form.head(export), made)

    @asynccontextmanager
    async def file(self, export: Export, kind: str) -> AsyncIterator[Path]:
        """All rows as one file, Parquet or a workbook, which lives as long as the block.

        Raises EngineFull; NotAcceptable, where a workbook cannot hold them.
        """
        async with self.place() as folder:
            if kind == XLSX:
                yield await workbook.build(self.engine, self.threads, export, folder, self.limits)
            else:
                path = folder / "rows.parquet"
                async with making(self.engine, self.threads, [Piece([parquet.statement(export, path)], path)]) as made:
                    await made.first()
                    yield path

    def cut(self, export: Export) -> list[Span]:
        """The pieces in which the export is made."""
        with self.engine.connection() as connection:
            return spans(connection, export.files)

    @asynccontextmanager
    async def place(self) -> AsyncIterator[Path]:
        """A folder in the spool, removed with all that is in it.

        Raises EngineFull, with `Retry-After`, while there are as many exports as there may be.
        """
        if self.running >= MAX_EXPORTS:
            raise EngineFull(
                f"{MAX_EXPORTS} exports are under way. Try again in a few seconds.", headers={"Retry-After": "5"}
            )
        folder = self.spool / f"export-{secrets.token_hex(16)}"
        self.running += 1
        try:
            folder.mkdir(mode=0o700)
            yield folder
        finally:
            self.running -= 1
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(remove, folder)


def remove(folder: Path) -> None:
    """Removes a folder and all that is in it."""
    shutil.rmtree(folder, ignore_errors=True)


async def whole(head: bytes, made: Making) -> AsyncGenerator[bytes, None]:
    """The head, then every piece. Raises BrokenOff."""
    if head:
        yield head
    try:
        async with aclosing(made.chunks()) as chunks:
            async for chunk in chunks:
                yield chunk
    except Refusal as refusal:
        raise BrokenOff(refusal.code) from refusal
