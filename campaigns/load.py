"""Several clients that change audiences at once, each its own, and keep a ledger of what was acknowledged."""

from __future__ import annotations

import hashlib
import random
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx

from campaigns.ledger import TOKENS, Audience, Change, Facts, File

CREATED, OK, NOT_FOUND = 201, 200, 404

# Rows of a file, and of the larger one now and then.
ROWS, MANY_ROWS, LARGE_IN = (100, 5_000), (30_000, 60_000), 25

# Audiences that a client works on at once; then it goes on with others.
AT_ONCE = 4


@contextmanager
def connected(url: str, key: str) -> Iterator[httpx.Client]:
    """A client of the API."""
    with httpx.Client(base_url=url, headers={"Authorization": f"Bearer {key}"}, timeout=60) as http:
        yield http


def send(http: httpx.Client, audience: Audience, change: Change, headers: Mapping[str, str] | None = None) -> Any:  # noqa: ANN401
    """The answer to a change that was begun."""
    place = f"/audiences/{audience.id}"
    method, path = {
        "create": ("POST", "/audiences"),
        "replace": ("PUT", place),
        "append": ("POST", f"{place}/contacts"),
        "delete": ("DELETE", place),
        "restore": ("POST", f"{place}/restore"),
    }[change.kind]
    form: dict[str, Any] = {}
    if change.file is not None:
        form = {"audience_file": ("list.csv", change.file.content)}
    if change.kind == "create":
        form["name"] = (None, audience.name)
    named = {"X-Request-ID": change.token, "Idempotency-Key": change.token, **(headers or {})}
    return http.request(method, path, files=form or None, headers=named)


def acknowledged(audience: Audience, change: Change, answer: httpx.Response) -> bool:
    """Whether the answer says that the change was carried out; then the ledger has it."""
    if answer.status_code != (CREATED if change.kind == "create" else OK):
        return False
    audience.id = answer.json()["data"]["id"]
    audience.end(happened=True)
    return True


@dataclass
class Clients:
    """Clients of one server, which stop when it is gone. `audiences` are all that they made; `wrong` what they saw."""

    url: str
    key: str
    seed: int
    count: int = 3
    audiences: list[Audience] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    requests: int = 0
    over: threading.Event = field(default_factory=threading.Event)
    threads: list[threading.Thread] = field(default_factory=list)

    def begin(self, known: Sequence[Audience] = (), most: int = 1 << 30) -> None:
        """Starts them, for so many requests each; they go on with some of the audiences that are `known`."""
        for number in range(self.count):
            mine = list(known[number :: self.count])[-AT_ONCE:]
            chance = random.Random(self.seed * 1000 + number)
            self.threads.append(threading.Thread(target=self.work, args=(chance, mine, most), daemon=True))
            self.threads[-1].start()

    def join(self) -> None:
        """Returns when all have stopped."""
        for thread in self.threads:
            thread.join()

    def work(self, chance: random.Random, mine: list[Audience], most: int) -> None:
        """One client: a change after the other until the server is gone, or it made so many."""
        with connected(self.url, self.key) as http:
            for _ in range(most):
                if self.over.is_set():
                    return
                audience = self.chosen(chance, mine)
                change = audience.begin(chance, a_file(chance))
                try:
                    answer = send(http, audience, change)
                except httpx.TransportError:
                    return
                self.requests += 1
                if not acknowledged(audience, change, answer):
                    self.wrong.append(f"{change.kind} of {audience.name}: {answer.status_code} {answer.text[:300]}")
                    return

    def chosen(self, chance: random.Random, mine: list[Audience]) -> Audience:
        """An audience of its own, or a new one."""
        if len(mine) >= AT_ONCE or (mine and chance.random() < 0.6):  # noqa: PLR2004
            audience = chance.choice(mine)
            if chance.random() < 0.1:  # noqa: PLR2004
                mine.remove(audience)
            return audience
        audience = Audience(f"audience {next(TOKENS)}")
        mine.append(audience)
        self.audiences.append(audience)
        return audience


def a_file(chance: random.Random) -> File:
    """A small file, or a larger one now and then; two of them may have numbers in common."""
    low, high = MANY_ROWS if chance.randrange(LARGE_IN) == 0 else ROWS
    return File(chance.randrange(0, 200_000, 500), chance.randrange(low, high))


def look(http: httpx.Client, audience_id: str) -> Facts | None:
    """What the API shows of an audience; None where there is none. Raises AssertionError for any other answer."""
    path = f"/audiences/{audience_id}"
    report = http.get(path)
    if report.status_code == NOT_FOUND:
        return None
    assert report.status_code == OK, report.text
    data = report.json()["data"]
    counts = ("sha256", "rows", "accepted", "duplicates", "rejected")
    files = tuple(tuple(file[name] for name in counts) for file in data["files"])
    for name in counts[1:]:
        assert data[name] == sum(file[name] for file in data["files"]), f"the total of {name} is no sum"
    assert data["user_count"] == data["accepted"]
    digests = [exported(http, f"{path}/{kind}") for kind in ("contacts", "rejects")]
    return Facts(files, *digests)


def exported(http: httpx.Client, path: str) -> str:
    """The digest of an export."""
    found = http.get(path, headers={"Accept": "text/csv"})
    assert found.status_code == OK, found.text
    return hashlib.sha256(found.content).hexdigest()


def listed(http: httpx.Client) -> dict[str, str]:
    """The names of all audiences, by id."""
    found = http.get("/audiences")
    assert found.status_code == OK, found.text
    return {item["id"]: item["name"] for item in found.json()["data"]}


def compare(http: httpx.Client, audiences: Sequence[Audience], chosen: Sequence[Audience]) -> Iterator[str]:
    """What is wrong: with the list of all audiences there are, and with the chosen ones, whole.

    Requests that were under way are settled with it.
    """
    found = listed(http)
    ids = {name: audience_id for audience_id, name in found.items()}
    for audience in audiences:
        if audience.id is None:
            audience.id = ids.get(audience.name)
    for audience in {id(audience): audience for audience in [*chosen, *unsettled(audiences)]}.values():
        wrong = audience.settle(None if audience.id is None else look(http, audience.id))
        if wrong is not None:
            yield wrong
    there = {audience.id: audience.name for audience in audiences if audience.now is not None}
    if there != found:
        yield f"listed, but not acknowledged, or the reverse: {set(there.items()) ^ set(found.items())}"


def unsettled(audiences: Sequence[Audience]) -> list[Audience]:
    """Those with a request whose answer was never seen."""
    return [audience for audience in audiences if audience.under_way is not None]
