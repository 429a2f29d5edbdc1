"""Exports: every format holds the same rows, in the file's order, and nothing is left of one, however it ends."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import re
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import httpx
import openpyxl  # type: ignore[import-untyped]
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audiences import exports
from audiences.accept import CSV, NDJSON, PARQUET, WHOLE, XLSX
from audiences.engine import Engine
from audiences.errors import EngineFull, NotAcceptable
from audiences.exports import BrokenOff, Export, Exports, Limits, Style, workbook_child, workbook_packing
from audiences.exports.pieces import Piece, making
from audiences.exports.ranges import Span, spans
from audiences.exports.workbook_packing import PackingFailed
from audiences.layout import Layout, Stored
from audiences.parts import Parts
from audiences.settings import Settings
from audiences.sql import Query, identifier
from conftest import settings_in
from support import Client, Made, Service, started

# Cells that have been trouble somewhere: markup, quotes, blanks that must stay, line ends, and what looks escaped.
CELLS = (
    "a & b <c> \"d\" 'e'",
    "  blanks around  ",
    "one\ntwo",
    "a\tb",
    "_x0041_",
    "_x0041_x0042_",
    "foo_xbar",
    "=1+1",
    "😀 Zoë 李",
    "{}",
    "null",
    "a,b;c|d",
    "back\\slash",
    "\x01\x1f",
    "ends with a return\r",
)


@pytest.fixture(scope="module")
def caller(service: Service) -> Iterator[Client]:
    with service.client() as made:
        yield made


@pytest.fixture(scope="module")
def odd(caller: Client) -> Made:
    """A contact for each odd cell, with an empty one beside it; every third row is a reject."""
    rows: list[list[str]] = [["name", "phone1", "Note", "country"]]
    for number, cell in enumerate(CELLS):
        rows.append([cell, f"+44 7912 3456{number:02d}", "" if number % 2 else cell, "x"])
        if number % 3 == 0:
            rows.append([cell, "call me", "", ""])
    return caller.create(as_csv(rows), name="odd")


def as_csv(rows: Sequence[Sequence[str]]) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n", quoting=csv.QUOTE_ALL).writerows(rows)
    return out.getvalue()


def whole(made: Made, kind: str, of: str = "contacts", **query: str) -> bytes:
    """The whole list in that format."""
    path = f"/audiences/{made.id}/{of}"
    response = made.client.http.get(path, params=query, headers={"Accept": kind})
    assert response.status_code == 200, response.text
    assert response.headers["content-type"].partition(";")[0] == kind
    assert response.headers["content-disposition"] == f'attachment; filename="audience-{made.id}-{of}.{WHOLE[kind]}"'
    assert "Accept" in response.headers["vary"].split(", ")
    return response.content


def table(kind: str, content: bytes) -> list[list[Any]]:
    """The header and the rows of an export."""
    if kind == CSV:
        return list(csv.reader(io.StringIO(content.decode(), newline="")))
    if kind == XLSX:
        sheet = openpyxl.load_workbook(io.BytesIO(content)).active
        return [[plain(cell or "") for cell in row] for row in sheet.iter_rows(values_only=True)]
    if kind == NDJSON:
        found = [json.loads(line, object_pairs_hook=list) for line in content.decode().split("\n")[:-1]]
        return [[name for name, _ in found[0]]] + [[value for _, value in row] for row in found] if found else []
    with duckdb.connect() as connection:
        connection.execute("CREATE TABLE content (bytes BLOB)")
        path = Path(f"/tmp/{time.monotonic_ns()}.parquet")
        path.write_bytes(content)
        try:
            read = connection.execute("SELECT * FROM read_parquet(?)", [str(path)])
            return [[column[0] for column in read.description], *(list(row) for row in read.fetchall())]
        finally:
            path.unlink()


def plain(cell: str) -> str:
    """A text of a workbook without its escapes (ECMA-376, ST_Xstring), which openpyxl leaves."""
    return re.sub("_x([0-9A-F]{4})_", lambda found: chr(int(found[1], 16)), cell)


def spool(service: Service) -> list[Path]:
    """What lies in the spool; the last request may be tidying up."""
    folder = service.parts.settings.data / "spool"
    for _ in range(200):
        if not (left := list(folder.iterdir())):
            return []
        time.sleep(0.02)
    return left


def contacts(made: Made) -> list[tuple[str, dict[str, str]]]:
    return [(item["phone1"], item["columns"]) for item in made.contacts()]


@pytest.mark.parametrize("kind", list(WHOLE))
def test_every_format_holds_the_file_s_own_columns_verbatim_but_for_the_phone(odd: Made, kind: str) -> None:
    rows = table(kind, whole(odd, kind))
    assert rows[0] == ["name", "phone1", "Note", "country"]
    assert rows[1:] == [
        [cell, f"44791234{5600 + number}", "" if number % 2 else cell, "x"] for number, cell in enumerate(CELLS)
    ]


@pytest.mark.parametrize("kind", list(WHOLE))
def test_every_format_can_be_uploaded_again_with_the_same_contacts(odd: Made, kind: str) -> None:
    content = whole(odd, kind)
    if kind in {NDJSON, PARQUET}:
        content = as_csv(table(kind, content)).encode()
    again = odd.client.create(content, file_name=f"list.{WHOLE[kind]}")
    assert contacts(again) == contacts(odd)


@pytest.mark.parametrize("kind", list(WHOLE))
def test_every_format_holds_rejects_with_row_and_reason(odd: Made, kind: str) -> None:
    header, *rows = table(kind, whole(odd, kind, "rejects"))
    assert header[:7] == ["name", "phone1", "Note", "country", "file", "row", "reason"]
    assert [(int(row[5]), row[6]) for row in rows] == odd.rejects()
    assert [row[:2] for row in rows] == [[CELLS[number], "call me"] for number in range(0, len(CELLS), 3)]


@pytest.mark.parametrize(("kind", "zones"), [(CSV, "Europe/London"), (XLSX, "Europe/London")])
def test_enrich_appends_texts_to_sheets(caller: Client, kind: str, zones: str) -> None:
    made = caller.create("phone1,Country\n442079832100,x\n")
    assert table(kind, whole(made, kind, enrich="true")) == [
        ["phone1", "Country", "audience_country", "line_type", "time_zones"],
        ["442079832100", "x", "GB", "fixed_line", zones],
    ]


@pytest.mark.parametrize("kind", [NDJSON, PARQUET])
def test_enrich_appends_time_zones_as_a_list_to_data(caller: Client, kind: str) -> None:
    made = caller.create("phone1\n442079832100\n")
    assert table(kind, whole(made, kind, enrich="true"))[1] == ["442079832100", "GB", "fixed_line", ["Europe/London"]]


def test_rejects_as_data_have_numbers_for_rows_and_null_for_what_is_not(caller: Client) -> None:
    made = caller.create("phone1\n442079832100\n442079832100\nx\n")
    made.append("phone1\n442079832101\n442079832100\n")
    lines = [json.loads(line) for line in whole(made, NDJSON, "rejects").splitlines()]
    told = [[line[name] for name in ("file", "row", "first_file", "first_row", "raw")] for line in lines]
    assert told == [[1, 3, 1, 2, None], [1, 4, None, None, None], [2, 3, 1, 2, None]]


@pytest.mark.parametrize("kind", list(WHOLE))
def test_filters_choose_rows_in_every_format(odd: Made, kind: str) -> None:
    assert len(table(kind, whole(odd, kind, phone="447912345600"))) == 2
    assert len(table(kind, whole(odd, kind, line_type="pager"))) == (0 if kind == NDJSON else 1)


@pytest.mark.parametrize("kind", list(WHOLE))
def test_an_audience_without_rejects_has_an_empty_list_of_them(caller: Client, kind: str) -> None:
    made = caller.create("phone1\n442079832100\n")
    header = table(kind, whole(made, kind, "rejects"))
    assert header in ([], [["file", "row", "reason", "first_file", "first_row", "raw"]])


@pytest.mark.parametrize("kind", list(WHOLE))
def test_head_tells_the_headers_of_every_format_and_no_more(odd: Made, kind: str) -> None:
    response = odd.client.http.head(f"/audiences/{odd.id}/contacts", headers={"Accept": kind})
    assert (response.status_code, response.content) == (200, b"")
    assert response.headers["content-disposition"].endswith(f'-contacts.{WHOLE[kind]}"')


@pytest.mark.parametrize("kind", [PARQUET, XLSX])
def test_a_file_tells_its_length(odd: Made, kind: str) -> None:
    response = odd.client.http.get(f"/audiences/{odd.id}/contacts", headers={"Accept": kind})
    assert int(response.headers["content-length"]) == len(response.content)


def test_a_page_depends_on_accept_too(odd: Made) -> None:
    assert "Accept" in odd.client.http.get(f"/audiences/{odd.id}/contacts").headers["vary"].split(", ")


def test_a_sheet_has_its_header_bold_and_in_sight_and_a_filter_on_every_column(odd: Made) -> None:
    sheet = openpyxl.load_workbook(io.BytesIO(whole(odd, XLSX))).active
    assert all(cell.font.bold for cell in sheet[1])
    assert (sheet.freeze_panes, sheet.auto_filter.ref) == ("A2", f"A1:D{len(CELLS) + 1}")
    assert {cell.data_type for row in sheet.iter_rows() for cell in row if cell.value} == {"s"}
    assert {cell.number_format for cell in sheet["B"]} == {"@"}


def test_nothing_is_left_in_the_spool(service: Service, odd: Made) -> None:
    for kind in WHOLE:
        whole(odd, kind)
    assert spool(service) == []
    assert service.parts.exports.running == 0


# Straight on the engine: files as no upload makes them.


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("spool", "files"):
        (tmp_path / name).mkdir()
    return tmp_path


@pytest.fixture
def engine(folder: Path) -> Iterator[Engine]:
    with closing(Engine(Settings(data=folder), folder)) as opened:
        yield opened


def stored(folder: Path, plan: Layout, select: str, *, file: int = 1, group: int = 122_880) -> Stored:
    """A file of contacts that `select` makes; its first column is the row."""
    path = folder / "files" / f"{file}.parquet"
    names = ", ".join(identifier(name) for name in ("audience_row", *plan.stored))
    with duckdb.connect() as connection:
        connection.execute(
            f"COPY (SELECT *, 'GB' AS audience_country, 'mobile' AS audience_line_type, 'Europe/London' AS "
            f"audience_time_zones FROM ({select}) AS t({names})) TO '{path}' (FORMAT parquet, ROW_GROUP_SIZE {group})"
        )
    return Stored(file, path, plan)


def made_of(source: Exports, export: Export, kind: str) -> bytes:
    """The bytes of an export."""

    async def collect() -> bytes:
        if kind in {PARQUET, XLSX}:
            async with source.file(export, kind) as path:
                return path.read_bytes()
        async with source.lines(export, kind) as chunks:
            return b"".join([chunk async for chunk in chunks])

    return asyncio.run(collect())


PLAN = Layout(("phone1", "n"), ("phone1", "n"), 0)


@pytest.mark.parametrize("kind", list(WHOLE))
@pytest.mark.parametrize(
    "order",
    [
        "(i // 4096 * 7) % 11, i",  # groups out of order
        "i % 5, i",  # groups that overlap
        "hash(i)",  # no order at all
    ],
)
def test_rows_come_out_complete_and_in_order_whatever_the_order_of_the_stored(
    engine: Engine, folder: Path, kind: str, order: str
) -> None:
    rows = 8_000
    select = f"SELECT i, 447900000000 + i, 'n' || i FROM range(2, {rows + 2}) AS t(i) ORDER BY {order}"
    export = Export([stored(folder, PLAN, select, group=2048)])
    found = table(kind, made_of(Exports(engine, folder / "spool"), export, kind))
    assert [row[1] for row in found[1:]] == [f"n{number}" for number in range(2, rows + 2)]
    assert list((folder / "spool").iterdir()) == []


def test_pieces_hold_every_row_once_and_the_first_is_small(engine: Engine, folder: Path) -> None:
    select = "SELECT i, i, '' FROM range(2, 1000002) AS t(i) ORDER BY i % 3, i"
    with engine.connection() as connection:
        found = spans(connection, [stored(folder, PLAN, select)])
        counts = []
        for span in found:
            query = Query()
            query.text = f"FROM read_parquet({query.bind(str(span.stored.path))}) SELECT count(*)"
            query.text += f" WHERE {span.condition(query)}"
            counts.append(connection.execute(query.text, query.bound).fetchall()[0][0])
    assert sum(counts) == 1_000_000
    assert counts[0] < 20_000
    assert len(found) > 2


def test_wide_rows_make_smaller_pieces(engine: Engine, folder: Path) -> None:
    names = tuple(f"n{number}" for number in range(200))
    plan = Layout(("phone1", *names), ("phone1", *names), 0)
    select = f"SELECT i, i, {', '.join(['0'] * 200)} FROM range(60_000) AS t(i)"
    with engine.connection() as connection:
        assert len(spans(connection, [stored(folder, plan, select, group=12_288)])) >= 3
        assert len(spans(connection, [stored(folder, plan, select)])) >= 3


@pytest.mark.parametrize("kind", list(WHOLE))
def test_several_files_have_one_header_and_one_column_of_phones(engine: Engine, folder: Path, kind: str) -> None:
    """The second file calls its phones otherwise, and has an ordinary column that is called as the first's phones."""
    first = stored(folder, Layout(("phone1", "name"), ("phone1", "name"), 0), "SELECT 2, 441, 'Ann'")
    plan = Layout(("Phone1", "city", "mobile", "name"), ("a", "b", "c", "d"), 2)
    second = stored(folder, plan, "SELECT 2, 'call', 'Rome', 442, 'Bob'", file=2)
    export = Export([first, second], exports.CONTACT_EXTRAS[:1], Style(enrich=True))
    assert table(kind, made_of(Exports(engine, folder / "spool"), export, kind)) == [
        ["phone1", "name", "phone1_2", "city", "country"],
        ["441", "Ann", "", "", "GB"],
        ["442", "Bob", "call", "Rome", "GB"],
    ]


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        (CSV, ["phone1", "Name", "name", "c1", "audience_row", 'a"b']),
        (NDJSON, ["phone1", "Name", "name", "c1", "audience_row", 'a"b']),
        (XLSX, ["phone1", "Name", "name", "c1", "audience_row", 'a"b']),
        (PARQUET, ["phone1", "Name", "name_2", "c1", "audience_row", 'a"b']),
    ],
)
def test_names_that_the_engine_would_confuse_come_out_right(
    engine: Engine, folder: Path, kind: str, names: list[str]
) -> None:
    plan = Layout(
        ("phone1", "Name", "name", "c1", "audience_row", 'a"b'),
        ("phone1", "Name", "c2", "c1", "audience_row_2", 'a"b'),
        0,
    )
    file = stored(folder, plan, "SELECT i, i, 'A', 'b', 'c', 9 - i, 'd' FROM range(2, 4) AS t(i)")
    assert table(kind, made_of(Exports(engine, folder / "spool"), Export([file]), kind)) == [
        names,
        ["2", "A", "b", "c", "7", "d"],
        ["3", "A", "b", "c", "6", "d"],
    ]


