"""Lists of customers whose report is known before they are sent."""

from __future__ import annotations

import io
import itertools
import random
import threading
from dataclasses import dataclass
from functools import cached_property

import xlsxwriter  # type: ignore[import-untyped]

# Numbers that are valid, all of them: British mobiles. Every file has a block of its own, and the do-not-contact list
# has others, so that what becomes of a row hangs on its own file alone.
FIRST_PHONE, FIRST_SUPPRESSED = 447_100_000_000, 447_300_000_000

HEADER = "phone1,name,note"


@dataclass(frozen=True)
class Rows:
    """A file: so many good numbers from a first one on, then repeats of some, then rows without a number."""

    first: int
    accepted: int
    duplicates: int = 0
    rejected: int = 0

    @property
    def phones(self) -> range:
        """The good numbers, in order."""
        return range(self.first, self.first + self.accepted)

    @property
    def counts(self) -> dict[str, int]:
        """What its report has to say."""
        rows = self.accepted + self.duplicates + self.rejected
        return {"rows": rows, "accepted": self.accepted, "duplicates": self.duplicates, "rejected": self.rejected}

    def lines(self) -> list[list[str]]:
        """The rows, without their header."""
        numbers = [str(phone) for phone in (*self.phones, *self.phones[: self.duplicates])]
        texts = [*numbers, *(["call me"] * self.rejected)]
        return [[text, f"customer {row}", "x" * (row % 30)] for row, text in enumerate(texts)]

    @cached_property
    def csv(self) -> bytes:
        """As CSV."""
        return "\n".join([HEADER, *(",".join(line) for line in self.lines()), ""]).encode()

    @cached_property
    def xlsx(self) -> bytes:
        """As a workbook."""
        kept = io.BytesIO()
        with xlsxwriter.Workbook(kept, {"in_memory": True}) as book:
            sheet = book.add_worksheet()
            for row, cells in enumerate([HEADER.split(","), *self.lines()]):
                sheet.write_row(row, 0, cells)
        return kept.getvalue()


class Maker:
    """Makes files, each with numbers of its own."""

    def __init__(self) -> None:
        self.taken = 0
        self.lock = threading.Lock()
        self.suppressed = itertools.count(FIRST_SUPPRESSED)

    def make(self, accepted: int, chance: random.Random) -> Rows:
        """A file of so many good rows, and some of the others."""
        with self.lock:
            first, self.taken = FIRST_PHONE + self.taken, self.taken + accepted
        return Rows(first, accepted, min(accepted, chance.randrange(20)), chance.randrange(30))
