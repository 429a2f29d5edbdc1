"""Reading audiences: the list, reports, pages, and CSV."""

from __future__ import annotations

import asyncio
import csv
import gc
import io
import re
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest

from audiences import terminal
from audiences.engine import Reads
from audiences.errors import EngineFull
from audiences.models import Check
from audiences.store.files import FileStore
from support import Client, Made, Service, until

MESSY = (
    'phone1;name;note\n+44 20 7983 2100;Zoë;"a;b\nc"\n;Bob;\n447912345678;Cy;"say ""hi"""\n'
    "x;Di;=1+1\n447912345678;Ed;\n"
)


@pytest.fixture(scope="module")
def reader(service: Service) -> Iterator[Client]:
    with service.client() as made:
        yield made


@pytest.fixture(scope="module")
def messy(reader: Client) -> Made:
    return reader.create(MESSY, name="messy")


@pytest.fixture(scope="module")
def long(reader: Client) -> Made:
    """2,500 contacts and as many rejects, taking turns."""
    rows = (f"4479{number // 2:08d},{number}" if number % 2 == 0 else f"bad,{number}" for number in range(5000))
    return reader.create("phone1,n\n" + "\n".join(rows) + "\n", name="long", default_region="GB")


def test_the_list_shows_what_the_published_page_shows(reader: Client, messy: Made) -> None:
    item = next(item for item in reader.get("/audiences")["data"] if item["id"] == messy.id)
    assert item == {
        "id": messy.id,
        "name": "messy",
        "created_time": messy.report["created_time"],
        "type": "Static",
        "user_count": 2,
    }


def test_the_list_pages_newest_first_and_loses_none(client: Client) -> None:
    ids = [client.create("phone1\n442079832100\n", name=f"n{number}").id for number in range(5)]
    seen, cursor = [], None
    while True:
        page = client.get("/audiences", limit=2, **({"cursor": cursor} if cursor else {}))
        seen += [item["id"] for item in page["data"]]
        cursor = page.get("next_cursor")
        if cursor is None:
            break
    assert seen == ids[::-1]
    assert [item["id"] for item in client.get("/audiences")["data"]] == ids[::-1]


def test_the_list_finds_names_that_contain_a_text_whatever_it_holds(client: Client) -> None:
    for name in ("50%_off", "50 off", "Fifty"):
        client.create("phone1\n442079832100\n", name=name)
    assert [item["name"] for item in client.get("/audiences", name="0%_O")["data"]] == ["50%_off"]


def test_contacts_come_page_by_page_in_file_order_and_none_twice(long: Made) -> None:
    rows = [contact["row"] for contact in long.contacts(limit=700)]
    assert rows == sorted(set(rows))
    assert len(rows) == long.report["accepted"]


def test_rejects_and_contacts_together_are_the_file(long: Made) -> None:
    rows = [contact["row"] for contact in long.contacts(limit=1000)] + [row for row, _ in long.rejects()]
    assert sorted(rows) == list(range(2, 5002))


def test_a_row_number_is_the_one_that_a_spreadsheet_shows(messy: Made) -> None:
    """A line break inside quotes does not count."""
    assert [contact["row"] for contact in messy.contacts()] == [2, 4]
    assert messy.rejects() == [(3, "empty"), (5, "not_a_number"), (6, "duplicate")]


@pytest.mark.parametrize(
    ("query", "rows"),
    [
        ({"country": "GB"}, [2, 4]),
        ({"country": "gb"}, [2, 4]),
        ({"country": "FR"}, []),
        ({"line_type": "mobile"}, [4]),
        ({"phone": "+447912345678"}, [4]),
        ({"search": "zOË"}, [2]),
        ({"search": "' OR 1=1 --"}, []),
    ],
)
def test_filters_choose_contacts(messy: Made, query: dict[str, str], rows: list[int]) -> None:
    assert [contact["row"] for contact in messy.contacts(**query)] == rows


def test_rejects_can_be_chosen_by_reason(messy: Made) -> None:
    assert [item["row"] for item in messy.rows("rejects", {"reason": "duplicate"})] == [6]


def test_the_csv_of_contacts_holds_the_file_s_own_columns_but_for_the_phone(messy: Made) -> None:
    rows = list(csv.reader(io.StringIO(messy.csv())))
    assert rows == [["phone1", "name", "note"], ["442079832100", "Zoë", "a;b\nc"], ["447912345678", "Cy", 'say "hi"']]


def test_an_export_can_be_uploaded_again_with_the_same_contacts(reader: Client, messy: Made) -> None:
    again = reader.create(messy.csv())
    assert [(item["phone1"], item["columns"]) for item in again.contacts()] == [
        (item["phone1"], item["columns"]) for item in messy.contacts()
    ]


