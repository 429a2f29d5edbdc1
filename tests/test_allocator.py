"""Memory that a server holds however long it runs: few arenas, no rubbish, nothing of each file that it has read."""

from __future__ import annotations

import asyncio
import gc
import socket
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import duckdb
import pytest
import uvicorn

from audiences import server
from audiences.engine import Engine
from audiences.settings import Settings
from support import until

# Threads that each hold what they asked the C library for; a heap of an arena begins at a multiple of 64 MiB.
THREADS = """
import re, sys, threading
from audiences import allocator
if "few" in sys.argv:
    allocator.keep_few_arenas()
together, over = threading.Barrier(13), threading.Event()
def hold():
    kept = [bytes(10_000) for _ in range(100)]
    together.wait()
    over.wait()
threads = [threading.Thread(target=hold) for _ in range(12)]
for thread in threads:
    thread.start()
together.wait()
starts = [int(line.split("-")[0], 16) for line in open("/proc/self/maps") if "rw-p" in line]
print(sum(start % (64 << 20) == 0 for start in starts))
over.set()
"""


def arenas(*arguments: str) -> int:
    """The arenas of a process with a dozen threads, beside the first one."""
    done = subprocess.run([sys.executable, "-c", THREADS, *arguments], capture_output=True, text=True, check=True)
    return int(done.stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="about glibc")
def test_many_threads_share_two_arenas() -> None:
    assert arenas() > 5
    assert arenas("few") <= 2


def test_a_server_that_has_started_looks_for_rubbish_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """While it starts it does not, which would be a leak if it went on."""
    monkeypatch.setattr(server, "SETTLED_S", 0.0)

    async def started() -> None:
        config = uvicorn.Config(lambda *_: None, lifespan="off", log_config=None)
        config.load()
        running = server.Announcing(config, lambda: None, lambda: None)
        running.lifespan = config.lifespan_class(config)
        with closing(socket.create_server(("127.0.0.1", 0))) as listener:
            await running.startup([listener])
            assert await asyncio.to_thread(until, gc.isenabled)
            await running.shutdown([listener])

    gc.disable()
    try:
        asyncio.run(started())
    finally:
        gc.enable()
        gc.unfreeze()


def test_a_server_ends_without_a_word_of_what_it_kept(tmp_path: Path) -> None:
    """Libraries that find their objects still there at the end of a process say so on standard error, at length."""
    command = [sys.executable, "-m", "audiences.cli", "serve", "--port", "0", "--data", str(tmp_path)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    assert '"event":"serving"' in process.stderr.readline()
    time.sleep(2 * server.SETTLED_S)
    process.terminate()
    said = process.communicate(timeout=30)[1].splitlines()
    assert [line for line in said if not line.startswith(("{", "Set the first admin"))] == []


def test_the_engine_keeps_nothing_of_the_files_that_it_has_read(tmp_path: Path) -> None:
    """A kilobyte of each would be 32 MB after an hour of the soak, and nothing gave it back."""
    for name in ("spool", "files"):
        (tmp_path / name).mkdir()
    paths = [str(tmp_path / "files" / f"{number}.parquet") for number in range(20)]
    with duckdb.connect() as other:
        for path in paths:
            other.execute(f"COPY (SELECT range AS number FROM range(1000)) TO '{path}' (FORMAT parquet)")
    with closing(Engine(Settings(data=tmp_path), tmp_path)) as engine:
        for path in paths:
            with engine.connection() as connection:
                found = connection.execute("SELECT max(number) FROM read_parquet(?)", [path]).fetchone()
                assert found == (999,)
        with engine.connection() as connection:
            held = connection.execute("SELECT tag FROM duckdb_memory() WHERE memory_usage_bytes > 0").fetchall()
    assert held == []
