"""The files of a backup: lines of JSON, a table or a list of stored files each, and the manifest that vouches for them.

All of them are for their owner alone: they hold what the catalog holds, the server's own keys among it.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

import msgspec

from audiences.store.files import NAME

# The layout of a backup folder. A release reads those that it knows.
FORMAT = 1

MANIFEST, LIST = "manifest.json", "files.ndjson"

# A row of any table: what JSON can hold, and bytes.
Row: TypeAlias = dict[str, Any]


class Part(msgspec.Struct, frozen=True):
    """A file of lines: how many rows it has, and its SHA-256."""

    rows: int
    sha256: str


class Stored(msgspec.Struct, frozen=True, gc=False):
    """A stored file in the backup."""

    name: str
    bytes: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What one state of the catalog is made of. `missing` are files that the store itself had no more."""

    format: int
    release: str
    schema: str
    time: str
    tables: dict[str, Part]
    files: Part
    missing: list[str]


class Lines:
    """A file of lines that is being written."""

    def __init__(self, path: Path) -> None:
        self.file = new_file(path)
        self.hash = hashlib.sha256()
        self.rows = 0

    def write(self, row: Mapping[str, object]) -> None:
        """One more line."""
        line = json.dumps(row, separators=(",", ":")).encode() + b"\n"
        self.file.write(line)
        self.hash.update(line)
        self.rows += 1

    def part(self) -> Part:
        """What was written so far."""
        return Part(self.rows, self.hash.hexdigest())


@contextmanager
def lines_of(path: Path) -> Iterator[Lines]:
    """Writes a file of lines, which is on stable storage at the end of the block."""
    lines = Lines(path)
    with lines.file:
        yield lines
        lines.file.flush()
        os.fsync(lines.file.fileno())


def write_list(state: Path, files: Mapping[str, Stored]) -> Part:
    """Writes the list of stored files."""
    with lines_of(state / LIST) as lines:
        for name in sorted(files):
            lines.write(msgspec.to_builtins(files[name]))
    return lines.part()


def write_manifest(state: Path, manifest: Manifest) -> None:
    """Writes the manifest, and sees it onto stable storage."""
    with new_file(state / MANIFEST) as file:
        file.write(msgspec.json.format(msgspec.json.encode(manifest)) + b"\n")
        file.flush()
        os.fsync(file.fileno())


def read_lines(path: Path) -> Iterator[Row]:
    """The rows of a file of lines."""
    with path.open("rb") as file:
        yield from map(json.loads, file)


def read_files(state: Path) -> Iterator[Stored]:
    """The stored files that a state of the catalog refers to."""
    decode = msgspec.json.Decoder(Stored).decode
    with (state / LIST).open("rb") as file:
        yield from map(decode, file)


def readable(state: Path) -> Iterator[Stored]:
    """The files of a state as far as its list can be read: a damaged one must not keep a backup from being made."""
    with suppress(FileNotFoundError, msgspec.MsgspecError):
        yield from (file for file in read_files(state) if NAME.fullmatch(file.name))


def new_file(path: Path) -> BinaryIO:
    """A new file for its owner alone."""
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb")
