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
from dataclasses import dataclass
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

    def ready(self) -> bool:
        """Whether /readyz answers 200."""
        parts = urlsplit(self.address)
        connection = HTTPConnection(parts.hostname or "", parts.port, timeout=10)
        connection.request("GET", "/readyz")
        status = connection.getresponse().status
        connection.close()
        return status == 200  # noqa: PLR2004


def prepared(folder: Path) -> str:
    """A new key in a new data folder, whose numbering plan is compiled by a first start."""
    command = [*_ours("keys", "create", "bench"), "--data", str(folder)]
    made = subprocess.run(command, env=_environment(), capture_output=True, text=True, check=False)
    if made.returncode:
        raise DidNotStart(f"{' '.join(command)}\n{made.stderr[-2000:]}")
    key = made.stdout.strip()
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


def steps(server: Server) -> dict[str, float]:
    """Mean seconds of each step of the uploads so far, as the server's own metrics tell them to an operator."""
    with urlopen(f"http://{server.metrics}/metrics") as answer:
        text = answer.read().decode()
    pattern = r'^audiences_step_seconds_{}{{step="(\w+)"}} (\S+)$'
    sums, counts = (
        {name: float(value) for name, value in re.findall(pattern.format(what), text, re.MULTILINE)}
        for what in ("sum", "count")
    )
    return {name: sums[name] / counts[name] for name in sums}


@contextmanager
def tutorial(folder: Path) -> Iterator[Server]:
    """The tutorial's server, its database in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "uvicorn", "bench.tutorial:app", "--port", "0"]
    environment = _environment() | {"TUTORIAL_DATABASE": str(folder / "tutorial.sqlite")}
    with _running(command, folder.with_suffix(".log"), environment, _uvicorn_address) as (pid, address):
        yield Server(pid, address, "")


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
