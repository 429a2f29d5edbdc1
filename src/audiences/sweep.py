"""What is deleted, when, and why that is safe.

An account may have its audiences deleted so many days after their last upload (`retention`). Time leaves old versions
and deleted audiences, which can be had back for 7 days; drafts, which last an hour; and
records of the audit log and days of usage, which are kept for two years. A crash leaves two more things: folders in the
spool, and stored files whose row was never committed. The spool belongs to one process, which holds the data folder's
lock, so at its start all of it is rubbish. Stored files are listed first and the catalog is asked second, so that one
which is committed in between is found there; and the young are spared, since theirs may be committed a moment later.
Every function here can be run again at any time.
"""

from __future__ import annotations

import asyncio
import itertools
import shutil
from collections.abc import Callable, Collection
from pathlib import Path

import anyio.to_thread
from sqlalchemy import Connection
from sqlalchemy.engine import RowMapping

from audiences import leases, retention
from audiences.audit import KEPT as RECORDS_KEPT
from audiences.clock import DAY, Clock
from audiences.drafts import LIFE
from audiences.library import RESTORABLE
from audiences.repeats import KEPT
from audiences.sessions import IDLE_LIFE, WHOLE_LIFE
from audiences.store import audiences, audit, drafts, idempotency, links, reads, sessions, uploads, usage, versions
from audiences.store.database import Database
from audiences.store.files import FileStore
from audiences.usage import KEPT_DAYS
from audiences.watch import Metrics, log, log_fault

# Far longer than any upload lives between its files and its row.
FILE_AGE_S = 2 * 3600.0

OBJECTS = ("contacts_object", "rejects_object")

# What `Database.alone` knows the sweep by.
WORK = 1

EVERY_S = 600.0
BATCH = 500


def empty_spool(spool: Path) -> int:
    """Removes everything in the spool; how many things. Only for the process that owns it, before it takes requests."""
    left = list(spool.iterdir())
    for path in left:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
    return len(left)


def remove_retired_files(files: FileStore, database: Database, clock: Clock) -> int:
    """Removes files of old versions and of deleted audiences; how many.

    They are those that can be had back no longer, and that nobody reads. Their rows go first: from then on nobody can
    find them.
    """
    removed = 0
    while rows := take_retired_rows(database, clock()):
        for name in (row[kind] for row in rows for kind in OBJECTS if row[kind] is not None):
            files.remove(name)
            removed += 1
    return removed


def take_retired_rows(database: Database, now: int) -> list[RowMapping]:
    """Removes a batch of such rows from the catalog, and returns them."""
    with database.write() as connection:
        rows = versions.retired(connection, now - RESTORABLE, now, BATCH)
        versions.remove_files(connection, [row["id"] for row in rows])
        versions.forget_deleted(connection, now - RESTORABLE)
        reads.remove_lapsed(connection, now)
        return rows


def remove_stray_files(files: FileStore, database: Database, clock: Clock, age_s: float = FILE_AGE_S) -> int:
    """Removes stored files at least `age_s` old that no row refers to; how many."""
    removed = 0
    listing = files.names(age_s)
    while names := list(itertools.islice(listing, BATCH)):
        with database.read() as connection:
            used = audiences.objects_in_use(connection, names, clock())
        for name in set(names) - used:
            files.remove(name)
            removed += 1
    return removed


def remove_old_answers(database: Database, clock: Clock) -> int:
    """Removes idempotency records that are over; how many."""
    until = clock() - KEPT
    return in_batches(database, lambda connection: idempotency.remove_older(connection, until, BATCH))


def remove_old_sign_ins(database: Database, clock: Clock) -> int:
    """Removes links and sessions that let nobody in any more; how many."""
    now = clock()
    with database.write() as connection:
        expired = links.remove_expired(connection, now)
        return expired + sessions.remove_older(connection, now - WHOLE_LIFE, now - IDLE_LIFE)


