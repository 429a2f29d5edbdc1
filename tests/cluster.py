"""Several nodes of one service: real processes on one catalog, one bucket and one Valkey, behind a proxy.

Each node is started as an operator starts it, with a data folder of its own. The proxy spreads connections over the
nodes in turn and forgets a node that refuses one, as a load balancer does; it never repeats a request by itself.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
import httpx
import psycopg

import scaled
from audiences import clock
from audiences.keys import PEOPLE, READ, WRITE, Keys
from audiences.store import accounts
from audiences.store.database import Database
from audiences.store.objects import ObjectStore
from injecting_proxy import InjectingProxy, injecting_proxy
from postgres_server import PostgresServer, postgres_server
from redis_server import RedisServer, redis_server
from s3_server import S3Server, s3_server
from support import Client, until

# Seconds: for a node to come up on a machine that is busy, and to end in order.
STARTING_S, STOPPING_S = 60.0, 90.0

# What a node prints that is no line of JSON: the link of the first admin.
WELCOME = "Set the first admin's password"

# Counted, but never reached: counters that are off would need no Valkey.
HIGH = "1000000/minute"

SCOPES = (READ, WRITE, PEOPLE)


@dataclass
class Node:
    """One node: its data folder, the variables that it is started with, and the code, if it is not the present one."""

    folder: Path
    environment: Mapping[str, str]
    source: Path | None = None
    process: subprocess.Popen[bytes] | None = None
    url: str = ""
    read_up_to: int = 0

    @property
    def log(self) -> Path:
        """What it wrote to standard error, of all its starts."""
        return self.folder.with_suffix(".log")

    @property
    def variables(self) -> dict[str, str]:
        """The environment of its processes: nothing of ours but what it is given."""
        others = {name: text for name, text in os.environ.items() if not name.startswith(("AUDIENCES_", "AWS_"))}
        code = {} if self.source is None else {"PYTHONPATH": str(self.source)}
        return {**others, **self.environment, **code, "AUDIENCES_DATA": str(self.folder)}

    def begin(self) -> None:
        """Starts its process, which `await_ready` waits for."""
        self.read_up_to = self.log.stat().st_size if self.log.exists() else 0
        command = [sys.executable, "-m", "audiences.cli", "serve", "--port", "0"]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(command, stderr=log, env=self.variables)

    def await_ready(self) -> None:
        """Returns once it takes requests."""
        assert until(self.is_serving, STARTING_S), f"the node does not start: {self.log.read_text()[-2000:]}"

    def is_serving(self) -> bool:
        """Whether it has said where it serves."""
        with self.log.open("rb") as log:
            log.seek(self.read_up_to)
            lines = [line for line in log.read().splitlines() if b'"event":"serving"' in line and line.endswith(b"}")]
        assert lines or (self.process and self.process.poll() is None), self.log.read_text()[-2000:]
        self.url = json.loads(lines[0])["address"] if lines else ""
        return bool(lines)

    def kill(self) -> None:
        """Ends it as a power cut would."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def stop(self) -> int:
        """Ends it in order; its exit status."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(STOPPING_S)
        self.process = None
        return status

    def run(self, *command: str) -> str:
        """What a command of the command line prints, run beside the node."""
        whole = [sys.executable, "-m", "audiences.cli", *command]
        done = subprocess.run(whole, env=self.variables, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def first_link(self) -> str:
        """The token of the first admin's link, as it was printed."""
        assert until(lambda: any(WELCOME in line for line in self.lines()))
        return next(line for line in self.lines() if WELCOME in line).rpartition("link=")[2]

    def events(self) -> list[dict[str, Any]]:
        """The lines of its log."""
        return [json.loads(line) for line in self.lines() if line.startswith("{")]

    def noise(self) -> list[str]:
        """What it wrote that is no line of the log: tracebacks, warnings."""
        return [line for line in self.lines() if not line.startswith("{") and WELCOME not in line]

    def lines(self) -> list[str]:
        """What it wrote; a line that a kill broke off is left out."""
        return [line for line in self.log.read_text().split("\n")[:-1] if line and not is_broken(line)]

    def holds(self, text: str) -> bool:
        """Whether a file in its data folder holds the text, in its bytes or in the rows that they are."""
        return any(contains(path, text) for path in self.folder.rglob("*") if path.is_file())