@pytest.mark.parametrize("kind", list(WHOLE))
def test_a_wide_table_that_is_written_in_slices_of_columns_comes_out_whole(
    engine: Engine, folder: Path, kind: str
) -> None:
    names = ("phone1", *(f"n{number}" for number in range(250)))
    cells = ", ".join("'" + CELLS[number % len(CELLS)].replace("'", "''") + "' || i" for number in range(250))
    plan = Layout(names, names, 0)
    file = stored(folder, plan, f"SELECT i, 440 + i, {cells} FROM range(2, 12) AS t(i) ORDER BY i DESC")
    assert table(kind, made_of(Exports(engine, folder / "spool"), Export([file]), kind)) == [
        [*names],
        *([str(440 + i), *(f"{CELLS[number % len(CELLS)]}{i}" for number in range(250))] for i in range(2, 12)),
    ]


texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=12) | st.sampled_from(
    CELLS
)


@pytest.fixture(scope="module")
def lasting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Engine]]:
    folder = tmp_path_factory.mktemp("engine")
    for name in ("spool", "files"):
        (folder / name).mkdir()
    with closing(Engine(Settings(data=folder), folder)) as opened:
        yield folder, opened


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(rows=st.lists(st.tuples(texts, texts), min_size=1, max_size=12))
def test_any_text_comes_out_of_every_format_as_it_went_in(
    lasting: tuple[Path, Engine], rows: list[tuple[str, str]]
) -> None:
    folder, engine = lasting
    path = folder / "files" / "any.parquet"
    with duckdb.connect() as connection:
        connection.execute("CREATE TABLE t (audience_row BIGINT, phone1 BIGINT, a VARCHAR, b VARCHAR)")
        connection.executemany(
            "INSERT INTO t VALUES (?, ?, ?, ?)", [(at, 440 + at, *row) for at, row in enumerate(rows)]
        )
        connection.execute(f"COPY t TO '{path}' (FORMAT parquet)")
    export = Export([Stored(1, path, Layout(("phone1", "a", "b"), ("phone1", "a", "b"), 0))])
    for kind in WHOLE:
        found = table(kind, made_of(Exports(engine, folder / "spool"), export, kind))
        assert found == [["phone1", "a", "b"], *([str(440 + at), *row] for at, row in enumerate(rows))], kind


