"""Export: all contacts or rejects of an audience, in the format that was asked for.

Lines (CSV, NDJSON) are made in pieces, ahead of the reader and no further than that; a file (Parquet, workbook) is made
whole in the spool before it is sent. Top to bottom::

    export      what is exported: columns, names, cells
    work        statements that can be ended, whether they wait or run
    ranges      where stored files are cut into pieces
    lines       CSV and NDJSON: how they begin, and how a cell is written
    statements  the statements that write a piece of lines, of wide tables in slices of columns
    pieces      pieces made ahead of the reader, and removed
    parquet     the statements that write a Parquet file
    workbook    a workbook: `survey` measures, `sheet` is its XML, `workbook_packing` the child that packs it
"""

from __future__ import annotations

import os
import secrets
import shutil
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, asynccontextmanager, contextmanager, suppress
from functools import partial
from pathlib import Path

import anyio
import anyio.to_thread

from audiences import disk
from audiences.accept import XLSX
from audiences.engine import Engine
from audiences.errors import DiskFull, EngineFull, Refusal
from audiences.exports import parquet, workbook
from audiences.exports.export import CONTACT_EXTRAS, REJECT_EXTRAS, Export, Extras, Style
from audiences.exports.lines import FORMATS
from audiences.exports.pieces import Making, making
from audiences.exports.ranges import PIECE_BYTES, Span, batches, spans
from audiences.exports.work import carried_out, connected
from audiences.exports.workbook_packing import Limits
from audiences.layout import Stored

__all__ = [
    "CONTACT_EXTRAS",
    "MAX_EXPORTS",
    "MAX_OF_ACCOUNT",
    "REJECT_EXTRAS",
    "BrokenOff",
    "Export",
    "Exports",
    "Extras",
    "Limits",
    "Style",
]

# Exports at a time: each holds up to three pieces, or a file, in the spool for as long as its reader takes.
MAX_EXPORTS = 16

# Files that one export has brought here from another machine at a time.
FETCHED_AT_ONCE = 8

# Of one account: a few slow readers of one must not keep all others waiting.
MAX_OF_ACCOUNT = 4
SOON = {"Retry-After": "5"}

# Bytes of an export for each stored one, at most, as a rule: lines are not compressed (five to ten times, measured),
# a file is, with what it is made from beside it for a while.
AS_TEXT, AS_FILE = 10, 4

CheckRoom = Callable[[int], None]


def any_room(_coming: int) -> None:
    """There is room for as many bytes as there may come."""


class BrokenOff(Exception):
    """An export failed with its answer under way; the answer must not end as if it were whole."""


class Exports:
    """The exports under way. `check_room` raises DiskFull where the disk has no room for so many bytes."""

    def __init__(
        self, engine: Engine, spool: Path, limits: Limits | None = None, check_room: CheckRoom = any_room
    ) -> None:
        self.engine = engine
        self.spool = spool
        self.limits = limits or Limits()
        self.check_room = check_room
        self.running = 0
        self.of_account: Counter[int] = Counter()
        self.own_threads: anyio.CapacityLimiter | None = None

    @property
    def threads(self) -> anyio.CapacityLimiter:
        """Threads in which pieces are made: as many as there are processors, and two at least."""
        if self.own_threads is None:
            self.own_threads = anyio.CapacityLimiter(max(2, os.cpu_count() or 1))
        return self.own_threads

    @asynccontextmanager
    async def place(self, account: int | None = None) -> AsyncIterator[Path]:
        """A place for one export, with a folder in the spool that is removed with all that is in it.

        Raises EngineFull, with `Retry-After`, while there are as many exports as there may be, or of that account;
        DiskFull.
        """
        self.check_places(account)
        folder = self.spool / f"export-{secrets.token_hex(16)}"
        self.running += 1
        self.of_account[account or 0] += 1
        try:
            with no_room_refused():
                folder.mkdir(mode=0o700)
            yield folder
        finally:
            self.running -= 1
            self.of_account[account or 0] -= 1
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(remove, folder)

    def check_places(self, account: int | None) -> None:
        """Raises EngineFull unless there is a place."""
        if self.running >= MAX_EXPORTS:
            raise EngineFull(f"{MAX_EXPORTS} exports are under way. Try again in a few seconds.", headers=SOON)
        if account is not None and self.of_account[account] >= MAX_OF_ACCOUNT:
            raise EngineFull(
                f"{MAX_OF_ACCOUNT} exports of your account are under way. Try again when one of them is done.",
                headers=SOON,
            )

    @asynccontextmanager
    async def lines(self, folder: Path, export: Export, kind: str) -> AsyncIterator[AsyncGenerator[bytes, None]]:
        """All rows as CSV or NDJSON, in a `place`. The first are ready when the block begins, or failed.

        Raises EngineFull or DiskFull; in the midst, BrokenOff.
        """
        form = FORMATS[kind]
        pieces = (form.piece(export, span, folder / str(number)) for number, span in enumerate(self.cut(export)))
        stored = await anyio.to_thread.run_sync(stored_bytes, export)
        check_room = partial(self.need_room, min(stored * AS_TEXT, PIECE_BYTES))
        async with making(self.engine, self.threads, pieces, check_room) as made:
            await made.first()
            yield whole(form.head(export), made)

    async def file(self, folder: Path, export: Export, kind: str) -> Path:
        """All rows as one file, Parquet or a workbook, in a `place`.

        Raises EngineFull or DiskFull; NotAcceptable, where a workbook cannot hold them.
        """
        stored = await anyio.to_thread.run_sync(stored_bytes, export)
        self.need_room(stored * AS_FILE)
        if kind == XLSX:
            return await workbook.build(self.engine, self.threads, export, folder, self.limits)
        path = folder / "rows.parquet"
        piece = await carried_out(self.engine, self.threads, lambda asked: parquet.piece(asked, export, path))
        async with making(self.engine, self.threads, [piece]) as made:
            await made.first()
        return path

    def cut(self, export: Export) -> Iterator[Span]:
        """The pieces in which the export is made: of the first file first, of the others when it is their turn."""
        quick_start = True
        for files in batches(export.files):
            with connected(self.engine) as connection:
                found = spans(connection, files, quick_start=quick_start, width=len(export.names))
            yield from found
            quick_start = False

    def need_room(self, coming: int) -> None:
        """Raises DiskFull."""
        with no_room_refused():
            self.check_room(coming)


@contextmanager
def no_room_refused() -> Iterator[None]:
    """Raises DiskFull, in words about an export, for whatever says inside the block that there is no room."""
    try:
        yield
    except (DiskFull, OSError) as error:
        if isinstance(error, OSError) and not disk.is_full(error):
            raise
        raise DiskFull("The server has no room for this export. Try later, or tell the operator.") from None


def stored_bytes(export: Export) -> int:
    """Bytes of the files that are exported. Those on another machine are brought here, some at once."""

    def size(stored: Stored) -> int:
        with suppress(FileNotFoundError):  # whoever reads it will say so
            return stored.path.stat().st_size
        return 0

    with ThreadPoolExecutor(FETCHED_AT_ONCE) as threads:
        return sum(threads.map(size, export.files))


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
