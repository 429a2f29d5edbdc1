"""New audience in the console: one upload, a check that can be changed, and an audience or nothing."""

from __future__ import annotations

import io
import re
import socket
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
import xlsxwriter  # type: ignore[import-untyped]
from sqlalchemy import select

from audiences.drafts import MOST
from audiences.settings import RateLimit
from audiences.store.schema import audit, drafts
from console import post, signed_in, text, token
from support import Service

MESSY = (
    "Customers of 2026;;\n\nname;Phone1;city\nAnn;+44 20 7946 0958;London\nBob;442079460958;Leeds\n"
    "Cy;call me;York\nDi;442079460959;<b>Bath</b>\n"
)
NATIONAL = "Name,Mobile,City\nAnn,07911123456,London\nBob,07911123457,Leeds\n"


@pytest.fixture
def account(service: Service) -> int:
    """An account of its own."""
    return service.account()


@pytest.fixture
def browser(service: Service, account: int) -> Iterator[httpx.Client]:
    """A browser in which a member of the account is signed in."""
    with signed_in(service, account, "member") as made:
        yield made


def sent(browser: httpx.Client, content: str | bytes, name: str = "list.csv", **fields: str) -> httpx.Response:
    """Uploads a file as the page's script does."""
    headers = {"HX-Request": "true", "X-CSRF-Token": token(browser)}
    parts: list[Any] = [(field, (None, value)) for field, value in fields.items()]
    return browser.post("/console/new", files=[*parts, ("audience_file", (name, content))], headers=headers)


def uploaded(browser: httpx.Client, content: str | bytes, name: str = "list.csv", **fields: str) -> str:
    """The path of the new draft."""
    answer = sent(browser, content, name, **fields)
    assert answer.status_code == 204, answer.text
    return answer.headers["HX-Redirect"]


def checked(browser: httpx.Client, path: str, **fields: str) -> httpx.Response:
    """The check as the page loads it; with fields, as its form changes it."""
    if fields:
        return post(browser, path, fields, htmx=True)
    return browser.get(f"{path}/check", headers={"HX-Request": "true"})


def selected(page: str, name: str) -> str | None:
    """The value that is chosen in that field."""
    field = re.search(rf'<select id="{name}".*?</select>', page, re.DOTALL)
    found = field and re.search(r'value="([^"]*)" selected', field[0])
    return found[1] if found else None


def workbook() -> bytes:
    """Two sheets, neither of which has phone1, and a hidden one."""
    out = io.BytesIO()
    with xlsxwriter.Workbook(out, {"in_memory": True}) as book:
        book.add_worksheet("Notes").write_row(0, 0, ["what", "who"])
        sheet = book.add_worksheet("Customers, 2026")
        sheet.write_row(0, 0, ["name", "Mobile"])
        sheet.write_row(1, 0, ["Ann", "442079460958"])
        book.add_worksheet("Secret").hide()
    return out.getvalue()


def test_a_file_is_uploaded_once_checked_and_created(service: Service, account: int, browser: httpx.Client) -> None:
    path = uploaded(browser, MESSY, "NE customers.csv", dry_run="true", sheet="ignored", phone_column="nonsense")
    page = browser.get(path)
    assert f'hx-get="{path}/check" hx-trigger="load"' in page.text
    assert "Reading and judging" in text(page)
    assert "NE customers.csv" in text(browser.get("/console/new")), "it can be found again"

    check = checked(browser, path)
    said = text(check)
    assert "2 of 4 rows would become contacts. Nothing is stored yet." in said
    for fact in ("semicolon", "UTF-8", "row 3, 3 columns", "Contacts 2 50 %", "Duplicates 1 25 %", "Rejected 1 25 %"):
        assert fact in said
    assert "row 6 call me" in said
    assert "row 5 442079460958 same as row 4" in said
    assert "4 442079460958 United Kingdom fixed line Ann London" in said
    assert "&lt;b&gt;Bath&lt;/b&gt;" in check.text
    assert selected(check.text, "phone_column") == "Phone1"
    assert 'value="NE customers"' in check.text

    answer = post(browser, f"{path}/create", {"name": "My list", "phone_column": "Phone1"}, htmx=True)
    audience = answer.headers["HX-Redirect"].rpartition("/")[2]
    report = service.parts.library.report(account, audience)
    assert (report.name, report.accepted, report.rejected, report.files[0].name) == (
        "My list",
        2,
        1,
        "NE customers.csv",
    )
    shown = browser.get("/console/no-such-page")
    assert "My list is created: 2 of 4 rows are contacts (1 duplicate, 1 rejected)." in text(shown)
    with service.parts.database.read() as connection:
        done = connection.execute(select(audit).where(audit.c.subject == audience)).mappings().one()
        assert connection.execute(select(drafts).where(drafts.c.account_id == account)).first() is None
    assert (done["action"], done["actor"].startswith("user ")) == ("create", True)
    again = post(browser, f"{path}/create", {"name": "My list"})
    assert (again.status_code, browser.get(path).status_code) == (404, 404)


