"""A server in a process of its own, as the command line starts it, and what it holds of the machine."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from audiences import clock
from audiences.keys import DEFAULT_SCOPES, Keys
from audiences.parts import opened_catalog
from audiences.settings import Settings
from audiences.store import accounts

# Seconds that a start may take, also where the machine is busy.
STARTING_S = 60.0

# Nobody is throttled: a campaign sends more than a client would.
UNLIMITED = {
    f"AUDIENCES_{name}": "off" for name in ("RATE_LIMIT", "READ_RATE_LIMIT", "FAILED_AUTH_LIMIT", "SIGN_IN_LIMIT")
}


@dataclass(frozen=True)
class Holdings:
    """What a process has of the machine at a moment.

    Of the descriptors those on the catalog are left out: its connections are kept, up to a number of their own.
    """

    resident_bytes: int
    descriptors: int
    threads: int


@dataclass
class Server:
    """A running server: where it is, its process, its data folder and its log."""

    url: str
    process: subprocess.Popen[bytes]
    data: Path
    log: Path

    @property
    def address(self) -> tuple[str, int]:
        """Host and port."""
        host, _, port = self.url.removeprefix("http://").rpartition(":")
        return host, int(port)

    def holdings(self) -> Holdings:
        """What it has now."""
        process = Path("/proc") / str(self.process.pid)
        status = dict(line.split(":", 1) for line in (process / "status").read_text().splitlines())
        return Holdings(
            resident_bytes=int(status["VmRSS"].split()[0]) * 1024,
            descriptors=sum("catalog.sqlite" not in target for target in targets(process / "fd")),
            threads=int(status["Threads"]),
        )

    def spool(self) -> list[Path]:
        """What lies in its spool."""
        return list((self.data / "spool").iterdir())

    def events(self) -> list[dict[str, Any]]:
        """The lines of its log; one that is just being written is left out."""
        whole = self.log.read_text(encoding="utf-8").rpartition("\n")[0].splitlines()
        return [json.loads(line) for line in whole if line.startswith("{")]

    def faults(self) -> list[str]:
        """The lines of its log that tell of a fault of its own, and what it wrote that is no line of the log."""
        written = self.log.read_text(encoding="utf-8").rpartition("\n")[0].splitlines()
        noise = [line for line in written if line and not line.startswith("{") and "/welcome?" not in line]
        return noise + [json.dumps(event) for event in self.events() if is_fault(event)]


def targets(folder: Path) -> Iterator[str]:
    """What the descriptors of a process stand for; one that is closed meanwhile is left out."""
    for link in folder.iterdir():
        with suppress(FileNotFoundError):
            yield str(link.readlink())


def is_fault(event: Mapping[str, Any]) -> bool:
    """Whether a line of the log tells of a fault of the server's own."""
    return event["event"] == "fault" or event.get("status") == 500 or "xception" in event["event"]  # noqa: PLR2004


@contextmanager
def serving(variables: Mapping[str, str] | None = None, descriptors: int | None = None) -> Iterator[Server]:
    """A server on an empty data folder, ended and removed with the block.

    `variables` are settings in place of the defaults; `descriptors` is the most that its process may open.
    """
    with tempfile.TemporaryDirectory(prefix="campaign-") as name:
        before = [] if descriptors is None else ["sh", "-c", f'ulimit -n {descriptors} && exec "$@"', "sh"]
        with serving_on(Path(name), variables, before) as server:
            yield server


@contextmanager
def serving_on(
    folder: Path, variables: Mapping[str, str] | None = None, before: Sequence[str] = ()
) -> Iterator[Server]:
    """The same on the data of a folder that stays; `before` is a command that runs the server."""
    process = begun(folder, variables, before)
    try:
        yield Server(address_in(folder / "log", process), process, folder / "data", folder / "log")
    finally:
        process.kill()
        process.wait()


def begun(
    folder: Path, variables: Mapping[str, str] | None = None, before: Sequence[str] = ()
) -> subprocess.Popen[bytes]:
    """The process of a server that is only just starting, with its log beside its data folder."""
    others = {key: text for key, text in os.environ.items() if not key.startswith(("AUDIENCES_", "AWS_"))}
    command = [sys.executable, "-m", "audiences.cli", "serve", "--port", "0", "--data", str(folder / "data")]
    with (folder / "log").open("wb") as written:
        environment = others | UNLIMITED | dict(variables or {})
        return subprocess.Popen([*before, *command], stderr=written, env=environment)


def address_in(log: Path, process: subprocess.Popen[bytes]) -> str:
    """Where it serves, once it has said so."""
    end = time.monotonic() + STARTING_S
    while time.monotonic() < end and process.poll() is None:
        for line in log.read_text(encoding="utf-8").splitlines():
            if '"event":"serving"' in line and line.endswith("}"):
                return str(json.loads(line)["address"])
        time.sleep(0.01)
    raise RuntimeError(f"the server does not start: {log.read_text(encoding='utf-8')[-2000:]}")


def new_keys(data: Path, count: int = 1, scopes: Sequence[str] = DEFAULT_SCOPES) -> list[str]:
    """Keys of so many accounts of their own, made beside the server."""
    made = []
    with opened_catalog(Settings(data=data)) as database:
        keys = Keys(database, clock.now)
        for _ in range(count):
            with database.write() as connection:
                account = accounts.add(connection, f"campaign {secrets.token_hex(4)}", clock.now())
            made.append(keys.create(account, "campaign", scopes=scopes)[1])
    return made


def settled(server: Server, begun: Holdings, seconds: float = 15.0) -> list[str]:
    """What is not back as it `begun` within so many seconds: files in the spool, descriptors; nothing if all is."""
    end = time.monotonic() + seconds
    while True:
        spool, descriptors = len(server.spool()), server.holdings().descriptors
        if not spool and descriptors <= begun.descriptors:
            return []
        if time.monotonic() > end:
            left = f"{spool} folders in the spool, {descriptors} descriptors where there were {begun.descriptors}"
            return [left]
        time.sleep(0.1)
