"""The time, in the one form that the catalog keeps it in, and the two forms that answers show it in."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], int]

SECOND, MINUTE, HOUR, DAY = 1_000, 60_000, 3_600_000, 86_400_000


def now() -> int:
    """Milliseconds since 1970 UTC."""
    return time.time_ns() // 1_000_000


def in_milliseconds(moment: int) -> str:
    """`2025-02-06T07:51:52.258Z`, as the contract writes `response_time`."""
    return datetime.fromtimestamp(moment / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment % 1000:03}Z"


def in_seconds(moment: int) -> str:
    """`2025-10-01T09:10:00Z`, as the contract writes `created_time`."""
    return datetime.fromtimestamp(moment // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