def test_the_csv_of_rejects_holds_cells_as_they_stood_row_and_reason(messy: Made) -> None:
    rows = list(csv.DictReader(io.StringIO(messy.csv("rejects"))))
    assert [(row["row"], row["reason"], row["first_row"], row["phone1"]) for row in rows] == [
        ("3", "empty", "", ""),
        ("5", "not_a_number", "", "x"),
        ("6", "duplicate", "4", "447912345678"),
    ]


def test_a_malformed_row_is_handed_back_whole(reader: Client) -> None:
    made = reader.create('phone1,name\n442079832100,Ann,surplus\n447912345678,"Bob\n447912345679,Cy\n')
    assert [(item["row"], item["reason"], item["raw"], item["columns"]) for item in made.rows("rejects", {})] == [
        (2, "malformed_row", "442079832100,Ann,surplus", {}),
        (3, "malformed_row", '447912345678,"Bob', {}),
    ]
    assert [contact["row"] for contact in made.contacts()] == [4]


def test_enrich_appends_what_is_known_under_names_that_are_free(reader: Client) -> None:
    made = reader.create("phone1,Country\n447912345678,x\n")
    rows = list(csv.reader(io.StringIO(made.csv(enrich="true"))))
    assert rows[0] == ["phone1", "Country", "audience_country", "line_type", "time_zones"]
    assert rows[1][:4] == ["447912345678", "x", "GB", "mobile"]


def test_spreadsheet_safe_disarms_formulas_and_leaves_the_rest(reader: Client) -> None:
    made = reader.create('phone1,a,b\n447912345678,=1+1,"\tx"\n442079832100,a=b,-5\n')
    rows = list(csv.reader(io.StringIO(made.csv(spreadsheet="safe"))))
    assert rows[1:] == [["447912345678", "'=1+1", "'\tx"], ["442079832100", "a=b", "'-5"]]


@pytest.mark.parametrize(
    ("accept", "status", "kind"),
    [
        ("text/csv", 200, "text/csv; charset=utf-8"),
        ("text/*;q=0.5, application/json;q=0.1", 200, "text/csv; charset=utf-8"),
        ("text/csv;q=0, */*", 200, "application/json"),
        ("*/*", 200, "application/json"),
        ("image/png", 406, "application/json"),
    ],
)
def test_accept_chooses_the_format(messy: Made, accept: str, status: int, kind: str) -> None:
    response = messy.client.http.get(f"/audiences/{messy.id}/contacts", headers={"Accept": accept})
    assert (response.status_code, response.headers["content-type"]) == (status, kind)


@pytest.mark.parametrize("kind", ["contacts", "rejects"])
def test_head_tells_the_headers_and_no_more(messy: Made, kind: str) -> None:
    response = messy.client.http.head(f"/audiences/{messy.id}/{kind}", headers={"Accept": "text/csv"})
    assert (response.status_code, response.content) == (200, b"")
    assert "attachment" in response.headers["content-disposition"]


@pytest.mark.parametrize(
    "query",
    [
        {"limit": "0"},
        {"limit": "1001"},
        {"limit": "x"},
        {"limit": "٣"},
        {"cursor": "!"},
        {"cursor": "WzEsIjIiXQ"},
        {"cursor": "Wy0xLDJd"},
        {"phone": "x"},
        {"enrich": "maybe"},
        {"spreadsheet": "excel"},
    ],
)
def test_a_parameter_that_cannot_be_is_a_400(messy: Made, query: dict[str, str]) -> None:
    response = messy.client.http.get(f"/audiences/{messy.id}/contacts", params=query)
    assert response.status_code == 400
    assert response.json()["errors"][0]["field"] in query


def test_an_unknown_reason_is_a_400_that_names_the_known_ones(messy: Made) -> None:
    response = messy.client.http.get(f"/audiences/{messy.id}/rejects", params={"reason": "ugly"})
    assert response.status_code == 400
    assert "too_short" in response.json()["errors"][0]["message"]


@pytest.mark.parametrize("path", ["", "/contacts", "/rejects"])
@pytest.mark.parametrize("audience", ["foreign", "100000000000", "1", "x" * 40, "٣" * 12, "9" * 15, "9" * 30])
def test_another_account_s_audience_answers_like_an_unknown_one(
    service: Service, messy: Made, path: str, audience: str
) -> None:
    audience_id = messy.id if audience == "foreign" else audience
    with service.client() as stranger:
        response = stranger.http.get(f"/audiences/{audience_id}{path}")
        error = response.json()["errors"][0]
        assert (response.status_code, error["code"]) == (404, "unknown_audience")
        assert stranger.get("/audiences")["data"] == []


