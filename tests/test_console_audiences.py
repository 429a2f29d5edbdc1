"""The console's screens of audiences: what one sees of them, and what one can do to them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from sqlalchemy import update

from audiences import clock, cursors
from audiences.console import audience_hours, audience_words
from audiences.errors import Reason
from audiences.exports import MAX_OF_ACCOUNT
from audiences.library import RESTORABLE
from audiences.store import audiences as stored
from audiences.store import audit
from audiences.store.schema import audiences
from audiences.user import MEMBER
from console import TOKEN, post, signed_in, text, token
from support import Client, Made, Service

FILE = "phone1,name\n+44 7911 123456,Ann\n+31 6 1234 5678,=SUM(A1)\n0031612345678,Cy\ncall me,Di\n+1 212 555,Ed\n,Fay\n"
MORE = "phone1,name\n+1 212 555 2368,Gus\n+44 7911 123456,Ann again\n"


@dataclass(frozen=True)
class Desk:
    """A member's browser, and the API of the same account."""

    browser: httpx.Client
    client: Client
    service: Service

    def page(self, path: str, **query: str) -> str:
        """What a page says."""
        return text(self.get(path, **query))

    def get(self, path: str, **query: str) -> httpx.Response:
        """A page."""
        answer = self.browser.get(path, params=query)
        assert answer.status_code == 200, answer.text
        return answer

    def upload(self, made: Made, kind: str, content: str, **fields: str) -> httpx.Response:
        """Sends a file as the page's script does."""
        headers = {"X-CSRF-Token": token(self.browser), "HX-Request": "true"}
        files = {"audience_file": ("more.csv", content)}
        return self.browser.post(f"{path_of(made)}/{kind}", data=fields, files=files, headers=headers)

    def actions(self) -> list[tuple[str, str]]:
        """Actor's kind and action of what the audit log holds of the account."""
        with self.service.parts.database.read() as connection:
            rows = audit.every(connection, self.client.account)
        return [(row["actor"].partition(" ")[0], row["action"]) for row in rows if row["subject"] != row["actor"]]


@pytest.fixture
def desk(service: Service) -> Iterator[Desk]:
    """A member of an account of their own."""
    with service.client() as client, signed_in(service, client.account, MEMBER) as browser:
        yield Desk(browser, client, service)


def path_of(made: Made) -> str:
    """The audience's page."""
    return f"/console/audiences/{made.id}"


def names(answer: httpx.Response) -> list[str]:
    """The names in the list, in its order."""
    return re.findall(r'<a class="name"[^>]*>([^<]*)</a>', answer.text)


def link(answer: httpx.Response, label: str) -> str:
    """Where the turn to another page leads."""
    found = re.search(
        rf'<a class="button plain" href="([^"]+)"[^>]*>(?:<svg.*?</svg>)?<span>{label}</span>', answer.text
    )
    assert found is not None, f"no {label}"
    return found[1].replace("&amp;", "&")


def add_empty(desk: Desk, written: list[str]) -> None:
    """Audiences of these names without contacts, each made a moment after the one before."""
    account, now = desk.client.account, clock.now()
    with desk.service.parts.database.write() as connection:
        for number, name in enumerate(written):
            row = {"id": account * 1000 + number, "account_id": account, "name": name, "type": "Static", "version": 1}
            stored.add(connection, row | {"created_time": now + number, "updated_time": now})


# The list.


def test_an_empty_list_teaches_and_takes_a_file_at_once(desk: Desk) -> None:
    answer = desk.get("/console/audiences")

    assert "From a spreadsheet to a campaign" in text(answer)
    assert re.search(r'<form[^>]*data-upload[^>]*action="/console/new"', answer.text)
    assert 'name="audience_file"' in answer.text


