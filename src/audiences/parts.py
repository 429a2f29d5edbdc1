"""The opened pieces that a request may use: opened, wired and closed here and nowhere else."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from audiences import clock, sweep
from audiences.audit import Audit
from audiences.changes import Changes
from audiences.clock import Clock
from audiences.creation import Creation
from audiences.drafts import Drafts
from audiences.engine import Engine
from audiences.errors import CannotOpen
from audiences.exports import Exports
from audiences.fetch import Fetcher
from audiences.inbox import Inbox
from audiences.judging import Judge
from audiences.keys import Keys
from audiences.leases import Leases
from audiences.library import Library
from audiences.links import FIRST_ACCOUNT
from audiences.people import People
from audiences.repeats import Repeats
from audiences.sessions import Sessions
from audiences.settings import Settings
from audiences.store import accounts, secret_keys
from audiences.store.database import Database
from audiences.store.files import FileStore, FolderStore, sync
from audiences.suppressions import Suppressions
from audiences.sweep import Sweeper
from audiences.throttle import Throttle
from audiences.usage import Usage
from audiences.users import Users
from audiences.watch import Metrics, log_fault

# The catalog's own name, which its files know.
IDENTITY = "identity"

# The embedded catalog, in the data folder.
CATALOG = "catalog.sqlite"


class DataFolderInUse(CannotOpen):
    """Another server works on the same data folder."""


@dataclass(frozen=True)
class Parts:
    """Everything that handlers work with. A test replaces one part by `dataclasses.replace`."""

    settings: Settings
    database: Database
    files: FileStore
    engine: Engine
    keys: Keys
    users: Users
    sessions: Sessions
    throttle: Throttle
    usage: Usage
    inbox: Inbox
    repeats: Repeats
    creation: Creation
    drafts: Drafts
    library: Library
    exports: Exports
    suppressions: Suppressions
    people: People
    changes: Changes
    audit: Audit
    leases: Leases
    sweeper: Sweeper
    metrics: Metrics

    def reachable(self) -> dict[str, bool]:
        """Each store by name, and whether it answers."""
        return {name: answers(store.reachable) for name, store in self.stores().items()}

    def stores(self) -> Mapping[str, Reachable]:
        """What has to be within reach for a request to be served."""
        return {"catalog": self.database, "files": self.files, "engine": self.engine}


class Reachable(Protocol):
    """A store that can say whether it answers."""

    def reachable(self) -> bool:
        """Whether it does; it may raise where it does not."""


def answers(ask: Callable[[], bool]) -> bool:
    """Whether `ask` says so, and does not raise."""
    try:
        return ask()
    except Exception as error:  # noqa: BLE001 - whatever it was, the store is not within reach
        log_fault("store_out_of_reach", error)
        return False


@contextmanager
def opened_parts(settings: Settings, now: Clock = clock.now) -> Iterator[Parts]:
    """Opens all parts on the data folder, which nobody else may serve meanwhile. Raises DataFolderInUse."""
    with ExitStack() as stack:
        folder = prepared_folder(settings.data)
        stack.enter_context(locked(folder))
        spool = folder / "spool"
        sweep.empty_spool(spool)
        database = stack.enter_context(opened_catalog(settings, now))
        metrics = Metrics()
        engine = stack.enter_context(closing(Engine(settings, folder, metrics)))
        files = opened_files(settings, folder)
        identity = check_owner(files, database)
        library = Library(database, files, engine, now)
        suppressions = Suppressions(database, files, engine, now)
        inbox = stack.enter_context(closing(Inbox(spool, settings, metrics, Fetcher(settings))))
        yield Parts(
            settings=settings,
            database=database,
            files=files,
            engine=engine,
            keys=Keys(database, now),
            users=Users(database, now),
            sessions=Sessions(database, now),
            throttle=Throttle(settings, metrics),
            usage=stack.enter_context(closing(Usage(database, now))),
            inbox=inbox,
            repeats=Repeats(database, now),
            creation=Creation(settings, now, Judge(settings, engine, metrics), library, suppressions),
            drafts=Drafts(settings, database, files, spool, now),
            library=library,
            suppressions=suppressions,
            people=People(library, suppressions, now, spool),
            changes=Changes(database, now),
            audit=Audit(now),
            leases=Leases(database, files, now),
            exports=Exports(engine, spool, check_room=inbox.check_room),
            sweeper=Sweeper(files, database, now, metrics, identity),
            metrics=metrics,
        )


@contextmanager
def opened_catalog(settings: Settings, now: Clock = clock.now) -> Iterator[Database]:
    """The catalog alone, migrated and with its first account: what the commands need that run beside a server."""
    with opened_database(settings) as database:
        database.migrate()
        with database.read() as connection:
            missing = accounts.find(connection, FIRST_ACCOUNT) is None
        if missing:
            with database.write() as connection:
                if accounts.find(connection, FIRST_ACCOUNT) is None:
                    accounts.add(connection, FIRST_ACCOUNT, now())
        yield database


@contextmanager
def opened_database(settings: Settings) -> Iterator[Database]:
    """The catalog's database as it is, whatever its schema, or without one."""
    folder = prepared_folder(settings.data)
    url = settings.database_url or f"sqlite:///{folder / CATALOG}"
    with closing(Database(url, settings.database_connections)) as database:
        yield database


def opened_files(settings: Settings, folder: Path) -> FileStore:
    """Where files are stored. Raises CannotOpen."""
    if settings.storage_url is None:
        return FolderStore(folder / "files")
    from audiences.store.objects import ObjectStore

    # Twice what an upload must leave: so copies are not what refuses it.
    spare = 2 * settings.min_free_bytes
    return ObjectStore(settings.storage_url, folder / "copies", settings.cache_bytes, spare_bytes=spare)


def identity_of(database: Database) -> str:
    """The catalog's own name, as its files know it."""
    return secret_keys.ensure(database, IDENTITY).hex()


def check_owner(files: FileStore, database: Database) -> str:
    """The catalog's own name, as its files know it.

    Raises CannotOpen for files of another catalog: to this one's sweeper all of them would be rubbish.
    """
    identity = identity_of(database)
    if files.claim(identity) != identity:
        raise CannotOpen(
            "The stored files belong to another catalog than this one. Set AUDIENCES_STORAGE_URL (or --data) to where "
            "this catalog's files are, or to an empty place; or AUDIENCES_DATABASE_URL to the catalog of these files."
        )
    return identity


def prepared_folder(folder: Path) -> Path:
    """The data folder, made if need be; nobody but its owner may look into it, since it holds people's numbers.

    One that was made stays, with all that is acknowledged in it, whenever the power fails.
    """
    folder = folder.resolve()
    new = [path for path in (folder, *folder.parents) if not path.exists()]
    for path in (folder, folder / "spool", folder / "files"):
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise CannotOpen(f"The data folder {folder} cannot be made: {error.strerror}.") from None
    for path in new:
        sync(path.parent)
    return folder


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Holds the folder's lock, which ends with the process however it ends. Raises DataFolderInUse."""
    descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise DataFolderInUse(
            f"Another server works on the data folder {folder}. Stop it first, or choose another folder with --data."
        ) from None
    finally:
        os.close(descriptor)
