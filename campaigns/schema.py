"""The API against its own description, by schemathesis with all checks, over a server of its own."""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import httpx

from audiences import clock
from audiences.keys import Keys
from audiences.parts import opened_catalog
from audiences.settings import Settings
from audiences.store import accounts
from campaigns.outcome import Outcome
from campaigns.serving import Server, serving

FILE = "phone1,name\n442079832100,Ann\n447912345678,Bob\nbad,Cy\n"
SCOPES = ("audiences:read", "audiences:write", "people")

# A file that fits the description may be no table all the same; a number that fits it may be none; a cursor, a default
# region or an hour is more than a pattern can say. All of these are a 400, and never less than that. An audience may be
# deleted by another request, which makes all others about it a 404, and a second restoration a 400.
CONFIGURATION = """
[checks]
positive_data_acceptance.expected-statuses = ["2xx", "304", "400", "404", "409", "422"]

[parameters]
id = "{id}"
"""


def main(arguments: list[str]) -> int:
    """1 when an answer was not as described."""
    parser = argparse.ArgumentParser(prog="campaign schema", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--examples", type=int, default=100, help="of each operation, in each phase")
    given = parser.parse_args(arguments)
    return check(given.seed, given.examples).ended()


def check(seed: int, examples: int) -> Outcome:
    """What came of so many examples of each operation."""
    outcome = Outcome("schema", seed)
    with serving() as server, tempfile.TemporaryDirectory(prefix="campaign-") as folder:
        run(outcome, server, Path(folder), examples)
        outcome.losses += server.faults()
    return outcome


def run(outcome: Outcome, server: Server, folder: Path, examples: int) -> None:
    """Has schemathesis run, with a key of all scopes and an audience that is there."""
    key = key_of_all_scopes(server.data)
    headers = {"Authorization": f"Bearer {key}"}
    made = httpx.post(
        f"{server.url}/audiences",
        headers=headers,
        files={"name": (None, "list"), "audience_file": ("list.csv", FILE)},
    )
    configuration = folder / "schemathesis.toml"
    configuration.write_text(CONFIGURATION.format(id=made.json()["data"]["id"]), encoding="utf-8")
    program = str(Path(sys.executable).parent / "schemathesis")
    command = [program, "--config-file", str(configuration), "run", f"{server.url}/openapi.json"]
    command += [
        "--header",
        f"Authorization: Bearer {key}",
        "--checks",
        "all",
        "--phases",
        "examples,coverage,fuzzing,stateful",
    ]
    command += ["--max-examples", str(examples), "--seed", str(outcome.seed), "--no-color", "--continue-on-failure"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder, check=False)
    tell(outcome, done.stdout)
    if done.returncode:
        outcome.losses.append(done.stdout[-12_000:] + done.stderr[-2_000:])


def tell(outcome: Outcome, said: str) -> None:
    """Adds what schemathesis counted."""
    for what, pattern in {
        "test cases": r"Test cases:\s*\n\s*([\d,]+) generated",
        "operations": r"Tested:\s+(\d+)",
        "links": r"Scenarios:\s+([\d,]+)",
    }.items():
        found = re.search(pattern, said)
        outcome.figures[what] = int(found[1].replace(",", "")) if found else said[-1500:]


def key_of_all_scopes(data: Path) -> str:
    """A key of a new account, made beside the server."""
    with opened_catalog(Settings(data=data)) as database:
        with database.write() as connection:
            account = accounts.add(connection, "campaign", clock.now())
        return Keys(database, clock.now).create(account, "campaign", scopes=SCOPES)[1]