def test_keys_in_use_that_end_soon_are_announced_on_the_first_screen(desk: Desk) -> None:
    assert "is in use and ends" not in desk.page("/console/audiences")
    key_id, key = desk.service.parts.keys.create(desk.client.account, "Nightly", days=20)
    desk.service.parts.keys.authenticate(f"Bearer {key}")

    assert "The key Nightly is in use and ends" in desk.page("/console/audiences")
    assert f'href="/console/keys/{key_id}"' in desk.get("/console/audiences").text
    part = desk.browser.get("/console/audiences", headers={"HX-Request": "true"})
    assert "is in use and ends" not in part.text


def test_the_list_is_searched_sorted_and_turned_both_ways(desk: Desk) -> None:
    written = [f"b{number:03}" for number in range(120)]
    add_empty(desk, written)

    assert names(desk.get("/console/audiences")) == written[:69:-1]
    assert names(desk.get("/console/audiences", q="B117")) == ["b117"]
    for sort in ("name", "-name", "created", "contacts", "-contacts", "type"):
        first = desk.get("/console/audiences", sort=sort)
        second = desk.browser.get("/console/audiences" + link(first, "Next"))
        third = desk.browser.get("/console/audiences" + link(second, "Next"))
        found = names(first) + names(second) + names(third)
        assert found == (written[::-1] if sort.startswith("-") else written)
        back = desk.browser.get("/console/audiences" + link(third, "Back"))
        assert names(back) == names(second)
        assert names(desk.browser.get("/console/audiences" + link(back, "Back"))) == names(first)


def test_a_script_gets_the_list_and_its_count_alone(desk: Desk) -> None:
    desk.client.create(FILE, name="spring")

    answer = desk.browser.get("/console/audiences?q=spr", headers={"HX-Request": "true"})
    assert "<html" not in answer.text
    assert '<p id="counted" hx-swap-oob="innerHTML">1 audience found</p>' in answer.text
    assert desk.page("/console/audiences", q="zzz").count("No audience has “zzz” in its name") == 1


@pytest.mark.parametrize("cursor", ["x", "WzEsMl0", "W2ZhbHNlLCAiYSIsIDFd"])
def test_a_cursor_of_another_list_is_refused(desk: Desk, cursor: str) -> None:
    assert desk.browser.get("/console/audiences", params={"cursor": cursor}).status_code == 400


def test_a_deleted_audience_is_listed_until_it_cannot_be_restored(desk: Desk) -> None:
    made = desk.client.create(FILE, name="gone <b>")
    assert post(desk.browser, f"{path_of(made)}/delete", {"typed": "gone"}).status_code == 303
    assert "gone <b>" in names(desk.get("/console/audiences"))[0].replace("&lt;", "<").replace("&gt;", ">")

    post(desk.browser, f"{path_of(made)}/delete", {"typed": "gone <b>"})
    assert "Deleted, and still here Name" not in desk.page("/console/audiences", q="x")
    assert "Can be restored until" in desk.page("/console/audiences")
    assert desk.browser.get(path_of(made)).status_code == 404

    assert post(desk.browser, f"{path_of(made)}/restore").headers["Location"] == path_of(made)
    assert "Can be restored until" not in desk.page("/console/audiences")
    assert desk.actions()[-2:] == [("user", "delete"), ("user", "restore")]
    with desk.service.parts.database.write() as connection:
        connection.execute(update(audiences).values(deleted_time=clock.now() - RESTORABLE))
    assert "Can be restored until" not in desk.page("/console/audiences")


# One audience.


def test_the_balance_adds_up_and_its_counts_lead_to_their_rows(desk: Desk) -> None:
    made = desk.client.create(FILE, name="spring")
    answer = desk.get(path_of(made))

    counts = [int(count) for count in re.findall(r"<dd>(?:<a[^>]*>)?(\d+)", answer.text.split('class="balance"')[1])][
        :5
    ]
    assert counts[:4] == [2, 1, 0, 3]
    assert counts[4] == sum(counts[:4])
    for reason in ("not_a_number", "too_short", "empty", "duplicate"):
        assert f"/rejects?reason={reason}" in answer.text
        assert desk.page(f"{path_of(made)}/rejects", reason=reason).count("1 row ") == 1
    assert "contacts?country=NL" in answer.text
    assert "curl " in answer.text


