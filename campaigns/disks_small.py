"""A small disk for real: a tmpfs that is full but for a few bytes, more of them each time."""

from __future__ import annotations

import os
import random
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from campaigns.ledger import Audience, File
from campaigns.leftovers import swept
from campaigns.load import acknowledged, compare, connected, send
from campaigns.outcome import Outcome
from campaigns.serving import new_keys, serving_on

SIZE, PAGE = 32 * 1024 * 1024, 4096
MOST_ROOM = 3 * 1024 * 1024
NO_ROOM, OK = 507, 200

# Rows of a file: it takes about 1 MB of the spool.
ROWS = 50_000


@contextmanager
def small_disk(folder: Path) -> Iterator[bool]:
    """A tmpfs at the folder; whether it could be mounted."""
    command = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(folder)]
    made = subprocess.run(command, capture_output=True, check=False)
    try:
        yield made.returncode == 0
    finally:
        if made.returncode == 0:
            subprocess.run(["umount", folder], check=False)


def run(outcome: Outcome, rooms: int, chance: random.Random) -> None:
    """Uploads with so much room left on the disk, in so many steps."""
    with tempfile.TemporaryDirectory(prefix="small-disk-") as name, small_disk(Path(name)) as is_mounted:
        if not is_mounted:
            outcome.figures["a small disk"] = "not tried: only root mounts one"
            return
        fill(Path(name), outcome, rooms, chance)


def fill(folder: Path, outcome: Outcome, rooms: int, chance: random.Random) -> None:
    """The same on the disk at the folder."""
    with (
        serving_on(folder, {"AUDIENCES_MIN_FREE_BYTES": "0"}) as server,
        connected(server.url, new_keys(server.data)[0]) as http,
    ):
        kept = Audience("kept")
        change = kept.begin_with("create", File(0, ROWS))
        assert acknowledged(kept, change, send(http, kept, change))
        for step in range(rooms):
            room = step * MOST_ROOM // rooms + chance.randrange(PAGE)
            losses = [*attempt(http, folder, kept, room, outcome), *left(server.data)]
            outcome.losses += [f"with {room} bytes of room: {loss}" for loss in losses]


def attempt(http: httpx.Client, folder: Path, kept: Audience, room: int, outcome: Outcome) -> Iterator[str]:
    """What is wrong with an upload that has so much room, and with other requests meanwhile."""
    audience, ballast = Audience(f"room {room}"), folder / "ballast"
    change = audience.begin_with("create", File(0, ROWS))
    allocate(ballast, max(0, free(folder) - room))
    answer = send(http, audience, change)
    for path in ("/audiences", f"/audiences/{kept.id}", f"/audiences/{kept.id}/contacts", "/readyz"):
        if (meanwhile := http.get(path)).status_code != OK:
            yield f"GET {path} meanwhile: {meanwhile.status_code} {meanwhile.text[:300]}"
    ballast.unlink()
    outcome.count(f"on a small disk answered {answer.status_code}")
    if not acknowledged(audience, change, answer) and answer.status_code != NO_ROOM:
        yield f"{answer.status_code} {answer.text[:300]}"
    yield from compare(http, [kept, audience], [kept, audience])
    if audience.now is not None:
        http.delete(f"/audiences/{audience.id}")


def left(data: Path) -> list[str]:
    """What a request left behind."""
    found = swept(data)
    return found.wrong + ([f"{found.strays} stray files"] if found.strays else [])


def free(folder: Path) -> int:
    """Bytes that the disk has room for."""
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize


def allocate(path: Path, size: int) -> None:
    """Takes so many bytes of the disk."""
    with path.open("wb") as file:
        if size:
            os.posix_fallocate(file.fileno(), 0, size)
