"""Export: all contacts or rejects in one stream of CSV, as fast as the reader takes it, in constant memory.

DuckDB writes into a named pipe and this module reads the other end, so that a slow client slows the engine down and
nothing gathers in between.
"""

from __future__ import annotations

import asyncio
import csv
import io
import os
import secrets
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path

import anyio.to_thread
import duckdb

from audiences import layout
from audiences.engine import Engine
from audiences.layout import Layout
from audiences.pages import Stored
from audiences.sql import identifier

CHUNK_BYTES = 256 * 1024

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


def statement(stored: Stored, columns: Sequence[str], extras: Extras, style: Style) -> str:
    """The SELECT of one file's rows: `columns` by their own names (empty where the file lacks one), then `extras`."""
    own = dict(zip(stored.layout.names, stored.layout.stored, strict=True))
    cells = [f"nullif({identifier(own[name])}::VARCHAR, '')" if name in own else "NULL" for name in columns]
    cells += [f"{column}::VARCHAR" for _, column in extras]
    if style.safe:
        cells = [f"CASE WHEN regexp_matches({cell}, '{FORMULA}') THEN '''' || {cell} ELSE {cell} END" for cell in cells]
    chosen = ", ".join(f"{cell} AS c{number}" for number, cell in enumerate(cells))
    return f"SELECT {chosen} FROM read_parquet(?) ORDER BY {layout.ROW}"


def all_columns(layouts: Sequence[Layout]) -> list[str]:
    """The names of all files' columns, in the order in which they first come."""
    return list(dict.fromkeys(name for plan in layouts for name in plan.names))


def header(columns: Sequence[str], extras: Extras) -> bytes:
    """The header line; an appended column whose name exists is prefixed `audience_`."""
    taken = {name.strip().casefold() for name in columns}
    names = [f"audience_{name}" if name in taken else name for name, _ in extras]
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow([*columns, *names])
    return text.getvalue().encode()


async def as_csv(
    engine: Engine, spool: Path, files: Sequence[Stored], extras: Extras, style: Style
) -> AsyncGenerator[bytes, None]:
    """The header and every row, in pieces of at most `CHUNK_BYTES`."""
    columns = all_columns([stored.layout for stored in files])
    yield header(columns, extras)
    for stored in files:
        text = f"COPY ({statement(stored, columns, extras, style)}) TO ? (FORMAT csv, HEADER false, USE_TMP_FILE false)"
        async with piped(engine, spool, text, [str(stored.path)]) as reader:
            while chunk := await anyio.to_thread.run_sync(os.read, reader, CHUNK_BYTES):
                yield chunk


@asynccontextmanager
async def piped(engine: Engine, spool: Path, text: str, bound: list[object]) -> AsyncGenerator[int, None]:
    """A descriptor to read what the COPY statement `text` writes. Leaving the block early ends the statement."""
    pipe = spool / f"{secrets.token_hex(16)}.pipe"
    os.mkfifo(pipe, 0o600)
    # Opened in this order neither end waits for the other; the writer held here keeps the pipe open until the
    # statement ends.
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    writer = os.open(pipe, os.O_WRONLY)
    os.set_blocking(reader, True)
    copying = asyncio.ensure_future(asyncio.to_thread(copy, engine, text, [*bound, str(pipe)], writer))
    try:
        yield reader
        await copying
    finally:
        os.close(reader)
        pipe.unlink()
        await asyncio.wait([copying])
        if not copying.cancelled():
            copying.exception()


def copy(engine: Engine, text: str, bound: list[object], writer: int) -> None:
    """Runs the statement, then lets go of the pipe."""
    with closing(os.fdopen(writer, "wb", buffering=0)), engine.connection() as connection:
        try:
            connection.execute(text, bound)
        except duckdb.IOException as error:
            if "Broken pipe" not in str(error):
                raise
