"""Stored files as S3 objects, read by local copies: the contract of a file store, outages, and a cache with a bound."""

from __future__ import annotations

import gc
import json
import os
import resource
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime, tzinfo
from functools import partial
from itertools import count
from pathlib import Path

import obstore
import pytest

import faults
from audiences import clock, parts, sweep
from audiences.errors import CannotOpen, DiskFull, EngineFull, NotReady
from audiences.store import objects as store_objects
from audiences.store.cache import Cache
from audiences.store.files import FileStore
from audiences.store.objects import CLOCK, DOWNLOADS_AT_ONCE, ObjectStore
from audiences.sweep import Sweeper
from conftest import settings_in
from file_store_contract import NO_SUCH_FILE, FileStoreContract
from s3_server import BUCKET, S3Server, s3_server
from support import until

MIB = 1024**2
PREFIXES = count(1)

# Seconds after which a test's store gives up.
PATIENCE_S = 2.0


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with s3_server(tmp_path_factory.mktemp("s3")) as running:
        yield running


@pytest.fixture
def prefix() -> str:
    return f"test/{next(PREFIXES)}"


Opener = Callable[..., ObjectStore]


@pytest.fixture
def opened(server: S3Server, prefix: str, tmp_path: Path) -> Opener:
    """Opens the test's store as a node with a folder of its own."""

    def open_store(node: str = "node", cache_bytes: int = 100 * MIB, **changed: str) -> ObjectStore:
        environment = {**server.environment, **changed}
        return ObjectStore(server.url(prefix), tmp_path / node, cache_bytes, environment, patience_s=PATIENCE_S)

    return open_store


class TestObjectStore(FileStoreContract):
    """Objects of S3 keep the contract of a file store."""

    @pytest.fixture
    def store(self, opened: Opener) -> FileStore:
        return opened()


class TestObjectStoreOfAnotherNode(FileStoreContract):
    """So they do where each call is made by another node than the one before it, which has no copy yet."""

    @pytest.fixture
    def store(self, opened: Opener, tmp_path: Path) -> FileStore:
        class Nodes:
            def __getattr__(self, name: str) -> object:
                return getattr(opened(f"node{len(list(tmp_path.iterdir()))}"), name)

        return Nodes()  # type: ignore[return-value]


def put(store: ObjectStore, tmp_path: Path, content: bytes) -> str:
    source = tmp_path / f"source{threading.get_ident()}"
    source.write_bytes(content)
    return store.put(source, "contacts")


def objects(server: S3Server, prefix: str) -> list[str]:
    return [item["path"] for page in obstore.list(server.store(prefix)) for item in page]


def head_of(size: int) -> str:
    """The answer to HEAD for an object of so many bytes; the proxy would wait for them."""
    headers = (f"Content-Length: {size}", "Last-Modified: Mon, 23 Nov 2026 03:00:00 GMT", 'ETag: "x"')
    return "\r\n".join(("HTTP/1.1 200 OK", *headers, "Connection: close", "", ""))


