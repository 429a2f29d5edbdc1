"""The life of an audience, whole: created, exported in every format, made again from each, replaced, restored, deleted.

    JOURNEY_ROWS=1000000 ./dev test tests/test_journey.py

is the full length.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import duckdb
import httpx
import pytest

from audiences import clock, sweep
from audiences.accept import WHOLE, XLSX
from audiences.clock import DAY
from audiences.leases import Lease
from audiences.store import reads
from support import Client, Made, Service

ROWS = int(os.environ.get("JOURNEY_ROWS", "30000"))

# More than a connection holds by itself, so that an export is under way as long as nobody reads it.
LONG = max(ROWS, 300_000)

# A workbook of a million rows is a minute's work; the contract's own figure for one is this.
WORKBOOK_ROWS = 200_000


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("journey")


def sheet(rows: int, first: int = 0) -> bytes:
    """A CSV file of so many British numbers, the first of which is number `first`, with some that are refused."""
    with duckdb.connect() as engine:
        made = engine.execute(
            """
            SELECT 'phone1,name,city,note' || chr(10) || string_agg(line, chr(10) ORDER BY n) FROM (
              SELECT n, CASE WHEN n % 97 = 0 THEN 'call me' ELSE (447400000000 + n)::VARCHAR END
                || format(',"Ann ""{}"", so to say",Città {},"two{}lines, & <more>"', n, n % 50, chr(10)) AS line
              FROM range($first, $last) AS numbers(n))
            """,
            {"first": first, "last": first + rows},
        ).fetchone()
    assert made is not None
    return str(made[0]).encode()


def reading(made: Made, kind: str) -> AbstractContextManager[httpx.Response]:
    """A whole list in a format, as it comes."""
    path = f"/audiences/{made.id}/contacts"
    headers = {"Accept": kind, "Accept-Encoding": "identity"}
    return made.client.http.stream("GET", path, headers=headers, timeout=300)


def exported(made: Made, kind: str, folder: Path) -> Path:
    """A whole list in a format, as a file."""
    target = folder / f"{made.id}.{WHOLE[kind]}"
    with (
        reading(made, kind) as answer,
        target.open("wb") as file,
    ):
        assert answer.status_code == 200, answer.read()
        for chunk in answer.iter_bytes():
            file.write(chunk)
    return target


def as_upload(path: Path) -> bytes:
    """A file as the service takes it: Parquet and NDJSON are turned into CSV by somebody else's hand."""
    if path.suffix not in {".parquet", ".ndjson"}:
        return path.read_bytes()
    target = path.with_suffix(".again.csv")
    with duckdb.connect() as engine:
        engine.execute("SET preserve_insertion_order = true")
        read = "read_parquet($1)" if path.suffix == ".parquet" else "read_json($1, format = 'newline_delimited')"
        source = f"SELECT phone1::VARCHAR AS phone1, name, city, note FROM {read}"
        engine.execute(f"COPY ({source}) TO $2 (FORMAT csv, HEADER)", [str(path), str(target)])
    return target.read_bytes()


def contacts(made: Made, folder: Path) -> list[tuple[object, ...]]:
    """All contacts, as the Parquet export has them."""
    path = exported(made, "application/vnd.apache.parquet", folder)
    with duckdb.connect() as engine:
        return engine.execute("FROM read_parquet($1)", [str(path)]).fetchall()


@pytest.mark.parametrize("kind", WHOLE)
def test_an_audience_made_again_from_its_export_has_the_same_contacts(client: Client, folder: Path, kind: str) -> None:
    rows = min(ROWS, WORKBOOK_ROWS) if kind == XLSX else ROWS
    made = client.create(sheet(rows), name="first")
    before = contacts(made, folder)
    assert len(before) == rows - len(range(0, rows, 97)) == made.report["accepted"]
    export = exported(made, kind, folder)
    name = "again.xlsx" if kind == XLSX else "again.csv"
    again = client.create(as_upload(export), name="again", file_name=name)
    assert again.report["rejected"] == again.report["duplicates"] == 0
    assert contacts(again, folder) == before


