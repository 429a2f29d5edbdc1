"""Full and broken disks: every write, sync, renaming and making of a file fails once, with each error there is."""

from __future__ import annotations

import argparse
import errno
import random
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from campaigns import disks_small
from campaigns.failing_disk import FOR_EVER, FailingDisk, Fault, failing_disk
from campaigns.ledger import Audience, File
from campaigns.leftovers import swept
from campaigns.load import acknowledged, compare, connected, send
from campaigns.outcome import Outcome
from campaigns.serving import Server, new_keys, serving_on

OK, FAULT, NOT_READY, NO_ROOM = 200, 500, 503, 507

NO_ROOM_ERRORS = (errno.ENOSPC, errno.EDQUOT)

CATALOG = "/catalog.sqlite"

# Where a request writes, and what can fail there.
PLACES = (
    *(("/spool/", kind) for kind in ("mkdir", "open", "write", "sync")),
    *(("/files/", kind) for kind in ("rename", "sync")),
    *((CATALOG, kind) for kind in ("write", "sync", "truncate")),
    ("/log", "write"),
)

KINDS = ("create", "append", "replace", "delete", "restore")

# What readiness is while a disk fails, and that a full one is ready: what is there can be read.
READINESS = (
    ("/data/", errno.EIO, NOT_READY),
    (CATALOG, errno.EIO, NOT_READY),
    ("/data/", errno.ENOSPC, OK),
    (CATALOG, errno.ENOSPC, OK),
)

# In how many ways a call fails: see `faults`.
WAYS = 6

# Bytes of a short write, and rows of a file.
SHORT, ROWS = 7, 400

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
    audiences: list[Audience] = field(default_factory=list)

    def lose(self, where: object, *losses: str) -> None:
        """Notes what must not be."""
        self.outcome.losses += [f"{where}: {loss}" for loss in losses]

    def ready_for(self, kind: str) -> Audience:
        """An audience to which that can be done."""
        audience = Audience(f"audience {len(self.audiences)}")
        self.audiences.append(audience)
        steps = {"create": (), "restore": ("create", "delete")}.get(kind, ("create",))
        for step in steps:
            self.must(audience, step)
        return audience

    def must(self, audience: Audience, kind: str) -> None:
        """Carries it out. Raises AssertionError where that is refused."""
        change = audience.begin_with(kind, File(0, ROWS))
        answer = send(self.http, audience, change)
        assert acknowledged(audience, change, answer), f"{kind}: {answer.status_code} {answer.text}"

    def calls(self, kind: str, path: str, what: str) -> int:
        """How many calls there are that could fail."""
        audience = self.ready_for(kind)
        with self.disk.failing(Fault(path, what, first=FOR_EVER)) as disk:
            self.must(audience, kind)
            return disk.seen

    def attempt(self, kind: str, fault: Fault) -> None:
        """One request while the disk fails, and all that has to hold meanwhile and afterwards."""
        where = f"{kind}, {fault}"
        audience = self.ready_for(kind)
        change = audience.begin_with(kind, File(0, ROWS))
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


def allowed(fault: Fault, failed: int) -> tuple[int, ...]:
    """The answers that a request may get which is not carried out."""
    if not failed or fault.keep:
        return ()
    if fault.error not in NO_ROOM_ERRORS:
        return (FAULT,)
    # SQLite says of a write that there was no room, but not that a quota is used up; and of a sync only that it failed.
    is_vague = fault.path == CATALOG and (fault.kind == "sync" or fault.error == errno.EDQUOT)
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
    with failing.disk.failing(Fault(path, "write", error)):
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

    Up to `calls` of a request fail at each place, each in `ways` ways.
    """

    calls: int = 40
    ways: int = 6
    kinds: tuple[str, ...] = KINDS
    states: tuple[tuple[str, int, int], ...] = READINESS


def fail_all(outcome: Outcome, sizes: Sizes) -> None:
    """Each kind of request on a disk that fails at each place."""
    chance = random.Random(outcome.seed)
    with tempfile.TemporaryDirectory(prefix="disks-") as name:
        disk = failing_disk(Path(name))
        with serving_on(Path(name), {**NO_RESERVE, **disk.variables}) as server:
            with connected(server.url, new_keys(server.data)[0]) as http:
                failing = Failing(server, http, disk, outcome)
                failing.ready_for("append")
                for state in sizes.states:
                    readiness(failing, *state)
                for kind in sizes.kinds:
                    fail_everywhere(failing, kind, sizes, chance)
                failing.lose("at the end", *compare(http, failing.audiences, failing.audiences))
            if server.process.poll() is not None:
                failing.lose("at the end", "the server is gone")


def fail_everywhere(failing: Failing, kind: str, sizes: Sizes, chance: random.Random) -> None:
    """One kind of request."""
    for path, what in PLACES:
        ways = list(faults(path, what, failing.calls(kind, path, what), sizes.calls))
        for fault in ways if sizes.ways >= WAYS else chance.sample(ways, min(len(ways), sizes.ways)):
            failing.attempt(kind, fault)


def main(arguments: list[str]) -> int:
    """The campaign; 1 if anything was lost."""
    parser = argparse.ArgumentParser(prog="./dev campaign disks", description=__doc__)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--calls", type=int, default=40, help="calls of a request that fail at each place")
    parser.add_argument("--rooms", type=int, default=60, help="sizes of a small disk that are tried")
    chosen = parser.parse_args(arguments)
    outcome = Outcome("disks", chosen.seed)
    fail_all(outcome, Sizes(calls=chosen.calls))
    disks_small.run(outcome, chosen.rooms, random.Random(chosen.seed))
    return outcome.ended()