# What a workbook cannot hold.


@pytest.mark.parametrize(
    ("limits", "says"),
    [
        (Limits(rows=2), "at most 2 rows"),
        (Limits(columns=1), "at most 1 columns"),
        (Limits(characters=3), "the column n has one of 4"),
        (Limits(sheet_bytes=800), "2 GiB"),
    ],
)
def test_what_no_sheet_can_hold_is_refused_with_the_other_formats(
    engine: Engine, folder: Path, limits: Limits, says: str
) -> None:
    export = Export([stored(folder, PLAN, "SELECT i, i, 'a😀b' FROM range(3) AS t(i)")])
    with pytest.raises(NotAcceptable, match=says) as refused:
        made_of(Exports(engine, folder / "spool", limits), export, XLSX)
    assert all(kind in refused.value.message for kind in (CSV, NDJSON, PARQUET))
    assert list((folder / "spool").iterdir()) == []


def test_characters_are_counted_as_excel_counts_them(engine: Engine, folder: Path) -> None:
    export = Export([stored(folder, PLAN, "SELECT 2, 44, 'ééé'")])  # three characters of six bytes
    assert made_of(Exports(engine, folder / "spool", Limits(characters=3)), export, XLSX)


def test_a_cell_that_is_too_long_for_a_workbook_is_a_406_and_fits_elsewhere(caller: Client) -> None:
    made = caller.create(f"phone1,note\n442079832100,{'x' * 32_768}\n")
    response = caller.http.get(f"/audiences/{made.id}/contacts", headers={"Accept": XLSX})
    assert (response.status_code, response.json()["errors"][0]["code"]) == (406, "not_acceptable")
    assert "32,767" in response.json()["errors"][0]["message"]
    assert table(CSV, whole(made, CSV))[1][1] == "x" * 32_768


