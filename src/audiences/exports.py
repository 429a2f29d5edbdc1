"""Export: contacts or rejects in one stream of CSV, as fast as the reader takes it.

DuckDB writes into a named pipe and this module reads the other end, so that a slow client slows the engine down and
nothing gathers in between. Streams are few at a time, and one that stalls is broken off by `app`.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import re
import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager, closing, suppress
from dataclasses import dataclass, field
from pathlib import Path

import anyio
import anyio.to_thread
import duckdb

from audiences import layout, pages
from audiences.engine import Engine
from audiences.errors import EngineFull
from audiences.pages import Filters, Query, Stored
from audiences.sql import identifier

CHUNK_BYTES = 256 * 1024

# Streams at a time: each holds a thread for as long as its reader takes.
MAX_EXPORTS = 16

# What a spreadsheet would run as a formula (OWASP, CSV injection; contract: `spreadsheet=safe`).
FORMULA = r"^[=+\-@\t\r]"


@dataclass(frozen=True)
class Style:
    """`enrich` appends country, line type and time zones; `safe` puts ' before cells that a spreadsheet would run."""

    enrich: bool = False
    safe: bool = False


# Appended columns: the name that each gets, and where it is stored.
Extras = Sequence[tuple[str, str]]

# What is appended to a contact (with `enrich`), and always to a reject.
CONTACT_EXTRAS = (
    ("country", layout.COUNTRY),
    ("line_type", layout.LINE_TYPE),
    ("time_zones", layout.TIME_ZONES),
)
REJECT_EXTRAS = (
    ("row", layout.ROW),
    ("reason", layout.REASON),
    ("first_row", layout.FIRST_ROW),
    ("raw", layout.RAW),
)


@dataclass(frozen=True)
class Export:
    """What is exported: rows of `files` that pass the filters, with what is appended, in a style."""

    files: Sequence[Stored]
    extras: Extras = ()
    style: Style = Style()
    filters: Filters = Filters()

    @property
    def columns(self) -> list[str]:
        """The names of all files' columns, in the order in which they first come."""
        return list(dict.fromkeys(name for stored in self.files for name in stored.layout.names))

    def header(self) -> bytes:
        """The header line; an appended column whose name exists is prefixed `audience_`, and numbered if need be."""
        columns = self.columns
        taken = {name.strip().casefold() for name in columns}
        names = [*columns]
        for name, _ in self.extras:
            free = layout.unused(f"audience_{name}" if name in taken else name, taken)
            taken.add(free)
            names.append(free)
        return (",".join(quoted(name, safe=self.style.safe) for name in names) + "\n").encode()

    def statement(self, stored: Stored, pipe: Path) -> Query:
        """The COPY of one file's rows, in its order, into `pipe`; a column that the file lacks is empty.

        Parquet has the rows nearly, but not quite, in the file's order: joins move some. The sort is the engine's and
        keeps to its memory, but it is done before the first row comes.
        """
        query = Query()
        own = dict(zip(stored.layout.names, stored.layout.stored, strict=True))
        cells = [f"nullif({identifier(own[name])}::VARCHAR, '')" if name in own else "NULL" for name in self.columns]
        cells += [f"{column}::VARCHAR" for _, column in self.extras]
        if self.style.safe:
            cells = [
                f"CASE WHEN regexp_matches({cell}, '{FORMULA}') THEN '''' || {cell} ELSE {cell} END" for cell in cells
            ]
        chosen = ", ".join(f"{cell} AS c{number}" for number, cell in enumerate(cells))
        source = query.bind(str(stored.path))
        where = pages.conditions(stored.layout, self.filters, query)
        query.text = f"""
            COPY (SELECT {chosen} FROM read_parquet({source}) WHERE true {where} ORDER BY {layout.ROW})
            TO {query.bind(str(pipe))} (FORMAT csv, HEADER false, USE_TMP_FILE false)
            """
        return query