def test_a_missing_phone_column_is_chosen_without_another_upload(browser: httpx.Client) -> None:
    path = uploaded(browser, NATIONAL)
    refused = checked(browser, path)
    assert "The file has no column named phone1. Choose the column" in text(refused)
    assert [f'value="{name}"' in refused.text for name in ("Name", "Mobile", "City")] == [True] * 3
    assert selected(refused.text, "phone_column") == "Mobile", "the likeliest"
    assert "/create" not in refused.text

    none = checked(browser, path, phone_column="Mobile")
    assert "No row has a valid phone number" in text(none)
    assert "/create" not in none.text

    good = checked(browser, path, phone_column="Mobile", default_region="GB", name="Mine")
    assert "2 of 2 rows would become contacts" in text(good)
    assert 'value="Mine"' in good.text
    assert (selected(good.text, "phone_column"), selected(good.text, "default_region")) == ("Mobile", "GB")
    assert selected(checked(browser, path).text, "default_region") == "GB", "it is kept"


def test_the_sheet_of_a_workbook_is_chosen(browser: httpx.Client) -> None:
    path = uploaded(browser, workbook(), "book.xlsx")
    refused = checked(browser, path)
    assert ">Customers, 2026</option>" in refused.text
    assert "Secret" not in refused.text
    assert ">what</option>" in refused.text

    other = checked(browser, path, sheet="Customers, 2026", phone_column="")
    assert selected(other.text, "phone_column") == "Mobile"
    good = checked(browser, path, sheet="Customers, 2026", phone_column="Mobile")
    assert "1 of 1 rows would become contacts" in text(good)
    assert selected(good.text, "sheet") == "Customers, 2026"

    gone = checked(browser, path, sheet="No such", phone_column="Mobile")
    assert "There is no visible sheet named No such" in text(gone)
    assert ">Customers, 2026</option>" in gone.text


@pytest.mark.parametrize(
    ("content", "name", "words"),
    [
        (b"", "a.csv", "The file has no bytes."),
        (b"PK\x03\x04" + b"x" * 99, "a.xlsx", "damaged"),
        (b"%PDF-1.7\n", "a.pdf", "Send a CSV file"),
        ("phone1,name\n", "a.csv", "no rows under it"),
        ("phone1,phone1\n1,2\n", "a.csv", "2 columns are named phone1"),
        ("phone1\n" + "x" * 500 + "\n", "a.csv", "No row has a valid phone number"),
        ('name|Téléphone\nAnn|"4420"\n'.encode("cp1252"), "a.csv", ">Téléphone</option>"),
        ("name\tMobile\n".encode("utf-16"), "a.csv", ">Mobile</option>"),
        ("just words\n", "a.csv", "no column named phone1"),
    ],
)
def test_a_file_that_cannot_be_created_says_why_and_what_to_do(
    browser: httpx.Client, content: str | bytes, name: str, words: str
) -> None:
    page = checked(browser, uploaded(browser, content, name))

    assert page.status_code == 200
    assert words in page.text
    assert "/create" not in page.text
    assert re.search("upload it anew|No new upload|choose their country", page.text)


def test_another_user_and_another_account_get_the_page_of_what_is_not_there(
    service: Service, account: int, browser: httpx.Client
) -> None:
    path = uploaded(browser, MESSY)
    with signed_in(service, account) as colleague, signed_in(service) as stranger:
        for other in (colleague, stranger):
            for way in (path, f"{path}/check"):
                answer = other.get(way)
                assert (answer.status_code, "Nothing of your account" in answer.text) == (404, True)
            assert [post(other, path + way).status_code for way in ("", "/create", "/remove")] == [404] * 3
            assert "list.csv" not in other.get("/console/new").text
    assert "2 of 4" in text(checked(browser, path))


def test_a_draft_is_thrown_away(service: Service, browser: httpx.Client) -> None:
    path = uploaded(browser, MESSY)
    with service.parts.database.read() as connection:
        draft = drafts.c.id == path.rpartition("/")[2]
        name = connection.execute(select(drafts.c.object).where(draft)).scalar_one()

    answer = post(browser, f"{path}/remove")

    assert (answer.status_code, answer.headers["Location"]) == (303, "/console/new")
    assert "list.csv was thrown away" in text(browser.get("/console/new"))
    assert browser.get(path).status_code == 404
    assert not service.parts.files.exists(name)


def test_a_name_that_cannot_be_is_said_beside_its_field(browser: httpx.Client) -> None:
    path = uploaded(browser, MESSY)
    scripted = post(browser, f"{path}/create", {"name": " "}, htmx=True)
    plain = post(browser, f"{path}/create", {"name": "x" * 256})

    assert (scripted.status_code, scripted.headers["HX-Retarget"]) == (422, "#create")
    assert "1 to 255 characters" in scripted.text
    assert "<html" not in scripted.text
    assert (plain.status_code, 'aria-invalid="true"' in plain.text, "<html" in plain.text) == (422, True, True)
    assert 'value="list"' in checked(browser, path, name="", phone_column="Phone1").text


