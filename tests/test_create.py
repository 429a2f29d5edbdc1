"""Creating an audience, as the published page and the contract promise it."""

from __future__ import annotations

import csv
import gzip
import io
import re
import zipfile
from collections.abc import Callable
from itertools import accumulate
from typing import Any

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audiences import parquet
from audiences.keys import PEOPLE, READ, WRITE
from audiences.parquet import GROUP_BYTES, Extent
from audiences.settings import MIB
from support import Client, Made, Service

ONE = "phone1,name\n442079832100,Ann\n"


def test_the_published_example_answers_to_the_letter(client: Client) -> None:
    response = client.post(ONE, name="NE_USA-above50", file_name="customers.csv")

    body = response.json()
    assert response.status_code == 201
    assert list(body) == ["status", "description", "response_time", "data"]
    assert (body["status"], body["description"]) == (201, "Audience created")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", body["response_time"])
    assert list(body["data"]) == ["id"]
    assert re.fullmatch(r"[0-9]{6,15}", body["data"]["id"])
    assert response.headers["location"] == f"/audiences/{body['data']['id']}"
    assert response.headers["content-type"] == "application/json"


def test_one_number_written_three_ways_is_one_contact(client: Client) -> None:
    """The first row of a number is kept; rows are counted as the sheet counts them."""
    made = client.create("phone1\n+31 6 1234 5678\n0031612345678\n31612345678\ncall me\n")

    assert made.counts == {"rows": 4, "accepted": 1, "duplicates": 2, "rejected": 1}
    assert made.rejects() == [(3, "duplicate"), (4, "duplicate"), (5, "not_a_number")]
    first = next(made.rows("rejects", {}))
    assert (first["first_file"], first["first_row"], first["columns"]) == (1, 2, {"phone1": "0031612345678"})


def test_every_row_is_a_contact_or_a_reject_with_its_own_cells(client: Client) -> None:
    made = client.create("phone1,name\n442079832100,Ann\nx,Bob\n,Cy\n442079,Di\n4420798321001234,Ed\n99912345678,Fay\n")

    assert [contact["columns"] for contact in made.contacts()] == [{"name": "Ann"}]
    found = {item["columns"]["name"]: item["reason"] for item in made.rows("rejects", {})}
    assert found == {
        "Bob": "not_a_number",
        "Cy": "empty",
        "Di": "too_short",
        "Ed": "too_long",
        "Fay": "unknown_country",
    }


def test_a_contact_tells_country_line_type_and_time_zones(client: Client) -> None:
    made = client.create("phone1,name\n442079832100,Ann\n447912345678,Bob\n80012345678,Cy\n")

    ann, bob, cy = made.contacts()
    assert ann == {
        "file": 1,
        "row": 2,
        "phone1": "442079832100",
        "country": "GB",
        "line_type": "fixed_line",
        "time_zones": ["Europe/London"],
        "columns": {"name": "Ann"},
    }
    assert (bob["line_type"], len(bob["time_zones"])) == ("mobile", 4)
    assert (cy["country"], cy["line_type"]) == ("001", "toll_free")


def test_the_report_tells_what_was_understood_of_the_file(client: Client) -> None:
    content = "My customers;;\r\n\r\nid;Phone1 ;naïve\r\n1;+44 20 7983 2100;x\r\n;;\r\n2;bad;y\r\n".encode("cp1252")
    report = client.create(content, name=" Ünïcode 名前 ", file_name="C:\\mail\\list.csv").report

    file = report["files"][0]
    assert report["name"] == "Ünïcode 名前"
    assert report["columns"] == ["id", "Phone1 ", "naïve"]
    assert (file["name"], file["bytes"], file["format"]) == ("list.csv", len(content), "csv")
    assert (file["delimiter"], file["header_row"], file["blank_rows"]) == (";", 3, 1)
    assert "1252" in file["encoding"]
    assert report["countries"] == {"GB": 1}
    assert report["line_types"] == {"fixed_line": 1}
    assert report["rejected_by_reason"] == {"not_a_number": 1}
    assert report["type"] == "Static"
    assert report["user_count"] == report["accepted"] == 1


@pytest.mark.parametrize("order", [("name", "audience_file"), ("audience_file", "name")])
def test_the_order_of_the_form_fields_does_not_matter(client: Client, order: tuple[str, str]) -> None:
    parts: dict[str, Any] = {"name": (None, "x"), "audience_file": ("a.csv", ONE)}
    response = client.http.post("/audiences", files=[(field, parts[field]) for field in order])
    assert response.status_code == 201


