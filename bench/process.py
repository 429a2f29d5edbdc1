"""CPU seconds and resident memory of a process, as Linux tells them in /proc."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")
KIB = 1024

# Seconds between two looks at the children of a process.
SAMPLING_S = 0.02


def cpu_seconds(pid: int) -> float:
    """User and system seconds that process `pid`, with its children that have ended, has used so far."""
    after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    # utime, stime, cutime and cstime: fields 14 to 17 of the line, whose field 3 comes first here.
    return sum(int(field) for field in after_name[11:15]) / TICKS_A_SECOND


def resident_bytes(pid: int) -> int:
    """Resident memory of process `pid` now (bytes)."""
    return _status_bytes(pid, "VmRSS")


def peak_resident_bytes(pid: int) -> int:
    """The most memory that process `pid` has had resident so far, or since `reset_peak` (bytes)."""
    return _status_bytes(pid, "VmHWM")


def reset_peak(pid: int) -> None:
    """Makes the peak of process `pid` begin anew at what it has resident now."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def _status_bytes(pid: int, field: str) -> int:
    match = re.search(rf"^{field}:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    return int(match[1]) * KIB if match else 0


class Children:
    """The peak memory of the children that a process starts."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.peaks: dict[int, int] = {}

    def look(self) -> None:
        """Takes down the peak so far of each child that runs now."""
        for listing in Path(f"/proc/{self.pid}/task").glob("*/children"):
            with suppress(OSError):
                for child in map(int, listing.read_text().split()):
                    with suppress(OSError):
                        self.peaks[child] = max(self.peaks.get(child, 0), peak_resident_bytes(child))

    @property
    def peak_bytes(self) -> int:
        """Of the largest child (bytes); 0 if there was none."""
        return max(self.peaks.values(), default=0)


@contextmanager
def watched_children(pid: int) -> Iterator[Children]:
    """Looks at the children of `pid` every few milliseconds, as long as the block runs."""
    children, ended = Children(pid), threading.Event()

    def sample() -> None:
        while not ended.wait(SAMPLING_S):
            children.look()

    thread = threading.Thread(target=sample, daemon=True)
    thread.start()
    try:
        yield children
    finally:
        ended.set()
        thread.join()
