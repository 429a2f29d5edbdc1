"""Load on a cluster: clients that upload until they are answered, readers that look meanwhile, and what came of it."""

from __future__ import annotations

import base64
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
from sqlalchemy import select

from audiences import clock, sweep
from audiences.store.schema import audience_files
from cluster import Cluster, connected
from support import Client, Made

# Seconds: the longest that a client waits whatever it is told, between broken connections, and for an answer in all.
LONGEST_WAIT_S, BROKEN_WAIT_S, PATIENCE_S = 2.0, 0.2, 300.0

# Who looks at audiences while others upload.
READERS = 3

# Refusals that say to come again; a 409 does only while its twin is carried out.
COME_AGAIN = frozenset({429, 502, 503})

# Every file has numbers of its own, of which there are so many: all of them valid.
FIRST_PHONE, PHONES = 447_100_000_000, 100_000

# Rows of a file that is more than one part of an upload to S3, and letters of its rows that cannot be compressed.
WIDE_ROWS, LETTERS = 30_000, 300

# Far enough on that every hold of a node that died has lapsed.
LATER = 120 * clock.SECOND


@dataclass(frozen=True)
class File:
    """One list of customers: all of it follows from its number."""

    number: int
    wide: bool = False

    @property
    def name(self) -> str:
        """The audience's name."""
        return f"list {self.number}"

    @property
    def accepted(self) -> int:
        """Rows with a good number."""
        return WIDE_ROWS if self.wide else 1 + self.number * 37 % 700

    @property
    def rejected(self) -> int:
        """Rows without one."""
        return 1 + self.number % 50

    @property
    def phones(self) -> range:
        """The good numbers, in order."""
        first = FIRST_PHONE + self.number * PHONES
        return range(first, first + self.accepted)

    def content(self) -> str:
        """The file."""
        chance = random.Random(self.number)
        rows = [f"{phone},{self.text(chance)}" for phone in self.phones]
        return "\n".join(["phone1,text", *rows, *(f"call me,{row}" for row in range(self.rejected)), ""])

    def text(self, chance: random.Random) -> str:
        """A cell."""
        return base64.b64encode(chance.randbytes(LETTERS * 3 // 4)).decode() if self.wide else "x"


@dataclass
class Tally:
    """What was tried, and what came of it."""

    uploads: int = 0
    answered: Counter[str] = field(default_factory=Counter)
    acknowledged: dict[int, str] = field(default_factory=dict)
    when: list[float] = field(default_factory=list)
    slowest_s: float = 0.0
    reads: int = 0
    broken_reads: int = 0
    partial: int = 0
    wrong: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    over: float = 0.0
    injected: Counter[str] = field(default_factory=Counter)
    checked: dict[str, int] = field(default_factory=dict)

    @property
    def broken(self) -> int:
        """Connections that ended before an answer, of clients and readers."""
        return self.broken_reads + sum(count for what, count in self.answered.items() if not what[0].isdigit())

    @property
    def recovery(self) -> str:
        """Seconds from the end of the last fault until every client was answered."""
        return f"{max(0.0, *(moment - self.over for moment in self.when)):.1f}" if self.when else "never"

    @property
    def tries(self) -> int:
        """Requests that were sent to upload."""
        return sum(self.answered.values())

    def text(self) -> str:
        """What is printed of it."""
        lines = {
            "uploads": self.uploads,
            "retries": self.tries - self.uploads,
            "answers": ", ".join(f"{what}: {count}" for what, count in sorted(self.answered.items())),
            "faults": "; ".join([*self.faults, *(f"{way}: {count}" for way, count in self.injected.items())]),
            "acknowledged": len(self.acknowledged),
            "partial": self.partial,
            **self.checked,
            "slowest client (s)": round(self.slowest_s, 1),
            "all answered (s)": f"{self.recovery} behind the last fault",
            "reads meanwhile": f"{self.reads} whole, {self.broken_reads} broken off",
            "wrong": self.wrong[:5] or "nothing",
        }
        return "\n".join(f"  {name:20} {found}" for name, found in lines.items())


def summary(tallies: Sequence[Tally]) -> str:
    """What was tried and found in all rounds of a run, on one line."""
    checked = sum((Counter(tally.checked) for tally in tallies), Counter[str]())
    found = {
        "uploads": sum(tally.uploads for tally in tallies),
        "retries": sum(tally.tries - tally.uploads for tally in tallies),
        "faults": sum(len(tally.faults) + tally.injected.total() - tally.injected["passed"] for tally in tallies),
        "acknowledged": sum(len(tally.acknowledged) for tally in tallies),
        "partial": sum(tally.partial for tally in tallies),
        **{name: checked[name] for name in ("lost", "untold", "duplicates")},
    }
    return ", ".join(f"{name} {count}" for name, count in found.items())


class Load:
    """Clients and readers of one new account, all through the proxy."""

    def __init__(self, cluster: Cluster, files: Sequence[File], seed: str, spread_s: float) -> None:
        """One client a file, all at once; each begins at some moment of the first `spread_s` seconds."""
        self.cluster = cluster
        self.files = {file.number: file for file in files}
        self.by_name = {file.name: file for file in files}
        self.chance = random.Random(seed)
        self.spread_s = spread_s
        self.account = cluster.account()
        self.key = cluster.key(self.account)
        self.tally = Tally(len(files))
        self.over = threading.Event()

    @contextmanager
    def running(self) -> Iterator[Tally]:
        """Clients upload during the block, and beyond until each was answered."""
        with (
            connected(self.cluster.proxy.url, self.key) as http,
            ThreadPoolExecutor(len(self.files) + READERS) as threads,
        ):
            seeds = [self.chance.random() for _ in range(READERS)]
            reading = [threads.submit(self.read_on, http, random.Random(seed)) for seed in seeds]
            try:
                moments = [self.chance.uniform(0, self.spread_s) for _ in self.files]
                pairs = zip(self.files.values(), moments, strict=True)
                uploading = [threads.submit(self.upload, http, file, moment_s) for file, moment_s in pairs]
                yield self.tally
                for client in uploading:
                    client.result()
            finally:
                self.over.set()
            for reader in reading:
                reader.result()

    def upload(self, http: httpx.Client, file: File, moment_s: float) -> None:
        """Uploads a file, again and again until it is answered."""
        content = file.content()
        time.sleep(moment_s)
        begun = time.monotonic()
        form = {"name": (None, file.name), "audience_file": ("list.csv", content)}
        key = {"Idempotency-Key": f"{self.account} {file.number}"}
        wait_s: float | None = 0.0
        while wait_s is not None and time.monotonic() - begun < PATIENCE_S:
            time.sleep(wait_s)
            try:
                answer = http.post("/audiences", files=form, headers=key)
            except httpx.TransportError as error:
                self.tally.answered[type(error).__name__] += 1
                wait_s = BROKEN_WAIT_S
            else:
                wait_s = self.take(file, answer)
        self.tally.slowest_s = max(self.tally.slowest_s, time.monotonic() - begun)

    def take(self, file: File, answer: httpx.Response) -> float | None:
        """Notes an answer; the seconds until the next try, or None if there is need of none."""
        self.tally.answered[said(answer)] += 1
        if answer.status_code == 201:
            self.tally.acknowledged[file.number] = answer.json()["data"]["id"]
            self.tally.when.append(time.monotonic())
            return None
        if says_come_again(answer):
            return min(float(answer.headers["Retry-After"]), LONGEST_WAIT_S)
        self.tally.wrong.append(f"upload {file.number}: {answer.status_code} {answer.text[:200]}")
        return None

    def read_on(self, http: httpx.Client, chance: random.Random) -> None:
        """Looks at audiences until the load is over: what is seen has to be whole."""
        while not self.over.wait(0.05):
            try:
                listed = http.get("/audiences")
                if listed.status_code == 200:
                    self.look(http, listed.json()["data"], chance)
                elif not says_come_again(listed):
                    self.tally.wrong.append(f"list: {listed.status_code} {listed.text[:200]}")
            except httpx.TransportError:
                self.tally.broken_reads += 1

    def look(self, http: httpx.Client, listed: list[dict[str, Any]], chance: random.Random) -> None:
        """Compares what is listed, and the rows of one that is, with the files that were sent."""
        for item in listed:
            if item["user_count"] != self.by_name[item["name"]].accepted:
                self.find_partial(f"list: {item}")
        if not listed:
            return
        item = chance.choice(listed)
        export = http.get(f"/audiences/{item['id']}/contacts", headers={"Accept": "text/csv"})
        if export.status_code == 200:
            self.tally.reads += 1
            self.compare(self.by_name[item["name"]], phones_of(export.text), "export meanwhile")
        elif not says_come_again(export):
            self.tally.wrong.append(f"export: {export.status_code} {export.text[:200]}")

    def compare(self, file: File, found: Sequence[int], where: str) -> None:
        """Notes it if the numbers are not the file's."""
        if list(found) != list(file.phones):
            self.find_partial(f"{where}: {file.name} has {len(found)} of {file.accepted} contacts")

    def find_partial(self, what: str) -> None:
        """Notes something that is not whole."""
        self.tally.partial += 1
        self.tally.wrong.append(what)

    # Afterwards.

    def check(self, sample: int = 3) -> Tally:
        """Holds what every node shows against what was acknowledged and sent, and the bucket against the catalog."""
        self.check_list()
        with self.cluster.clients(self.account) as clients:
            for number, made in self.tally.acknowledged.items():
                for client in clients:
                    self.check_audience(client, self.files[number], made)
            for number in [number for number in self.tally.acknowledged if not self.files[number].wide][:sample]:
                for client in clients:
                    pages = Made(client, self.tally.acknowledged[number]).phones()
                    self.compare(self.files[number], [int(phone) for phone in pages], "pages")
        self.check_logs()
        self.check_bucket()
        return self.tally

    def check_list(self) -> None:
        """Each client has one audience, and it is the one that it was told of."""
        told = {made: number for number, made in self.tally.acknowledged.items()}
        with self.cluster.clients(self.account) as clients:
            for client in clients:
                listed = {item["id"]: item["name"] for item in client.get("/audiences")["data"]}
                names = Counter(listed.values())
                self.tally.checked |= {
                    "lost": len(told.keys() - listed.keys()),
                    "untold": len(listed.keys() - told.keys()),
                    "duplicates": sum(names.values()) - len(names),
                }
                if listed != {audience: self.files[number].name for audience, number in told.items()}:
                    self.tally.wrong.append(f"list of {client.http.base_url}: {self.tally.checked}")
        if self.tally.acknowledged.keys() != self.files.keys():
            self.tally.wrong.append(f"never answered: {sorted(self.files.keys() - self.tally.acknowledged.keys())}")

    def check_audience(self, client: Client, file: File, audience_id: str) -> None:
        """The report, the contacts and the rejects as this node has them."""
        made = Made(client, audience_id)
        counts = {"rows": file.accepted + file.rejected, "accepted": file.accepted, "rejected": file.rejected}
        report = made.report
        if {name: report[name] for name in counts} != counts:
            self.find_partial(f"report of {file.name}: {report}")
        self.compare(file, phones_of(made.csv()), str(client.http.base_url))
        rejects = len(made.csv("rejects").splitlines()) - 1
        if rejects != file.rejected:
            self.find_partial(f"{file.name} has {rejects} of {file.rejected} rejects")

    def check_logs(self) -> None:
        """No node failed by a fault of its own."""
        for node in self.cluster.nodes:
            for event in node.events():
                if event["event"] == "fault" or event.get("status") == 500 or "xception" in event["event"]:
                    self.tally.wrong.append(f"log: {event}")
            self.tally.wrong.extend(f"standard error: {line}" for line in node.noise())

    def check_bucket(self) -> None:
        """After a sweep that spares nothing the bucket holds what the catalog refers to, and nothing else."""
        kinds = (audience_files.c.contacts_object, audience_files.c.rejects_object)
        with self.cluster.stores() as (database, files):
            strays = sweep.remove_stray_files(files, database, lambda: clock.now() + LATER, age_s=0)
            with database.read() as connection:
                rows = connection.execute(select(*kinds)).all()
            wanted = {name for row in rows for name in row if name is not None}
            there = set(files.names(0))
        self.tally.checked["strays swept"] = strays
        if there != wanted:
            self.tally.wrong.append(f"bucket: {len(there - wanted)} too many, {len(wanted - there)} missing")


def says_come_again(answer: httpx.Response) -> bool:
    """Whether it is a refusal of those that say so."""
    return answer.status_code in COME_AGAIN or "request_in_progress" in said(answer)


def said(answer: httpx.Response) -> str:
    """The status of an answer, and the code of its error."""
    errors = answer.json().get("errors", []) if answer.headers.get("Content-Type") == "application/json" else []
    replayed = " replayed" if "Idempotency-Replayed" in answer.headers else ""
    return " ".join([str(answer.status_code), *(error["code"] for error in errors)]) + replayed


def phones_of(csv: str) -> list[int]:
    """The first column of an export."""
    return [int(line.partition(",")[0]) for line in csv.splitlines()[1:]]
