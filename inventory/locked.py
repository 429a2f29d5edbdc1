"""The libraries that are locked for a run: name, version, where they are needed, and the hashes of their files."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement

LIST = Path(__file__).parent.parent / "requirements" / "run.txt"


@dataclass(frozen=True)
class Locked:
    """A library as it is locked; `here`: whether this machine's Python is one that needs it."""

    name: str
    version: str
    marker: str
    hashes: tuple[str, ...]
    here: bool


def libraries(path: Path = LIST) -> Iterator[Locked]:
    """Every library of the list, in its order."""
    for entry in path.read_text(encoding="utf-8").replace("\\\n", " ").splitlines():
        words, *_ = entry.split("--hash=", 1)
        needed = Requirement(words.strip())
        (pin,) = needed.specifier
        marker = needed.marker
        hashes = tuple(sorted(re.findall(r"--hash=sha256:([0-9a-f]{64})", entry)))
        here = marker is None or marker.evaluate()
        yield Locked(needed.name, pin.version, str(marker or ""), hashes, here)