def quoted(name: str, *, safe: bool) -> str:
    """A column's name as CSV."""
    if safe and re.match(FORMULA, name):
        name = "'" + name
    return '"' + name.replace('"', '""') + '"' if re.search(r'[,"\r\n]|^\s|\s$', name) or not name else name


class Exports:
    """The streams under way."""

    def __init__(self, engine: Engine, spool: Path) -> None:
        self.engine = engine
        self.spool = spool
        self.running = 0
        self.places: anyio.CapacityLimiter | None = None

    def check_place(self) -> None:
        """Raises EngineFull, with `Retry-After`, while there are as many streams as there may be."""
        if self.running >= MAX_EXPORTS:
            raise EngineFull(
                f"{MAX_EXPORTS} exports are under way. Try again in a few seconds.", headers={"Retry-After": "5"}
            )

    async def as_csv(self, export: Export) -> AsyncGenerator[bytes, None]:
        """The header and every row, in pieces of at most `CHUNK_BYTES`."""
        self.running += 1
        try:
            yield export.header()
            for stored in export.files:
                async with self.piped(export, stored) as reader:
                    while chunk := await read(reader):
                        yield chunk
        finally:
            self.running -= 1

    @asynccontextmanager
    async def piped(self, export: Export, stored: Stored) -> AsyncIterator[int]:
        """A descriptor to read one file's rows from. Leaving the block early ends the statement that writes them."""
        if self.places is None:
            self.places = anyio.CapacityLimiter(MAX_EXPORTS)
        pipe = self.spool / f"{secrets.token_hex(16)}.pipe"
        os.mkfifo(pipe, 0o600)
        # Opened in this order neither end waits for the other; the writer held here keeps the pipe open until the
        # statement ends.
        reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
        writing = Writing(os.open(pipe, os.O_WRONLY), export.statement(stored, pipe))
        with suppress(AttributeError, OSError):
            fcntl.fcntl(reader, fcntl.F_SETPIPE_SZ, 4 * CHUNK_BYTES)
        copying = asyncio.ensure_future(
            anyio.to_thread.run_sync(writing.run, self.engine, limiter=self.places, abandon_on_cancel=False)
        )
        try:
            yield reader
            await copying
        finally:
            try:
                await writing.end(copying, reader)
            finally:
                os.close(reader)
                pipe.unlink()


@dataclass
class Writing:
    """The other end of a pipe: the statement that writes into it."""

    writer: int
    query: Query
    connection: duckdb.DuckDBPyConnection | None = field(default=None)
    unwanted: bool = False

    def run(self, engine: Engine) -> None:
        """Runs the statement, unless nobody wants it any more, then lets go of the pipe."""
        with closing(os.fdopen(self.writer, "wb", buffering=0)), engine.connection() as connection:
            self.connection = connection
            if not self.unwanted:
                connection.execute(self.query.text, self.query.bound)

    async def end(self, copying: asyncio.Future[None], reader: int) -> None:
        """Returns when the statement has ended, by itself or interrupted; what it still writes is read and dropped."""
        self.unwanted = True
        while not copying.done():
            # The statement may end between the question and the interruption: then the connection is closed already.
            with suppress(duckdb.ConnectionException):
                if self.connection is not None:
                    self.connection.interrupt()
            with suppress(BlockingIOError):
                while os.read(reader, CHUNK_BYTES):
                    pass
            await asyncio.wait([copying], timeout=0.02)
        if not copying.cancelled():
            copying.exception()


async def read(descriptor: int) -> bytes:
    """The next bytes of a pipe, once there are some; none at its end. It takes no thread to wait."""
    loop = asyncio.get_running_loop()
    while True:
        with suppress(BlockingIOError):
            return os.read(descriptor, CHUNK_BYTES)
        ready = asyncio.Event()
        loop.add_reader(descriptor, ready.set)
        try:
            await ready.wait()
        finally:
            loop.remove_reader(descriptor)
