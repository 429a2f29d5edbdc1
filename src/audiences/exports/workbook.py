"""Export as a workbook: the engine writes the sheet's XML piece by piece, and a child process packs it."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import anyio
from duckdb import DuckDBPyConnection

from audiences.engine import Engine
from audiences.errors import EngineFull
from audiences.exports import sheet, survey
from audiences.exports.export import Export
from audiences.exports.pieces import Changed, Piece, making
from audiences.exports.ranges import PIECE_CELLS, Span, batches, spans
from audiences.exports.survey import Survey
from audiences.exports.work import carried_out
from audiences.exports.workbook_packing import Limits, packing

# A cell is about a hundred bytes of XML, most of it the same for all.
CELLS = PIECE_CELLS // 4


async def build(engine: Engine, threads: anyio.CapacityLimiter, export: Export, folder: Path, limits: Limits) -> Path:
    """The workbook, made in `folder`. Raises NotAcceptable for what no workbook can hold."""
    cut, seen = await carried_out(engine, threads, partial(surveyed, export, limits))
    rows, target = sum(seen.counts), folder / "book.xlsx"
    names = export.names
    async with (
        packing(target, sheet.parts(len(names), rows), sheet.SHEET, limits) as child,
        making(engine, threads, pieces(export, cut, seen, folder)) as made,
    ):
        await child.write(sheet.head(names, seen.widths, rows))
        try:
            async for chunk in made.chunks():
                await child.write(chunk)
        except Changed:
            raise EngineFull(
                "The audience changed while the workbook was made. Ask again.", headers={"Retry-After": "1"}
            ) from None
        await child.write(sheet.tail(len(names), rows))
        await child.ended()
    return target


def surveyed(export: Export, limits: Limits, connection: DuckDBPyConnection) -> tuple[list[Span], Survey]:
    """The pieces to make, and what is known of them."""
    width, cut = len(export.names), []
    for some in batches(export.files, quick_start=False):
        cut += spans(connection, some, quick_start=False, cells=CELLS, width=width)
    return cut, survey.survey(connection, export, cut, limits)


def pieces(export: Export, cut: Sequence[Span], seen: Survey, folder: Path) -> list[Piece]:
    """The spans as pieces of XML, each with the rows before it known, and its own as the survey counted them."""
    before = itertools.accumulate(seen.counts, initial=1)  # the header is row 1
    made = []
    for number, (span, count, first) in enumerate(zip(cut, seen.counts, before, strict=False)):
        if count:
            piece = sheet.piece(export, span, first, seen.care, folder / f"{number}.xml")
            piece.rows = count
            made.append(piece)
    return made
