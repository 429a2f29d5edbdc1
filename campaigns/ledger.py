"""What a client knows of its audiences: what was acknowledged, what is under way, and so what may be found of each.

An audience is changed by one request at a time. So it is found as the last acknowledged change left it; or, where the
answer to the next change was never seen, as that one would leave it. Nothing between the two is allowed.
"""

from __future__ import annotations

import hashlib
import io
import itertools
import random
from dataclasses import dataclass, field
from functools import cached_property

import xlsxwriter  # type: ignore[import-untyped]

# A row in so many is bad, and one is a number again that the file had before.
BAD, AGAIN = 9, 7

REJECT_COLUMNS = "phone1,n,file,row,reason,first_file,first_row,raw"

TOKENS = itertools.count(1)


@dataclass(frozen=True)
class File:
    """A file of numbers: `size` rows from number `first` on, bad ones and repeated ones among them.

    The last row's number, of the file's `own`, stands in no other file: so each of them has a contact.
    """

    first: int
    size: int
    own: int = field(default_factory=lambda: next(TOKENS))

    @cached_property
    def rows(self) -> list[str]:
        """The cells of the phone column."""
        return [self.phone(place) for place in range(self.size)]

    def phone(self, place: int) -> str:
        """The cell of a row."""
        if place == self.size - 1:
            return f"3168{self.own:07d}"
        if place % BAD == BAD - 1:
            return "bad"
        return f"316{10_000_000 + self.first + (place // 2 if place % AGAIN == AGAIN - 1 else place)}"

    @cached_property
    def content(self) -> bytes:
        """The file as it is sent."""
        return "".join(["phone1,n\n", *(f"{phone},{place}\n" for place, phone in enumerate(self.rows))]).encode()

    @cached_property
    def sha256(self) -> str:
        """Its digest, as the report has it."""
        return hashlib.sha256(self.content).hexdigest()


@dataclass(frozen=True)
class Workbook(File):
    """The same as a workbook, whose cells are texts."""

    @cached_property
    def content(self) -> bytes:
        """The file as it is sent."""
        packed = io.BytesIO()
        with xlsxwriter.Workbook(packed, {"in_memory": True}) as book:
            sheet = book.add_worksheet()
            sheet.write_row(0, 0, ["phone1", "n"])
            for place, phone in enumerate(self.rows):
                sheet.write_row(place + 1, 0, [phone, str(place)])
        return packed.getvalue()


@dataclass(frozen=True)
class Facts:
    """What can be seen of an audience, and the digests of both exports.

    `files` has the sha256, rows, accepted ones, duplicates and rejected ones of each.
    """

    files: tuple[tuple[str, int, int, int, int], ...]
    contacts: str
    rejects: str


# The files that an audience was made of, in order; None where it is deleted, or never was.
State = tuple[File, ...] | None


def expected(state: State) -> Facts | None:
    """What has to be seen of an audience in that state."""
    if state is None:
        return None
    contacts, rejects, there = ["phone1,n"], [REJECT_COLUMNS], dict[str, tuple[int, int]]()
    files = []
    for number, file in enumerate(state, 1):
        accepted = duplicates = 0
        for place, phone in enumerate(file.rows):
            row = place + 2
            if phone == "bad":
                rejects.append(f"bad,{place},{number},{row},not_a_number,,,")
            elif phone in there:
                first_file, first_row = there[phone]
                duplicates += 1
                rejects.append(f"{phone},{place},{number},{row},duplicate,{first_file},{first_row},")
            else:
                there[phone] = number, row
                accepted += 1
                contacts.append(f"{phone},{place}")
        files.append((file.sha256, file.size, accepted, duplicates, file.size - accepted - duplicates))
    return Facts(tuple(files), digest(contacts), digest(rejects))


def digest(lines: list[str]) -> str:
    """The sha256 of an export with these lines."""
    return hashlib.sha256("".join(f"{line}\n" for line in lines).encode()).hexdigest()


@dataclass(frozen=True)
class Change:
    """One request: `kind` is create, replace, append, delete or restore; `file` is what it sends, if anything.

    It leaves the audience in the state `after`, and `undo` are the states that restoring would then go back to. Its
    `token` is the request's own id, and its Idempotency-Key.
    """

    kind: str
    file: File | None
    after: State
    undo: tuple[State, ...]
    token: str


@dataclass
class Audience:
    """One audience, as its client knows it. `seen` are all states that were acknowledged, with the token of each."""

    name: str
    id: str | None = None
    now: State = None
    undo: tuple[State, ...] = ()
    under_way: Change | None = None
    changes: list[Change] = field(default_factory=list)

    def begin(self, chance: random.Random, file: File) -> Change:
        """Any next request on it, which is under way from now on."""
        return self.begin_with("create" if self.id is None else chance.choice(self.kinds()), file)

    def begin_with(self, kind: str, file: File) -> Change:
        """The same of one kind."""
        after, undo = self.outcome(kind, file)
        sent = file if kind in {"create", "replace", "append"} else None
        self.under_way = Change(kind, sent, after, undo, f"campaign-{next(TOKENS)}")
        self.changes.append(self.under_way)
        return self.under_way

    def kinds(self) -> list[str]:
        """What can be asked of it."""
        if self.now is None:
            return ["restore"]
        return ["replace", "replace", "append", "append", "delete", *(["restore"] if self.undo else [])]

    def outcome(self, kind: str, file: File) -> tuple[State, tuple[State, ...]]:
        """The state after a request, and those that could be gone back to."""
        if kind == "create":
            return (file,), ()
        if kind == "restore":
            return self.undo[-1], self.undo[:-1]
        after: State = {"replace": (file,), "append": (*(self.now or ()), file), "delete": None}[kind]
        return after, (*self.undo, self.now)

    def end(self, *, happened: bool) -> None:
        """The request under way was carried out, or was not."""
        assert self.under_way is not None
        if happened:
            self.now, self.undo = self.under_way.after, self.under_way.undo
        else:
            self.changes.remove(self.under_way)
        self.under_way = None

    def allowed(self) -> list[State]:
        """The states in which it may be found."""
        return [self.now] if self.under_way is None else [self.now, self.under_way.after]

    def settle(self, found: Facts | None) -> str | None:
        """Takes what was found of it for true, if it may be; what is wrong with it otherwise."""
        if found == expected(self.now):
            if self.under_way is not None:
                self.end(happened=False)
            return None
        if self.under_way is not None and found == expected(self.under_way.after):
            self.end(happened=True)
            return None
        return f"{self.name} ({self.id}) is {found}, and may be {[expected(state) for state in self.allowed()]}"
