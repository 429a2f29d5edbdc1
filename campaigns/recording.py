"""What a process does to a folder, as the kernel saw it: recorded by strace, read back as a list of operations."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

# All that changes a file, a folder, or where the next write goes; and all by which an answer may leave.
CALLS = (
    "openat,open,creat,close,lseek,dup,dup2,dup3,write,pwrite64,writev,pwritev,pwritev2,ftruncate,truncate,fallocate,"
    "sendfile,copy_file_range,rename,renameat,renameat2,unlink,unlinkat,rmdir,mkdir,mkdirat,link,linkat,symlink,"
    "fsync,fdatasync,sync_file_range,syncfs,sync,msync,sendto,sendmsg"
)

LINE = re.compile(r"^(\d+) +(?:<\.\.\. (\w+) resumed>|(\w+)\()(.*)$")
RESULT = re.compile(r"^(.*)\)\s+= (\d+)(?:<([^>]*)>(\(deleted\))?)?$")
STRING = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')
DESCRIPTOR = re.compile(r"^(\d+|AT_FDCWD)<([^>]*)>(\(deleted\))?")
ACKNOWLEDGED = re.compile(rb"HTTP/1\.1 20[01] .*?\r\nx-request-id: ([!-~]+)\r\n", re.DOTALL | re.IGNORECASE)

# What reads or writes by other ways than those that are understood here.
UNKNOWN = {"writev", "pwritev", "pwritev2", "fallocate", "sendfile", "copy_file_range", "msync", "symlink", "linkat"}


@dataclass(frozen=True)
class Call:
    """A system call that succeeded: its name, what it was given as strace writes it, its result, and what it opened."""

    name: str
    given: str
    result: int
    opened: str


@dataclass(frozen=True)
class Operation:
    """One thing that happened, in the order of its end: `kind` says which fields mean something.

    make, write, cut, sync, rename, remove, folder; or answer, whose `path` is the request's id.
    """

    kind: str
    path: str
    target: str = ""
    offset: int = 0
    content: bytes = b""


def command(log: Path) -> Sequence[str]:
    """What runs a command and records it."""
    strace = shutil.which("strace")
    if strace is None:
        raise FileNotFoundError("strace is needed")
    return [strace, "-D", "-f", "-y", "-xx", "-s", "4000000", "--seccomp-bpf", "-o", str(log), "-e", f"trace={CALLS}"]


def operations(log: Path, folder: Path) -> Iterator[Operation]:
    """What was done to the folder and all in it, and the answers that were sent.

    Raises AssertionError for what is not understood.
    """
    reading = Reading(str(folder))
    for call in calls(log):
        yield from reading.read(call)


def calls(log: Path) -> Iterator[Call]:
    """The calls of a log, each when it returned."""
    begun: dict[str, str] = {}
    with log.open(encoding="ascii", errors="replace") as lines:
        for line in lines:
            found = LINE.match(line.rstrip("\n"))
            if found is None:
                continue
            thread, resumed, name, rest = found.groups()
            if resumed is not None:
                rest = begun.pop(thread, "") + rest
            elif rest.endswith("<unfinished ...>"):
                begun[thread] = rest.removesuffix("<unfinished ...>")
                continue
            ended = RESULT.match(rest)
            if ended is not None:
                opened = "" if ended[4] else text(ended[3] or "")
                yield Call(name or resumed, ended[1], int(ended[2]), opened)


class Reading:
    """Calls made into operations; it knows where in its file each descriptor stands."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self.places: dict[tuple[str, str], int] = {}

    def read(self, call: Call) -> Iterator[Operation]:
        """What the call did."""
        name = call.name
        if name in {"sendto", "sendmsg", "write"} and (found := ACKNOWLEDGED.search(content(call.given))):
            yield Operation("answer", found[1].decode())
        elif name in {"openat", "open", "creat"}:
            yield from self.opened(call)
        elif name.startswith(("rename", "unlink", "rmdir", "mkdir", "link")):
            yield from self.named(call)
        else:
            yield from self.of_descriptor(call)

    def opened(self, call: Call) -> Iterator[Operation]:
        """A file that may have been made, or emptied."""
        if not self.is_ours(call.opened):
            return
        self.places[str(call.result), call.opened] = 0
        assert "O_APPEND" not in call.given, call
        if "O_CREAT" in call.given:
            yield Operation("make", call.opened)
        if "O_TRUNC" in call.given:
            yield Operation("cut", call.opened, offset=0)

    def named(self, call: Call) -> Iterator[Operation]:
        """What was done to names."""
        paths = [path for path in given_paths(call.given) if self.is_ours(path)]
        if not paths:
            return
        assert call.name not in UNKNOWN, call
        if call.name.startswith("rename"):
            assert len(paths) == 2, call  # noqa: PLR2004 - from and to
            yield Operation("rename", paths[0], paths[1])
        else:
            yield Operation("folder" if call.name.startswith("mkdir") else "remove", paths[0])

    def of_descriptor(self, call: Call) -> Iterator[Operation]:
        """What was done to an open file."""
        found = DESCRIPTOR.match(call.given)
        if found is None or found[3] or not self.is_ours(path := text(found[2])):
            return
        assert call.name not in UNKNOWN, call
        key = found[1], path
        if call.name == "lseek":
            self.places[key] = call.result
        elif call.name in {"fsync", "fdatasync"}:
            yield Operation("sync", path)
        elif call.name == "ftruncate":
            yield Operation("cut", path, offset=int(call.given.rpartition(", ")[2]))
        elif call.name == "pwrite64":
            yield Operation("write", path, "", int(call.given.rpartition(", ")[2]), content(call.given)[: call.result])
        elif call.name == "write":
            place = self.places.get(key, 0)
            self.places[key] = place + call.result
            yield Operation("write", path, "", place, content(call.given)[: call.result])

    def is_ours(self, path: str) -> bool:
        """Whether it is the folder, or in it, or where its own name stands."""
        return f"{path}/" == f"{self.folder.rpartition('/')[0]}/" or f"{path}/".startswith(f"{self.folder}/")


def given_paths(given: str) -> list[str]:
    """The paths that a call was given, each put behind the folder that it is relative to."""
    folder, paths = "", []
    for argument in given.split(", "):
        if found := DESCRIPTOR.match(argument):
            folder = text(found[2])
        elif argument.startswith('"'):
            path = content(argument).decode()
            paths.append(path if path.startswith("/") else f"{folder}/{path}")
    return paths


def content(given: str) -> bytes:
    """The bytes of all strings."""
    return b"".join(bytes.fromhex(found.replace("\\x", "")) for found in STRING.findall(given))


def text(path: str) -> str:
    """A path as strace writes that of a descriptor."""
    return bytes.fromhex(path.replace("\\x", "")).decode() if path.startswith("\\x") else path
