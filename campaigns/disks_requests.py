"""What is asked of a failing disk beside changes of audiences: exports, the do-not-contact list, erasures.

Each is made ready, sent while the disk fails, and held against what there was before; one that was not carried out is
sent again when the disk is whole.
"""

from __future__ import annotations

import io
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

import fastexcel
import httpx
import polars as pl

from audiences.accept import CSV, NDJSON, PARQUET, XLSX

OK, CREATED, FAULT = 200, 201, 500

# Numbers of a change of the list, and those of a stay on it.
LISTED = 300
NEXT = itertools.count(1)


class Asked(Protocol):
    """A request that writes. `name` is what it is called in what is told of a loss."""

    name: str

    def ready(self, http: httpx.Client) -> None:
        """Makes what it needs. Afterwards it can be sent."""

    def send(self, http: httpx.Client) -> httpx.Response:
        """The answer. Raises TransportError where that is broken off."""

    def wrong(self, http: httpx.Client, status: int) -> Iterator[str]:
        """What is not as it has to be behind an answer of that status; 0 is one that was broken off."""


def content(answer: httpx.Response) -> httpx.Response:
    """The answer, if it is good. Raises AssertionError."""
    assert answer.status_code in {OK, CREATED}, f"{answer.status_code} {answer.text[:300]}"
    return answer


# What an export says, in each format.
READ: dict[str, Callable[[bytes], Any]] = {
    CSV: lambda found: found,
    NDJSON: lambda found: found,
    PARQUET: lambda found: pl.read_parquet(io.BytesIO(found)).rows(),
    XLSX: lambda found: fastexcel.read_excel(found).load_sheet(0, header_row=None).to_polars().rows(),
}


@dataclass
class Export:
    """A list, whole, in a format: all of it or an error, and never less that looks like all."""

    name: str
    path: str
    kind: str
    whole: Any = None
    got: Any = None

    def ready(self, http: httpx.Client) -> None:
        """See Asked."""
        if self.whole is None:
            self.whole = READ[self.kind](content(self.send(http)).content)

    def send(self, http: httpx.Client) -> httpx.Response:
        """See Asked."""
        answer = http.get(self.path, headers={"Accept": self.kind})
        self.got = READ[self.kind](answer.content) if answer.status_code == OK else None
        return answer

    def wrong(self, http: httpx.Client, status: int) -> Iterator[str]:  # noqa: ARG002 - nothing is stored
        """See Asked."""
        if status == OK and self.got != self.whole:
            yield "an export is not what it was"


def exports(path: str) -> Iterator[Export]:
    """Those of a list in all formats."""
    for kind, name in ((CSV, "CSV"), (NDJSON, "NDJSON"), (PARQUET, "Parquet"), (XLSX, "workbook")):
        yield Export(f"export as {name}", path, kind)


@dataclass
class ListChange:
    """Numbers come on the do-not-contact list, or are taken from it: all of them or none."""

    name: str
    method: str
    as_file: bool
    phones: list[str] = field(default_factory=list)
    before: set[str] = field(default_factory=set)

    def ready(self, http: httpx.Client) -> None:
        """See Asked."""
        first = next(NEXT) * LISTED
        self.phones = [f"3164{first + number:07d}" for number in range(LISTED)]
        if self.method == "DELETE":
            content(http.post("/suppressions", json={"phones": self.phones}))
        self.before = listed(http)

    def send(self, http: httpx.Client) -> httpx.Response:
        """See Asked."""
        if self.as_file:
            file = "phone1\n" + "\n".join(self.phones)
            return http.request(self.method, "/suppressions", files={"audience_file": ("list.csv", file)})
        return http.request(self.method, "/suppressions", json={"phones": self.phones})

    def wrong(self, http: httpx.Client, status: int) -> Iterator[str]:
        """See Asked. Behind a 500 nobody knows whether the commit is on the disk."""
        change, there = set(self.phones), listed(http)
        after = self.before | change if self.method == "POST" else self.before - change
        allowed = {OK: [after], FAULT: [self.before, after]}.get(status, [self.before])
        if there not in allowed:
            yield f"{len(there)} numbers are listed, {len(there & change)} of them of the change"


def listed(http: httpx.Client) -> set[str]:
    """All numbers on the list."""
    answer = content(http.get("/suppressions", headers={"Accept": CSV}))
    return {line.partition(",")[0] for line in answer.text.splitlines()[1:]}


@dataclass
class Erasure:
    """A person who is a contact, stands in another's row, and is on the list, is erased from all of it or from none.

    Each time it is somebody of a new account, since an erasure looks through all that the account has.
    """

    new_client: Callable[[], httpx.Client]
    name: str = "erase"
    http: httpx.Client | None = None
    phone: str = ""
    before: Any = None

    @property
    def own(self) -> httpx.Client:
        """A client of the account."""
        assert self.http is not None
        return self.http

    def ready(self, http: httpx.Client) -> None:  # noqa: ARG002 - it has its own
        """See Asked."""
        if self.http is not None:
            self.http.close()
        self.http = self.new_client()
        self.phone = f"3162{next(NEXT):07d}"
        rows = [f"{self.phone},own", f"31630000001,ask {self.phone}", f"{self.phone},again", f"bad,{self.phone}"]
        form = {"name": (None, "people"), "audience_file": ("people.csv", "\n".join(["phone1,note", *rows, ""]))}
        content(self.own.post("/audiences", files=form))
        content(self.own.post("/suppressions", json={"phones": [self.phone]}))
        self.before = self.held()
        assert [len(self.before[kind]) for kind in ("contacts", "rejects", "cells")] == [1, 2, 1], self.before

    def send(self, http: httpx.Client) -> httpx.Response:  # noqa: ARG002 - as above
        """See Asked."""
        return self.own.delete(f"/contacts/{self.phone}")

    def held(self) -> Any:  # noqa: ANN401 - as JSON has it
        """What is held on the person."""
        return content(self.own.get(f"/contacts/{self.phone}")).json()["data"]

    def wrong(self, http: httpx.Client, status: int) -> Iterator[str]:  # noqa: ARG002 - as above
        """See Asked. What is left of the list is told by its hash: the number stays on it."""
        found, after = self.held(), self.before | {"contacts": [], "rejects": [], "cells": []}
        if found not in {OK: [after], FAULT: [self.before, after]}.get(status, [self.before]):
            yield f"held is {found}"
        if status == OK and self.phone in listed(self.own):
            yield "the number is on the list in plain"


def changes(new_client: Callable[[], httpx.Client]) -> Iterator[Asked]:
    """All that changes the list or erases; `new_client` is one of a new account."""
    yield ListChange("list numbers", "POST", as_file=False)
    yield ListChange("list a file", "POST", as_file=True)
    yield ListChange("unlist numbers", "DELETE", as_file=False)
    yield ListChange("unlist a file", "DELETE", as_file=True)
    yield Erasure(new_client)
