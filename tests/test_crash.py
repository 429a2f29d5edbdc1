"""Kill -9 at random moments of uploads: what was acknowledged is there, whole; nothing else is seen or left."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from audiences import clock, parts, sweep
from audiences.keys import Keys
from conftest import settings_in

# The suite's share; a longer campaign sets it in the environment.
KILLS = int(os.environ.get("CRASH_KILLS", "6"))
CLIENTS = 3
ROWS = 3000


@contextmanager
def serving(data: Path, **variables: str) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """A server process of its own, as the command line starts it."""
    command = [sys.executable, "-m", "audiences.cli", "serve", "--port", "0", "--data", str(data)]
    environment = {**os.environ, "AUDIENCES_RATE_LIMIT": "off", "AUDIENCES_READ_RATE_LIMIT": "off", **variables}
    process = subprocess.Popen(command, stderr=subprocess.PIPE, env=environment)
    assert process.stderr is not None
    line = process.stderr.readline().decode()
    try:
        assert '"event":"serving"' in line, line + process.stderr.read().decode()
        threading.Thread(target=process.stderr.read, daemon=True).start()
        yield line.split('"address":"')[1].split('"')[0], process
    finally:
        process.kill()
        process.wait()
        time.sleep(0.05)
        with contextlib.suppress(ValueError, OSError):
            process.stderr.close()


def upload(url: str, key: str, number: int, acknowledged: dict[str, int]) -> None:
    """Uploads until the server is gone, noting what it acknowledged."""
    chance = random.Random(number)
    with httpx.Client(base_url=url, headers={"Authorization": f"Bearer {key}"}, timeout=30) as http:
        while True:
            rows = chance.randrange(1, ROWS)
            content = "phone1,n\n" + "".join(f"4479{row:08d},{row}\nbad,{row}\n" for row in range(rows))
            try:
                form = {"name": (None, "x"), "audience_file": ("x.csv", content)}
                made = http.post("/audiences", files=form)
            except httpx.TransportError:
                return
            assert made.status_code == 201, made.text
            acknowledged[made.json()["data"]["id"]] = rows


@pytest.fixture
def key(tmp_path: Path) -> str:
    with parts.opened_catalog(settings_in(tmp_path)) as database:
        return Keys(database, clock.now).create(1, "crash")[1]


def test_acknowledged_audiences_survive_kill_9_and_nothing_else_is_left(tmp_path: Path, key: str) -> None:
    acknowledged: dict[str, int] = {}
    chance = random.Random(os.environ.get("CRASH_SEED", "1"))
    for kill in range(KILLS):
        with serving(tmp_path) as (url, process):
            clients = [
                threading.Thread(target=upload, args=(url, key, kill * CLIENTS + number, acknowledged))
                for number in range(CLIENTS)
            ]
            for client in clients:
                client.start()
            time.sleep(chance.uniform(0.05, 0.8))
            process.send_signal(signal.SIGKILL)
            for client in clients:
                client.join()

    with serving(tmp_path) as (url, _), httpx.Client(base_url=url, headers={"Authorization": f"Bearer {key}"}) as http:
        listed = {item["id"]: item["user_count"] for item in http.get("/audiences").json()["data"]}
        assert acknowledged.items() <= listed.items()
        # A commit whose answer the kill swallowed is whole, too; there can be one for each client and kill.
        assert len(listed) - len(acknowledged) <= KILLS * CLIENTS
        for audience_id, count in listed.items():
            report = http.get(f"/audiences/{audience_id}").json()["data"]
            assert report["rows"] == report["accepted"] + report["rejected"] + report["duplicates"] == 2 * count
            for kind in ("contacts", "rejects"):
                found = http.get(f"/audiences/{audience_id}/{kind}", headers={"Accept": "text/csv"})
                assert len(found.text.splitlines()) == count + 1
        deadline = time.monotonic() + 5  # the last export lets go of its pieces a moment after its last byte
        while list((tmp_path / "spool").iterdir()):
            assert time.monotonic() < deadline

    with parts.opened_parts(settings_in(tmp_path)) as opened:
        sweep.remove_stray_files(opened.files, opened.database, clock.now, age_s=0)
        assert len(list(opened.files.names(0))) == 2 * len(listed)
