"""What clients of a soak do: a function a kind of request, which holds the answer against what was sent before."""

from __future__ import annotations

import random
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from campaigns.soak_client import Answered, Client
from campaigns.soak_files import Maker, Rows

# Audiences of an account: with fewer than the first none is changed or deleted, with more than the second none is made.
FEWEST, MOST = 5, 40

SMALL_ROWS, WORKBOOK_ROWS, LARGE_ROWS = (20, 2000), (20, 300), 200_000

FORMATS = (
    "text/csv",
    "application/x-ndjson",
    "application/vnd.apache.parquet",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
)

FILTERS = ("country=GB", "line_type=mobile", "search=customer%205", "callable=09:00-20:00", "phone=447100000001")

# Answers by which a server that is full says so, as it should.
COME_AGAIN = frozenset({429, 503})


class Unexpected(Exception):
    """An answer that is not what was due; it says why."""


class ComeAgain(Exception):
    """The server is full, and said so."""


@dataclass
class Audience:
    """An audience as it has to be, and the files that it had before its last change, if that can be undone."""

    id: str
    files: list[Rows]
    before: list[Rows] | None = None

    @property
    def phones(self) -> list[str]:
        """Its numbers, in order."""
        return [str(phone) for file in self.files for phone in file.phones]


@dataclass
class Account:
    """An account: its key, and its audiences that nobody works on at the moment."""

    key: str
    audiences: list[Audience] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def borrowed(self, chance: random.Random) -> Iterator[Audience]:
        """One of them, for oneself; back when the block is over. Raises LookupError if there are few."""
        with self.lock:
            if len(self.audiences) < FEWEST:
                raise LookupError
            found = self.audiences.pop(chance.randrange(len(self.audiences)))
        try:
            yield found
        finally:
            with self.lock:
                self.audiences.append(found)

    def take(self, chance: random.Random) -> Audience:
        """One of them for good. Raises LookupError if there are few."""
        with self.lock:
            if len(self.audiences) < FEWEST:
                raise LookupError
            return self.audiences.pop(chance.randrange(len(self.audiences)))

    def add(self, audience: Audience) -> None:
        """One more."""
        with self.lock:
            self.audiences.append(audience)


@dataclass
class Work:
    """One request of one client: with which connection, for which account, with which files and which chance."""

    client: Client
    account: Account
    maker: Maker
    chance: random.Random

    def due(self, answered: Answered, *statuses: int) -> Answered:
        """The answer, if it has one of those statuses."""
        if answered.status in COME_AGAIN:
            raise ComeAgain
        if answered.status not in statuses:
            raise Unexpected(f"{answered.status} where {statuses} was due: {answered.body[:200]!r}")
        return answered

    def get(self, path: str, accept: str = "application/json") -> Answered:
        """What is there."""
        return self.due(self.client.ask("GET", path, headers={"Accept": accept}), 200)

    def small(self) -> Rows:
        """A file as most are."""
        return self.maker.make(self.chance.randint(*SMALL_ROWS), self.chance)

    def create(self, rows: Rows, content: bytes, **headers: str) -> Answered:
        """A new audience, which is remembered."""
        sent = {"Idempotency-Key": headers["key"]} if headers else None
        answered = self.due(self.client.upload("POST", "/audiences", content, sent, name=f"soak {rows.first}"), 201)
        if "Idempotency-Replayed" not in answered.headers:
            made = Audience(answered.data["id"], [rows])
            self.check_report(made)
            self.account.add(made)
        return answered

    def check_report(self, audience: Audience) -> None:
        """Invariant 1, and that the counts are those of what was sent."""
        report = self.get(f"/audiences/{audience.id}").data
        wanted = {name: sum(file.counts[name] for file in audience.files) for name in audience.files[0].counts}
        parts = sum(report[name] for name in ("accepted", "duplicates", "suppressed", "rejected"))
        if parts + report.get("erased", 0) != report["rows"] or {name: report[name] for name in wanted} != wanted:
            raise Unexpected(f"the report of {audience.id} is not {wanted}: {report}"[:500])


def upload(work: Work) -> None:
    """A new audience, as long as there are few; else one goes."""
    if len(work.account.audiences) > MOST:
        delete(work)
        return
    rows = work.small()
    work.create(rows, rows.csv)


def upload_workbook(work: Work) -> None:
    """The same from a workbook."""
    rows = work.maker.make(work.chance.randint(*WORKBOOK_ROWS), work.chance)
    work.create(rows, rows.xlsx)


def upload_large(work: Work) -> None:
    """A large one, now and then."""
    rows = work.maker.make(LARGE_ROWS, work.chance)
    work.create(rows, rows.csv)


def repeat(work: Work) -> None:
    """The same request twice, which is carried out once."""
    rows = work.small()
    first, second = (work.create(rows, rows.csv, key=f"soak {rows.first}") for _ in range(2))
    if first.data != second.data or "Idempotency-Replayed" not in second.headers:
        raise Unexpected(f"a repeated request was carried out twice: {first.data}, {second.data}")


def check_file(work: Work) -> None:
    """A dry run."""
    rows = work.small()
    report = work.due(work.client.upload("POST", "/audiences", rows.csv, name="x", dry_run="true"), 200).data
    if {name: report[name] for name in rows.counts} != rows.counts:
        raise Unexpected(f"a dry run counted {report}"[:300])