def test_a_workbook_that_takes_too_long_is_given_up_and_leaves_nothing(engine: Engine, folder: Path) -> None:
    export = Export([stored(folder, PLAN, "SELECT i, i, 'x' || i FROM range(200_000) AS t(i)")])
    with pytest.raises(PackingFailed):
        made_of(Exports(engine, folder / "spool", Limits(seconds=0.02)), export, XLSX)
    assert list((folder / "spool").iterdir()) == []


def test_the_packing_process_ends_when_its_input_breaks_off(tmp_path: Path) -> None:
    async def torn() -> int | None:
        async with workbook_packing.packing(tmp_path / "book.xlsx", {"a": "b"}, "sheet", Limits()) as child:
            await child.write(b"<worksheet>")
            child.input.close()
            for _ in range(500):
                if (code := child.process.poll()) is not None:
                    return code
                await asyncio.sleep(0.01)
            return None

    assert asyncio.run(torn()) == workbook_child.BROKEN_OFF


# However it ends.


@pytest.fixture(scope="module")
def large(caller: Client) -> Made:
    """300,000 contacts of one note."""
    rows = "".join(f"4479{number:08d},{number} {'x' * 80}\n" for number in range(300_000))
    return caller.create("phone1,note\n" + rows, name="large")


def reader(service: Service, made: Made, kind: str = CSV) -> socket.socket:
    """A connection on which an export was asked for; it takes little unless it is read."""
    opened = socket.socket()
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    opened.settimeout(20)
    opened.connect(("127.0.0.1", int(service.url.rpartition(":")[2])))
    ask = f"GET /audiences/{made.id}/contacts HTTP/1.1\r\nHost: x\r\nAccept: {kind}\r\n"
    opened.sendall(f"{ask}Authorization: Bearer {made.client.key}\r\n\r\n".encode())
    return opened


