"""Power loss: at random moments all that was not synced is lost, or torn, or some of it is not; the rest is whole."""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
import warnings
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import httpx

from audiences.app import create_app
from audiences.parts import opened_parts
from audiences.settings import Settings
from campaigns.ledger import Audience
from campaigns.leftovers import swept
from campaigns.load import Clients, compare, connected
from campaigns.lost_writes import Disk, laid_out
from campaigns.outcome import Outcome
from campaigns.recording import Operation, command, operations
from campaigns.serving import address_in, begun, serving_on

if TYPE_CHECKING:
    from starlette.testclient import TestClient

UNAUTHORIZED = 401

# What SQLite maps into memory, and makes anew after a crash: nothing of it has to be on the disk.
SHARED = "-shm"

# One state in so many is given to a server process of its own.
PROCESS_IN = 40

# A key is made in front of the server, where it is recorded, too.
KEY = (
    "import sys; from pathlib import Path; from campaigns.serving import new_keys; "
    "print(new_keys(Path(sys.argv[1]))[0])"
)


@dataclass(frozen=True)
class Recorded:
    """What happened in a folder, the key that was made in it, and what the clients know."""

    folder: Path
    key: str
    done: Sequence[Operation]
    audiences: Sequence[Audience]


def record(folder: Path, requests: int, outcome: Outcome) -> Recorded:
    """A server from its very first start on, under so many requests of each of three clients."""
    key_file, log = folder / "key", folder / "calls"
    making = f'"{sys.executable}" -c "{KEY}" "{folder}/data" > "{key_file}" && exec "$@"'
    process = begun(folder, {"TMPDIR": "/tmp"}, [*command(log), "sh", "-c", making, "sh"])
    try:
        clients = Clients(address_in(folder / "log", process), key_file.read_text().strip(), outcome.seed)
        clients.begin(most=requests)
        clients.join()
        outcome.losses += clients.wrong
    finally:
        process.terminate()
        process.wait(60)
    wait_for_the_end(log, process.pid)
    done = list(operations(log, folder / "data"))
    outcome.figures["operations recorded"] = len(done)
    outcome.figures["requests acknowledged"] = clients.requests
    return Recorded(folder, clients.key, done, clients.audiences)


def wait_for_the_end(log: Path, process: int) -> None:
    """Returns when strace has written all of it: it is no child of ours."""
    end = time.monotonic() + 30
    while time.monotonic() < end:
        with log.open("rb") as file:
            file.seek(-min(4096, log.stat().st_size), 2)
            last = file.read().decode(errors="replace")
        if any(line.startswith(f"{process} ") and "+++ " in line for line in last.splitlines()):
            return
        time.sleep(0.05)
    raise RuntimeError("strace does not end")


def check_recording(recorded: Recorded) -> list[str]:
    """What was not recorded, if anything: all operations together leave what is there."""
    disk = Disk(recorded.folder)
    for operation in recorded.done:
        disk.apply(operation)
    there = disk.as_it_is()
    files = [
        path for path in (recorded.folder / "data").rglob("*") if path.is_file() and not path.name.endswith(SHARED)
    ]
    wrong = [f"the recording has another {path}" for path in files if there.pop(str(path), None) != path.read_bytes()]
    left = [path for path, content in there.items() if content is not None and not path.endswith(SHARED)]
    return wrong + [f"the recording has {path}, which is not there" for path in left]


def lose(recorded: Recorded, states: int, outcome: Outcome) -> None:
    """So many power losses at random moments, each looked at."""
    chance = random.Random(outcome.seed)
    count = len(recorded.done)
    moments = sorted(chance.randrange(1, count + 1) for _ in range(states))
    disk, acknowledged, next_moment = Disk(recorded.folder), set[str](), 0
    for number, operation in enumerate(recorded.done, 1):
        if operation.kind == "answer":
            acknowledged.add(operation.path)
        else:
            disk.apply(operation)
        while next_moment < states and moments[next_moment] == number:
            next_moment += 1
            found = {path: content for path, content in disk.after_loss(chance).items() if not path.endswith(SHARED)}
            losses = look(recorded, found, acknowledged, alone=next_moment % PROCESS_IN == 0)
            outcome.losses += [
                f"behind operation {number} ({operation.kind} {operation.path}): {loss}" for loss in losses
            ]
            outcome.count("power losses")


def look(
    recorded: Recorded, found: dict[str, bytes | None], acknowledged: Collection[str], *, alone: bool
) -> list[str]:
    """What is wrong with a server that starts on what was found."""
    with tempfile.TemporaryDirectory(prefix="power-loss-") as name:
        folder = Path(name)
        laid_out(found, recorded.folder, folder)
        audiences = known(recorded.audiences, acknowledged)
        try:
            if alone:
                with serving_on(folder) as server, connected(server.url, recorded.key) as http:
                    return held_against(http, audiences) + swept(folder / "data").wrong
            else:
                app = create_app(lambda: opened_parts(Settings(data=folder / "data", read_rate_limit=None)))
                headers = {"Authorization": f"Bearer {recorded.key}"}
                with client_in_process()(app, headers=headers) as client:
                    return held_against(client, audiences) + swept(folder / "data").wrong
        except Exception as error:  # noqa: BLE001 - whatever it is, it is a loss
            return [f"it does not start: {type(error).__name__} {error}"]


def client_in_process() -> type[TestClient]:
    """Starlette's client of an app in the same process; it would rather have another HTTP library than ours."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from starlette.testclient import TestClient
    return TestClient


def held_against(http: httpx.Client, audiences: Sequence[Audience]) -> list[str]:
    """What is wrong with what is there. Before anything was acknowledged, the key may be lost, too."""
    if http.get("/audiences").status_code == UNAUTHORIZED:
        return ["the key is lost"] if any(audience.now is not None for audience in audiences) else []
    return list(compare(http, audiences, audiences))


def known(audiences: Sequence[Audience], acknowledged: Collection[str]) -> list[Audience]:
    """The ledger as it was when these requests were acknowledged, and no others."""
    return [known_of(audience, acknowledged) for audience in audiences]


def known_of(audience: Audience, acknowledged: Collection[str]) -> Audience:
    """The same of one audience: the next change may have been under way."""
    then = Audience(audience.name)
    for change in audience.changes:
        if change.token not in acknowledged:
            then.under_way = change
            then.changes.append(change)
            break
        then.id, then.now, then.undo = audience.id, change.after, change.undo
    return then


def lose_power(outcome: Outcome, requests: int, states: int) -> None:
    """Records, and loses power so often."""
    with tempfile.TemporaryDirectory(prefix="recorded-") as name:
        recorded = record(Path(name).resolve(), requests, outcome)
        outcome.losses += check_recording(recorded)
        lose(recorded, states, outcome)


def main(arguments: list[str]) -> int:
    """The campaign; 1 if anything was lost."""
    parser = argparse.ArgumentParser(prog="./dev campaign power-loss", description=__doc__)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--requests", type=int, default=40, help="requests of each of three clients")
    parser.add_argument("--states", type=int, default=500, help="power losses")
    chosen = parser.parse_args(arguments)
    outcome = Outcome("power-loss", chosen.seed)
    lose_power(outcome, chosen.requests, chosen.states)
    return outcome.ended()
