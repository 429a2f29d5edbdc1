"""Sends a hostile file, and holds the answer, the time, the memory and what is left against what has to be."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.process import Tree, peak_resident_bytes, reset_peak, watched

from audiences.errors import catalogue
from audiences.settings import MIB, Settings
from campaigns.files_shapes import CREATED, HEADER, ROW, Hostile
from campaigns.http_requests import DELIMITER, END, NAME, part
from campaigns.leftovers import spilled
from campaigns.outcome import Outcome
from campaigns.serving import Holdings, Server, settled
from campaigns.soak_client import KIND, Client

# Seconds within which a file is answered, sent and all; a workbook may be read for most of them.
ANSWER_S = Settings().workbook_timeout_s + 30.0

# Seconds within which a small upload of somebody else is answered meanwhile, and between two of them.
BESIDE_S, PAUSE_S = 10.0, 0.3

# Seconds after an answer until nothing of its upload is left.
LETTING_GO_S = 5.0

# Of a child, memory that it allocates is limited; the libraries that it maps come on top, and are shared.
LIBRARIES_BYTES = 160 * MIB

STATUSES = {kind.code: kind.status for kind in catalogue()} | {CREATED: 201}


@dataclass
class Sender:
    """Who sends hostile files to a server, and what came of it."""

    server: Server
    key: str
    outcome: Outcome
    before: Holdings
    secret: str = ""
    memory_bytes: int = Settings().memory_limit
    slowest: dict[str, tuple[float, str]] = field(default_factory=dict)
    peaks: dict[str, tuple[int, str]] = field(default_factory=dict)

    def lose(self, file: Hostile, what: str) -> None:
        """Notes a loss."""
        self.outcome.losses.append(f"{file.name}: {what}"[:600])

    def attack(self, family: str, file: Hostile) -> None:
        """Sends one file, and judges all that it does to the server."""
        pid = self.server.process.pid
        reset_peak(pid)
        begun = time.monotonic()
        with watched(pid) as children:
            answer = self.send(file)
        seconds = time.monotonic() - begun
        self.judge_answer(file, answer)
        self.judge_cost(family, file, seconds, children)
        for left in settled(self.server, self.before, LETTING_GO_S):
            self.lose(file, f"left behind: {left}")
        for name in spilled(self.server.data):
            self.lose(file, f"left behind: {name}")

    def send(self, file: Hostile) -> tuple[int, Any]:
        """Status and JSON of the answer; a status of 0 where there was none, and why."""
        connection = http.client.HTTPConnection(*self.server.address, timeout=ANSWER_S)
        try:
            headers = {"Authorization": f"Bearer {self.key}", "Content-Type": KIND, "Transfer-Encoding": "chunked"}
            with suppress(BrokenPipeError, ConnectionResetError):  # it has answered before the end
                connection.request("POST", "/audiences", form(file), headers, encode_chunked=True)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        except (OSError, http.client.HTTPException, ValueError) as error:
            return 0, f"{type(error).__name__} {error}"
        finally:
            connection.close()

    def judge_answer(self, file: Hostile, answer: tuple[int, Any]) -> None:
        """Holds status, code and counts against what is due."""
        status, body = answer
        code = CREATED if status == STATUSES[CREATED] else code_of(body)
        self.outcome.count(f"answered {status} {code}")
        if STATUSES.get(code) != status or body.get("status") != status:
            self.lose(file, f"answered {status} {str(body)[:300]}")
        elif code not in file.due:
            said = body["errors"][0]["message"] if status >= 400 else ""  # noqa: PLR2004
            self.lose(file, f"answered {status} {code} where one of {', '.join(file.due)} was due: {said}")
        elif code == CREATED:
            self.judge_stored(file, body["data"]["id"])

    def judge_stored(self, file: Hostile, audience: str) -> None:
        """Holds what was stored against what the file has."""
        with Client(self.server.address, self.key) as client:
            report = client.ask("GET", f"/audiences/{audience}").data
            shown = client.ask("GET", f"/audiences/{audience}/contacts?limit=100").body
        counted = report["rows"], report["accepted"]
        due = file.rows, file.accepted
        if any(wanted not in {None, found} for wanted, found in zip(due, counted, strict=True)):
            self.lose(file, f"has {counted[0]:,} rows, of which {counted[1]:,} accepted, where {due} was due")
        parts = ("accepted", "duplicates", "suppressed", "rejected")
        if report["rows"] != sum(report[name] for name in parts):
            self.lose(file, "its counts do not add up")
        if self.secret and self.secret.encode() in shown:
            self.lose(file, "shows a file of the server's machine")

    def judge_cost(self, family: str, file: Hostile, seconds: float, children: Tree) -> None:
        """Holds seconds and memory against their bounds."""
        own, child = peak_resident_bytes(self.server.process.pid), children.peak_bytes
        if seconds > ANSWER_S:
            self.lose(file, f"answered after {seconds:.0f} s")
        if own > self.memory_bytes:
            self.lose(file, f"the server took {own // MIB:,} MiB")
        if child > self.memory_bytes // 2 + LIBRARIES_BYTES:
            self.lose(file, f"the child took {child // MIB:,} MiB")
        for kind, found in (("server", own), ("child", child), ("both", own + child)):
            key = f"{family}: {kind}"
            self.peaks[key] = max(self.peaks.get(key, (0, "")), (found, file.name))
        self.slowest[family] = max(self.slowest.get(family, (0.0, "")), (seconds, file.name))
        self.outcome.count(f"{family}: files")


def form(file: Hostile) -> Iterator[bytes]:
    """The body of a request with that file."""
    yield NAME
    for name, text in file.fields:
        yield part(name.encode(), text.encode())
    yield DELIMITER + b'\r\nContent-Disposition: form-data; name="audience_file"; filename="hostile"\r\n\r\n'
    yield from (piece for piece in file.pieces() if piece)
    yield b"\r\n" + END


def code_of(body: Any) -> str:  # noqa: ANN401 - whatever came back
    """The code of an error."""
    with suppress(TypeError, KeyError, IndexError):
        return str(body["errors"][0]["code"])
    return "none"


@dataclass
class Bystander:
    """Somebody else, who uploads a small list again and again."""

    server: Server
    key: str
    seconds: list[float] = field(default_factory=list)
    losses: list[str] = field(default_factory=list)
    doing: str = ""

    def go_on(self, over: threading.Event) -> None:
        """Uploads until it is over."""
        with Client(self.server.address, self.key) as client:
            while not over.wait(PAUSE_S):
                self.upload(client)

    def upload(self, client: Client) -> None:
        """One upload; it is stored, and soon."""
        during, begun = self.doing, time.monotonic()
        try:
            answer = client.upload("POST", "/audiences", HEADER + ROW, name="bystander")
            if answer.status != STATUSES[CREATED]:
                self.losses.append(f"somebody else during {during}: {answer.status} {answer.body[:200]!r}")
        except (OSError, http.client.HTTPException) as error:
            self.losses.append(f"somebody else during {during}: {error!r}")
        self.seconds.append(time.monotonic() - begun)
        if self.seconds[-1] > BESIDE_S:
            self.losses.append(f"somebody else during {during}: answered after {self.seconds[-1]:.1f} s")

    @contextmanager
    def beside(self) -> Iterator[None]:
        """Uploads as long as the block lasts."""
        over = threading.Event()
        thread = threading.Thread(target=self.go_on, args=(over,))
        thread.start()
        while not self.seconds and thread.is_alive():
            time.sleep(PAUSE_S / 10)
        try:
            yield
        finally:
            over.set()
            thread.join()


@contextmanager
def secret_file(folder: Path) -> Iterator[tuple[Path, str]]:
    """A file beside the server, and its text, which must not come out."""
    path, text = folder / "secret.txt", "a secret of the server's machine"
    path.write_text(text)
    yield path, text


def together(work: Iterable[threading.Thread]) -> None:
    """Runs all of it at once, to its end."""
    threads = list(work)
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