def test_commands_and_links_name_the_public_address(start: Callable[..., Service]) -> None:
    service = start(public_url="https://audiences.example/")
    with service.client() as client, signed_in(service, client.account) as browser:
        browser.cookies.set("__Host-session", browser.cookies["session"])
        held = {"Cookie": f"__Host-session={browser.cookies['session']}", "Host": "evil.example"}
        made = client.create(FILE)
        page = browser.get(path_of(made), headers=held)
        assert f" https://audiences.example/audiences/{made.id}/contacts" in page.text
        assert "evil.example" not in page.text

        found = TOKEN.search(page.text)
        assert found is not None
        headers = held | {"X-CSRF-Token": found[1]}
        invited = browser.post(
            "/console/account/users", data={"email": "new@b.example", "role": MEMBER}, headers=headers
        )
        assert 'data-copies="https://audiences.example/console/welcome?link=' in invited.text
        notice = browser.post(f"{path_of(made)}/rename", data={"name": "b"}, headers=headers).headers["Set-Cookie"]
        assert notice.startswith("__Host-notice=")
        assert "Secure" in notice


def test_without_a_public_address_commands_name_what_the_browser_calls_the_server(desk: Desk) -> None:
    made = desk.client.create(FILE)

    assert f" {desk.service.url}/audiences/{made.id}/contacts" in desk.get(path_of(made)).text


def test_all_reasons_have_words() -> None:
    assert set(audience_words.REASONS) == set(Reason)
    assert audience_words.line_type("fixed_line_or_mobile") == "Fixed line or mobile"
    assert audience_words.line_type("voip") == "VoIP"


def test_a_strangers_audience_is_nowhere(desk: Desk, client: Client) -> None:
    made = client.create(FILE)
    gets = ["", "/contacts", "/rejects", "/append", "/replace", "/contacts/download", "/rejects/download"]

    assert [desk.browser.get(path_of(made) + rest).status_code for rest in gets] == [404] * len(gets)
    for rest in ("/rename", "/delete", "/restore"):
        assert post(desk.browser, path_of(made) + rest, {"name": "mine", "typed": "list"}).status_code == 404
    for kind in ("append", "replace"):
        assert desk.upload(made, kind, MORE).status_code == 404
    assert made.report["accepted"] == 2


def test_contacts_are_filtered_and_turned(desk: Desk) -> None:
    rows = "".join(f"+4474001{number:05},Name {number}\n" for number in range(120))
    made = desk.client.create(f"phone1,name\n{rows}+31612345678,Dutch\n")
    path = f"{path_of(made)}/contacts"

    first = desk.get(path, country="gb")
    assert "120 contacts" in text(first)
    assert "1 to 50 of 120" in text(first)
    second = desk.browser.get(link(first, "Next"))
    third = desk.browser.get(link(second, "Next"))
    assert "101 to 120 of 120" in text(third)
    assert "Name 119" in text(third)
    back = desk.browser.get(link(third, "Back"))
    assert "51 to 100 of 120" in text(back)
    assert text(desk.browser.get(link(back, "Back"))) == text(first)
    assert "+31612345678" in desk.page(path, search="DUTCH", line_type="mobile")
    assert "121 contacts" in desk.page(path, callable="00:00-24:00")
    assert "No contact is like that" in desk.page(path, search="nobody")
    assert desk.browser.get(path, params={"callable": "x"}).status_code == 400
    assert desk.browser.get(path, params={"cursor": "x"}).status_code == 400
    part = desk.browser.get(path, headers={"HX-Request": "true"})
    assert part.text.strip().startswith('<p id="counted" hx-swap-oob="innerHTML">')


def test_set_aside_rows_show_what_stood_there_and_why(desk: Desk) -> None:
    said = desk.page(f"{path_of(desk.client.create(FILE))}/rejects")

    for words in ("Duplicate of row 3", "Not a phone number call me Di", "No number in the cell (empty) Fay"):
        assert words in said


