"""Pages and scans of a stored file on S3: read in place by ranges, or by a local copy (docs/decisions/0050).

python -m bench.object_reads [MEGABYTES]     prints a table; the row of ranges needs fsspec beside the project

The server is that of the tests, behind a proxy that mends its answers to ranges (200 in place of 206), counts, and may
wait before each answer as a service in the same region does.
"""

from __future__ import annotations

import importlib.util
import re
import socket
import socketserver
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedIOBase
from pathlib import Path
from typing import IO

import duckdb
from duckdb import DuckDBPyConnection

from audiences.store.objects import ObjectStore
from bench.machine import ROOT

sys.path.insert(0, str(ROOT / "tests"))

from s3_server import S3Server, s3_server

# Milliseconds until S3 begins to answer: none, and about what a service in the same region takes.
DELAYS_MS = (0, 20)
REPEATS = 7

FILE = """
    COPY (SELECT range AS "row", 440000000000 + range AS phone1, 'GB' AS country, md5(range::VARCHAR) AS name,
        hash(range) % 1000 AS score, md5((range + 1)::VARCHAR) AS note FROM range({rows}))
    TO '{path}' (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 122880)
"""
BYTES_A_ROW = 42
PAGE = 'SELECT * FROM read_parquet(?) WHERE "row" >= {first} AND "row" < {first} + 5000 ORDER BY "row" LIMIT 100'
READS = {
    "first page": PAGE.format(first=0),
    "tenth page": PAGE.format(first=900),
    "full scan": "SELECT bit_xor(hash(stored)) FROM read_parquet(?) AS stored",
}


@dataclass
class Proxy:
    """Where it listens, what it waits, and what went through."""

    url: str
    delay_s: float = 0.0
    requests: int = 0
    received: int = 0


@contextmanager
def proxied(server: S3Server) -> Iterator[Proxy]:
    """The proxy, until the end of the block."""

    class Handler(socketserver.StreamRequestHandler):
        """One connection: each request in turn, over a connection of its own."""

        def handle(self) -> None:
            while head := read_head(self.rfile):
                body = self.rfile.read(length_of(head))
                time.sleep(proxy.delay_s)
                with socket.create_connection(("127.0.0.1", server.port)) as upstream:
                    upstream.sendall(head + body)
                    with upstream.makefile("rb") as answers:
                        answer = read_head(answers)
                        if b"\r\ncontent-range:" in answer.lower():
                            answer = answer.replace(b" 200 OK", b" 206 Partial Content", 1)
                        self.wfile.write(answer)
                        left = 0 if head.startswith(b"HEAD") else length_of(answer)
                        proxy.requests += 1
                        proxy.received += left
                        while left and (piece := answers.read(min(left, 1 << 18))):
                            self.wfile.write(piece)
                            left -= len(piece)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as listening:
        listening.daemon_threads = True
        proxy = Proxy(f"http://127.0.0.1:{listening.server_address[1]}")
        threading.Thread(target=listening.serve_forever, daemon=True).start()
        yield proxy
        listening.shutdown()


def read_head(stream: IO[bytes] | BufferedIOBase) -> bytes:
    """The lines up to the empty one; nothing at the end of the connection."""
    lines = bytearray()
    while line := stream.readline():
        lines += line
        if line == b"\r\n":
            return bytes(lines)
    return b""


def length_of(head: bytes) -> int:
    """The announced length of a body."""
    found = re.search(rb"(?i)\r\ncontent-length: (\d+)", head)
    return int(found[1]) if found else 0


def measured(
    proxy: Proxy, opened: Callable[[], DuckDBPyConnection], read: Callable[[DuckDBPyConnection], object]
) -> tuple[float, str]:
    """The best of some runs in milliseconds, and what one asked S3 for.

    Each has a connection of its own, so that none profits from another's cache; it is opened outside of the time.
    """
    proxy.requests = proxy.received = 0
    taken = []
    for _ in range(REPEATS):
        with opened() as connection:
            begin = time.perf_counter()
            read(connection)
            taken.append((time.perf_counter() - begin) * 1000)
    remark = f"{proxy.requests / REPEATS:.0f} requests, {proxy.received / REPEATS / 1e6:.1f} MB"
    return min(taken), remark


