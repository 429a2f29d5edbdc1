"""What an account did, day by day in UTC: uploads, their rows, and requests that a rate limit refused.

Uploads are counted in the transaction that stores them, so the figures and the audiences agree. A refused request must
not cost a write, or a flood of them would keep the disk busy: it is counted in memory, and what has gathered is written
`FLUSH_S` later, and at the end. A server that is killed loses at most that.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Connection
from sqlalchemy.engine import RowMapping

from audiences.clock import DAY, Clock
from audiences.store import usage as stored
from audiences.store.database import Database
from audiences.watch import log_fault

FLUSH_S = 5.0

# Days are kept for two years, so that each can be held against the same one a year before.
KEPT_DAYS = 2 * 365


@dataclass(frozen=True)
class Day:
    """One day: when it began in UTC (milliseconds since 1970), and what was counted on it."""

    begin: int
    uploads: int = 0
    rows: int = 0
    throttled: int = 0


def count_upload(connection: Connection, account: int, rows: int, now: int) -> None:
    """Counts one upload that is stored in the caller's transaction, and the rows of its file."""
    stored.add(connection, account, now // DAY, uploads=1, rows=rows)


class Usage:
    """The counts of one catalog."""

    def __init__(self, database: Database, clock: Clock, flush_s: float = FLUSH_S) -> None:
        self.database = database
        self.clock = clock
        self.flush_s = flush_s
        self.lock = threading.Lock()
        self.waiting: Counter[tuple[int, int]] = Counter()
        self.timer: threading.Timer | None = None

    def count_throttled(self, account: int) -> None:
        """Counts a request that a limit refused; in memory, so that refusing stays cheap."""
        with self.lock:
            self.waiting[account, self.clock() // DAY] += 1
            if self.timer is None:
                # Started with the first one that waits: a server that refuses nobody has nothing to do here.
                self.timer = threading.Timer(self.flush_s, self.flush)
                self.timer.daemon = True
                self.timer.start()

    def flush(self) -> None:
        """Writes what has gathered, account by account, so that a busy one holds up no other's requests.

        What cannot be written waits for the next time, and then comes last; nobody is kept from anything.
        """
        with self.lock:
            timer, self.timer = self.timer, None
            accounts = list(dict.fromkeys(account for account, _ in self.waiting))
        if timer is not None:
            timer.cancel()
        # Where one fails, the catalog may be away: the end of the server is not to wait for that once an account.
        all(self.flush_account(account) for account in accounts)

    def flush_account(self, account: int) -> bool:
        """Writes what has gathered of one account; whether it could be."""
        with self.lock:
            days = [day for of, day in self.waiting if of == account]
            counts = {day: self.waiting.pop((account, day)) for day in days}
        try:
            self.write(account, counts)
        except Exception as error:  # noqa: BLE001 - whatever it was, only a count is late
            log_fault("usage_not_written", error)
            with self.lock:
                self.waiting.update({(account, day): count for day, count in counts.items()})
            return False
        return True

    def write(self, account: int, counts: Mapping[int, int]) -> None:
        """Adds the counts of those days."""
        if counts:
            with self.database.write(account) as connection:
                for day, count in counts.items():
                    stored.add(connection, account, day, throttled=count)

    def days(self, account: int, count: int) -> list[Day]:
        """The last `count` days of the account, today first, with what has gathered until now."""
        self.flush_account(account)
        today = self.clock() // DAY
        with self.database.read() as connection:
            found = {row["day"]: row for row in stored.since(connection, account, today - count + 1)}
        return [day_of(found, day) for day in range(today, today - count, -1)]

    def close(self) -> None:
        """Writes what has gathered; for the end."""
        self.flush()


def day_of(found: dict[int, RowMapping], day: int) -> Day:
    """That day, of whose rows `found` has those on which anything happened."""
    row = found.get(day)
    begin = day * DAY
    return Day(begin) if row is None else Day(begin, row["uploads"], row["rows"], row["throttled"])