def until(holds: Callable[[], bool]) -> bool:
    """Whether it comes to hold, within seconds."""
    for _ in range(500):
        if holds():
            return True
        time.sleep(0.01)
    return False


def test_the_large_one_comes_out_whole_and_in_order(large: Made) -> None:
    lines = whole(large, CSV).decode().splitlines()
    assert len(lines) == 300_001
    assert [int(line.split(",")[1].split(" ")[0]) for line in lines[1:]] == list(range(300_000))


@pytest.mark.parametrize("kind", list(WHOLE))
def test_a_client_that_hangs_up_leaves_nothing(service: Service, large: Made, kind: str) -> None:
    opened = reader(service, large, kind)
    assert until(lambda: service.parts.exports.running == 1)
    if kind in {CSV, NDJSON}:
        assert opened.recv(100).startswith(b"HTTP/1.1 200")
    opened.close()
    assert until(lambda: service.parts.exports.running == 0)
    assert spool(service) == []


def test_a_stalled_reader_holds_no_thread_of_the_engine_and_few_pieces(service: Service, large: Made) -> None:
    """Its pieces are made, and what makes them is free again."""
    opened = reader(service, large)
    try:
        assert opened.recv(100).startswith(b"HTTP/1.1 200")
        assert until(lambda: service.parts.exports.threads.borrowed_tokens == 0)
        assert until(lambda: service.parts.exports.running == 1)
        assert len(list((service.parts.settings.data / "spool").glob("export-*/*"))) <= 3
    finally:
        opened.close()
    assert until(lambda: service.parts.exports.running == 0)


