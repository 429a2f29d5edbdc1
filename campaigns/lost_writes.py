"""A disk as it is after a power loss: what was synced is there, and of everything else any part, or none."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from pathlib import Path

from campaigns.recording import Operation

# What a disk writes at once.
SECTOR = 512

# How much of what was not synced survives: one of these, for the names and for the contents of a disk.
SURVIVING = (0.0, 0.0, 0.3, 0.7, 1.0)

# One write in so many that survive is torn.
TORN_IN = 3


@dataclass
class Content:
    """A file without its name: as it is, as it was synced, and the operations since."""

    now: bytearray = field(default_factory=bytearray)
    synced: bytes = b""
    since: list[Operation] = field(default_factory=list)

    def apply(self, operation: Operation) -> None:
        """A write or a cut."""
        apply(self.now, operation)
        self.since.append(operation)

    def sync(self) -> None:
        """From now on all of it survives."""
        self.synced, self.since = bytes(self.now), []

    def after_loss(self, chance: random.Random, share: float) -> bytes:
        """What is found of it later."""
        found = bytearray(self.synced)
        for operation in self.since:
            if chance.random() >= share:
                continue
            for part in torn(operation, chance) if chance.randrange(TORN_IN) == 0 else [operation]:
                apply(found, part)
        return bytes(found)


def apply(content: bytearray, operation: Operation) -> None:
    """Writes, or cuts; what lies between holds zeros."""
    end = operation.offset + len(operation.content)
    if len(content) < end:
        content.extend(bytes(end - len(content)))
    if operation.kind == "cut":
        del content[operation.offset :]
    content[operation.offset : end] = operation.content


def torn(operation: Operation, chance: random.Random) -> list[Operation]:
    """Some of the sectors of a write."""
    parts, place, end = [], operation.offset, operation.offset + len(operation.content)
    while place < end:
        upto = min(end, (place // SECTOR + 1) * SECTOR)
        piece = operation.content[place - operation.offset : upto - operation.offset]
        if chance.randrange(2):
            parts.append(Operation("write", operation.path, "", place, piece))
        place = upto
    return parts


# Names of files; folders have none.
Names = dict[str, Content | None]


@dataclass(frozen=True)
class Naming:
    """A change of names, which is on the disk as a whole or not at all."""

    path: str
    target: str
    content: Content | None
    removed: bool

    def apply(self, names: Names) -> None:
        """Carries it out."""
        if self.removed or self.target:
            names.pop(self.path, None)
        if not self.removed:
            names[self.target or self.path] = self.content

    def folders(self) -> set[str]:
        """Those whose sync puts it on the disk."""
        return {str(Path(path).parent) for path in (self.path, self.target) if path}


class Disk:
    """A folder, operation by operation."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.names: Names = {}
        self.synced: Names = {}
        self.since: list[Naming] = []

    def apply(self, operation: Operation) -> None:
        """The next thing that happened."""
        kind, path = operation.kind, operation.path
        if kind in {"write", "cut"}:
            content = self.names[path]
            assert content is not None
            content.apply(operation)
        elif kind == "sync":
            self.sync(path)
        elif kind == "rename":
            self.rename(Naming(path, operation.target, self.names[path], removed=False))
        elif kind == "remove":
            self.rename(Naming(path, "", None, removed=True))
        elif path not in self.names and kind in {"make", "folder"}:
            self.rename(Naming(path, "", Content() if kind == "make" else None, removed=False))

    def rename(self, naming: Naming) -> None:
        """Changes names."""
        naming.apply(self.names)
        self.since.append(naming)

    def sync(self, path: str) -> None:
        """Puts a file's content, or a folder's names, on the disk."""
        content = self.names.get(path)
        if content is not None:
            content.sync()
            return
        left = []
        for naming in self.since:
            if path in naming.folders():
                naming.apply(self.synced)
            else:
                left.append(naming)
        self.since = left

    def after_loss(self, chance: random.Random) -> dict[str, bytes | None]:
        """What is found later: files with their content, and folders."""
        names, shares = dict(self.synced), (chance.choice(SURVIVING), chance.choice(SURVIVING))
        for naming in self.since:
            if chance.random() < shares[0]:
                naming.apply(names)
        return {
            path: None if content is None else content.after_loss(chance, shares[1])
            for path, content in names.items()
            if all(str(above) in names for above in Path(path).parents if self.folder in above.parents)
        }

    def as_it_is(self) -> dict[str, bytes | None]:
        """What is there now."""
        return {path: None if content is None else bytes(content.now) for path, content in self.names.items()}


def laid_out(found: dict[str, bytes | None], origin: Path, folder: Path) -> None:
    """Writes what was found below `origin` below `folder`."""
    for path, content in sorted(found.items()):
        target = folder / Path(path).relative_to(origin)
        if content is None:
            target.mkdir(parents=True, exist_ok=True)
        else:
            target.write_bytes(content)
