"""The order in which an upload reaches the disk, as the kernel saw it (architecture, publish)."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import sys, pathlib
sys.path.insert(0, sys.argv[2])
from conftest import settings_in
from support import started
with started(settings_in(pathlib.Path(sys.argv[1]))) as service, service.client() as client:
    client.create("phone1\\n442079832100\\nbad\\n")
    print("BEGIN", file=sys.stderr, flush=True)
    client.create("phone1\\n442079832100\\nbad\\n")
"""

CALL = re.compile(r"^(?:\[pid\s+\d+\]\s+)?\d*\s*(\w+)\((.*)$")


Calls = list[tuple[str, str]]


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Calls, Calls]:
    """The system calls of a first start with an upload, and those of one more: name, and arguments, files as paths."""
    strace = shutil.which("strace")
    if strace is None:
        if "CI" in os.environ:
            pytest.fail("strace is needed; .ci/run installs it")
        pytest.skip("strace is not installed")
    data, log = tmp_path_factory.mktemp("durability") / "new" / "data", tmp_path_factory.mktemp("strace") / "log"
    traced = "fsync,fdatasync,rename,renameat,renameat2,write,pwrite64,pwritev,sendto,sendmsg"
    command = [strace, "-f", "-yy", "-s", "64", "-o", str(log), "-e", f"trace={traced}"]
    command += [sys.executable, "-c", SCRIPT, str(data), str(Path(__file__).parent)]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    lines = log.read_text(errors="replace").splitlines()
    begin = next(number for number, line in enumerate(lines) if '"BEGIN' in line)
    found = (
        [match.groups() for line in part if (match := CALL.match(line))] for part in (lines[:begin], lines[begin:])
    )
    start, upload = ([(name, arguments) for name, arguments in part] for part in found)
    return start, upload


@pytest.fixture
def calls(recorded: tuple[Calls, Calls]) -> Calls:
    """Those of the upload."""
    return recorded[1]


def test_the_names_of_a_new_data_folder_and_of_those_above_it_are_synced_before_anything_is_acknowledged(
    recorded: tuple[Calls, Calls],
) -> None:
    """The recording's folders `new/data` and `durability` above them: each name lies in the one above."""
    answered = first(recorded[0], "write|sendto|sendmsg", "HTTP/1.1 201")
    for folder in (r"/durability\d+", r"/durability\d+/new", r"/durability\d+/new/data"):
        synced = [name for name, on in recorded[0][:answered] if name == "fsync" and re.search(rf"<[^>]*{folder}>", on)]
        assert synced, folder


def first(calls: list[tuple[str, str]], names: str, *marks: str, after: int = -1) -> int:
    """The place of the first such call behind `after`; it fails where there is none."""
    for place, (name, arguments) in enumerate(calls):
        if place > after and re.fullmatch(names, name) and all(mark in arguments for mark in marks):
            return place
    raise AssertionError(f"no {names} of {marks} behind call {after}")


@pytest.mark.parametrize("kind", ["contacts", "rejects"])
def test_parquet_is_synced_then_renamed_then_its_folder_synced_then_committed_then_answered(
    calls: list[tuple[str, str]], kind: str
) -> None:
    synced = first(calls, "fsync|fdatasync", "/spool/", f"/{kind}.parquet")
    renamed = first(calls, "rename.*", f"{kind}.parquet", "/files/", after=synced)
    target = re.findall(r'"([^"]*)"', calls[renamed][1])[-1]
    folder = first(calls, "fsync", f"<{Path(target).parent}>", after=renamed)
    commit = first(calls, "fsync|fdatasync", "catalog.sqlite-wal", after=folder)
    answered = first(calls, "write|sendto|sendmsg", "HTTP/1.1 201", after=commit)
    assert synced < renamed < folder < commit < answered


def test_nothing_is_written_to_a_stored_file_after_its_sync(calls: list[tuple[str, str]]) -> None:
    for kind in ("contacts", "rejects"):
        synced = first(calls, "fsync|fdatasync", f"/{kind}.parquet")
        late = [call for call in calls[synced + 1 :] if "write" in call[0] and f"{kind}.parquet" in call[1]]
        assert late == []


def test_every_commit_is_synced_before_the_answer(calls: list[tuple[str, str]]) -> None:
    answered = first(calls, "write|sendto|sendmsg", "HTTP/1.1 201")
    written = max(
        place for place, call in enumerate(calls[:answered]) if "catalog.sqlite-wal" in call[1] and "write" in call[0]
    )
    first(calls[:answered], "fsync|fdatasync", "catalog.sqlite-wal", after=written)
