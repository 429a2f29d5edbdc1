"""How the C library hands out memory: from few arenas, so that a server that has worked for long is no larger for it.

glibc gives threads arenas of their own, eight for each processor, and an arena keeps what it once had: under a mixture
of requests, which come to forty threads in turn, each of them grows for as long as there are new mixtures
(docs/decisions/0075).
"""

from __future__ import annotations

import ctypes
from contextlib import suppress

# One for the thread that is at work in Python, one for those that are at work outside of it.
ARENAS = 2

# glibc's number of the option (malloc.h).
M_ARENA_MAX = -8


def keep_few_arenas() -> None:
    """Before threads begin; where the C library is another one, it has no such arenas, and this does nothing."""
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).mallopt(M_ARENA_MAX, ARENAS)


def give_back() -> None:
    """What was freed, to the system; the same of another C library."""
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(0)
