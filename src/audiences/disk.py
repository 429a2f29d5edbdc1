"""What a disk says that is full or fails, in the words of whoever wrote to it."""

from __future__ import annotations

import errno
import os
import tempfile
import time
from collections.abc import Collection
from pathlib import Path

import duckdb

FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
# Seconds between two tries.
EVERY_S = 1.0


def is_full(error: BaseException) -> bool:
    """Whether it says that there is no room."""
    return says(error, FULL)


def is_to_blame(error: BaseException) -> bool:
    """Whether it says that the disk has no room or fails; a process's own limit on files is not the disk's."""
    return says(error, FULL - {errno.EFBIG} | {errno.EIO})


def says(error: BaseException, numbers: Collection[int]) -> bool:
    """Whether it is one of the system's errors with these numbers.

    The engine and Polars know the number of an error, but hand on its text alone.
    """
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno in numbers
    speaks = isinstance(error, (OSError, duckdb.Error)) or type(error).__module__.startswith("polars.")
    return speaks and any(os.strerror(number) in str(error) for number in numbers)


class Probe:
    """Tries whether a folder's disk takes bytes, at most once a second: whoever asks for readiness costs no more."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.passed = -EVERY_S

    def run(self) -> None:
        """Writes and syncs a few bytes that have no name. Raises OSError where the disk fails.

        One that is full does not: what is there can be read, and whoever has something to store is told.
        """
        begun = time.monotonic()
        if begun - self.passed < EVERY_S:
            return
        try:
            with tempfile.TemporaryFile(dir=self.folder) as file:
                file.write(b"written and synced")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            if not is_full(error):
                raise
        self.passed = begun