def test_downloads_are_the_apis_streams_and_safe_for_spreadsheets(desk: Desk) -> None:
    made = desk.client.create(FILE)
    path = f"{path_of(made)}/contacts/download"

    plain = desk.get(path)
    assert plain.text == made.csv(spreadsheet="safe")
    assert "'=SUM" in plain.text
    assert plain.headers["Content-Disposition"] == f'attachment; filename="audience-{made.id}-contacts.csv"'
    assert "Content-Security-Policy" in plain.headers
    assert desk.get(path, spreadsheet="verbatim", enrich="true").text == made.csv(enrich="true")
    assert desk.get(path, country="NL").text.count("\n") == 2
    assert desk.get(path, format="parquet").content[:4] == b"PAR1"
    assert desk.get(path, format="xlsx").content[:2] == b"PK"
    assert desk.get(path, format="ndjson").text.startswith("{")
    assert "call me" in desk.get(f"{path_of(made)}/rejects/download", reason="not_a_number").text


def test_rejected_rows_can_be_mended_and_appended(desk: Desk) -> None:
    made = desk.client.create(FILE)
    mended = desk.get(f"{path_of(made)}/rejects/download").text.replace("call me", "+44 7911 123457")

    assert desk.upload(made, "append", mended).headers["HX-Redirect"] == path_of(made)
    assert "+447911123457" in desk.page(f"{path_of(made)}/contacts")


# The do-not-contact list.


def test_a_full_quota_never_refuses_an_opt_out(start: Callable[..., Service]) -> None:
    service = start(account_bytes=1)
    with signed_in(service, role=MEMBER) as browser:
        headers = {"X-CSRF-Token": token(browser), "HX-Request": "true"}
        path = "/console/suppressions"

        def send(content: str) -> httpx.Response:
            return browser.post(f"{path}/file", files={"audience_file": ("list.csv", content)}, headers=headers)

        assert post(browser, f"{path}/add", {"phone": "+442079832100"}).status_code == 303
        assert send("phone1\n+442079832101\n").status_code == 200
        assert post(browser, f"{path}/add", {"phone": "+442079832102"}).status_code == 303
        assert "Numbers on the list 3" in text(browser.get(path))
        assert "quota" in text(browser.get("/console/new")), "an audience finds no room"


def test_more_downloads_of_the_list_than_an_account_may_have_get_a_page_that_says_so(desk: Desk) -> None:
    post(desk.browser, "/console/suppressions/add", {"phone": "+442079832100"})
    exports = desk.service.parts.exports
    exports.of_account[desk.client.account] = MAX_OF_ACCOUNT
    try:
        answer = desk.browser.get("/console/suppressions/do-not-contact.csv")
    finally:
        del exports.of_account[desk.client.account]

    assert (answer.status_code, answer.headers["Content-Type"]) == (503, "text/html; charset=utf-8")
    assert "Content-Disposition" not in answer.headers
    assert "exports of your account are under way" in text(answer)
    assert desk.get("/console/suppressions/do-not-contact.csv").text.startswith("phone1")


# Changes.


def test_a_file_is_appended_or_replaces_and_the_page_says_what_became_of_its_rows(desk: Desk) -> None:
    made = desk.client.create(FILE)

    assert desk.upload(made, "append", MORE, phone_column="phone1").status_code == 204
    assert "more.csv was appended: 2 rows = 1 accepted + 1 duplicate." in desk.page(path_of(made))
    assert desk.upload(made, "replace", MORE, dry_run="true").status_code == 204
    said = desk.page(path_of(made))
    assert "put in place of all contacts: 2 rows = 2 accepted." in said
    assert "Undo the replacement" in said
    assert made.report["accepted"] == 2
    assert desk.actions()[-2:] == [("user", "append"), ("user", "replace")]