class Positioned:
    """A file that is read by ranges, with a position for each thread."""

    closed = False

    def __init__(self, path: str, size: int, fetch: Callable[..., bytes]) -> None:
        self.path, self.size, self.fetch, self.at = path, size, fetch, threading.local()

    def seek(self, offset: int, whence: int = 0) -> int:
        """Goes to a place."""
        self.at.place = offset + (0, self.tell(), self.size)[whence]
        return self.tell()

    def tell(self) -> int:
        """Where this thread is."""
        return int(getattr(self.at, "place", 0))

    def read(self, count: int = -1) -> bytes:
        """The next bytes."""
        begin = self.tell()
        end = self.at.place = self.size if count < 0 else min(self.size, begin + count)
        return self.fetch(self.path, start=begin, end=end) if end > begin else b""

    def close(self) -> None:
        """Nothing is open."""


def by_ranges(proxy: Proxy, server: S3Server, name: str) -> Iterator[tuple[str, float, str]]:
    """DuckDB reads the object itself, through fsspec over obstore."""
    if importlib.util.find_spec("fsspec") is None:
        return
    from obstore.fsspec import FsspecStore

    class Files(FsspecStore):
        """Its own files share one position among all threads, so that DuckDB, which reads ahead, gets wrong bytes."""

        def _open(self, path: str, *_: object, **__: object) -> Positioned:  # type: ignore[override]
            return Positioned(path, self.info(path)["size"], self.cat_file)

    environment = server.environment
    files = Files(
        "s3",
        config={
            "endpoint": proxy.url,
            "access_key_id": environment["AWS_ACCESS_KEY_ID"],
            "secret_access_key": environment["AWS_SECRET_ACCESS_KEY"],
        },
        client_options={"allow_http": True},
    )

    def opened() -> DuckDBPyConnection:
        connection = duckdb.connect()
        connection.register_filesystem(files)
        return connection

    for what, statement in READS.items():

        def read(connection: DuckDBPyConnection, statement: str = statement) -> None:
            connection.execute(statement, [f"s3://audiences/bench/{name}"]).fetchall()

        yield what, *measured(proxy, opened, read)


def by_copy(proxy: Proxy, server: S3Server, name: str, folder: Path, *, cold: bool) -> Iterator[tuple[str, float, str]]:
    """DuckDB reads the local copy, which is there already or has to be fetched first."""
    environment = {**server.environment, "AWS_ENDPOINT_URL": proxy.url}
    store = ObjectStore(server.url("bench"), folder, 10**10, environment)

    def opened() -> DuckDBPyConnection:
        if cold:
            store.cache.discard(name)
        return duckdb.connect()

    for what, statement in READS.items():

        def read(connection: DuckDBPyConnection, statement: str = statement) -> None:
            path = store.local(name)
            connection.execute(statement, [str(path)]).fetchall()

        store.local(name)
        yield what, *measured(proxy, opened, read)


def main(megabytes: int) -> None:
    """Makes the file, stores it, and prints what reading it takes."""
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        (folder / "s3").mkdir()
        rows = megabytes * 10**6 // BYTES_A_ROW
        duckdb.execute(FILE.format(rows=rows, path=folder / "file.parquet"))
        size = (folder / "file.parquet").stat().st_size
        with s3_server(folder / "s3") as server, proxied(server) as proxy:
            writer = ObjectStore(server.url("bench"), folder / "writer", 10**10, server.environment)
            name = writer.put(folder / "file.parquet", "contacts")
            print(f"{size / 1e6:.0f} MB, {rows:,} rows; best of {REPEATS}")
            for delay_ms in DELAYS_MS:
                proxy.delay_s = delay_ms / 1000
                print(f"\nS3 answers after {delay_ms} ms")
                for way, results in {
                    "ranges": by_ranges(proxy, server, name),
                    "copy, cold": by_copy(proxy, server, name, folder / "reader", cold=True),
                    "copy, warm": by_copy(proxy, server, name, folder / "reader", cold=False),
                }.items():
                    for what, ms, remark in results:
                        print(f"  {way:<11} {what:<11} {ms:9.1f} ms   {remark}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100)
