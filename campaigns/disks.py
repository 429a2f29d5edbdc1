"""Full and broken disks: every write, sync, renaming and making of a file fails once, with each error there is."""

from __future__ import annotations

import argparse
import errno
import random
import re
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import update

from audiences.accept import CSV, PARQUET
from audiences.keys import PEOPLE, READ, WRITE
from audiences.parts import opened_catalog
from audiences.settings import Settings
from audiences.store.schema import keys
from campaigns import disks_small
from campaigns.disks_requests import Asked, Export, changes, content, exports
from campaigns.failing_disk import FOR_EVER, FailingDisk, Fault, failing_disk
from campaigns.ledger import Audience, Change, File, Workbook
from campaigns.leftovers import swept
from campaigns.load import acknowledged, compare, connected, send
from campaigns.outcome import Outcome
from campaigns.serving import Server, new_keys, serving_on

OK, FAULT, NOT_READY, NO_ROOM = 200, 500, 503, 507

# In place of a status: the answer ended before its end.
BROKEN_OFF = 0

NO_ROOM_ERRORS = (errno.ENOSPC, errno.EDQUOT)

CATALOG = "/catalog.sqlite"

Places = tuple[tuple[str, str], ...]

# Where a request writes, and what can fail there.
SPOOL: Places = tuple(("/spool/", kind) for kind in ("mkdir", "open", "write", "sync"))
STORED: Places = (
    *(("/files/", kind) for kind in ("rename", "sync")),
    *((CATALOG, kind) for kind in ("write", "sync", "truncate")),
    ("/log", "write"),
)

# What the child process leaves of a workbook, the engine's spill, and the verdicts that memory had no room for.
SHEET, SPILL, VERDICTS = (
    tuple((path, kind) for kind in ("open", "write")) for path in ("/sheet-", "/spill/", "/verdicts-")
)

# Kinds of changes of audiences, each with where it fails; what a workbook has in common with others is left out.
KINDS: dict[str, Places] = {
    **dict.fromkeys(("create", "append", "replace", "delete", "restore"), SPOOL + STORED),
    "workbook": SPOOL + SHEET,
}
LARGE_KINDS: dict[str, Places] = {"large": SPILL + VERDICTS}

# What readiness is while a disk fails, and that a full one is ready: what is there can be read.
READINESS = (
    ("/data/", errno.EIO, NOT_READY),
    (CATALOG, errno.EIO, NOT_READY),
    *((path, error, OK) for path in ("/data/", CATALOG) for error in NO_ROOM_ERRORS),
)

# In how many ways a call fails: see `faults`.
WAYS = 6

# Bytes of a short write, rows of a file, and those of one that does not fit into so many bytes of memory.
SHORT, ROWS = 7, 400
LARGE_ROWS, SMALL_MEMORY = 1_200_000, 64 * 1024 * 1024

# Seconds in which what is asked less often comes to be known: readiness, an export's last piece.
SOON_S = 5.0

# The server's own reserve is out of the way: the errors themselves are wanted.
NO_RESERVE = {"AUDIENCES_MIN_FREE_BYTES": "0"}


