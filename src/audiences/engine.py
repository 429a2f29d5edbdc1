"""The engine: one DuckDB in the process, shared by all uploads and reads, under one memory limit.

Each use has a connection of its own, and with it its own temporary tables. Above the memory limit DuckDB spills to the
data folder. It may touch files of the data folder only, so no text that ended up in a statement could reach another.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakValueDictionary

import anyio
import anyio.to_thread
import duckdb

from audiences import disk, numbering
from audiences.errors import DiskFull, EngineFull
from audiences.known import Known
from audiences.parquet import Extent
from audiences.room import Room
from audiences.settings import MIB, Settings
from audiences.turns import Turn, Turns
from audiences.watch import Metrics

if TYPE_CHECKING:
    from audiences.numbering.frames import Plan

# Uploads in the engine at once, whatever the processors are: while one reads, another computes or writes.
USUAL_PLACES = 4

# DuckDB's memory for each of them: with less, uploads of a million rows spill, and all of them take twice as long.
PLACE_BYTES = 96 * MIB

# However little memory there is: one for large uploads, and one that is always for small ones.
MIN_PLACES = 2

# What DuckDB counts and keeps to; the rest of the limit is for what it does not count (buffers of its CSV reader and
# Parquet writers) and for the process itself, so that all of it together keeps to the setting.
DUCKDB_SHARE = 0.43

# Shares of the limit for what all uploads together keep of their files until they are written.
PIECES_SHARE, VERDICTS_SHARE = 0.35, 0.2

# Share of the limit that may go into writing one upload (`Extent.held_bytes`). What takes more than an ordinary one
# does is written one at a time.
WRITING_SHARE = 0.6
ORDINARY_BYTES = 128 * MIB

# Polars' allocator (jemalloc): what is freed is kept for some seconds, since the next piece of a file takes as much,
# and given back to the system by a thread of its own; to clear new memory took a quarter of an upload's processor time.
ALLOCATOR = ("_RJEM_MALLOC_CONF", "background_thread:true,dirty_decay_ms:1000,narenas:2")

# Reads at once, in threads of their own: what is short (keys, leases, `/readyz`) has the usual ones to itself.
MAX_READS = 24

# Of one account, and how many more of it wait: cold files of one must not keep all others waiting.
READS_OF_ACCOUNT = 8
READS_WAITING = 64

Result = TypeVar("Result")


class MovedAway(Exception):
    """A stored file was there when it was looked up and is no longer; whoever looks again finds its successor."""


class Reads:
    """Threads for reads of stored files, each of which may have to wait for a file from another machine.

    An account has a share of them. What is over it waits without a thread; all of it belongs to one event loop at a
    time.
    """

    def __init__(
        self, at_once: int = MAX_READS, of_account: int = READS_OF_ACCOUNT, waiting: int = READS_WAITING
    ) -> None:
        self.at_once = at_once
        self.of_account = of_account
        self.waiting = waiting
        # Made in an event loop, when they are first needed; an account's lasts as long as something of it is read.
        self.own_threads: anyio.CapacityLimiter | None = None
        self.shares: WeakValueDictionary[int, anyio.CapacityLimiter] = WeakValueDictionary()

    @property
    def threads(self) -> anyio.CapacityLimiter:
        """The threads of all accounts."""
        if self.own_threads is None:
            self.own_threads = anyio.CapacityLimiter(self.at_once)
        return self.own_threads

    def share(self, account: int) -> anyio.CapacityLimiter:
        """What the account has of them; to be held on to while it is used."""
        share = self.shares.get(account)
        if share is None:
            share = self.shares[account] = anyio.CapacityLimiter(self.of_account)
        return share

    async def run(self, account: int, work: Callable[..., Result], *arguments: Any) -> Result:  # noqa: ANN401 - `work`'s
        """What `work` returns, in one of the threads. Raises EngineFull where too many of the account wait already."""
        share = self.share(account)
        if share.statistics().tasks_waiting >= self.waiting:
            raise EngineFull(
                f"{self.of_account} reads of your account are under way, and {self.waiting} wait. "
                "Try again in a few seconds.",
                headers={"Retry-After": "5"},
            )
        async with share:
            return await anyio.to_thread.run_sync(work, *arguments, limiter=self.threads)


class Engine:
    """An open DuckDB, and the numbering plan."""

    def __init__(self, settings: Settings, folder: Path, metrics: Metrics | None = None) -> None:
        cache = cache_folder(folder)
        spill = folder / "spill"
        shutil.rmtree(spill, ignore_errors=True)
        spill.mkdir(parents=True)
        # Polars is loaded when a file is first read, and looks here then how it is to handle memory.
        os.environ.setdefault(*ALLOCATOR)
        self.turns = Turns(places_at_once(settings), settings.uploads_waiting, metrics or Metrics())
        self.reads = Reads()
        self.known = Known()
        # A workbook's child has half of the limit to itself (contract), so there is one at a time.
        self.workbook_turn = threading.Lock()
        # Held while a broad table is written, whose memory is there once as well.
        self.broad_turn = threading.Lock()
        self.writing_bytes = max(int(settings.memory_limit * WRITING_SHARE), ORDINARY_BYTES)
        # What uploads keep of their files in memory: rows to be written, and the verdicts on all.
        self.piece_room = Room(int(settings.memory_limit * PIECES_SHARE))
        self.verdict_room = Room(int(settings.memory_limit * VERDICTS_SHARE))
        self.cache = cache
        numbering.prepared(cache)
        self.own_plan: Plan | None = None
        self.plan_turn = threading.Lock()
        self.database = duckdb.connect(
            ":memory:",
            config={
                "memory_limit": f"{duckdb_bytes(settings) // 1024}KiB",
                "threads": os.cpu_count() or 1,
                "temp_directory": str(spill),
                # What is freed goes back to the system within a second or two, not only when DuckDB asks for more.
                "allocator_background_threads": "true",
                # Of every Parquet file that was ever read it would keep a kilobyte, for as long as the server runs.
                "enable_external_file_cache": "false",
                "autoinstall_known_extensions": "false",
                "autoload_known_extensions": "false",
            },
        )
        allowed = [f"{place.resolve()}/" for place in (folder / "spool", folder / "files", folder / "copies", cache)]
        self.database.execute("SET allowed_directories = ?", [allowed])
        self.database.execute("SET enable_external_access = false")
        self.database.execute("SET lock_configuration = true")

    @contextmanager
    def connection(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A connection of one's own; its temporary tables end with it. Raises DiskFull, EngineFull or MovedAway."""
        cursor = self.database.cursor()
        try:
            yield cursor
        except FileNotFoundError:
            raise MovedAway from None
        except duckdb.OutOfMemoryException:
            raise EngineFull(
                "The file needs more memory than the uploads under way leave. Try again in a minute, or split it.",
                headers={"Retry-After": "60"},
            ) from None
        except Exception as error:
            if disk.is_full(error):
                raise DiskFull("The server ran out of room while it worked on the file. Try later.") from None
            if isinstance(error, duckdb.Error) and ("No files found" in str(error) or "No such file" in str(error)):
                raise MovedAway from None
            raise
        finally:
            cursor.close()

    def writing(self, extent: Extent) -> AbstractContextManager[object]:
        """What is to be held while such a table is written. Raises as `check_writable` does."""
        return self.broad_turn if self.check_writable(extent) > ORDINARY_BYTES else nullcontext()

    def check_writable(self, extent: Extent) -> int:
        """Bytes of memory, about, that it takes to write such a table. Raises EngineFull where that is too much."""
        held = extent.held_bytes
        if held > self.writing_bytes:
            raise EngineFull(
                f"The file has {extent.columns:,} columns and at least {extent.rows:,} rows, "
                f"of which {extent.group:,} have up to {extent.most_bytes(extent.group):,} bytes: that takes more "
                "memory than there is. Split it, or leave out the columns that the campaign does not need.",
                headers={"Retry-After": "60"},
            )
        return held

    async def run(self, turn: Turn, work: Callable[..., Result], *arguments: Any) -> Result:  # noqa: ANN401 - `work`'s
        """What `work` returns, in a thread, once it has a place in the engine.

        Raises EngineFull where too many wait, or NotReady where the server stops; and what `work` raises.
        """
        async with self.turns.place(turn):
            return await to_the_end(work, *arguments)

    @property
    def plan(self) -> Plan:
        """The numbering plan, for `phones`."""
        with self.plan_turn:
            if self.own_plan is None:
                self.own_plan = read_plan(self.cache)
            return self.own_plan

    @cached_property
    def zones(self) -> list[str]:
        """Every value that a column of time zones can have."""
        zones: list[str] = self.plan.places["time_zones"].unique().to_list()
        return zones

    def reachable(self) -> bool:
        """Whether a statement can be run."""
        with self.connection() as connection:
            return connection.execute("SELECT 1").fetchone() == (1,)

    def close(self) -> None:
        """Ends the database; nothing in it was meant to stay."""
        self.database.close()