def test_the_first_rows_are_out_while_the_rest_is_not_made(engine: Engine, folder: Path) -> None:
    select = "SELECT i, 447900000000 + i, 'n' || i FROM range(2, 2000002) AS t(i)"
    export = Export([stored(folder, PLAN, select)])

    async def first_chunks() -> tuple[bytes, int, int]:
        async with Exports(engine, folder / "spool").lines(export, CSV) as chunks:
            begun = [path.stat().st_size for path in (folder / "spool").glob("*/*")]
            head = await anext(chunks)
            row = await anext(chunks)
            return head + row, len(begun), max(begun)

    content, files, size = asyncio.run(first_chunks())
    assert content.startswith(b"phone1,n\n447900000002,n2\n")
    assert files == 1
    assert size < 500_000
    assert list((folder / "spool").iterdir()) == []


def test_more_exports_than_there_may_be_are_refused_before_a_byte(service: Service, odd: Made) -> None:
    source = service.parts.exports
    source.running += exports.MAX_EXPORTS
    try:
        for kind in WHOLE:
            response = odd.client.http.get(f"/audiences/{odd.id}/contacts", headers={"Accept": kind})
            assert (response.status_code, response.json()["errors"][0]["code"]) == (503, "engine_full")
    finally:
        source.running -= exports.MAX_EXPORTS