@dataclass
class Failing:
    """A server on a disk that fails on demand, what its client knows, and a second audience that nobody changes."""

    server: Server
    http: httpx.Client
    disk: FailingDisk
    outcome: Outcome
    stack: ExitStack
    audiences: list[Audience] = field(default_factory=list)

    def new_client(self) -> httpx.Client:
        """A client of a new account."""
        (key,) = new_keys(self.server.data, scopes=(READ, WRITE, PEOPLE))
        return self.stack.enter_context(connected(self.server.url, key))

    def forget_use(self) -> None:
        """Has the next request note, once a minute, that its key is used; without room for that it is answered."""
        with opened_catalog(Settings(data=self.server.data)) as database, database.write() as connection:
            connection.execute(update(keys).values(last_used_time=None))

    def lose(self, where: object, *losses: str) -> None:
        """Notes what must not be."""
        self.outcome.losses += [f"{where}: {loss}" for loss in losses]

    def ready_for(self, kind: str) -> Audience:
        """An audience to which that can be done."""
        audience = Audience(f"audience {len(self.audiences)}")
        self.audiences.append(audience)
        before = {"append": ("create",), "replace": ("create",), "delete": ("create",), "restore": ("create", "delete")}
        for step in before.get(kind, ()):
            self.must(audience, step)
        return audience

    def must(self, audience: Audience, kind: str) -> None:
        """Carries it out. Raises AssertionError where that is refused."""
        change = begin(audience, kind)
        answer = send(self.http, audience, change)
        assert acknowledged(audience, change, answer), f"{kind}: {answer.status_code} {answer.text}"

    def calls(self, kind: str, path: str, what: str) -> int:
        """How many calls of a change there are that could fail."""
        audience = self.ready_for(kind)
        with self.disk.failing(Fault(path, what, first=FOR_EVER)) as disk:
            self.must(audience, kind)
            return disk.seen

    def calls_of(self, asked: Asked, path: str, what: str) -> int:
        """The same of another request."""
        asked.ready(self.http)
        with self.disk.failing(Fault(path, what, first=FOR_EVER)) as disk:
            content(asked.send(self.http))
            return disk.seen

    def attempt(self, kind: str, fault: Fault) -> None:
        """One request while the disk fails, and all that has to hold meanwhile and afterwards."""
        where = f"{kind}, {fault}"
        audience = self.ready_for(kind)
        change = begin(audience, kind)
        with self.disk.failing(fault) as disk:
            answer = send(self.http, audience, change)
            failed = disk.failed
            self.lose(where, *self.others())
        self.outcome.count("requests on a failing disk")
        self.outcome.count("faults", failed)
        self.outcome.count(f"answered {answer.status_code}")
        carried_out = acknowledged(audience, change, answer)
        if not carried_out and answer.status_code not in allowed(fault, failed):
            self.lose(where, f"{answer.status_code} {answer.text[:300]}")
        self.lose(where, *compare(self.http, self.audiences, [audience]))
        if audience.now != change.after:
            self.must(audience, kind)
        self.lose(where, *self.left(refused=answer.status_code == NO_ROOM))
        self.audiences.remove(audience)
        if audience.now is not None:
            self.http.delete(f"/audiences/{audience.id}")

    def attempt_to(self, asked: Asked, fault: Fault) -> None:
        """The same of another request than a change of an audience."""
        where = f"{asked.name}, {fault}"
        asked.ready(self.http)
        with self.disk.failing(fault) as disk:
            status, text = answered(asked, self.http)
            failed = disk.failed
            self.lose(where, *self.others())
        self.outcome.count("requests on a failing disk")
        self.outcome.count("faults", failed)
        self.outcome.count(f"answered {status}" if status else "exports broken off")
        broken_off = (BROKEN_OFF,) if failed and not fault.keep and isinstance(asked, Export) else ()
        if status not in (OK, *allowed(fault, failed), *broken_off):
            self.lose(where, f"{status} {text}")
        self.lose(where, *asked.wrong(self.http, status))
        if status != OK:
            again, text = answered(asked, self.http)
            if again != OK:
                self.lose(where, f"and then {again} {text}")
            self.lose(where, *asked.wrong(self.http, again))
        self.lose(where, *self.left(refused=status == NO_ROOM))

    def others(self) -> Iterator[str]:
        """What is wrong with the other requests while the disk fails."""
        other = self.audiences[0]
        assert other.now is not None
        path = f"/audiences/{other.id}"
        for wanted in ("/healthz", "/audiences", path, f"{path}/contacts", f"{path}/rejects"):
            answer = self.http.get(wanted)
            if answer.status_code != OK:
                yield f"GET {wanted.replace(str(other.id), 'ID')} meanwhile: {answer.status_code} {answer.text[:300]}"

    def left(self, *, refused: bool) -> list[str]:
        """What a request left behind; one that was refused leaves nothing, not even to the sweeper."""
        end = time.monotonic() + SOON_S
        while self.server.spool() and time.monotonic() < end:
            time.sleep(0.01)
        found = swept(self.server.data)
        self.outcome.count("stray files swept", found.strays)
        strays = [f"{found.strays} stray files"] if refused and found.strays else []
        return found.wrong + strays