@pytest.mark.parametrize(
    ("kind", "query"),
    [
        ("rejects", {"country": "GB"}),
        ("rejects", {"phone": "442079832100"}),
        ("contacts", {"reason": "empty"}),
        ("rejects", {"callable": "09:00-20:00"}),
    ],
)
def test_a_filter_that_the_list_does_not_have_is_a_400_and_never_ignored(
    messy: Made, kind: str, query: dict[str, str]
) -> None:
    for accept in ("application/json", "text/csv"):
        response = messy.client.http.get(f"/audiences/{messy.id}/{kind}", params=query, headers={"Accept": accept})
        assert (response.status_code, response.json()["errors"][0]["field"]) == (400, next(iter(query)))


@pytest.mark.parametrize(
    "path", ["/contacts?contry=US", "/contacts?phone=1&phone=2", "/rejects?enrich=true", "?limit=1"]
)
def test_a_misspelled_or_repeated_parameter_is_a_400_and_never_ignored(messy: Made, path: str) -> None:
    response = messy.client.http.get(f"/audiences/{messy.id}{path}")
    error = response.json()["errors"][0]
    assert (response.status_code, error["code"]) == (400, "invalid_parameter")
    if "contry" in path:
        assert "country" in error["message"]


@pytest.mark.parametrize("query", ["lmit=1", "limit=1&limit=2", "name=a&name=b"])
def test_the_list_of_audiences_takes_each_of_its_parameters_once_and_no_other(reader: Client, query: str) -> None:
    for method in ("GET", "HEAD"):
        assert reader.http.request(method, f"/audiences?{query}").status_code == 400


