"""A server in a process of its own, as the command line starts it."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


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