def begin(audience: Audience, kind: str) -> Change:
    """A change of that kind, begun; of the kinds of this campaign, two create an audience of a file of their own."""
    files = {"workbook": Workbook(0, ROWS), "large": File(0, LARGE_ROWS)}
    return audience.begin_with("create" if kind in files else kind, files.get(kind, File(0, ROWS)))


def answered(asked: Asked, http: httpx.Client) -> tuple[int, str]:
    """The status of the answer, or BROKEN_OFF; and what it says."""
    try:
        answer = asked.send(http)
    except httpx.TransportError as error:
        return BROKEN_OFF, type(error).__name__
    return answer.status_code, "" if answer.status_code == OK else answer.text[:300]


def allowed(fault: Fault, failed: int) -> tuple[int, ...]:
    """The answers that a request may get which is not carried out."""
    if not failed or fault.keep:
        return ()
    if fault.error not in NO_ROOM_ERRORS:
        return (FAULT,)
    # SQLite says of a sync only that it failed; then nobody knows whether the commit is on the disk.
    is_vague = fault.path == CATALOG and fault.kind == "sync"
    return (NO_ROOM, FAULT) if is_vague else (NO_ROOM,)


def faults(path: str, kind: str, calls: int, most: int) -> Iterator[Fault]:
    """Each of the calls fails, and all behind it; or it alone does."""
    for first in sorted({1 + number * (calls - 1) // max(1, most - 1) for number in range(most if calls else 0)}):
        for error in (*NO_ROOM_ERRORS, errno.EIO):
            yield Fault(path, kind, error, first)
        yield Fault(path, kind, errno.EIO, first, first)
        yield Fault(path, kind, errno.ENOSPC, first, first)
        if kind == "write":
            yield Fault(path, kind, errno.ENOSPC, first, first, keep=SHORT)


def readiness(failing: Failing, path: str, error: int, status: int) -> None:
    """What `/readyz` says while the disk fails, and that it is over as soon as that is."""
    where, audience = f"{errno.errorcode[error]} of {path}", failing.ready_for("create")
    change = audience.begin_with("create", File(0, ROWS))
    failing.forget_use()
    with failing.disk.failing(Fault(path, "write", error)):
        failing.lose(where, *failing.others())
        answer = send(failing.http, audience, change)
        found = comes_to(lambda: failing.http.get("/readyz").status_code, status)
    if found != status or answer.status_code != (FAULT if error == errno.EIO else NO_ROOM):
        failing.lose(where, f"{answer.status_code}, and /readyz {found}")
    if (found := comes_to(lambda: failing.http.get("/readyz").status_code, OK)) != OK:
        failing.lose(where, f"is over, and /readyz is {found}")
    failing.lose(where, *compare(failing.http, failing.audiences, [audience]), *failing.left(refused=False))
    failing.outcome.count("times readiness was asked for")


def comes_to(ask: Callable[[], Any], wanted: object) -> Any:  # noqa: ANN401 - what it is asked
    """What is answered in the end: what is wanted, if it is that soon."""
    end = time.monotonic() + SOON_S
    while (found := ask()) != wanted and time.monotonic() < end:
        time.sleep(0.05)
    return found


@dataclass(frozen=True)
class Sizes:
    """How much is tried; the defaults are the full length.

    Up to `calls` of a request fail at each place, each in `ways` ways. `requests` matches the names of those that are
    no changes of audiences, each of which is made at up to so many `places`.
    """

    calls: int = 40
    ways: int = 6
    kinds: Mapping[str, Places] = field(default_factory=lambda: KINDS)
    states: tuple[tuple[str, int, int], ...] = READINESS
    requests: str = ".*"
    places: int = len(SPOOL + SPILL + STORED)
    large_calls: int = 2


def fail_all(outcome: Outcome, sizes: Sizes) -> None:
    """Each kind of request on a disk that fails at each place."""
    chance = random.Random(outcome.seed)
    with opened(outcome, {}) as failing:
        for state in sizes.states:
            readiness(failing, *state)
        for kind, places in sizes.kinds.items():
            fail_everywhere(failing, kind, places, sizes, chance)
        contacts = f"/audiences/{failing.audiences[0].id}/contacts"
        for asked in (
            *exports(contacts),
            Export("export of the list", "/suppressions", CSV),
            *changes(failing.new_client),
        ):
            if re.fullmatch(sizes.requests, asked.name):
                fail_request_everywhere(failing, asked, sizes, chance)


def fail_large(outcome: Outcome, sizes: Sizes) -> None:
    """Files that do not fit into memory, and exports of several pieces, of which Parquet is sorted in the engine."""
    chance, few = random.Random(outcome.seed), replace(sizes, calls=sizes.large_calls)
    with opened(outcome, {"AUDIENCES_MEMORY_LIMIT": str(SMALL_MEMORY)}) as failing:
        # With a list, files are held against it in the engine.
        content(failing.http.post("/suppressions", json={"phones": ["442079832100"]}))
        for kind, places in LARGE_KINDS.items():
            fail_everywhere(failing, kind, places, few, chance)
    with opened(outcome, {"AUDIENCES_MEMORY_LIMIT": str(2 * SMALL_MEMORY)}) as failing:
        content(failing.http.post("/suppressions", json={"phones": ["442079832100"]}))
        audience = failing.ready_for("create")
        failing.must(audience, "large")
        for asked in exports(f"/audiences/{audience.id}/contacts"):
            if asked.kind in {CSV, PARQUET}:
                fail_request_everywhere(failing, asked, few, chance)


@contextmanager
def opened(outcome: Outcome, variables: Mapping[str, str]) -> Iterator[Failing]:
    """A server with these settings on a disk that fails on demand, and the audience that nobody changes."""
    with tempfile.TemporaryDirectory(prefix="disks-") as name:
        disk = failing_disk(Path(name))
        with serving_on(Path(name), {**NO_RESERVE, **variables, **disk.variables}) as server:
            with connected(server.url, new_keys(server.data)[0]) as http, ExitStack() as stack:
                failing = Failing(server, http, disk, outcome, stack)
                failing.ready_for("append")
                yield failing
                failing.lose("at the end", *compare(http, failing.audiences, failing.audiences))
            if server.process.poll() is not None:
                failing.lose("at the end", "the server is gone")


def fail_everywhere(failing: Failing, kind: str, places: Places, sizes: Sizes, chance: random.Random) -> None:
    """One kind of change."""
    for path, what in places:
        for fault in chosen(path, what, failing.calls(kind, path, what), sizes, chance):
            failing.attempt(kind, fault)


def fail_request_everywhere(failing: Failing, asked: Asked, sizes: Sizes, chance: random.Random) -> None:
    """One other request."""
    places = SPOOL + SPILL + STORED[2:] if isinstance(asked, Export) else SPOOL + STORED
    for path, what in chance.sample(places, min(len(places), sizes.places)):
        for fault in chosen(path, what, failing.calls_of(asked, path, what), sizes, chance):
            failing.attempt_to(asked, fault)


def chosen(path: str, what: str, calls: int, sizes: Sizes, chance: random.Random) -> list[Fault]:
    """The faults of one place that are tried."""
    ways = list(faults(path, what, calls, sizes.calls))
    return ways if sizes.ways >= WAYS else chance.sample(ways, min(len(ways), sizes.ways))


def main(arguments: list[str]) -> int:
    """The campaign; 1 if anything was lost."""
    parser = argparse.ArgumentParser(prog="./dev campaign disks", description=__doc__)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--calls", type=int, default=40, help="calls of a request that fail at each place")
    parser.add_argument("--rooms", type=int, default=60, help="sizes of a small disk that are tried")
    parser.add_argument("--large-calls", type=int, default=2, help="the same where files do not fit into memory")
    given = parser.parse_args(arguments)
    outcome, sizes = Outcome("disks", given.seed), Sizes(calls=given.calls, large_calls=given.large_calls)
    fail_all(outcome, sizes)
    fail_large(outcome, sizes)
    disks_small.run(outcome, given.rooms, random.Random(given.seed))
    return outcome.ended()