@pytest.mark.parametrize(
    ("pack", "name"),
    [
        (gzip.compress, "list.csv.gz"),
        ("zip", "list.zip"),
        (lambda content: content.decode().encode("utf-16"), "list.csv"),
        (lambda content: b"\xef\xbb\xbf" + content, "list.csv"),
    ],
)
def test_a_file_is_what_it_holds_however_it_is_packed(client: Client, pack: Any, name: str) -> None:
    content = "phone1,name\n442079832100,Zoë\n".encode()
    made = client.create(zipped(content) if pack == "zip" else pack(content), file_name=name)
    assert made.contacts()[0]["columns"] == {"name": "Zoë"}


def zipped(content: bytes) -> bytes:
    """A .zip of one file."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("../list.csv", content)
    return buffer.getvalue()


def test_another_column_can_play_phone1(client: Client) -> None:
    made = client.create("mobile,phone1\n442079832100,n/a\n", phone_column="Mobile")
    assert made.contacts()[0]["phone1"] == "442079832100"
    assert made.contacts()[0]["columns"] == {"phone1": "n/a"}


def test_a_default_region_lets_national_numbers_in(client: Client) -> None:
    made = client.create("phone1\n020 7983 2100\n+1 201 555 0123\n", default_region="gb")
    assert [contact["phone1"] for contact in made.contacts()] == ["442079832100", "12015550123"]


def test_further_phone_columns_are_normalised_and_never_reject_a_row(client: Client) -> None:
    made = client.create("phone1,Phone2,phone9\n442079832100,+1 (201) 555-0123,ask\n447912345678,,0044 20 7983 2100\n")
    assert [contact["columns"] for contact in made.contacts()] == [
        {"Phone2": "12015550123", "phone9": "ask"},
        {"Phone2": "", "phone9": "442079832100"},
    ]


def test_a_dry_run_answers_the_report_and_stores_nothing(client: Client, service: Service) -> None:
    response = client.post("phone1,name\n442079832100,Ann\nx,Bob\n", dry_run="true")

    body = response.json()
    assert (response.status_code, body["description"]) == (200, "Audience checked")
    assert (body["data"]["accepted"], body["data"]["rejected"]) == (1, 1)
    assert "id" not in body["data"]
    assert body["data"]["sample_contacts"][0]["columns"] == {"name": "Ann"}
    assert body["data"]["sample_rejects"][0]["reason"] == "not_a_number"
    assert client.get("/audiences")["data"] == []
    assert list((service.parts.settings.data / "spool").iterdir()) == []


def test_a_file_without_a_valid_row_creates_nothing_and_tells_why(client: Client) -> None:
    response = client.post("phone1\n020 7983 2100\n07912 345678\n")

    body = response.json()
    assert response.status_code == 400
    assert body["description"] == "Bad Request"
    assert body["errors"][0]["code"] == "no_valid_rows"
    assert "default_region" in body["errors"][0]["message"]
    assert body["report"]["rejected"] == body["report"]["rows"] == 2
    assert len(body["report"]["sample_rejects"]) == 2
    assert "data" not in body
    assert client.get("/audiences")["data"] == []


@pytest.mark.parametrize(
    ("file", "fields", "code", "words"),
    [
        ("phone,name\n442079832100,Ann\n", {}, "missing_phone_column", "Did you mean phone? Send phone_column=phone."),
        (
            "a,b\n1,2\n",
            {"phone_column": "tel"},
            "missing_phone_column",
            "There is no column named tel. The file has: a, b.",
        ),
        ("phone1,PHONE1\n442079832100,1\n", {}, "repeated_phone_column", ""),
        ("", {}, "empty_file", ""),
        ("\n\n  \n", {}, "empty_file", ""),
        ("phone1,name\n", {}, "no_valid_rows", "no rows"),
        (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", {}, "unsupported_format", ""),
        (b"PK\x03\x04broken", {}, "unreadable_file", ""),
        (ONE, {"name": "  "}, "invalid_field", "1 to 255"),
        (ONE, {"name": "x" * 256}, "invalid_field", "256"),
        (ONE, {"name": "a\tb"}, "invalid_field", "control"),
        (ONE, {"default_region": "XX"}, "invalid_field", ""),
        (ONE, {"dry_run": "perhaps"}, "invalid_field", "true or false"),
        (ONE, {"name": None}, "missing_field", "name"),
        (None, {}, "missing_field", "audience_file=@customers.csv"),
    ],
)
def test_bad_input_is_a_400_that_says_how_to_mend_it(
    client: Client, file: Any, fields: dict[str, Any], code: str, words: str
) -> None:
    response = client.post(file, **fields)

    body = response.json()
    assert (response.status_code, body["status"], body["description"]) == (400, 400, "Bad Request")
    assert body["errors"][0]["code"] == code
    assert words in body["errors"][0]["message"]


def test_the_message_about_the_phone_column_reads_as_the_contract_has_it(client: Client) -> None:
    message = client.post("phone,name\n442079832100,Ann\n").json()["errors"][0]["message"]
    assert message == (
        "There is no column named phone1. The file has: phone, name. Did you mean phone? Send phone_column=phone."
    )


def test_everything_that_is_missing_is_told_at_once(client: Client) -> None:
    errors = client.http.post("/audiences", files={"other": (None, "x")}).json()["errors"]
    assert [error["field"] for error in errors] == ["name", "audience_file"]


@pytest.mark.parametrize(
    "text", ["@/home/me/secret-list.csv", "https://example.com/a.csv", "phone1\n442079832100\n" * 999, ""]
)
def test_text_in_place_of_a_file_is_answered_with_the_right_curl_and_not_repeated(client: Client, text: str) -> None:
    response = client.http.post("/audiences", files={"name": (None, "x"), "audience_file": (None, text)})

    error = response.json()["errors"][0]
    assert (response.status_code, error["code"]) == (400, "file_not_attached")
    assert "audience_file=@customers.csv" in error["message"]
    assert "secret" not in response.text
    assert "example.com" not in response.text


@pytest.mark.parametrize("field", ["name", "audience_file"])
def test_a_repeated_field_is_refused(client: Client, field: str) -> None:
    parts: list[Any] = [("name", (None, "x")), ("audience_file", ("a.csv", ONE))]
    response = client.http.post("/audiences", files=[*parts, *[part for part in parts if part[0] == field]])
    assert (response.status_code, response.json()["errors"][0]["code"]) == (400, "repeated_field")


def test_unknown_fields_are_ignored(client: Client) -> None:
    assert client.post(ONE, colour="blue").status_code == 201


def test_names_need_not_be_unique_and_ids_are(client: Client) -> None:
    ids = {client.create(ONE, name="same").id for _ in range(5)}
    assert len(ids) == 5


def test_a_column_may_have_any_name_even_ours(client: Client) -> None:
    header = ["phone1", "audience_row", "Audience_Row", 'a"b', "x;DROP TABLE", "", "phone1x", "row", "country", "naïve"]
    text = io.StringIO()
    csv.writer(text).writerows([header, ["442079832100", *map(str, range(1, 10))]])
    made = client.create(text.getvalue())

    columns = made.contacts()[0]["columns"]
    assert list(columns.values()) == [str(number) for number in range(1, 10)]
    assert columns["audience_row"] == "1"
    assert columns['a"b'] == "3"


def test_five_hundred_columns_arrive_in_their_order(client: Client) -> None:
    header = ",".join(["phone1", *(f"c{number}" for number in range(499))])
    row = ",".join(["442079832100", *(str(number) for number in range(499))])
    made = client.create(f"{header}\n{row}\n")
    assert list(made.contacts()[0]["columns"].values()) == [str(number) for number in range(499)]


def test_a_column_s_name_that_cannot_be_decoded_is_shown_as_far_as_it_can(client: Client) -> None:
    made = client.create(b"phone1,caf\xff\n442079832100," + "é".encode() * 40 + b"\n")
    assert made.report["columns"] == ["phone1", "caf\ufffd"]
    assert list(made.contacts()[0]["columns"]) == ["caf\ufffd"]
    assert made.csv().startswith("phone1,caf\ufffd\n")


@given(content=st.binary(max_size=60) | st.text(max_size=60).map(lambda text: text.encode("utf-16")))
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
def test_any_bytes_are_answered_and_what_was_created_can_be_read(client: Client, content: bytes) -> None:
    for file in (content, b"phone1," + content, b"phone1\n442079832100," + content + b"\n447912345678\n"):
        response = client.post(file)
        assert response.status_code in {201, 400}, response.text
        if response.status_code == 201:
            made = Made(client, response.json()["data"]["id"])
            assert len(made.contacts()) == made.report["accepted"]
            assert len(made.rejects()) == made.report["rejected"] + made.report["duplicates"]
            assert made.csv()
            assert made.csv("rejects")
        assert client.post(file, dry_run="true").status_code in {200, 400}


def test_a_zip_with_a_huge_list_of_members_is_refused_unread(client: Client) -> None:
    entry = b"PK\x01\x02" + b"\x00" * 42
    listing = entry * 200_000
    end = (
        b"PK\x05\x06"
        + b"\x00" * 4
        + (65535).to_bytes(2, "little") * 2
        + len(listing).to_bytes(4, "little")
        + b"\x00" * 6
    )
    response = client.post(b"PK\x03\x04" + listing + end, file_name="a.zip")
    assert (response.status_code, response.json()["errors"][0]["code"]) == (400, "unsupported_format")


def test_a_damaged_lzma_member_is_a_400(client: Client) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("a.csv", "phone1\n" + "442079832100\n" * 100)
    spoilt = bytearray(buffer.getvalue())
    spoilt[60:90] = bytes(byte ^ 0x55 for byte in spoilt[60:90])
    assert client.post(bytes(spoilt), file_name="a.zip").status_code == 400


def test_a_file_whose_name_comes_in_the_old_extended_form_is_a_file(client: Client) -> None:
    body = (
        b'--b\r\nContent-Disposition: form-data; name="name"\r\n\r\nx\r\n--b\r\n'
        b"Content-Disposition: form-data; name=\"audience_file\"; filename*=UTF-8''%C3%A9.csv\r\n\r\n"
        + ONE.encode()
        + b"\r\n--b--\r\n"
    )
    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    assert client.http.post("/audiences", content=body, headers=headers).status_code == 201


@pytest.mark.parametrize(("columns", "rows"), [(1, 65_536), (40, 65_536), (200, 12_288), (2000, 2_048)])
def test_wide_tables_are_written_in_smaller_groups(columns: int, rows: int) -> None:
    """A group is held in memory while it is written; whole vectors of 2,048 rows, never none."""
    assert parquet.rows_in_group(columns) == rows


@pytest.mark.parametrize(
    ("columns", "rows", "group"), [(6, 10**8, 65_536), (200, 10**6, 12_288), (2000, 156_000, 4_096)]
)
def test_a_large_wide_table_is_written_in_fewer_groups(columns: int, rows: int, group: int) -> None:
    """Each column of each group takes memory until its file is whole: 430 MB of 300 MB of empty cells."""
    assert parquet.rows_in_group(columns, rows) == group


@given(
    pieces=st.lists(st.tuples(st.integers(1, 2000), st.integers(0, 30_000_000)), min_size=1, max_size=12),
    columns=st.integers(1, 50),
)
def test_no_group_of_a_file_has_many_bytes_however_they_lie_in_it(pieces: list[tuple[int, int]], columns: int) -> None:
    """Held against every place at which a group could begin, all rows of a piece counting alike."""
    extent = Extent(columns)
    for rows, size in pieces:
        extent.add(rows, size)
    group = extent.group
    each = [size / rows for rows, size in pieces for _ in range(rows)]
    upto = list(accumulate(each, initial=0.0))
    most = max(upto[min(begin + group, len(each))] - upto[begin] for begin in range(len(each)))
    assert most <= extent.most_bytes(group) + 1
    assert most <= GROUP_BYTES + 2 or group == 1
    assert extent.held_bytes + 1 >= most


@pytest.mark.embedded
def test_rows_of_long_cells_lie_in_small_groups_and_can_be_read_and_erased(start: Callable[..., Service]) -> None:
    """900 MB of cells of 50 KB took 3.4 GB to write, as one group, and nothing could be read of it."""
    note = "lorem ipsum " * 5_000
    rows = "".join(f"44207983{number},{number} {note}\n" for number in range(2_100, 2_700))
    service = start(memory_limit=256 * MIB)
    with service.client(scopes=(READ, WRITE, PEOPLE)) as client, duckdb.connect() as engine:
        made = client.create("phone1,note\n" + rows)
        (stored,) = service.parts.settings.data.rglob("contacts-*")
        groups = engine.execute(
            "SELECT DISTINCT row_group_id, row_group_num_rows, row_group_bytes FROM parquet_metadata(?)", [str(stored)]
        ).fetchall()
        assert sum(rows for _, rows, _ in groups) == 600
        assert max(size for _, _, size in groups) <= 1.1 * GROUP_BYTES
        text = client.http.get(f"/audiences/{made.id}/contacts", headers={"Accept": "text/csv"}).text
        assert text.count(note) == 600
        assert client.http.delete("/contacts/442079832100").status_code == 200
        assert made.report["accepted"] == 599


@pytest.mark.embedded
def test_more_cells_than_memory_can_write_are_refused(start: Callable[..., Service]) -> None:
    header = "phone1," + ",".join(f"c{place}" for place in range(1_999)) + "\n"
    with start(memory_limit=64 * MIB).client() as client:
        assert client.post(header + "442079832100\n" * 1_000).status_code == 201
        refused = client.post(header + "442079832100\n" * 8_000)
        assert (refused.status_code, refused.json()["errors"][0]["code"]) == (503, "engine_full")
        assert "2,000 columns" in refused.json()["errors"][0]["message"]