def contains(path: Path, text: str) -> bool:
    """Whether a file holds the text; one that goes while it is looked at does not."""
    with suppress(FileNotFoundError, duckdb.IOException):
        if text.encode() in path.read_bytes():
            return True
        return path.suffix == ".parquet" and text in str(duckdb.read_parquet(str(path)).fetchall())
    return False


def is_broken(line: str) -> bool:
    """Whether a line of JSON is not whole."""
    if not line.startswith("{"):
        return False
    with suppress(ValueError):
        json.loads(line)
        return False
    return True


class Proxy:
    """Passes connections on, to each of the nodes in turn; `url` is where it is."""

    def __init__(self) -> None:
        self.addresses: list[str] = []
        self.turn = 0
        self.loop = asyncio.new_event_loop()
        self.connections: set[asyncio.Task[None]] = set()
        self.url = ""

    def add(self, url: str) -> None:
        """Has a node take part."""
        if url not in self.addresses:
            self.addresses.append(url)

    async def serve(self, started: threading.Event, stop: asyncio.Event) -> None:
        """Serves until it is told to stop."""
        server = await asyncio.start_server(self.pass_on, "127.0.0.1", 0, backlog=500)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        started.set()
        await stop.wait()
        server.close()
        for task in self.connections:
            task.cancel()
        await asyncio.gather(*self.connections, return_exceptions=True)

    async def pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        task = asyncio.current_task()
        assert task is not None
        self.connections.add(task)
        task.add_done_callback(self.connections.discard)
        try:
            node = await self.connect()
            if node is not None:
                await both_ways(reader, writer, *node)
        finally:
            writer.transport.abort()

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        """A connection to the node whose turn it is; one that refuses is forgotten."""
        while self.addresses:
            url = self.addresses[self.turn % len(self.addresses)]
            self.turn += 1
            host, port = url.removeprefix("http://").split(":")
            try:
                return await asyncio.open_connection(host, int(port))
            except OSError:
                with suppress(ValueError):  # another connection may have found out, too
                    self.addresses.remove(url)
        return None


async def both_ways(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    node_reader: asyncio.StreamReader,
    node_writer: asyncio.StreamWriter,
) -> None:
    """Passes bytes on until the node has said all, or either side is gone."""
    sending = asyncio.create_task(flow(reader, node_writer))
    answering = asyncio.create_task(flow(node_reader, writer))
    try:
        await asyncio.wait({sending, answering}, return_when=asyncio.FIRST_COMPLETED)
        if not answering.done() and reader.at_eof():  # the client is gone
            return
        await answering
        with suppress(OSError):
            writer.close()
            await writer.wait_closed()
    finally:
        sending.cancel()
        answering.cancel()
        node_writer.transport.abort()
        await asyncio.gather(sending, answering, return_exceptions=True)


