"""The multipart receiver, the reading of CSV files and the phone normaliser, under atheris, against slow readers.

Coverage of our own package guides what is tried. Each target has a process of its own:

    form     any bytes in any pieces are a form or refused, and alike in all pieces; a well-formed form is what Python's
             `email` package reads; the spool file is closed, and little is held in memory
    tables   any file is refused or read; the tidy reader (in pieces of any size), the careful one and a slow one say
             the same rows, malformed records and blank rows; what Python's csv module writes arrives as it reads it
    phones   the fast path says of any text, in any region, what the reference function says, all of it

An input that shows a defect is kept in `.cache/campaigns/fuzz`.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from campaigns.fuzzing.child import TARGETS
from campaigns.outcome import FOLDER, Outcome

INPUTS = FOLDER / "fuzz"
ROOT = Path(__file__).parents[1]

# Seconds that a process may take to start and to end.
BESIDE_S = 60.0


def main(arguments: list[str]) -> int:
    """1 when a defect was found."""
    parser = argparse.ArgumentParser(prog="campaign fuzz", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=180, help="for each target")
    parser.add_argument("--targets", nargs="+", choices=TARGETS, default=TARGETS)
    given = parser.parse_args(arguments)
    why_not = missing()
    if why_not:
        print(why_not)
        return 0
    return fuzz(given.targets, given.seed, given.seconds, INPUTS).ended()


def missing() -> str | None:
    """Why there is nothing to fuzz with here, if there is not."""
    if importlib.util.find_spec("atheris") is None:
        return "skipped: atheris has wheels for Linux on x86-64 and for Python up to 3.13 only"
    return None


def fuzz(targets: Sequence[str], seed: int, seconds: float, folder: Path) -> Outcome:
    """What came of fuzzing these targets, all at once, for so many seconds each."""
    outcome = Outcome("fuzz", seed)
    folder.mkdir(parents=True, exist_ok=True)
    running = {name: started(name, seed, seconds, folder) for name in targets}
    for name, process in running.items():
        try:
            said = process.communicate(timeout=seconds + BESIDE_S)[0].decode(errors="replace")
        except subprocess.TimeoutExpired:
            process.kill()
            said = process.communicate()[0].decode(errors="replace")
            outcome.losses.append(f"{name}: it did not end")
        if process.returncode:
            outcome.losses.append(f"{name}: ended with {process.returncode}: {said[-1500:]}")
        tell(outcome, name, folder)
    return outcome


def started(name: str, seed: int, seconds: float, folder: Path) -> subprocess.Popen[bytes]:
    """The process of a target."""
    command = [sys.executable, "-m", "campaigns.fuzzing.child", name]
    command += ["--seed", str(seed), "--seconds", str(seconds), "--folder", str(folder)]
    (folder / f"{name}.json").unlink(missing_ok=True)
    variables = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")])}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=ROOT, env=variables)


def tell(outcome: Outcome, name: str, folder: Path) -> None:
    """Adds what a target counted and found."""
    path = folder / f"{name}.json"
    told: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    if not told.get("inputs"):
        outcome.losses.append(f"{name}: nothing was tried")
    outcome.figures[f"{name}: inputs"] = told.get("inputs", 0)
    for what, count in told.get("figures", {}).items():
        outcome.figures[f"{name}: {what}"] = count
    outcome.losses += told.get("defects", [])
