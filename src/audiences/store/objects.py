"""Stored files as objects of an S3 bucket, which any number of nodes share; each node reads them by local copies.

An object is written once under a name that is used once, so there is nothing to lock and no copy that grows stale. A
node that wrote a file keeps it as its copy; the others fetch it when they first need it (`cache`).
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, wait
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from obstore.exceptions import BaseError

from audiences.errors import out_of_reach
from audiences.store import bucket
from audiences.store.cache import Cache
from audiences.store.files import NAME, OWNER, InUse, checked, new_name
from audiences.watch import log

if TYPE_CHECKING:
    from obstore import GetResult

# An upload has at most so many parts of so many bytes in memory: 20 MiB. An object can have 10,000 parts, so 48 GiB.
PART_BYTES = 5 * 1024**2
PARTS_AT_ONCE = 4

# A download has a piece of so many bytes in memory, and so many run at once on this node: 8 MiB.
PIECE_BYTES = 1024**2
DOWNLOADS_AT_ONCE = 8

# The object whose time is the time of S3, and the folder that it is alone in.
CLOCKS = "clock"
CLOCK = f"{CLOCKS}/now"

# The folder of claims to a store that is nobody's yet, each named after who claims it.
CLAIMS = "claims"

# Names that are held against the catalog in one statement.
BATCH = 500


class ObjectStore:
    """See FileStore. Objects lie below the prefix of `url`, copies in `folder`.

    There are up to `cache_bytes` of copies, as long as the disk has `spare_bytes` left. What S3 does not answer is
    asked again for some `patience_s` seconds, and then told as NotReady. Raises CannotOpen for a bucket of no use.
    """

    def __init__(
        self,
        url: str,
        folder: Path,
        cache_bytes: int,
        environment: Mapping[str, str] = os.environ,
        *,
        patience_s: float = 30.0,
        spare_bytes: int = 0,
    ) -> None:
        where = bucket.read_url(url, environment)
        self.cache = Cache(folder, cache_bytes, spare_bytes)
        self.requests, self.transfers, self.probe = bucket.connections(where, environment, patience_s)
        self.lock = threading.Lock()
        self.under_way: dict[str, Future[Path]] = {}
        self.places = threading.BoundedSemaphore(DOWNLOADS_AT_ONCE)
        self.patience_s = patience_s
        bucket.check(self.requests, where)

    def put(self, source: Path, kind: str) -> str:
        """See FileStore. Raises NotReady."""
        name = new_name(kind)
        try:
            self.upload(name, source)
        except BaseException:
            with suppress(BaseError, OSError):
                self.probe.delete(name)
            raise
        self.cache.take(name, source)
        return name

    def put_back(self, source: Path, name: str) -> None:
        """See FileStore. Raises NotReady."""
        with answered(), suppress(FileNotFoundError):
            if self.requests.head(checked(name))["size"] == source.stat().st_size:
                return
        self.upload(name, source)

    def upload(self, name: str, source: Path) -> None:
        """Stores the object; one of another size than its file's counts as not stored."""
        size = source.stat().st_size
        with answered():
            try:
                self.transfers.put(name, source, chunk_size=PART_BYTES, max_concurrency=PARTS_AT_ONCE)
                stored = self.requests.head(name)["size"]
            except FileNotFoundError as error:  # the bucket is gone
                raise out_of_reach("the file store") from error
        if stored != size:
            raise out_of_reach("the file store")

    def local(self, name: str) -> Path:
        """See FileStore. Whoever asks for a file that is being fetched waits for it, as long as the patience lasts."""
        copy = self.cache.find(checked(name))
        if copy is not None:
            return copy
        with self.lock:
            others = self.under_way.get(name)
            mine = self.under_way.setdefault(name, Future())
        if others is not None:
            return self.result(others)
        try:
            # Somebody may have been done with it between the two looks.
            path = self.cache.find(name) or self.fetch(name)
            mine.set_result(path)
        except BaseException as error:
            mine.set_exception(error)
            raise
        else:
            return path
        finally:
            with self.lock:
                del self.under_way[name]

    def result(self, others: Future[Path]) -> Path:
        """What a download comes to that somebody else began. Raises NotReady while it lasts too long, or as it does."""
        if not wait([others], self.patience_s).done:
            raise out_of_reach("the file store")
        return others.result()

    def fetch(self, name: str) -> Path:
        """Makes the local copy of an object. Raises NotReady, so also while there is no place for a download."""
        if not self.places.acquire(timeout=self.patience_s):
            raise out_of_reach("the file store")
        try:
            with answered():
                found = self.transfers.get(name)
                return self.cache.fill(name, found.meta["size"], partial(write_all, found))
        finally:
            self.places.release()

    def exists(self, name: str) -> bool:
        """See FileStore. Raises NotReady."""
        with answered():
            try:
                self.requests.head(checked(name))
            except FileNotFoundError:
                return False
            return True

    def remove(self, name: str) -> None:
        """See FileStore. Raises NotReady; the copy has gone even then."""
        self.cache.discard(checked(name))
        with answered(), suppress(FileNotFoundError):
            self.requests.delete(name)

    def names(self, older_than_s: float) -> Iterator[str]:
        """See FileStore. Listed page by page as they are taken. Raises NotReady.

        The age is by the clock of S3, and counts from the begin of an upload.
        """
        latest = self.now() - timedelta(seconds=older_than_s)
        with answered():
            pages = iter(self.requests.list(chunk_size=BATCH))
        while True:
            with answered():
                page = next(pages, None)
            if page is None:
                return
            for item in page:
                if NAME.fullmatch(item["path"]) and item["last_modified"] <= latest:
                    yield item["path"]

    def now(self) -> datetime:
        """The time by the clock of S3: that of an object written for it. A node's own clock may be hours off."""
        with answered():
            self.requests.put(CLOCK, b"")
            # Listed as all others are: to ask for one object gives whole seconds only.
            return next(item["last_modified"] for page in self.requests.list(prefix=CLOCKS) for item in page)

    def claim(self, owner: str) -> str:
        """See FileStore. Raises NotReady.

        Of two at once each writes its claim before it looks for another one. So one of them at least sees the other's,
        and gives way; perhaps both do.
        """
        with answered():
            with suppress(FileNotFoundError):
                return self.note()
            mine = f"{CLAIMS}/{owner}"
            self.requests.put(mine, b"")
            for other in (item["path"] for page in self.requests.list(prefix=CLAIMS) for item in page):
                if other != mine:
                    self.requests.delete(mine)
                    return other.removeprefix(f"{CLAIMS}/")
            self.requests.put(OWNER, owner.encode())
            return self.note()

    def note(self) -> str:
        """Whose files it is noted that these are. Raises FileNotFoundError."""
        return bytes(self.requests.get(OWNER).bytes()).decode()

    def reachable(self) -> bool:
        """See FileStore. One request, for seconds at most."""
        with answered():
            next(iter(self.probe.list(offset=bucket.BEHIND_ALL)), None)
        return os.access(self.cache.folder, os.R_OK | os.W_OK | os.X_OK)

    def trim(self, in_use: InUse) -> int:
        """See FileStore. A copy that is being read stays until the next time."""
        removed = 0
        names = iter(self.cache.names())
        while batch := list(islice(names, BATCH)):
            removed += sum(map(self.cache.discard_idle, set(batch) - set(in_use(batch))))
        return removed


def write_all(found: GetResult, path: Path) -> None:
    """Writes the object into the file at `path`, which is there. Raises NotReady unless all of it came."""
    came = 0
    with path.open("r+b") as file:
        for piece in found.stream(min_chunk_size=PIECE_BYTES):
            came += file.write(piece)
    if came != found.meta["size"]:
        raise out_of_reach("the file store")


@contextmanager
def answered() -> Iterator[None]:
    """Turns every failure of S3 into NotReady, but for an object that is not there, which stays FileNotFoundError."""
    try:
        yield
    except (BaseError, FileNotFoundError) as error:
        if isinstance(error, FileNotFoundError) and bucket.code_of(str(error)) != "NoSuchBucket":
            raise
        log("file_store_failed", error=type(error).__name__, code=bucket.code_of(str(error)))
        raise out_of_reach("the file store") from error