def files_in(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


# Objects


def test_a_large_file_comes_back_as_it_was_and_takes_little_memory(
    server: S3Server, prefix: str, tmp_path: Path
) -> None:
    """In a process of its own, whose memory is that of the store alone."""
    script = """
import hashlib, json, pathlib, resource, sys
from audiences.store.objects import ObjectStore
url, folder, environment = sys.argv[1], pathlib.Path(sys.argv[2]), json.loads(sys.argv[3])
stores = [ObjectStore(url, folder / node, 10**9, environment) for node in "ab"]
block = bytes(range(256)) * 4096
with (folder / "source").open("wb") as file:
    for _ in range(150):
        file.write(block)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
name = stores[0].put(folder / "source", "contacts")
with stores[1].local(name).open("rb") as file:
    read = [chunk == block for chunk in iter(lambda: file.read(len(block)), b"")]
print(json.dumps([name, read == [True] * 150, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024]))
"""
    command = [sys.executable, "-c", script, server.url(prefix), str(tmp_path), json.dumps(dict(server.environment))]
    done = subprocess.run(command, check=True, capture_output=True, timeout=120)
    name, same, mib = json.loads(done.stdout)
    assert same
    assert obstore.head(server.store(prefix), name)["size"] == 150 * MIB
    assert mib < 60


def test_a_file_of_several_parts_is_one_object(opened: Opener, tmp_path: Path) -> None:
    content = os.urandom(20 * MIB + 17)
    name = put(opened("writer"), tmp_path, content)
    assert opened("reader").local(name).read_bytes() == content


def test_the_node_that_wrote_a_file_reads_it_without_a_download(
    server: S3Server, opened: Opener, tmp_path: Path
) -> None:
    store = opened()
    name = put(store, tmp_path, b"content")
    with server.frozen():
        assert store.local(name).read_bytes() == b"content"


def test_objects_lie_below_the_prefix_and_foreign_ones_are_left_alone(
    server: S3Server, opened: Opener, prefix: str, tmp_path: Path
) -> None:
    store = opened()
    for foreign in ("readme.txt", "ab/notes.parquet", f"deeper/{NO_SUCH_FILE}"):
        obstore.put(server.store(prefix), foreign, b"x")
    obstore.put(server.store(f"{prefix}0"), NO_SUCH_FILE, b"x")
    name = put(store, tmp_path, b"content")
    assert list(store.names(0)) == [name]
    assert name in objects(server, prefix)


def test_a_store_may_have_the_whole_bucket(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    with s3_server(tmp_path / "root") as other:
        store = ObjectStore(f"s3://{BUCKET}", tmp_path / "node", MIB, other.environment)
        name = put(store, tmp_path, b"content")
        assert list(store.names(0)) == [name]
        assert set(objects(other, "")) == {name, CLOCK}


def test_more_objects_than_a_page_are_all_listed(tmp_path: Path) -> None:
    names = {f"{number % 256:02x}/contacts-{number:032x}.parquet" for number in range(1100)}
    for name in names:
        path = tmp_path / "root" / BUCKET / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    with s3_server(tmp_path / "root") as other:
        listed = list(ObjectStore(other.url(), tmp_path / "node", MIB, other.environment).names(0))
    assert len(listed) == len(names)
    assert set(listed) == names


def test_a_checksum_is_sent_where_the_environment_asks_for_one(
    server: S3Server, opened: Opener, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The variables that are not ours to read, the library reads by itself."""
    monkeypatch.setenv("AWS_CHECKSUM_ALGORITHM", "sha256")
    with faults.faulty(server.endpoint) as proxy:
        store = opened(AWS_ENDPOINT_URL=proxy.url)
        proxy.plan = [faults.PASS, head_of(7)]
        put(store, tmp_path, b"content")
    assert any(b"x-amz-checksum-sha256" in head.lower() for head in proxy.seen)


# One download


def test_many_readers_of_one_file_wait_for_one_download(server: S3Server, opened: Opener, tmp_path: Path) -> None:
    name = put(opened("writer"), tmp_path, os.urandom(8 * MIB))
    with faults.faulty(server.endpoint) as proxy:
        store = opened("reader", AWS_ENDPOINT_URL=proxy.url)
        with ThreadPoolExecutor(16) as threads:
            paths = list(threads.map(lambda _: store.local(name), range(16)))
        downloads = [head for head in proxy.seen if head.startswith(b"GET") and name.encode() in head]
    assert len(downloads) == 1
    assert all(path is paths[0] for path in paths)


def test_different_files_are_fetched_at_once(opened: Opener, tmp_path: Path) -> None:
    names = [put(opened("writer"), tmp_path, b"%d" % number) for number in range(4)]
    together = threading.Barrier(4, timeout=10)
    store = opened("reader")
    fetch = store.fetch

    def fetch_together(name: str) -> Path:
        together.wait()
        return fetch(name)

    store.fetch = fetch_together  # type: ignore[method-assign]
    with ThreadPoolExecutor(4) as threads:
        assert [path.read_bytes() for path in threads.map(store.local, names)] == [b"0", b"1", b"2", b"3"]


def test_half_a_download_is_never_seen(server: S3Server, opened: Opener, tmp_path: Path) -> None:
    content = os.urandom(4 * MIB)
    name = put(opened("writer"), tmp_path, content)
    with faults.faulty(server.endpoint) as proxy:
        store = opened("reader", AWS_ENDPOINT_URL=proxy.url)
        proxy.plan = [faults.CUT] * 20
        with pytest.raises(NotReady):
            store.local(name)
        assert files_in(tmp_path / "reader") == []
        proxy.plan = []
        assert store.local(name).read_bytes() == content


def test_nobody_waits_longer_than_the_patience_for_a_download_that_does_not_come(
    opened: Opener, tmp_path: Path
) -> None:
    names = [put(opened("writer"), tmp_path, b"%d" % number) for number in range(DOWNLOADS_AT_ONCE + 1)]
    store, go = opened("reader"), threading.Event()
    store.patience_s = 0.1
    fill = store.cache.fill

    def fill_late(*given: object) -> Path:
        assert go.wait(60)
        return fill(*given)  # type: ignore[arg-type]

    store.cache.fill = fill_late  # type: ignore[method-assign,assignment]
    with ThreadPoolExecutor(DOWNLOADS_AT_ONCE) as threads:
        coming = [threads.submit(store.local, name) for name in names[:-1]]
        assert until(lambda: store.places._value == 0)
        try:
            for name in (names[0], names[-1]):
                with within(5), pytest.raises(NotReady, match="the file store"):
                    store.local(name)
        finally:
            go.set()
        assert [copy.result().read_bytes() for copy in coming] == [b"%d" % n for n in range(DOWNLOADS_AT_ONCE)]
    assert store.local(names[-1]).read_bytes() == b"%d" % DOWNLOADS_AT_ONCE


# Outages


@contextmanager
def within(seconds: float) -> Iterator[None]:
    begin = time.monotonic()
    yield
    assert time.monotonic() - begin < seconds


@pytest.fixture(params=["stopped", "frozen"])
def outage(request: pytest.FixtureRequest, server: S3Server) -> Callable[[], object]:
    """Takes the server out of reach for a block: it refuses connections, or takes them and never answers."""

    @contextmanager
    def stopped() -> Iterator[None]:
        server.stop()
        try:
            yield
        finally:
            server.start()

    return stopped if request.param == "stopped" else server.frozen


def test_an_outage_is_told_within_the_bound_and_is_over_when_it_is_over(
    opened: Opener, outage: Callable[..., object], tmp_path: Path
) -> None:
    store = opened()
    far, gone = (put(opened("writer"), tmp_path, content) for content in (b"far", b"gone"))
    near = store.local(put(store, tmp_path, b"near"))
    (tmp_path / "new").write_bytes(b"new")
    asked: list[Callable[[], object]] = [
        lambda: store.local(far),
        lambda: store.exists(far),
        lambda: list(store.names(0)),
        lambda: store.put(tmp_path / "new", "contacts"),
        lambda: store.remove(gone),
        store.reachable,
    ]

    def ask_in_vain(ask: Callable[[], object]) -> None:
        with within(PATIENCE_S * 3), pytest.raises(NotReady, match="the file store"):
            ask()

    with outage(), ThreadPoolExecutor(len(asked)) as threads:  # type: ignore[attr-defined]
        list(threads.map(ask_in_vain, asked))
        assert near.read_bytes() == b"near"
        assert (tmp_path / "new").read_bytes() == b"new"
    assert store.reachable()
    assert store.local(far).read_bytes() == b"far"
    assert store.local(store.put(tmp_path / "new", "contacts")).read_bytes() == b"new"


def test_a_short_outage_is_not_told_at_all(server: S3Server, opened: Opener, tmp_path: Path) -> None:
    name = put(opened("writer"), tmp_path, b"content")
    with faults.faulty(server.endpoint) as proxy:
        store = opened("reader", AWS_ENDPOINT_URL=proxy.url)
        proxy.plan = [faults.refused("503", "SlowDown"), faults.LOST, faults.PASS]
        assert store.local(name).read_bytes() == b"content"


def test_an_upload_that_failed_leaves_nothing_anywhere_and_the_log_has_the_reason(
    server: S3Server, opened: Opener, prefix: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "audiences")
    denied = faults.canned("403 Forbidden", "<Error><Code>AccessDenied</Code></Error>")
    with faults.faulty(server.endpoint) as proxy:
        store = opened(AWS_ENDPOINT_URL=proxy.url)
        (tmp_path / "large").write_bytes(os.urandom(12 * MIB))
        proxy.plan = [faults.PASS, denied, denied, denied]
        with pytest.raises(NotReady):
            store.put(tmp_path / "large", "contacts")
        assert any(head.startswith(b"DELETE") and b"uploadId=" in head for head in proxy.seen)
    assert [record.__dict__["fields"]["code"] for record in caplog.records] == ["AccessDenied"]
    assert (tmp_path / "large").exists()
    assert files_in(tmp_path / "node") == []
    assert objects(server, prefix) == []


def test_an_object_of_another_size_counts_as_not_stored(server: S3Server, opened: Opener, tmp_path: Path) -> None:
    with faults.faulty(server.endpoint) as proxy:
        store = opened(AWS_ENDPOINT_URL=proxy.url)
        (tmp_path / "file").write_bytes(b"content")
        proxy.plan = [faults.PASS, head_of(3)]
        with pytest.raises(NotReady):
            store.put(tmp_path / "file", "contacts")
    assert list(opened("other").names(0)) == []


def test_a_bucket_that_is_gone_is_an_outage_and_not_a_missing_file(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    with s3_server(tmp_path / "root") as other:
        store = ObjectStore(other.url("x"), tmp_path / "node", MIB, other.environment)
        far = put(ObjectStore(other.url("x"), tmp_path / "writer", MIB, other.environment), tmp_path, b"far")
        other.stop()
        (tmp_path / "root" / BUCKET).rename(tmp_path / "root" / "elsewhere")
        other.start(bucket="another")
        (tmp_path / "new").write_bytes(b"new")
        for ask in (lambda: store.local(far), lambda: store.put(tmp_path / "new", "contacts"), store.reachable):
            with pytest.raises(NotReady):
                ask()


# At start


@pytest.mark.parametrize(
    ("url", "changed", "told"),
    [
        ("s3://no-such-bucket/x", {}, "AUDIENCES_STORAGE_URL"),
        ("s3://", {}, "s3://bucket/prefix"),
        ("file:///tmp", {}, "s3://bucket/prefix"),
        (f"s3://{BUCKET}/x", {"AWS_SECRET_ACCESS_KEY": "x" * 40}, "AWS_SECRET_ACCESS_KEY"),
        (f"s3://{BUCKET}/x", {"AWS_ACCESS_KEY_ID": "X" * 20}, "AWS_ACCESS_KEY_ID"),
        (f"s3://{BUCKET}/x", {"AWS_ENDPOINT_URL": "http://127.0.0.1:1"}, "AWS_ENDPOINT_URL"),
        (f"s3://{BUCKET}/x", {"AWS_ENDPOINT_URL": "nonsense"}, "AWS_"),
    ],
)
def test_a_store_that_cannot_be_opened_says_what_to_set(
    server: S3Server, tmp_path: Path, url: str, changed: dict[str, str], told: str
) -> None:
    environment = {**server.environment, **changed}
    with pytest.raises(CannotOpen, match=told) as raised:
        ObjectStore(url, tmp_path / "node", MIB, environment, patience_s=PATIENCE_S)
    assert not any(value in str(raised.value) for name, value in environment.items() if "KEY" in name)


def test_a_machine_without_credentials_is_told_so(server: S3Server, tmp_path: Path) -> None:
    """The library then asks the machine for its role, here at an address where nobody answers."""
    script = """
import pathlib, sys
from audiences.errors import CannotOpen
from audiences.store.objects import ObjectStore
try:
    ObjectStore(sys.argv[1], pathlib.Path(sys.argv[2]), 1, patience_s=2)
except CannotOpen as error:
    print(error)
"""
    environment = {name: text for name, text in os.environ.items() if not name.startswith("AWS_")}
    environment |= {"AWS_ENDPOINT_URL": server.endpoint, "AWS_METADATA_ENDPOINT": "http://127.0.0.1:1"}
    command = [sys.executable, "-c", script, server.url("x"), str(tmp_path / "node")]
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True, timeout=60)
    assert done.stdout.startswith("There are no credentials for the bucket")


# The cache


def fill(cache: Cache, number: int, size: int = 100) -> str:
    """A copy of so many bytes; nobody holds it."""
    name = f"{number:02x}/contacts-{number:032x}.parquet"
    cache.fill(name, size, lambda path: path.write_bytes(b"x" * size))
    return name


def test_the_least_recently_used_copy_goes_first(tmp_path: Path) -> None:
    cache = Cache(tmp_path, 350)
    first, second, third = (fill(cache, number) for number in range(3))
    cache.find(first)
    fourth = fill(cache, 3)
    assert set(cache.names()) == {first, third, fourth}
    assert files_in(tmp_path) == sorted([first, third, fourth])
    assert second not in cache.names()


def test_a_copy_that_is_held_stays_and_goes_once_it_is_not(tmp_path: Path) -> None:
    cache = Cache(tmp_path, 250)
    held = cache.find(fill(cache, 0))
    assert held is not None
    for number in range(1, 10):
        fill(cache, number)
    assert held.read_bytes() == b"x" * 100
    assert cache.find(fill(cache, 10)) is not None
    del held
    for number in range(11, 13):
        fill(cache, number)
    assert len(cache.names()) == 2
    assert f"00/contacts-{0:032x}.parquet" not in cache.names()


def test_copies_go_where_the_disk_has_nothing_to_spare_but_for_those_that_are_held(tmp_path: Path) -> None:
    cache = Cache(tmp_path, 10_000, spare_bytes=2**62)
    held = cache.find(fill(cache, 0))
    names = [fill(cache, number) for number in range(1, 4)]
    assert held is not None
    assert set(cache.names()) == {"00/contacts-00000000000000000000000000000000.parquet", names[-1]}


def test_where_what_is_in_use_leaves_no_room_the_next_has_to_wait(tmp_path: Path) -> None:
    cache = Cache(tmp_path, 250)
    held = [cache.find(fill(cache, number)) for number in range(2)]
    with pytest.raises(EngineFull) as raised:
        fill(cache, 2)
    assert raised.value.headers == {"Retry-After": "5"}
    assert len(cache.names()) == 2
    held.pop()
    fill(cache, 2)


def test_a_file_larger_than_the_bound_can_be_read_when_nothing_else_is(tmp_path: Path) -> None:
    cache = Cache(tmp_path, 250)
    fill(cache, 0)
    large = fill(cache, 1, 1000)
    held = cache.find(large)
    assert held is not None
    assert cache.names() == [large]
    with pytest.raises(EngineFull):
        fill(cache, 2, 1000)
    del held
    fill(cache, 2)
    assert large not in cache.names()


def test_copies_under_way_count(tmp_path: Path) -> None:
    cache = Cache(tmp_path, 250)

    def meanwhile(path: Path) -> None:
        path.write_bytes(b"x" * 200)
        with pytest.raises(EngineFull):
            fill(cache, 1)

    cache.fill(f"00/contacts-{0:032x}.parquet", 200, meanwhile)
    assert len(cache.names()) == 1


def test_a_restart_keeps_the_copies_and_what_was_used_last(server: S3Server, opened: Opener, tmp_path: Path) -> None:
    store = opened("reader")
    names = [put(opened("writer"), tmp_path, b"%d" % number) for number in range(3)]
    for age, name in enumerate(names):
        copy = store.local(name)
        os.utime(copy, (time.time() - 1000 - age,) * 2)
    (tmp_path / "reader" / "incoming" / "half").write_bytes(b"half of a download")
    (tmp_path / "reader" / names[0][:2] / "foreign-file").write_bytes(b"x")
    again = opened("reader", cache_bytes=2)
    assert again.cache.names() == [names[1], names[0]]
    assert not (tmp_path / "reader" / "incoming" / "half").exists()
    with server.frozen():
        assert again.local(names[0]).read_bytes() == b"0"


def test_a_use_is_noted_on_the_disk_once_a_minute(tmp_path: Path) -> None:
    cache = Cache(tmp_path, 1000)
    name = fill(cache, 0)
    os.utime(tmp_path / name, (0, 0))
    cache.find(name)
    assert (tmp_path / name).stat().st_mtime == 0
    cache.kept[name].touched -= 61
    cache.find(name)
    assert (tmp_path / name).stat().st_mtime > time.time() - 60


def test_a_copy_that_somebody_damaged_or_removed_is_fetched_again(opened: Opener, tmp_path: Path) -> None:
    name = put(opened("writer"), tmp_path, b"content")
    store = opened("reader")
    copy = store.local(name)
    copy.write_bytes(b"cont")
    assert store.local(name).read_bytes() == b"content"
    copy.unlink()
    assert store.local(name) is copy
    assert copy.read_bytes() == b"content"


def test_a_cache_that_somebody_emptied_fills_again(opened: Opener, tmp_path: Path) -> None:
    name = put(opened("writer"), tmp_path, b"content")
    store = opened("reader")
    store.local(name)
    shutil.rmtree(tmp_path / "reader")
    assert store.local(name).read_bytes() == b"content"
    assert store.local(put(store, tmp_path, b"new")).read_bytes() == b"new"


def test_a_full_disk_is_told_and_leaves_nothing(tmp_path: Path) -> None:
    cache = Cache(tmp_path, 100 * MIB)
    kept = cache.find(fill(cache, 0))
    idle = fill(cache, 1)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (MIB, limits[1]))
    try:
        with pytest.raises(DiskFull):
            fill(cache, 2, 2 * MIB)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert kept is not None
    assert kept.exists()
    assert idle not in cache.names()
    assert files_in(tmp_path) == [f"00/contacts-{0:032x}.parquet"]
    fill(cache, 3, 2 * MIB)


def test_a_bounded_cache_serves_many_threads(opened: Opener, tmp_path: Path) -> None:
    """Files of 1,000 bytes, of which 20 fit, read by 8 threads: none is wrong, and the bound holds."""
    writer = opened("writer")
    contents = {put(writer, tmp_path, (b"%03d" % number) * 333): (b"%03d" % number) * 333 for number in range(60)}
    store = opened("reader", cache_bytes=20_000)

    def read(turn: int) -> bool:
        name = list(contents)[(turn * 7 + turn // 60) % 60]
        path = store.local(name)
        return path.read_bytes() == contents[name]

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(read, range(600)))
    gc.collect()
    assert store.cache.kept_bytes == sum((tmp_path / "reader" / name).stat().st_size for name in store.cache.names())
    assert store.cache.kept_bytes <= 20_000
    assert files_in(tmp_path / "reader") == sorted(store.cache.names())


# Removal


def test_a_removed_file_is_gone_from_the_bucket_and_from_the_cache(
    server: S3Server, opened: Opener, prefix: str, tmp_path: Path
) -> None:
    store = opened()
    name = put(store, tmp_path, b"content")
    held = store.local(name)
    store.remove(name)
    assert not held.exists()
    assert objects(server, prefix) == []


def test_what_another_node_removed_goes_with_the_next_trim(opened: Opener, tmp_path: Path) -> None:
    here, there = opened("here"), opened("there")
    gone, used = put(here, tmp_path, b"gone"), put(here, tmp_path, b"used")
    there.remove(gone)
    asked: list[str] = []

    def in_use(names: Collection[str]) -> set[str]:
        asked.extend(names)
        return {used}

    assert here.trim(in_use) == 1
    assert set(asked) == {gone, used}
    assert files_in(tmp_path / "here") == [used]
    with pytest.raises(FileNotFoundError):
        here.local(gone)


def test_a_copy_that_is_being_read_goes_with_the_trim_after_it(opened: Opener, tmp_path: Path) -> None:
    store = opened()
    held = store.local(put(store, tmp_path, b"content"))
    assert store.trim(lambda _: set()) == 0
    assert held.exists()
    del held
    assert store.trim(lambda _: set()) == 1
    assert files_in(tmp_path / "node") == []


def test_the_sweeper_removes_stray_objects(opened: Opener, tmp_path: Path) -> None:
    store = opened()
    strays = [put(store, tmp_path, b"%d" % number) for number in range(3)]
    with parts.opened_parts(settings_in(tmp_path / "data")) as others:
        assert sweep.remove_stray_files(store, others.database, clock.now) == 0
        assert sweep.remove_stray_files(store, others.database, clock.now, age_s=0) == len(strays)
    assert list(store.names(0)) == []
    assert files_in(tmp_path / "node") == []


def test_a_node_whose_clock_is_a_day_ahead_takes_no_upload_under_way_for_stray(opened: Opener, tmp_path: Path) -> None:
    store = opened()
    name = put(store, tmp_path, b"new")

    class Ahead(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Ahead:
            return cls.fromtimestamp(time.time() + 86400, tz)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store_objects, "datetime", Ahead)
        assert list(store.names(3600)) == []
        assert list(store.names(0)) == [name]


def test_strays_stay_where_the_store_turns_out_to_be_another_catalogs(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "audiences")
    with parts.opened_parts(settings_in(tmp_path / "data")) as ours:
        source = ours.settings.data.resolve() / "spool" / "x"
        source.write_bytes(b"theirs")
        name = ours.files.put(source, "contacts")
        sweeper = Sweeper(ours.files, ours.database, ours.sweeper.clock, ours.metrics, "another")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sweep, "remove_stray_files", partial(sweep.remove_stray_files, age_s=0))
            assert sweeper.sweep()["stray_files"] == 0
            assert ours.files.exists(name)
            assert [record.message for record in caplog.records].count("store_of_another_catalog") == 1
            assert ours.sweeper.sweep()["stray_files"] == 1


def test_of_two_catalogs_that_begin_with_one_empty_store_one_gets_it(
    opened: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    early, late = opened("early"), opened("late")
    look = late.note

    def look_and_be_overtaken() -> str:
        try:
            return look()
        finally:
            monkeypatch.setattr(late, "note", look)
            assert early.claim("early") == "early"

    monkeypatch.setattr(late, "note", look_and_be_overtaken)
    assert late.claim("late") == "early"
    assert opened("again").claim("early") == "early"
    assert opened("third").claim("late") == "early"