def read_plan(cache: Path) -> Plan:
    """The numbering plan in that folder; where its file is damaged, it is made anew."""
    from polars.exceptions import PolarsError

    from audiences.numbering.frames import Plan

    try:
        return Plan.read(numbering.prepared(cache))
    except PolarsError:
        return Plan.read(numbering.prepared(cache, anew=True))


async def to_the_end(work: Callable[..., Result], *arguments: Any) -> Result:  # noqa: ANN401 - `work`'s
    """What `work` returns, in a thread of its own. A caller that is cancelled goes on when the thread is done.

    It would take away the files that the thread works on, and somebody else would have its place.
    """
    limiter = anyio.CapacityLimiter(1)
    working = asyncio.ensure_future(anyio.to_thread.run_sync(work, *arguments, limiter=limiter))
    try:
        return await asyncio.shield(working)
    except asyncio.CancelledError:
        with anyio.CancelScope(shield=True):
            while not working.done():
                with suppress(asyncio.CancelledError):
                    await asyncio.wait([working])
        if not working.cancelled():
            working.exception()  # nobody is left whom it could be raised to
        raise


def places_at_once(settings: Settings) -> int:
    """Uploads in the engine at once: as many as the setting says, or as memory and processors are good for."""
    if settings.uploads_at_once is not None:
        return settings.uploads_at_once
    useful = max(USUAL_PLACES, os.cpu_count() or 1)
    return max(MIN_PLACES, min(useful, duckdb_bytes(settings) // PLACE_BYTES))


def duckdb_bytes(settings: Settings) -> int:
    """Bytes of memory that DuckDB keeps to."""
    return int(settings.memory_limit * DUCKDB_SHARE)


def cache_folder(data: Path) -> Path:
    """Where the numbering plan is kept from one start to the next: the user's cache, or else the data folder."""
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "audiences"
    try:
        home.mkdir(parents=True, exist_ok=True)
    except OSError:
        return data / "cache"
    return home if os.access(home, os.W_OK) else data / "cache"
