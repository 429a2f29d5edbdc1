"""The life of an audience, whole: created, exported in every format, made again from each, replaced, restored, deleted.

    JOURNEY_ROWS=1000000 ./dev test tests/test_journey.py

is the full length.
"""

from __future__ import annotations

import os
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
        left = list((service.parts.settings.data / "files").glob("*/*.parquet"))
        assert len(left) == 2  # contacts and rejects of the new version
