"""Trying again: what may pass is repeated, with longer and longer waits, and not for ever."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from audiences.client.errors import ClientError

T = TypeVar("T")

# The wait before the second try; it doubles with every further one, up to the longest.
FIRST_WAIT_S, LONGEST_WAIT_S = 0.25, 30.0

# Called with what went wrong and the seconds until the next try.
Waiting = Callable[[ClientError, float], None]


@dataclass(frozen=True)
class Patience:
    """How long to go on trying. No try begins later than `seconds` after the first one failed.

    `tries` counts those that failed without the server saying when to come back; one that says so is believed.
    """

    tries: int
    seconds: float
    waiting: Waiting | None = None

    def repeat(self, attempt: Callable[[], T]) -> T:
        """What the first successful `attempt` returns. Raises the last one's ClientError."""
        number, unexplained, end = 0, 0, 0.0
        while True:
            try:
                return attempt()
            except ClientError as error:
                end = end or time.monotonic() + self.seconds
                unexplained += error.retry_after_s is None
                wait = (error.retry_after_s or 0) + pause(number)
                if not error.temporary or unexplained >= self.tries or time.monotonic() + wait > end:
                    raise
                if self.waiting is not None:
                    self.waiting(error, wait)
            time.sleep(wait)
            number += 1


def pause(number: int) -> float:
    """Seconds to wait after so many failed tries before; spread, so that clients that failed together part."""
    return min(LONGEST_WAIT_S, FIRST_WAIT_S * 2.0**number) * random.uniform(0.5, 1)  # noqa: S311 - no secret
