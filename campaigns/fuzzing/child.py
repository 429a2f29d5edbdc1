"""One target of the fuzzing, in the process that atheris needs for itself.

    python -m campaigns.fuzzing.child form --seconds 60 --seed 1 --folder .cache/campaigns/fuzz

What it found goes to `FOLDER/TARGET.json`, an input for each defect to `FOLDER/TARGET-…`.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib
import json
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from campaigns.fuzzing.target import Target

TARGETS = ("form", "tables", "phones")

# Bytes of an input, seconds that one may take, and megabytes that the process may have.
LARGEST, SLOWEST_S, MEMORY_MB = 4_096, 20, 1_500

# Different defects after which a target gives up, and seconds between two writings of its figures.
MANY, EVERY_S = 20, 0.5


class Watched:
    """A target under watch: its figures and defects stand in a file all the time, as the fuzzer ends by an exit."""

    def __init__(self, name: str, target: Target, folder: Path, seconds: float) -> None:
        self.name = name
        self.target = target
        self.folder = folder
        self.inputs = 0
        self.defects: dict[str, str] = {}
        self.begun = self.written = time.monotonic()
        self.seconds = seconds

    def try_one(self, data: bytes) -> None:
        """Tries an input; keeps it, where it shows a defect that none before showed. Ends the process in time."""
        self.inputs += 1
        try:
            self.target.try_one(data)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is a defect
            self.keep(data, error)
        now = time.monotonic()
        if now - self.written > EVERY_S:
            self.written = now
            self.write()
        if now - self.begun > self.seconds or len(self.defects) >= MANY:
            self.end()

    def keep(self, data: bytes, error: Exception) -> None:
        """Keeps an input that shows a defect."""
        from campaigns.fuzzing.target import kind_of

        kind = kind_of(error)
        if kind not in self.defects:
            path = self.folder / f"{self.name}-{hashlib.sha256(data).hexdigest()[:12]}"
            path.write_bytes(data)
            self.defects[kind] = f"{self.name}: {kind}: {str(error)[:2000]} (input: {path.name})"

    def write(self) -> None:
        """Writes what there is so far."""
        told = {"inputs": self.inputs, "figures": self.target.figures, "defects": list(self.defects.values())}
        path = self.folder / f"{self.name}.json"
        path.with_suffix(".new").write_text(json.dumps(told), encoding="utf-8")
        path.with_suffix(".new").replace(path)

    def end(self) -> None:
        """Ends the process, which the fuzzer would never do."""
        try:
            self.target.end()
        except Exception as error:  # noqa: BLE001 - as above
            self.keep(b"", error)
        self.write()
        os._exit(0)


def main() -> None:
    """Fuzzes until the time is up."""
    import atheris

    parser = argparse.ArgumentParser()
    parser.add_argument("target", choices=TARGETS)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--folder", type=Path, required=True)
    given = parser.parse_args()
    with atheris.instrument_imports(include=["audiences"]):
        target: Target = importlib.import_module(f"campaigns.fuzzing.{given.target}").Target()
    watched = Watched(given.target, target, given.folder, given.seconds)
    options = [
        f"-seed={given.seed}",
        f"-max_len={LARGEST}",
        f"-timeout={SLOWEST_S}",
        f"-rss_limit_mb={MEMORY_MB}",
        f"-artifact_prefix={given.folder}/{given.target}-",
        f"-dict={words_of(target, given.folder / f'{given.target}.words')}",
        str(corpus_of(target, given.folder / f"{given.target}.corpus")),
    ]
    atheris.Setup([sys.argv[0], *options], watched.try_one)
    atheris.Fuzz()


def words_of(target: Target, path: Path) -> Path:
    """A dictionary for the fuzzer."""
    lines = ("".join(f"\\x{byte:02x}" for byte in word) for word in target.words)
    path.write_text("".join(f'"{line}"\n' for line in lines), encoding="ascii")
    return path


def corpus_of(target: Target, folder: Path) -> Path:
    """A folder of the inputs to begin with; what the fuzzer finds worth keeping is added, for the next run."""
    folder.mkdir(exist_ok=True)
    for seed in target.seeds:
        (folder / hashlib.sha1(seed).hexdigest()).write_bytes(seed[:LARGEST])
    return folder


if __name__ == "__main__":
    main()