def replace(work: Work) -> None:
    """All contacts of an audience by others."""
    rows = work.small()
    with work.account.borrowed(work.chance) as audience:
        work.due(work.client.upload("PUT", f"/audiences/{audience.id}", rows.csv), 200)
        audience.before, audience.files = audience.files, [rows]
        work.check_report(audience)


def append(work: Work) -> None:
    """Further contacts to an audience."""
    rows = work.small()
    with work.account.borrowed(work.chance) as audience:
        if len(audience.files) > 5:  # noqa: PLR2004
            return
        work.due(work.client.upload("POST", f"/audiences/{audience.id}/contacts", rows.csv), 200)
        audience.before, audience.files = audience.files, [*audience.files, rows]
        work.check_report(audience)


def delete(work: Work) -> None:
    """An audience, which is not found any more."""
    audience = work.account.take(work.chance)
    work.due(work.client.ask("DELETE", f"/audiences/{audience.id}"), 200)
    work.due(work.client.ask("GET", f"/audiences/{audience.id}"), 404)


def restore(work: Work) -> None:
    """An audience as it was before its last change."""
    with work.account.borrowed(work.chance) as audience:
        if audience.before is None:
            return
        work.due(work.client.ask("POST", f"/audiences/{audience.id}/restore"), 200)
        audience.files, audience.before = audience.before, None
        work.check_report(audience)


def read_list(work: Work) -> None:
    """All audiences."""
    work.get("/audiences")


def read_page(work: Work) -> None:
    """The first contacts of an audience."""
    with work.account.borrowed(work.chance) as audience:
        found = [contact["phone1"] for contact in work.get(f"/audiences/{audience.id}/contacts?limit=50").data]
        if found != audience.phones[:50]:
            raise Unexpected(f"a page of {audience.id} begins with {found[:3]}, not {audience.phones[:3]}")


def read_deep(work: Work) -> None:
    """Page after page of an audience."""
    with work.account.borrowed(work.chance) as audience:
        found, cursor = [], ""
        for _ in range(work.chance.randint(2, 6)):
            page = work.get(f"/audiences/{audience.id}/contacts?limit=200{cursor}").envelope
            found += [contact["phone1"] for contact in page["data"]]
            if "next_cursor" not in page:
                break
            cursor = f"&cursor={page['next_cursor']}"
        if found != audience.phones[: len(found)]:
            raise Unexpected(f"pages of {audience.id} are not its contacts")


def read_filtered(work: Work) -> None:
    """Some contacts of an audience, or its rejects."""
    with work.account.borrowed(work.chance) as audience:
        work.get(f"/audiences/{audience.id}/contacts?{work.chance.choice(FILTERS)}")
        rejects = work.get(f"/audiences/{audience.id}/rejects?limit=1000").data
        wanted = sum(file.rejected + file.duplicates for file in audience.files)
        if len(rejects) != wanted:
            raise Unexpected(f"{audience.id} has {len(rejects)} of {wanted} rejects")


def export(work: Work) -> None:
    """All contacts of an audience, in one of the formats; as CSV they are held against what was uploaded."""
    kind = work.chance.choice(FORMATS)
    with work.account.borrowed(work.chance) as audience:
        body = work.get(f"/audiences/{audience.id}/contacts", kind).body
        if kind == "text/csv":
            found = [line.partition(b",")[0].decode() for line in body.splitlines()[1:]]
            if found != audience.phones:
                raise Unexpected(f"the export of {audience.id} has {len(found)} of {len(audience.phones)} contacts")


def suppress(work: Work) -> None:
    """A number onto the do-not-contact list, and off it again."""
    body = b'{"phones": ["%d"]}' % next(work.maker.suppressed)
    kind = {"Content-Type": "application/json"}
    work.due(work.client.ask("POST", "/suppressions", body, kind), 200)
    work.due(work.client.ask("DELETE", "/suppressions", body, kind), 200)


def knock(work: Work) -> None:
    """A key that is none."""
    work.due(work.client.ask("GET", "/audiences", headers={"Authorization": "Bearer aud_wrong"}), 401)


def look(work: Work) -> None:
    """What monitoring and people ask for."""
    for path in ("/readyz", "/console/sign-in", "/docs", "/openapi.json"):
        work.get(path, "*/*")


def leave(work: Work) -> None:
    """An upload whose client goes away in its midst."""
    rows = work.small()
    head = "POST /audiences HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=x\r\n"
    head += f"Authorization: Bearer {work.account.key}\r\nContent-Length: {len(rows.csv) + 10_000}\r\n\r\n"
    disposition = 'Content-Disposition: form-data; name="audience_file"; filename="x"'
    with socket.create_connection((work.client.connection.host, work.client.connection.port), 30) as connection:
        connection.sendall(f"{head}--x\r\n{disposition}\r\n\r\n".encode() + rows.csv)


# How often each is done, of a thousand.
WORKS: dict[Callable[[Work], None], int] = {
    upload: 180,
    upload_workbook: 15,
    upload_large: 2,
    repeat: 40,
    check_file: 40,
    replace: 70,
    append: 70,
    delete: 30,
    restore: 30,
    read_list: 90,
    read_page: 120,
    read_deep: 60,
    read_filtered: 60,
    export: 80,
    suppress: 30,
    knock: 30,
    look: 30,
    leave: 23,
}