def test_what_fails_before_the_first_byte_is_answered_in_the_envelope(service: Service, client: Client) -> None:
    made = client.create("phone1\n442079832100\n")
    library = service.parts.library.open(client.account, made.id)
    library.contacts[0].path.write_bytes(b"not parquet")
    for kind in WHOLE:
        response = client.http.get(f"/audiences/{made.id}/contacts", headers={"Accept": kind})
        assert (response.status_code, response.json()["errors"][0]["code"]) == (500, "server_error")
    assert spool(service) == []


class Failing(Piece):
    def make(self, engine: Engine) -> None:  # noqa: ARG002 - as the piece that it stands for
        raise EngineFull("full")


def test_a_later_piece_that_fails_breaks_the_stream_off(engine: Engine, folder: Path) -> None:
    good = Query(text=f"COPY (SELECT 1) TO '{folder / 'spool' / '1'}' (FORMAT csv)")
    pieces = [Piece([good], folder / "spool" / "1"), Failing([], folder / "spool" / "2")]

    async def read() -> list[bytes]:
        taken: list[bytes] = []
        source = Exports(engine, folder / "spool")
        async with making(engine, source.threads, pieces) as made:
            await made.first()
            with pytest.raises(BrokenOff):
                taken.extend([chunk async for chunk in exports.whole(b"head\n", made)])
        return taken

    asyncio.run(read())


class Torn(Exports):
    """Exports whose last piece is of a file that is gone."""

    def cut(self, export: Export) -> list[Span]:
        found = super().cut(export)
        return [*found, replace(found[-1], stored=replace(found[-1].stored, path=self.spool / "gone.parquet"))]


@pytest.mark.parametrize("kind", [CSV, NDJSON])
def test_a_stream_that_breaks_off_does_not_look_whole_to_its_reader(tmp_path: Path, kind: str) -> None:
    def change(parts: Parts) -> Parts:
        return replace(parts, exports=Torn(parts.engine, parts.exports.spool))

    with started(settings_in(tmp_path), change) as running, running.client() as client:
        made = client.create("phone1\n442079832100\n")
        with client.http.stream("GET", f"/audiences/{made.id}/contacts", headers={"Accept": kind}) as response:
            assert response.status_code == 200
            with pytest.raises(httpx.RemoteProtocolError, match="incomplete"):
                response.read()
        assert spool(running) == []


def test_a_statement_that_nobody_wants_any_more_is_ended(engine: Engine, folder: Path) -> None:
    endless = Query(text=f"COPY (SELECT sum(i) FROM range(10000000000000) AS t(i)) TO '{folder / 'spool' / 'x'}'")

    async def leave() -> None:
        source = Exports(engine, folder / "spool")
        async with making(engine, source.threads, [Piece([endless], folder / "spool" / "x")]) as made:
            made.begin(1)
            await asyncio.sleep(0.1)

    begun = time.monotonic()
    asyncio.run(leave())
    assert time.monotonic() - begun < 5