def test_a_running_export_shows_the_version_that_it_began_with(client: Client, folder: Path) -> None:
    """The audience is replaced and deleted, and its old files swept, while an export of it is under way."""
    made = client.create(sheet(LONG), name="first")
    expected = exported(made, "text/csv", folder).read_bytes()
    received = bytearray()
    with reading(made, "text/csv") as answer:
        chunks = answer.iter_bytes(64 * 1024)
        received += next(chunks)
        assert made.replace(sheet(LONG // 3, first=LONG)).status_code == 200
        assert made.report["rows"] == LONG // 3
        assert client.http.delete(f"/audiences/{made.id}").status_code == 200
        for chunk in chunks:
            received += chunk
    assert bytes(received) == expected
    assert made.restore().status_code == 200
    assert made.report["rows"] == LONG // 3
    assert made.restore().status_code == 200
    assert exported(made, "text/csv", folder).read_bytes() == expected
    assert client.http.delete(f"/audiences/{made.id}").status_code == 200


def test_the_files_of_a_running_export_outlive_their_seven_days(start: Callable[..., Service], folder: Path) -> None:
    service = start()
    with service.client() as client:
        made = client.create(sheet(LONG), name="first")
        expected = exported(made, "text/csv", folder).read_bytes()
        received = bytearray()
        with reading(made, "text/csv") as answer:
            chunks = answer.iter_bytes(16 * 1024)
            received += next(chunks)
            made.replace(sheet(10))
            with service.parts.database.write() as connection:  # as if it had been seven days ago
                connection.exec_driver_sql(f"UPDATE audience_files SET retired_time = retired_time - {8 * DAY}")
            assert sweep.remove_retired_files(service.parts.files, service.parts.database, clock.now) == 0
            for chunk in chunks:
                received += chunk
        assert bytes(received) == expected
        for _ in range(50):
            if sweep.remove_retired_files(service.parts.files, service.parts.database, clock.now):
                break
            time.sleep(0.02)
        left = list(service.parts.files.names(older_than_s=0))
        assert len(left) == 2  # contacts and rejects of the new version


@pytest.mark.parametrize("of", ["contacts", "rejects"])
def test_a_running_export_holds_its_files_and_the_list_that_it_leaves_out(
    start: Callable[..., Service], of: str
) -> None:
    """Those of one that is not even begun to be read: all its bytes might be on their way already otherwise."""
    service = start()
    with service.client() as client:
        made = client.create("phone1\n442079832100\n447912345678\nbad\n")
        client.http.post("/suppressions", json={"phones": ["442079832100"]})
        parts = service.parts
        listed = parts.suppressions.current(client.account)
        assert listed is not None
        names = {*parts.library.open(client.account, made.id).objects[of]}
        names |= {listed.name} if of == "contacts" else set()
        held: list[set[str]] = []
        hold = parts.leases.hold

        def noted(lease: Lease, find: Callable[..., tuple[object, list[str]]]) -> object:
            found = hold(lease, find)
            with parts.database.read() as connection:
                held.append(reads.held(connection, [*names, "other"], clock.now()))
            return found

        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(parts.leases, "hold", noted)
            assert made.csv(of)
        assert held == [names]


def test_no_row_of_files_that_are_read_is_taken_by_the_sweep(start: Callable[..., Service]) -> None:
    service = start()
    with service.client() as client:
        made = client.create("phone1\n442079832100\nbad\n")
        old = service.parts.library.open(client.account, made.id)
        made.replace("phone1\n442079832101\n")
    later = clock.now() + 8 * DAY
    for name in (*old.objects["contacts"], *old.objects["rejects"]):
        with service.parts.database.write() as connection:
            reads.add(connection, "reading", [name], later + DAY)
        assert sweep.remove_retired_files(service.parts.files, service.parts.database, lambda: later) == 0
        with service.parts.database.write() as connection:
            assert reads.remove(connection, "reading") == [name]
    assert sweep.remove_retired_files(service.parts.files, service.parts.database, lambda: later) == 2


SERVER = """
import pathlib, sys
sys.path.insert(0, sys.argv[2])
from conftest import settings_in
from support import started
with started(settings_in(pathlib.Path(sys.argv[1]))) as service:
    account = service.account()
    print(service.url, account, service.parts.keys.create(account, "test", days=1)[1], flush=True)
    sys.stdin.read()
"""

EXPORTED_ROWS = 600_000
MOST_BYTES = 256 * 1024**2


def peak_bytes(process: int) -> int:
    """The most memory that the process has had since the mark was last reset."""
    status = Path(f"/proc/{process}/status").read_text(encoding="ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="a peak of memory can be reset in /proc alone")
def test_an_export_takes_little_memory_however_long_it_is(folder: Path) -> None:
    data = folder / "memory"
    data.mkdir()
    command = [sys.executable, "-c", SERVER, str(data), str(Path(__file__).parent)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True) as server:
        assert server.stdout is not None
        url, account, key = server.stdout.readline().split()
        with httpx.Client(base_url=url, headers={"Authorization": f"Bearer {key}"}, timeout=120) as http:
            made = Client(http, key, int(account)).create(sheet(EXPORTED_ROWS))
            exported(made, "text/csv", folder)  # what the engine keeps from one to the next is not the export's own
            Path(f"/proc/{server.pid}/clear_refs").write_text("5", encoding="ascii")
            before = peak_bytes(server.pid)
            with exported(made, "text/csv", folder).open("rb") as lines:
                assert sum(1 for _ in lines) > EXPORTED_ROWS
            assert peak_bytes(server.pid) - before < MOST_BYTES