def test_a_page_without_scripts_shows_the_whole_check(browser: httpx.Client) -> None:
    path = uploaded(browser, MESSY)

    assert post(browser, path, {"default_region": "GB"}).headers["Location"] == f"{path}/check"
    page = browser.get(f"{path}/check").text
    assert "<html" in page
    assert page.count('id="stage"') == 1
    ids = re.findall(r'\sid="([^"]+)"', page)
    assert len(ids) == len(set(ids))


def test_limits_of_uploads_hold_and_nothing_stays(start: Callable[..., Service]) -> None:
    service = start(max_upload_bytes=1000, account_bytes=1500)
    account = service.account()
    with signed_in(service, account) as browser:
        large = sent(browser, b"x" * 1001)
        assert (large.status_code, "1,000 bytes" in large.text) == (413, True)
        no_file = browser.post(
            "/console/new", files={"name": (None, "x")}, headers={"X-CSRF-Token": token(browser), "HX-Request": "true"}
        )
        assert (no_file.status_code, "Choose a CSV file" in no_file.text) == (400, True)
        uploaded(browser, b"phone1\n" + b"x" * 900)
        full = sent(browser, b"phone1\n" + b"x" * 900)
        assert (full.status_code, "quota" in full.text) == (507, True)
    with signed_in(service, account) as other:
        assert "list.csv" not in other.get("/console/new").text
    assert len(list(service.parts.files.names(0))) == 1


def test_a_user_has_so_many_files_under_check_and_is_told_what_to_do(service: Service, account: int) -> None:
    with signed_in(service, account) as browser, signed_in(service, account) as other:
        paths = [uploaded(browser, MESSY) for _ in range(MOST)]
        refused = sent(browser, MESSY)
        assert (refused.status_code, refused.headers["HX-Retarget"]) == (409, "#notices")
        assert "You have 20 files under check" in text(refused)
        assert "Create or throw away one of them" in text(refused)
        assert "You have 20 files under check" in text(browser.get("/console/new")), "said before a file is chosen"
        uploaded(other, MESSY)
        post(browser, f"{paths[0]}/remove")
        uploaded(browser, MESSY)


@pytest.mark.parametrize("path", ["/console/new", "/console/audiences/{}/append", "/console/suppressions/file"])
def test_uploads_of_a_user_have_the_limit_of_a_key_s(start: Callable[..., Service], path: str) -> None:
    service = start(rate_limit=RateLimit(2, 86_400))
    with service.client() as client, signed_in(service, client.account) as browser:
        place = path.format(client.create("phone1\n442079460957\n").id)
        page = browser.get("/console/audiences")  # reading is no upload

        def send(held: httpx.Client, **headers: str) -> httpx.Response:
            headers |= {"X-CSRF-Token": token(held)}
            return held.post(place, files={"audience_file": ("list.csv", MESSY)}, headers=headers)

        answers = [send(browser, **{"HX-Request": "true"}) for _ in range(3)]
        assert page.status_code == 200
        assert [answer.status_code < 429 for answer in answers] == [True, True, False]
        script, whole = answers[-1], send(browser)
        assert [answer.status_code for answer in (script, whole)] == [429, 429]
        assert 0 < int(script.headers["Retry-After"]) <= 86_400
        assert "More than 2 uploads in 86400 seconds." in text(script)
        assert ("<html" in script.text, "<html" in whole.text) == (False, True)
        with signed_in(service, client.account) as other:
            assert send(other).status_code < 429, "another user's are counted by themselves"
            assert service.parts.usage.days(client.account, 1)[0].throttled == 2


def test_a_limit_refuses_before_the_file_is_sent(start: Callable[..., Service]) -> None:
    service = start(rate_limit=RateLimit(1, 86_400))
    with signed_in(service) as browser:
        uploaded(browser, MESSY)
        headers = {"X-CSRF-Token": token(browser), "Content-Type": "multipart/form-data; boundary=x"}
        headers |= {"Content-Length": "1000000", "Origin": service.url, "Host": service.url.partition("//")[2]}
        headers["Cookie"] = f"session={browser.cookies['session']}"
        with socket.create_connection(("127.0.0.1", int(service.url.rpartition(":")[2])), timeout=10) as raw:
            lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
            raw.sendall(f"POST /console/new HTTP/1.1\r\n{lines}\r\n".encode())
            assert raw.recv(100).startswith(b"HTTP/1.1 429")


def test_a_wide_file_with_long_cells_makes_a_light_page(browser: httpx.Client) -> None:
    names = ",".join(f"column {number}" for number in range(500))
    row = ",".join("x" * 300 for _ in range(500))
    page = checked(browser, uploaded(browser, f"phone1,{names}\n" + f"442079460958,{row}\n" * 4))

    assert "470 more columns are stored" in text(page)
    assert len(page.content) < 120_000