async def flow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Passes bytes on to their end."""
    with suppress(OSError):
        while piece := await reader.read(1 << 16):
            writer.write(piece)
            await writer.drain()


@contextmanager
def round_robin() -> Iterator[Proxy]:
    """A proxy, until the end of the block."""
    proxy, started, stop = Proxy(), threading.Event(), asyncio.Event()
    thread = threading.Thread(target=proxy.loop.run_until_complete, args=(proxy.serve(started, stop),), daemon=True)
    thread.start()
    assert started.wait(10)
    try:
        yield proxy
    finally:
        proxy.loop.call_soon_threadsafe(stop.set)
        thread.join()
        proxy.loop.close()


@dataclass
class Cluster:
    """The nodes, what they share, and the proxy in front of them."""

    folder: Path
    postgres: PostgresServer
    objects: S3Server
    network: InjectingProxy
    counters: RedisServer
    proxy: Proxy
    catalog: str
    nodes: list[Node] = field(default_factory=list)

    @property
    def storage_url(self) -> str:
        """The place in the bucket that is this cluster's."""
        return self.objects.url("files")

    @property
    def environment(self) -> Mapping[str, str]:
        """What every node is started with."""
        return {
            **self.objects.environment,
            "AWS_ENDPOINT_URL": self.network.endpoint,
            "AUDIENCES_DATABASE_URL": self.catalog,
            "AUDIENCES_STORAGE_URL": self.storage_url,
            "AUDIENCES_REDIS_URL": self.counters.url,
            "AUDIENCES_RATE_LIMIT": HIGH,
            "AUDIENCES_READ_RATE_LIMIT": HIGH,
            "AUDIENCES_TRUSTED_PROXIES": "127.0.0.1",
            "AUDIENCES_UPLOADS_WAITING": "100",
        }

    def new_node(self, source: Path | None = None) -> Node:
        """A further node, not started."""
        node = Node(self.folder / f"node{len(self.nodes)}", self.environment, source)
        self.nodes.append(node)
        return node

    def start(self, *nodes: Node) -> None:
        """Starts nodes, all at once, and has them take part."""
        for node in nodes:
            node.begin()
        for node in nodes:
            node.await_ready()
            self.proxy.add(node.url)

    def restart(self, *nodes: Node) -> None:
        """Stops nodes in order and starts them again, all at once: what they do at a start, they do again."""
        with ThreadPoolExecutor(len(nodes)) as threads:
            list(threads.map(Node.stop, nodes))
        self.start(*nodes)

    def mend(self) -> Cluster:
        """The cluster with everything running: a test that failed may have left something stopped."""
        self.network.pass_on()
        if self.postgres.process is None:
            self.postgres.start()
        for server in (self.objects, self.counters):
            if server.guard is None:
                server.start()
        self.start(*(node for node in self.nodes if node.process is None))
        return self

    def kill_all(self) -> None:
        """Ends all nodes."""
        for node in self.nodes:
            node.kill()

    def account(self) -> int:
        """A new account."""
        with closing(Database(self.catalog)) as database, database.write() as connection:
            return accounts.add(connection, f"account {secrets.token_hex(4)}", clock.now())

    def key(self, account: int, scopes: Sequence[str] = SCOPES) -> str:
        """A new key."""
        with closing(Database(self.catalog)) as database:
            return Keys(database, clock.now).create(account, "test", scopes=scopes)[1]

    @contextmanager
    def clients(self, account: int | None = None) -> Iterator[list[Client]]:
        """A client of each node, all with the same key, of a new account if none is given."""
        owner = self.account() if account is None else account
        key = self.key(owner)
        with ExitStack() as stack:
            yield [
                Client(stack.enter_context(connected(node.url, key)), key, owner) for node in self.nodes if node.process
            ]

    def lapse(self) -> None:
        """Has every mark of a request under way lapse, as if its node had given no sign of life for long enough."""
        with psycopg.connect(self.catalog) as connection:
            connection.execute("UPDATE idempotency SET lease_until = 0 WHERE answer IS NULL")

    @contextmanager
    def stores(self) -> Iterator[tuple[Database, ObjectStore]]:
        """The catalog and the files, as the test looks at them itself."""
        with closing(Database(self.catalog)) as database, tempfile.TemporaryDirectory() as name:
            yield database, ObjectStore(self.storage_url, Path(name), 1 << 30, self.objects.environment)


def connected(url: str, key: str) -> httpx.Client:
    """A client that makes a new connection for each request, so that a proxy can choose a node for each."""
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=0)
    return httpx.Client(
        base_url=url, headers={"Authorization": f"Bearer {key}"}, timeout=120, limits=limits, verify=False
    )


@cache
def shared() -> Cluster:
    """The test process's cluster of three nodes, started when it is first needed."""
    return scaled.OPENED.enter_context(cluster())


@contextmanager
def cluster(nodes: int = 3) -> Iterator[Cluster]:
    """So many nodes that take requests, until the end of the block; nothing of them stays."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True)))
        postgres = stack.enter_context(postgres_server())
        (folder / "s3").mkdir()
        objects = stack.enter_context(s3_server(folder / "s3"))
        network = stack.enter_context(injecting_proxy(objects.port))
        counters = stack.enter_context(redis_server())
        proxy = stack.enter_context(round_robin())
        made = Cluster(folder, postgres, objects, network, counters, proxy, postgres.database())
        stack.callback(made.kill_all)
        made.start(*(made.new_node() for _ in range(nodes)))
        yield made
