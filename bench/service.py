"""Our server, and the tutorial's, each as a process of its own, started as its operator would start it."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import urlopen

from bench import process
from bench.client import Client
from bench.machine import ROOT

# Everything else is as it comes: durable writes, one worker, the default memory limit.
LIMITS_OFF = {f"AUDIENCES_{name}": "off" for name in ("RATE_LIMIT", "READ_RATE_LIMIT", "FAILED_AUTH_LIMIT")}
START_TIMEOUT_S = 120
POLL_S = 0.002


class DidNotStart(Exception):
    """A server ended before it served, or took too long."""


@dataclass(frozen=True)
class Server:
    """A server that takes requests."""

    pid: int
    address: str
    key: str
    folder: Path | None = None
    metrics: str = ""

    def client(self) -> Client:
        """A new caller of it."""
        return Client(self.address, self.key)

    def cpu_seconds(self) -> float:
        """User and system seconds it has used so far, its ended children included."""
        return process.cpu_seconds(self.pid)

    def stored_bytes(self) -> int:
        """Bytes of contacts and rejects in its data folder."""
        return sum(path.stat().st_size for path in (self.folder or Path("/nowhere")).glob("files/??/*"))

    def database_bytes(self) -> int:
        """Bytes of the databases in its folder."""
        return sum(path.stat().st_size for path in (self.folder or Path("/nowhere")).glob("*.sqlite"))

    def ready(self) -> bool:
        """Whether /readyz answers 200."""
        parts = urlsplit(self.address)
        connection = HTTPConnection(parts.hostname or "", parts.port, timeout=10)
        connection.request("GET", "/readyz")
        status = connection.getresponse().status
        connection.close()
        return status == 200  # noqa: PLR2004

    def until_ready(self) -> None:
        """Returns once it is."""
        while not self.ready():
            time.sleep(POLL_S)


def prepared(folder: Path) -> str:
    """A new key in a new data folder, whose numbering plan is compiled by a first start."""
    key = _done("keys", "create", "bench", "--data", str(folder))
    with served(folder, key):
        return key


@contextmanager
def served(folder: Path, key: str) -> Iterator[Server]:
    """Our server on a data folder, at the default settings but for the rate limits."""
    command = [*_ours("serve", "--port", "0"), "--data", str(folder)]
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        metrics = f"127.0.0.1:{listener.getsockname()[1]}"
    environment = _environment() | {"AUDIENCES_METRICS_ADDRESS": metrics}
    with _running(command, folder.with_suffix(".log"), environment, _our_address) as (pid, address):
        yield Server(pid, address, key, folder, metrics)


def another_account(folder: Path) -> str:
    """A key of a new account in a data folder whose server does not run."""
    _done("accounts", "create", "another", "--data", str(folder))
    return _done("keys", "create", "bench", "--account", "another", "--data", str(folder))


@dataclass
class Cost:
    """What the server spent in a block, once that has ended: seconds, bytes, and seconds of the steps of uploads.

    `peak_bytes` is the server's own peak with that of all its children that ran at a time added, what they share
    counted in each: too much rather than too little.
    """

    cpu_seconds: float = 0.0
    peak_bytes: float = 0.0
    children_peak_bytes: float = 0.0
    stored_bytes: float = 0.0
    steps: dict[str, float] = field(default_factory=dict)

    def figures(self, uploads: int = 1) -> dict[str, float]:
        """All but the steps, of each of so many uploads."""
        return {
            "cpu_seconds": self.cpu_seconds / uploads,
            "peak_bytes": self.peak_bytes,
            "children_peak_bytes": self.children_peak_bytes,
            "stored_bytes": self.stored_bytes / uploads,
        }


@contextmanager
def watched(server: Server) -> Iterator[Cost]:
    """Watches a server during a block."""
    cost, steps_before, stored_before = Cost(), steps(server), server.stored_bytes()
    process.reset_peak(server.pid)
    cpu_before = server.cpu_seconds()
    with process.watched(server.pid) as tree:
        yield cost
    cost.cpu_seconds = server.cpu_seconds() - cpu_before
    cost.peak_bytes = process.peak_resident_bytes(server.pid) + tree.peak_bytes
    cost.children_peak_bytes = tree.peak_bytes
    cost.stored_bytes = server.stored_bytes() - stored_before
    cost.steps = {name: seconds - steps_before.get(name, 0.0) for name, seconds in steps(server).items()}


def steps(server: Server) -> dict[str, float]:
    """Seconds of each step of all uploads so far, as the server's own metrics tell them to an operator."""
    with urlopen(f"http://{server.metrics}/metrics") as answer:
        text = answer.read().decode()
    found = re.findall(r'^audiences_step_seconds_sum{step="(\w+)"} (\S+)$', text, re.MULTILINE)
    return {name: float(seconds) for name, seconds in found}


@contextmanager
def tutorial(folder: Path) -> Iterator[Server]:
    """The tutorial's server, its database in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "uvicorn", "bench.tutorial:app", "--port", "0"]
    environment = _environment() | {"TUTORIAL_DATABASE": str(folder / "tutorial.sqlite")}
    with _running(command, folder.with_suffix(".log"), environment, _uvicorn_address) as (pid, address):
        yield Server(pid, address, "", folder)


def _done(*arguments: str) -> str:
    """What a command of ours prints. Raises DidNotStart."""
    command = _ours(*arguments)
    done = subprocess.run(command, env=_environment(), capture_output=True, text=True, check=False)
    if done.returncode:
        raise DidNotStart(f"{' '.join(command)}\n{done.stderr[-2000:]}")
    return done.stdout.strip()


def _ours(*arguments: str) -> list[str]:
    return [os.environ.get("BENCH_PYTHON", sys.executable), "-m", "audiences.cli", *arguments]


def _environment() -> dict[str, str]:
    """The caller's, without settings of ours that would change what is measured."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AUDIENCES_")}
    return kept | LIMITS_OFF


def _our_address(line: str) -> str | None:
    if '"serving"' not in line:
        return None
    address: str = json.loads(line)["address"]
    return address


def _uvicorn_address(line: str) -> str | None:
    match = re.search(r"running on (http://\S+)", line)
    return match[1] if match else None


@contextmanager
def _running(
    command: Sequence[str], log: Path, environment: Mapping[str, str], address_in: Callable[[str], str | None]
) -> Iterator[tuple[int, str]]:
    """The process of a command and the address that it announces in its log; stopped at the end of the block."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as errors:
        running = subprocess.Popen(command, cwd=ROOT, env=environment, stderr=errors, stdout=subprocess.DEVNULL)
    try:
        yield running.pid, _announced(running, log, address_in)
    finally:
        running.terminate()
        running.wait(START_TIMEOUT_S)


def _announced(running: subprocess.Popen[bytes], log: Path, address_in: Callable[[str], str | None]) -> str:
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline and running.poll() is None:
        for line in log.read_text(errors="replace").splitlines(keepends=True):
            address = address_in(line) if line.endswith("\n") else None
            if address is not None:
                return address
        time.sleep(POLL_S)
    raise DidNotStart(f"{' '.join(running.args if isinstance(running.args, list) else [])}\n{log.read_text()[-2000:]}")