@pytest.mark.parametrize("name", ["erased", "duplicates", "suppressed", "rejected"])
def test_the_counts_at_a_terminal_add_up(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    fields = {"name": "a", "type": "Static", "user_count": 3, "rows": 5, "accepted": 3, "blank_rows": 0, "files": []}
    fields |= {"duplicates": 0, "suppressed": 0, "rejected": 0, "rejected_by_reason": {}} | {name: 2}
    report = msgspec.convert(fields | {"columns": [], "countries": {}, "line_types": {}}, Check)
    terminal.show_stored(report, "312345", as_json=False)
    printed = capsys.readouterr().out
    found = {what: int(count) for count, what in re.findall(r"^ *(\d+)  (\w+) *$", printed, re.MULTILINE)}
    assert found.pop("rows") == sum(found.values()) == 5
    assert ("export 312345 --rejects" in printed) == (name != "erased")


def test_filters_choose_what_is_exported_too(messy: Made) -> None:
    assert messy.csv(line_type="mobile").splitlines()[1:] == ['447912345678,Cy,"say ""hi"""']
    assert len(messy.csv("rejects", reason="duplicate").splitlines()) == 2


def test_malformed_rows_are_found_by_their_text(reader: Client) -> None:
    made = reader.create("phone1,name\n442079832100,Ann\n447912345678,Needle,surplus\n")
    assert [item["row"] for item in made.rows("rejects", {"search": "needle"})] == [3]


# A cell a row: letters of several scripts, letters that fold to one of another length or script, what patterns know.
CELLS = [
    "Zoë",
    "ZOE",
    "İstanbul",
    "100 \u212a",
    "ΣΟΦΟΣ",
    "ẞ",
    "ÅNGSTRÖM",
    "50%_off",
    "a\\b",
    "a%b",
    "it's",
    "日本",
    "7.5e3",
    "",
]
NEEDLES = [
    "zoë",
    "ZO",
    "i",
    "İ",
    "k",
    "K",
    "\u212a",
    "σοφοσ",
    "Σ",
    "ς",
    "ß",
    "ẞ",
    "Å",
    "50%",
    "%",
    "_",
    "%_O",
    "\\",
    "a\\B",
]
NEEDLES += ["a%", "a_b", "'", "日", "7.5", "E3", "791", "447", "+44", "4 4", "0 \u212a", "null", "\0", "z%ë"]


def folded(text: str) -> str:
    """Each character in its lower case, one for one."""
    return "".join(character.lower()[0] for character in text)


@pytest.fixture(scope="module")
def odd(reader: Client) -> Made:
    return reader.create("phone1,cell\n" + "".join(f'4479123456{row:02d},"{cell}"\n' for row, cell in enumerate(CELLS)))


@pytest.mark.parametrize("needle", NEEDLES)
def test_a_search_finds_a_text_in_any_cell_whatever_the_case_and_what_it_holds(odd: Made, needle: str) -> None:
    cells = [(f"4479123456{row:02d}", cell) for row, cell in enumerate(CELLS)]
    expected = [phone for phone, cell in cells if folded(needle) in folded(cell) or needle in phone]
    assert [contact["phone1"] for contact in odd.contacts(search=needle)] == expected


def test_a_search_of_a_file_of_numbers_alone_finds_digits_and_no_letters(reader: Client) -> None:
    made = reader.create("phone1\n447912345678\nbad\n442079832100\n")
    assert [contact["row"] for contact in made.contacts(search="79123")] == [2]
    assert made.contacts(search="bad") == []
    assert [item["row"] for item in made.rows("rejects", {"search": "BA"})] == [3]


def test_a_search_of_a_large_file_finds_each_row_once_and_in_order(reader: Client) -> None:
    """Some rows with the text are in the first groups of the file, some in none but the last."""
    kinds = dict.fromkeys((3, 150_000, 299_999), "Rare") | dict.fromkeys(range(0, 300_000, 1_001), "often")
    kinds |= {299_998: "LATE"}
    rows = (f"4479{number:08d},{kinds.get(number, 'other')}" for number in range(300_000))
    made = reader.create("phone1,kind\n" + "\n".join(rows) + "\n")
    assert made.report["accepted"] == 300_000
    for text in ("rare", "OFTEN", "late", "absent"):
        expected = [number + 2 for number, kind in sorted(kinds.items()) if kind.lower() == text.lower()]
        assert [contact["row"] for contact in made.contacts(search=text, limit=100)] == expected
    assert [contact["row"] for contact in made.contacts(search="often", limit=300)] == sorted(
        number + 2 for number, kind in kinds.items() if kind == "often"
    )


def test_names_in_an_export_survive_and_are_disarmed_like_cells(reader: Client) -> None:
    made = reader.create('phone1,=cmd,"a\rb",country,audience_country\n442079832100,1,2,3,4\n')
    header = next(csv.reader(io.StringIO(made.csv(enrich="true", spreadsheet="safe"), newline="")))
    assert header == [
        "phone1",
        "'=cmd",
        "a\rb",
        "country",
        "audience_country",
        "audience_country_2",
        "line_type",
        "time_zones",
    ]
    assert reader.create(made.csv()).contacts()[0]["columns"] == made.contacts()[0]["columns"]


def test_the_list_folds_the_case_of_every_script(client: Client) -> None:
    client.create("phone1\n442079832100\n", name="ÄB Ünïcode")
    assert len(client.get("/audiences", name="äb ünÏ")["data"]) == 1
    assert client.http.get("/audiences", params={"name": "_" * 30_000}).status_code == 400


# Files that are far away


class FarAway:
    """A file store whose files come when they are let go."""

    def __init__(self, files: FileStore) -> None:
        self.files = files
        self.come = threading.Event()
        self.asked: list[str] = []

    def local(self, name: str) -> Path:
        self.asked.append(name)
        assert self.come.wait(60)
        return self.files.local(name)


def test_whoever_reads_many_files_from_far_away_keeps_nobody_else_waiting(
    start: Callable[..., Service], monkeypatch: pytest.MonkeyPatch
) -> None:
    service = start()
    far = FarAway(service.parts.files)
    with service.client() as greedy, service.client() as other, ThreadPoolExecutor(45) as threads:
        made = greedy.create("phone1\n442079832100\n")
        monkeypatch.setattr(service.parts.library, "files", far)
        pages = [threads.submit(greedy.http.get, f"/audiences/{made.id}/contacts") for _ in range(45)]
        try:
            assert until(lambda: len(far.asked) >= 8)
            time.sleep(0.3)  # the others come in meanwhile
            for path in ("/readyz", "/audiences"):
                assert other.http.get(path, timeout=2).status_code == 200
        finally:
            far.come.set()
        assert {page.result().status_code for page in pages} == {200}


def test_the_reads_of_an_account_are_bounded_and_leave_places_to_others() -> None:
    reads, go = Reads(at_once=3, of_account=2, waiting=1), threading.Event()

    async def read() -> None:
        first = [asyncio.create_task(reads.run(1, go.wait, 10)) for _ in range(3)]
        await asyncio.sleep(0.05)
        with pytest.raises(EngineFull) as raised:
            await reads.run(1, go.wait, 10)
        assert raised.value.headers == {"Retry-After": "5"}
        assert await reads.run(2, lambda: "read") == "read"
        go.set()
        assert await asyncio.gather(*first) == [True] * 3

    asyncio.run(read())
    go.clear()
    asyncio.run(read())
    gc.collect()
    assert not reads.shares
