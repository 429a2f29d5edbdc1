"""A model of what one account holds, in plain Python; of each number the reference function is asked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from audiences.errors import Reason
from audiences.reference import Judgement, judge

# What a file of the model says in its first column, and what the rest of the record is.
Line = tuple[str, str]

HEADER = "phone1,name"
MALFORMED = ",x,surplus"
KEPT_APART = frozenset({Reason.DUPLICATE, Reason.SUPPRESSED})


@cache
def verdict(text: str) -> Judgement:
    """What the reference function says."""
    return judge(text)


@dataclass
class Row:
    """One row of a file and what became of it; `first` is the file and row of the contact that it repeats."""

    number: int
    text: str
    rest: str
    judged: Judgement
    reason: Reason | None
    first: tuple[int, int] | None = None

    def concerns(self, phone: str) -> bool:
        """Whether it goes when that number is erased: being its own, or telling it in a broken line."""
        return verdict(self.text).phone == phone


@dataclass
class File:
    """One uploaded file."""

    position: int
    rows: list[Row]
    blank_rows: int
    erased: int = 0

    @property
    def accepted(self) -> list[Row]:
        """Its contacts."""
        return [row for row in self.rows if row.reason is None]

    @property
    def rejects(self) -> list[Row]:
        """Its other rows."""
        return [row for row in self.rows if row.reason is not None]


@dataclass
class Audience:
    """An audience: its current files, and for each change that can be undone the files before it."""

    id: str
    name: str
    files: list[File]
    before: list[tuple[list[File], bool]] = field(default_factory=list)
    ever: list[File] = field(default_factory=list)
    deleted: bool = False

    def contacts(self) -> Iterator[tuple[File, Row]]:
        """All contacts, in order."""
        return ((file, row) for file in self.files for row in file.accepted)

    def change(self, files: list[File], *, deleted: bool = False) -> None:
        """Makes these its files; to be undone."""
        self.before.append((self.files, self.deleted))
        self.files, self.deleted = files, deleted
        self.ever += [file for file in files if not any(file is known for known in self.ever)]

    def undo(self) -> None:
        """Undoes the last change."""
        self.files, self.deleted = self.before.pop()

    def report(self) -> dict[str, Any]:
        """What its report has to say, but for times and files."""
        rows = [row for file in self.files for row in file.rows]
        reasons = Counter(str(row.reason) for row in rows if row.reason is not None and row.reason not in KEPT_APART)
        accepted = [row.judged for row in rows if row.reason is None]
        erased = sum(file.erased for file in self.files)
        counts = {
            "id": self.id,
            "name": self.name,
            "type": "Static",
            "user_count": len(accepted),
            "rows": len(rows) + erased,
            "accepted": len(accepted),
            "duplicates": sum(row.reason is Reason.DUPLICATE for row in rows),
            "suppressed": sum(row.reason is Reason.SUPPRESSED for row in rows),
            "rejected": reasons.total(),
            "rejected_by_reason": dict(reasons),
            "blank_rows": sum(file.blank_rows for file in self.files),
            "countries": dict(Counter(str(each.country) for each in accepted)),
            "line_types": dict(Counter(str(each.line_type) for each in accepted)),
        }
        return counts | ({"erased": erased} if erased else {})


@dataclass
class Account:
    """What one account holds. `audiences` are in the order of their making; `suppressed` says if a number is shown."""

    audiences: list[Audience] = field(default_factory=list)
    suppressed: dict[str, bool] = field(default_factory=dict)

    def live(self) -> list[Audience]:
        """The audiences of its list, newest first."""
        return [each for each in reversed(self.audiences) if not each.deleted]

    def judge(self, lines: Sequence[Line], contacts: Sequence[tuple[File, Row]], position: int) -> File:
        """What becomes of a file that is appended to these contacts; of a new one there are none."""
        first = {str(row.judged.phone): (file.position, row.number) for file, row in contacts}
        file = File(position, [], 0)
        for number, (text, rest) in enumerate(lines, 2):
            if not text and not rest.strip(","):
                file.blank_rows += 1
                continue
            judged = verdict(text)
            row = Row(number, text, rest, judged, judged.reason)
            file.rows.append(row)
            if rest == MALFORMED:
                row.reason = Reason.MALFORMED_ROW
            elif judged.phone in self.suppressed:
                row.reason = Reason.SUPPRESSED
            elif judged.phone is not None and judged.phone in first:
                row.reason, row.first = Reason.DUPLICATE, first[judged.phone]
            elif judged.phone is not None:
                first[judged.phone] = (position, number)
        return file

    def erase(self, phone: str) -> dict[str, Any]:
        """Erases a number; what the answer has to say."""
        counts = {"audiences": 0, "contacts": 0, "rejects": 0, "cells": 0, "suppressed": phone in self.suppressed}
        for audience in self.audiences:
            gone = 0
            for file in audience.ever:
                of_number = [row for row in file.rows if row.concerns(phone)]
                counts["contacts"] += sum(row.reason is None for row in of_number)
                counts["rejects"] += sum(row.reason is not None for row in of_number)
                file.rows = [row for row in file.rows if not row.concerns(phone)]
                file.erased += len(of_number)
                gone += len(of_number)
            counts["audiences"] += gone > 0
        if phone in self.suppressed:
            self.suppressed[phone] = False
        return counts

    def held(self, phone: str) -> tuple[list[tuple[str, int, int]], list[tuple[str, int, int]]]:
        """Where rows of a number stand: audience, file and row of contacts and of rejects."""
        rows = [
            (audience.id, file.position, row)
            for audience in self.audiences
            for file in audience.ever
            for row in file.rows
            if row.concerns(phone)
        ]
        contacts = sorted((where, at, row.number) for where, at, row in rows if row.reason is None)
        return contacts, sorted((where, at, row.number) for where, at, row in rows if row.reason is not None)


def contact(file: File, row: Row) -> dict[str, Any]:
    """A contact as a page shows it."""
    judged = row.judged
    return {
        "file": file.position,
        "row": row.number,
        "phone1": judged.phone,
        "country": judged.country,
        "line_type": judged.line_type,
        "time_zones": list(judged.time_zones),
        "columns": {"name": row.rest.removeprefix(",")},
    }


def reject(file: File, row: Row) -> dict[str, Any]:
    """A reject as a page shows it."""
    shown: dict[str, Any] = {"file": file.position, "row": row.number, "reason": str(row.reason)}
    if row.reason is Reason.MALFORMED_ROW:
        return shown | {"columns": {}, "raw": row.text + row.rest}
    shown["columns"] = {"phone1": row.text, "name": row.rest.removeprefix(",")}
    if row.first is not None:
        shown |= {"first_file": row.first[0], "first_row": row.first[1]}
    return shown


def written(lines: Sequence[Line]) -> bytes:
    """The file that the lines make."""
    return "".join(f"{text}{rest}\n" for text, rest in [("phone1", ",name"), *lines]).encode()
