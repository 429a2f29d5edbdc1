"""The C library's arenas: few of them, however many threads there are."""

from __future__ import annotations

import subprocess
import sys

import pytest

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
