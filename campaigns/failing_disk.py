"""A disk that fails on demand, for one process: `failing_disk.c`, compiled here and preloaded there."""

from __future__ import annotations

import errno
import mmap
import shutil
import struct
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

SOURCE = Path(__file__).with_suffix(".c")

# As in the source: on, kinds, error, bytes kept, seen, failed, first, last; and a piece of the path.
FAULT = struct.Struct("8i256s")

KINDS = {"write": 1, "sync": 2, "open": 4, "rename": 8, "mkdir": 16, "truncate": 32}

FOR_EVER = 2**31 - 1


@dataclass(frozen=True)
class Fault:
    """Calls of a kind on paths with `path` in them: those from the `first` to the `last` fail with `error`.

    Of a write, `keep` bytes get through where it is not 0: a short write, which is no error by itself.
    """

    path: str
    kind: str
    error: int = errno.ENOSPC
    first: int = 1
    last: int = FOR_EVER
    keep: int = 0

    def __str__(self) -> str:
        what = f"{self.keep} bytes" if self.keep else errno.errorcode[self.error]
        until = "on" if self.last == FOR_EVER else f"to {self.last}"
        return f"{what} at {self.kind} {self.first} {until} of {self.path}"


class FailingDisk:
    """The switch. `variables` make a process obey it."""

    def __init__(self, library: Path, switch: Path) -> None:
        switch.write_bytes(bytes(FAULT.size))
        with switch.open("r+b") as file:
            self.shared = mmap.mmap(file.fileno(), FAULT.size)
        self.variables: Mapping[str, str] = {"LD_PRELOAD": str(library), "CAMPAIGN_FAULT": str(switch)}

    @contextmanager
    def failing(self, fault: Fault) -> Iterator[FailingDisk]:
        """The fault holds until the end of the block."""
        kinds, path = KINDS[fault.kind], fault.path.encode()
        packed = FAULT.pack(0, kinds, fault.error, fault.keep, 0, 0, fault.first, fault.last, path)
        self.shared[:] = packed
        self.shared[:4] = struct.pack("i", 1)
        try:
            yield self
        finally:
            self.shared[:4] = bytes(4)

    @property
    def seen(self) -> int:
        """Calls that were counted since the last fault was set."""
        return int(FAULT.unpack(self.shared[:])[4])

    @property
    def failed(self) -> int:
        """Those of them that failed."""
        return int(FAULT.unpack(self.shared[:])[5])


def compiler() -> str | None:
    """The C compiler, if there is one."""
    return shutil.which("cc") or shutil.which("gcc")


def failing_disk(folder: Path) -> FailingDisk:
    """The switch and its library, both made in the folder. Raises FileNotFoundError without a C compiler."""
    found = compiler()
    if found is None:
        raise FileNotFoundError("a C compiler is needed: install gcc")
    library = folder / "failing_disk.so"
    subprocess.run([found, "-shared", "-fPIC", "-O1", "-o", library, SOURCE, "-ldl"], check=True)
    return FailingDisk(library, folder / "switch")
