"""What lies in a data folder, held against what its catalog refers to."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import select

from audiences import clock, leases, sweep
from audiences.parts import CATALOG, opened_database
from audiences.settings import Settings
from audiences.store.database import Database
from audiences.store.files import OWNER, FolderStore
from audiences.store.schema import audience_files, drafts, suppression_lists, uploads

# An export lets go of its pieces a moment after its last byte.
LETTING_GO_S = 5.0

# What the engine marks its folder with from its first spill to its end.
MARK = re.compile(r"spill/duckdb_temp_\d+_\d+_owner")

# Named here once more, and not taken from what is tried: a sweep that forgot one would go unnoticed.
REFERENCES = (
    audience_files.c.contacts_object,
    audience_files.c.rejects_object,
    suppression_lists.c.object,
    drafts.c.object,
    uploads.c.object,
)


@dataclass(frozen=True)
class Swept:
    """Stray files that the sweep took, of any age, and what is wrong with the folder afterwards."""

    strays: int
    wrong: list[str]


def swept(data: Path) -> Swept:
    """Sweeps the folder of a server that does nothing meanwhile, and looks into each corner of it.

    Nobody needs a hold then: those that could not be ended count as lapsed, and what they hold is stray.
    """
    end = time.monotonic() + LETTING_GO_S
    while any((data / "spool").iterdir()) and time.monotonic() < end:
        time.sleep(0.01)
    with opened_database(Settings(data=data)) as database:
        store = FolderStore(data / "files")
        strays = sweep.remove_stray_files(store, database, lambda: clock.now() + leases.LEASE, age_s=0)
        used = referred_to(database)
    stored = {str(path.relative_to(data / "files")) for path in (data / "files").rglob("*") if path.is_file()}
    left = [*(f"spool/{path.name}" for path in (data / "spool").iterdir()), *spilled(data)]
    others = {path.name for path in data.iterdir()} - {
        *("files", "spool", "spill", "cache", "lock", CATALOG, f"{CATALOG}-wal", f"{CATALOG}-shm")
    }
    wrong = [f"stored, but of no row: {name}" for name in stored - used - {OWNER}]
    wrong += [f"of a row, but not stored: {name}" for name in used - stored]
    return Swept(strays, wrong + [f"left behind: {name}" for name in (*left, *others)])


def spilled(data: Path) -> list[str]:
    """What the engine has put down and not taken back."""
    found = [f"spill/{path.name}" for path in (data / "spill").iterdir()]
    return [name for name in found if not MARK.fullmatch(name)]


def referred_to(database: Database) -> set[str]:
    """The names of all files that a row refers to."""
    with database.read() as connection:
        found = [connection.execute(select(column)).scalars().all() for column in REFERENCES]
    return {name for names in found for name in names if name is not None}


def stored_bytes(data: Path) -> int:
    """Bytes of all files in the folder but the catalog's."""
    there = [path for path in data.rglob("*") if path.is_file() and not path.name.startswith(CATALOG)]
    return sum(path.stat().st_size for path in there)
