"""The engine: one DuckDB in the process, shared by all uploads and reads, under one memory limit.

Each use has a connection of its own, and with it its own temporary tables. Above the memory limit DuckDB spills to the
data folder. It may touch files of the data folder only, so no text that ended up in a statement could reach another.
"""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import anyio
import anyio.to_thread
import duckdb

from audiences import numbering
from audiences.errors import DiskFull, EngineFull
from audiences.layout import ZONE_SEPARATOR
from audiences.settings import Settings

# Uploads in the engine at once, at least: so that a large one does not hold up every small one.
MIN_PLACES = 4

# The places of the numbering plan as contacts keep them: closed lists of texts cost next to nothing to write.
PLACES = f"""
    CREATE TYPE country AS ENUM (SELECT DISTINCT country FROM numbering_places);
    CREATE TYPE line_type AS ENUM (SELECT DISTINCT line_type FROM numbering_places);
    CREATE TYPE zones AS ENUM (SELECT DISTINCT array_to_string(time_zones, '{ZONE_SEPARATOR}') FROM numbering_places);
    CREATE TABLE places AS
      SELECT place, country::country AS country, line_type::line_type AS line_type,
             array_to_string(time_zones, '{ZONE_SEPARATOR}')::zones AS time_zones
      FROM numbering_places;
"""

# What DuckDB counts and keeps to; the rest of the limit is for what it does not count (buffers of its CSV reader and
# Parquet writers) and for the process itself, so that all of it together keeps to the setting.
DUCKDB_SHARE = 0.45

Result = TypeVar("Result")


class MovedAway(Exception):
    """A stored file was there when it was looked up and is no longer; whoever looks again finds its successor."""


class Engine:
    """An open DuckDB with the numbering plan in it."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        cache = cache_folder(folder)
        spill = folder / "spill"
        shutil.rmtree(spill, ignore_errors=True)
        spill.mkdir(parents=True)
        self.places: anyio.CapacityLimiter | None = None
        # A workbook's child has half of the limit to itself (contract), so there is one at a time.
        self.workbook_turn = threading.Lock()
        self.database = duckdb.connect(
            ":memory:",
            config={
                "memory_limit": f"{int(settings.memory_limit * DUCKDB_SHARE) // 1024}KiB",
                "threads": os.cpu_count() or 1,
                "temp_directory": str(spill),
                "autoinstall_known_extensions": "false",
                "autoload_known_extensions": "false",
            },
        )
        numbering.load(self.database, cache)
        self.database.execute(PLACES)
        allowed = [f"{place.resolve()}/" for place in (folder / "spool", folder / "files", cache)]
        self.database.execute("SET allowed_directories = ?", [allowed])
        self.database.execute("SET enable_external_access = false")
        self.database.execute("SET lock_configuration = true")

    @contextmanager
    def connection(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A connection of one's own; its temporary tables end with it. Raises DiskFull, EngineFull or MovedAway."""
        cursor = self.database.cursor()
        try:
            yield cursor
        except duckdb.OutOfMemoryException:
            raise EngineFull(
                "The file needs more memory than the uploads under way leave. Try again in a minute, or split it.",
                headers={"Retry-After": "60"},
            ) from None
        except duckdb.Error as error:
            if "No space left" in str(error) or "Disk quota exceeded" in str(error):
                raise DiskFull("The server ran out of room while it worked on the file. Try later.") from None
            if "No files found" in str(error) or "No such file" in str(error):
                raise MovedAway from None
            raise
        finally:
            cursor.close()

    async def run(self, work: Callable[..., Result], *arguments: Any) -> Result:  # noqa: ANN401 - `work`'s own
        """What `work` returns, in a thread, once one of the engine's places is free.

        Places are few: more uploads at once would not be done sooner, only each with less memory.
        """
        if self.places is None:
            self.places = anyio.CapacityLimiter(max(MIN_PLACES, os.cpu_count() or 1))
        return await anyio.to_thread.run_sync(work, *arguments, limiter=self.places)

    @cached_property
    def zones(self) -> list[str]:
        """Every value that a column of time zones can have."""
        with self.connection() as connection:
            return [row[0] for row in connection.execute("SELECT DISTINCT time_zones::VARCHAR FROM places").fetchall()]

    def reachable(self) -> bool:
        """Whether a statement can be run."""
        with self.connection() as connection:
            return connection.execute("SELECT 1").fetchone() == (1,)

    def close(self) -> None:
        """Ends the database; nothing in it was meant to stay."""
        self.database.close()


def cache_folder(data: Path) -> Path:
    """Where the numbering plan is kept from one start to the next: the user's cache, or else the data folder."""
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "audiences"
    try:
        home.mkdir(parents=True, exist_ok=True)
    except OSError:
        return data / "cache"
    return home if os.access(home, os.W_OK) else data / "cache"