@pytest.mark.parametrize("kind", ["append", "replace"])
def test_a_file_that_cannot_be_taken_changes_nothing_and_says_why(desk: Desk, kind: str) -> None:
    made = desk.client.create(FILE)

    answer = desk.upload(made, kind, "tel\n+442079832100\n")
    assert answer.status_code == 422
    assert "There is no column named phone1." in text(answer)
    assert "Write its name into the field below." in text(answer)
    none = desk.upload(made, kind, "phone1\n020 7946 0000\n")
    assert text(none).find("choose their country below.") > 0
    assert made.report["accepted"] == 2
    assert "Column of phone numbers" in desk.page(f"{path_of(made)}/{kind}")


def test_the_last_change_is_undone_but_only_the_one_that_the_page_told_of(desk: Desk) -> None:
    made = desk.client.create(FILE)
    assert "Undo the" not in desk.page(path_of(made))
    made.append(MORE)
    seen = desk.get(path_of(made))
    promised = re.search(r'name="back_to" value="(\d+)"', seen.text)
    assert promised is not None
    made.append("phone1\n+442079832100\n")

    assert post(desk.browser, f"{path_of(made)}/restore", {"back_to": promised[1]}).status_code == 409
    assert made.report["accepted"] == 4
    assert post(desk.browser, f"{path_of(made)}/restore", {"back_to": "2"}).status_code == 303
    assert made.report["accepted"] == 3
    post(desk.browser, f"{path_of(made)}/restore")
    post(desk.browser, f"{path_of(made)}/restore")
    assert "There is nothing left to undo." in desk.page(path_of(made))


def test_a_name_that_cannot_be_is_refused_and_another_one_is_taken(desk: Desk) -> None:
    made = desk.client.create(FILE, name="old")

    post(desk.browser, f"{path_of(made)}/rename", {"name": " "})
    assert "The old name stays." in desk.page(path_of(made))
    post(desk.browser, f"{path_of(made)}/rename", {"name": " new "})
    assert "The audience is called “new” now." in desk.page(path_of(made))
    assert made.report["name"] == "new"
    assert desk.actions()[-1] == ("user", "rename")


# The hours.


def at(text: str) -> int:
    """A moment in UTC."""
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


def test_the_hours_of_the_coming_day_count_whom_one_may_call_by_the_users_clock() -> None:
    counts = {"Europe/London": 5, "America/New_York": 3, "Europe/London,America/New_York": 2, "Etc/Unknown": 1}
    day = audience_hours.day(counts, "Europe/Paris", at("2026-01-15T12:30"))

    assert (day.now, day.callable, day.unknown) == (13, 5, 1)
    assert day.counts[9] == 0  # 08:00 in London
    assert day.counts[10] == 5
    assert day.counts[15:18] == [10, 10, 10]  # 14:00 in London, 09:00 in New York
    assert day.counts[21:] == [3, 3, 3]
    assert day.counts[2] == 0


def test_local_times_are_told_in_few_words() -> None:
    now = at("2026-01-15T12:30")
    cases: list[tuple[list[str], Any]] = [
        (["Europe/London"], "12:30 in London"),
        (["Europe/London", "Europe/Jersey"], "12:30 in 2 zones"),
        (["Europe/London", "Europe/Paris"], "12:30 to 13:30 in 2 zones"),
        (["Etc/Nowhere"], "Unknown"),
    ]
    assert [audience_hours.local_times(zones, now) for zones, _ in cases] == [said for _, said in cases]


# A NUL, which PostgreSQL has no text with, wherever a caller can put one that a catalog is then asked for.
NUL_PATHS = ["keys/%00", "new/%00", "account/users/%00", "audiences/%00"]


def test_a_nul_in_what_is_looked_for_is_the_caller_s_mistake(client: Client, service: Service) -> None:
    answer = client.http.get("/audiences", params={"name": "a\0b"})
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (400, "invalid_parameter")
    with signed_in(service) as browser:
        assert browser.get("/console/audiences", params={"q": "a\0b"}).status_code == 400
        cursor = cursors.encode((False, "a\0b", 5))
        assert browser.get("/console/audiences", params={"sort": "name", "cursor": cursor}).status_code == 400
        assert [browser.get(f"/console/{path}").status_code for path in NUL_PATHS] == [404] * len(NUL_PATHS)
