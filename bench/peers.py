"""What a user would pick instead, each started as its own documentation says, and measured over the same file."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import httpx
import psycopg

from bench import process
from bench.machine import ROOT

sys.path.insert(0, str(ROOT / "tests"))

Figures = dict[str, float]

COPY = "COPY customers FROM STDIN (FORMAT csv, HEADER)"
COLUMNS = ("phone1", "first_name", "last_name", "email", "city", "amount")
CHUNK_BYTES = 1 << 20
POLL_S = 0.05
# Asked more often, a peer that works in one thread would be slowed down by the asking.
PROGRESS_S = 0.25
WITHIN_S = 600


class PeerFailed(Exception):
    """A peer did not do what it was asked."""


@dataclass(frozen=True)
class Database:
    """A PostgreSQL with durable commits, as it comes; `pid` is its first process, which starts all others."""

    address: str
    pid: int

    def copy(self, path: Path) -> Figures:
        """What it takes to COPY a CSV file into a new table of text columns, its commit included.

        Its memory is that of all its processes, what they share counted once.
        """
        with psycopg.connect(self.address) as connection:
            connection.execute("DROP TABLE IF EXISTS customers")
            connection.execute("CREATE TABLE customers (" + ", ".join(f"{name} text" for name in COLUMNS) + ")")
            connection.commit()
            cpu_before, begun = process.family_cpu_seconds(self.pid), time.perf_counter()
            with process.watched(self.pid, shared=True) as tree:
                with path.open("rb") as file, connection.cursor().copy(COPY) as copy:
                    while chunk := file.read(CHUNK_BYTES):
                        copy.write(chunk)
                connection.commit()
                seconds = time.perf_counter() - begun
            cpu_seconds = process.family_cpu_seconds(self.pid) - cpu_before
            ((stored,),) = connection.execute("SELECT pg_total_relation_size('customers')").fetchall()
        peak = {"peak_bytes": tree.shared_bytes, "stored_bytes": stored}
        return {"seconds": seconds, "cpu_seconds": cpu_seconds, **peak}


@contextmanager
def postgres() -> Iterator[Database]:
    """The server that the tests use, too."""
    from postgres_server import postgres_server

    with postgres_server() as server:
        assert server.process is not None
        yield Database(server.database(), server.process.pid)


def datasette(path: Path, rows: int, folder: Path) -> Figures:
    """What it takes from the first byte of an upload until all its rows are in the database. Raises PeerFailed."""
    folder.mkdir(parents=True, exist_ok=True)
    database = folder / "peer.db"
    database.unlink(missing_ok=True)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    command = [sys.executable, "-m", "datasette", str(database), "--create", "--root", "-p", str(port)]
    with tempfile.TemporaryFile("w+") as said:
        environment = os.environ | {"PYTHONUNBUFFERED": "1", "XDG_RUNTIME_DIR": str(folder)}
        running = subprocess.Popen(command, stdout=said, stderr=subprocess.STDOUT, env=environment)
        try:
            address, token = f"http://127.0.0.1:{port}", _token(said, running)
            with _signed_in(address, token) as (http, signed):
                process.reset_peak(running.pid)
                before = process.family_cpu_seconds(running.pid)
                seconds = _uploaded(http, signed, path, rows)
                cpu_seconds = process.family_cpu_seconds(running.pid) - before
            peak_bytes = process.peak_resident_bytes(running.pid)
        finally:
            running.terminate()
            running.wait()
    stored_bytes = sum(path.stat().st_size for path in folder.glob(f"{database.name}*"))
    return {"seconds": seconds, "cpu_seconds": cpu_seconds, "peak_bytes": peak_bytes, "stored_bytes": stored_bytes}


def _token(said: IO[str], running: subprocess.Popen[bytes]) -> str:
    """What signs the root user in, which the server prints as it starts."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and running.poll() is None:
        said.seek(0)
        if (match := re.search(r"auth-token\?token=(\w+)", said.read())) is not None:
            return match[1]
        time.sleep(POLL_S)
    said.seek(0)
    raise PeerFailed(f"datasette did not start: {said.read()[-1000:]}")


@contextmanager
def _signed_in(address: str, token: str) -> Iterator[tuple[httpx.Client, dict[str, str]]]:
    """A caller of datasette as root, and the header that its forms are signed with. Raises PeerFailed."""
    with httpx.Client(base_url=address, timeout=WITHIN_S) as http:
        until(lambda: _answers(http))
        http.get("/-/auth-token", params={"token": token})
        page = http.get("/-/upload-csvs").text
        match = re.search(r'name="csrftoken" value="([^"]+)"', page)
        if match is None:
            raise PeerFailed(f"datasette shows no form: {page[:300]}")
        # As a header: looking for it in the form fails with a python-multipart as new as the one that datasette gets.
        yield http, {"x-csrftoken": match[1]}


def _uploaded(http: httpx.Client, signed: dict[str, str], path: Path, rows: int) -> float:
    """Seconds of an upload. Raises PeerFailed."""
    begun = time.perf_counter()
    with path.open("rb") as file:
        files = {"csv": (path.name, file)}
        answer = http.post("/-/upload-csvs", data={"xhr": "1"}, files=files, headers=signed)
    if not answer.is_success:
        raise PeerFailed(f"datasette answers an upload with {answer.status_code}: {answer.text[:300]}")
    task = answer.json()["task_id"]
    until(lambda: _is_done(http, task, rows), every_s=PROGRESS_S)
    return time.perf_counter() - begun


def _answers(http: httpx.Client) -> bool:
    try:
        return http.get("/-/versions.json").is_success
    except httpx.TransportError:
        return False


def _is_done(http: httpx.Client, task: str, rows: int) -> bool:
    """Whether an upload is complete, asked for as its own page does. Raises PeerFailed."""
    (progress,) = http.get("/peer/_csv_progress_.json", params={"id": task, "_shape": "array"}).json()
    is_short = progress["completed"] and progress["rows_done"] != rows
    if progress["error"] or is_short:
        raise PeerFailed(f"datasette's upload of {rows} rows ended with {progress['rows_done']}: {progress['error']}")
    return bool(progress["completed"])


def until(holds: Callable[[], bool], every_s: float = POLL_S) -> None:
    """Returns once `holds` says so. Raises PeerFailed."""
    deadline = time.monotonic() + WITHIN_S
    while not holds():
        if time.monotonic() > deadline:
            raise PeerFailed("it took longer than ten minutes")
        time.sleep(every_s)
