"""CPU seconds and resident memory of a process, as Linux tells them in /proc."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")
KIB = 1024

# Seconds between two looks at the descendants of a process.
SAMPLING_S = 0.02

# The same where it is asked what they share, which costs some milliseconds.
SHARED_SAMPLING_S = 0.2


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


class Tree:
    """The peak memory of what descends from a process while it is watched."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.peak_bytes = 0
        self.shared_bytes = 0

    def look(self) -> None:
        """Takes down what those that run now have had so far, all together, and what they have now with `pid`."""
        below = descendants(self.pid)
        self.peak_bytes = max(self.peak_bytes, sum(_or_nothing(peak_resident_bytes, pid) for pid in below))

    def look_at_shares(self) -> None:
        """Takes down what all have now, a page that several share counted once."""
        everyone = [self.pid, *descendants(self.pid)]
        self.shared_bytes = max(self.shared_bytes, sum(_or_nothing(proportional_bytes, pid) for pid in everyone))


def descendants(pid: int) -> list[int]:
    """The processes that a process has started, and those that they have, as far as they still run."""
    found: list[int] = []
    for listing in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            for child in map(int, listing.read_text().split()):
                found += [child, *descendants(child)]
    return found


def _or_nothing(ask: Callable[[int], int], pid: int) -> int:
    """What is told of a process, or 0 where it has ended."""
    try:
        return ask(pid)
    except OSError:
        return 0


def family_cpu_seconds(pid: int) -> float:
    """What a process has used so far, with all that it has started."""
    used = cpu_seconds(pid)
    for child in descendants(pid):
        with suppress(OSError):  # it ends at this moment, and is the parent's then
            used += cpu_seconds(child)
    return used


def proportional_bytes(pid: int) -> int:
    """What process `pid` has resident now, its part of what it shares with others (bytes)."""
    match = re.search(r"^Pss:\s+(\d+) kB", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)
    return int(match[1]) * KIB if match else 0


@contextmanager
def watched(pid: int, *, shared: bool = False) -> Iterator[Tree]:
    """Looks at what descends from `pid` every few milliseconds while the block runs.

    If `shared`, it looks less often and at the end, and at what all of them have together, `pid` among them.
    """
    tree, ended = Tree(pid), threading.Event()
    look, every_s = (tree.look_at_shares, SHARED_SAMPLING_S) if shared else (tree.look, SAMPLING_S)

    def sample() -> None:
        while not ended.wait(every_s):
            look()

    thread = threading.Thread(target=sample, daemon=True)
    thread.start()
    try:
        yield tree
    finally:
        ended.set()
        thread.join()
        if shared:
            look()