def remove_old_drafts(files: FileStore, database: Database, clock: Clock) -> int:
    """Removes drafts that are over, whose rows go first; how many. Nobody finds them any more even before."""
    with database.write() as connection:
        names = drafts.remove_older(connection, clock() - LIFE)
    for name in names:
        files.remove(name)
    return len(names)


def remove_old_uploads(files: FileStore, database: Database, clock: Clock) -> int:
    """Removes kept uploads that are over, or whose audience is gone; how many. What is being read stays until then."""
    now = clock()
    with database.write() as connection:
        names = uploads.remove_over(connection, now, now - RESTORABLE)
    leases.remove_unused(database, files, names, now)
    return len(names)


def remove_old_records(database: Database, clock: Clock) -> int:
    """Removes records of the audit log that are over; how many."""
    until = clock() - RECORDS_KEPT
    return in_batches(database, lambda connection: audit.remove_older(connection, until, BATCH))


def remove_old_usage(database: Database, clock: Clock) -> int:
    """Removes days of usage that are over; how many, each account's by itself."""
    until = clock() // DAY - KEPT_DAYS
    return in_batches(database, lambda connection: usage.remove_older(connection, until, BATCH))


def in_batches(database: Database, remove: Callable[[Connection], int]) -> int:
    """Has `remove` take batches until nothing is left, and lets others write in between; how much it took."""
    removed = 0
    while True:
        with database.write() as connection:
            taken = remove(connection)
        if not taken:
            return removed
        removed += taken


class Sweeper:
    """Runs the above from time to time, for the catalog of that identity."""

    def __init__(self, files: FileStore, database: Database, clock: Clock, metrics: Metrics, identity: str) -> None:
        self.files = files
        self.identity = identity
        self.database = database
        self.clock = clock
        self.metrics = metrics

    def sweep(self) -> dict[str, int]:
        """One round; what was removed. Of several nodes one sweeps what they share, and each its own copies."""
        try:
            with self.database.alone(WORK) as alone:
                done = self.sweep_shared() if alone else {}
        finally:
            # A node's disk must not fill because the catalog is busy, or another node's sweep failed.
            copies = self.files.trim(self.in_use)
        return done | {"unused_copies": copies}

    def sweep_shared(self) -> dict[str, int]:
        """A round over the catalog and the files."""
        done = {
            "audiences_over": retention.delete_over(self.database, self.clock),
            "retired_files": remove_retired_files(self.files, self.database, self.clock),
            "old_drafts": remove_old_drafts(self.files, self.database, self.clock),
            "old_uploads": remove_old_uploads(self.files, self.database, self.clock),
            "stray_files": self.remove_strays(),
            "old_answers": remove_old_answers(self.database, self.clock),
            "old_sign_ins": remove_old_sign_ins(self.database, self.clock),
            "old_records": remove_old_records(self.database, self.clock),
            "old_usage": remove_old_usage(self.database, self.clock),
        }
        self.metrics.swept.inc(done["stray_files"] + done["retired_files"])
        return done

    def remove_strays(self) -> int:
        """Removes stray files, how many: none where the store is noted to be another catalog's, all of whose are stray.

        That was asked at the start, too, but two catalogs that begin with one empty store may both have got it.
        """
        if self.files.claim(self.identity) != self.identity:
            log("store_of_another_catalog")
            return 0
        return remove_stray_files(self.files, self.database, self.clock)

    def in_use(self, names: Collection[str]) -> set[str]:
        """Those of the files that the catalog refers to."""
        with self.database.read() as connection:
            return audiences.objects_in_use(connection, names, self.clock())

    async def run(self) -> None:
        """Sweeps until cancelled; a round that fails is logged, and the next one tries again."""
        while True:
            try:
                done = await anyio.to_thread.run_sync(self.sweep)
                if any(done.values()):
                    log("swept", **done)
            except Exception as error:  # noqa: BLE001 - whatever it was, the server goes on
                log_fault("sweep_failed", error)
            await asyncio.sleep(EVERY_S)
