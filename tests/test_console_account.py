"""The console's account pages: one's own password, codes and zone; the users; the log; the do-not-contact list."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import httpx
import pyotp
import pytest

from audiences.console import agents
from audiences.settings import RateLimit
from audiences.store import users as stored_users
from console import PASSWORD, new_user, post, signed_in, stranger, text, token
from support import Service

HOME = "/console/account"
USERS = f"{HOME}/users"
LIST = "/console/suppressions"
NEW_PASSWORD = "nine calm badgers"
LINK = re.compile(r'data-copies="[^"]*link=([0-9a-f]{64})"')
LONDON, PARIS = "+442079832100", "+33142685300"


@dataclass(frozen=True)
class Somebody:
    """A user with a password, and a browser in which they are signed in."""

    browser: httpx.Client
    id: str
    email: str
    account: int


@pytest.fixture
def ann(service: Service) -> Iterator[Somebody]:
    """The only admin of an account, who has no password: hashing one takes a seventh of a second."""
    account = service.account()
    user = service.parts.users.find(new_user(service, account))
    with stranger(service) as browser:
        browser.cookies.set("session", service.parts.sessions.start(user.id))
        yield Somebody(browser, user.id, user.email, account)


@pytest.fixture
def known(service: Service, ann: Somebody) -> Somebody:
    """The same with a password."""
    service.parts.users.use_link(service.parts.users.link(ann.id, "operator"), PASSWORD, None)
    ann.browser.cookies.set("session", service.parts.sessions.start(ann.id))
    return ann


def signs_in(service: Service, email: str, password: str, code: str = "") -> bool:
    """Whether those let somebody in."""
    with stranger(service) as browser:
        fields = {"email": email, "password": password, "code": code}
        return browser.post("/console/sign-in", data=fields).status_code == 303


def others_on(page: httpx.Response) -> dict[str, str]:
    """What sessions beside this one the page offers to end: their ids by the names of their browsers."""
    found = re.findall(r'type="radio" value="([0-9a-f]{64})".*?<label[^>]*>([^<]*)</label>', page.text, re.DOTALL)
    return {name: session for session, name in found}


def notices(page: httpx.Response) -> list[str]:
    """What the page says once."""
    return re.findall(r'<div class="notice \w+">.*?<p>([^<]*)</p>', page.text, re.DOTALL)


def with_codes(service: Service, user_id: str) -> str:
    """The secret of the user's codes, which are on from now on; their password is `PASSWORD`."""
    users = service.parts.users
    secret = users.new_totp_secret()
    users.use_link(users.link(user_id, "operator"), PASSWORD, None)
    users.enable_totp(user_id, PASSWORD, secret, pyotp.TOTP(secret).now())
    return secret


# One's own account.


def test_a_password_is_changed_by_who_knows_it_and_other_sessions_end(service: Service, known: Somebody) -> None:
    other = service.parts.sessions.start(known.id)
    given = {"old": PASSWORD, "password": NEW_PASSWORD, "again": NEW_PASSWORD}
    for wrong, said in (
        ({"old": "not it"}, "not your password"),
        ({"again": "other"}, "not the same"),
        ({"password": "short", "again": "short"}, "12"),
    ):
        answer = post(known.browser, f"{HOME}/password", given | wrong)
        assert (answer.status_code, said in text(answer)) == (422, True)

    assert post(known.browser, f"{HOME}/password", given).status_code == 303
    assert "Your password is changed" in text(known.browser.get(HOME)), "still signed in here"
    assert service.parts.sessions.find(other) is None
    assert signs_in(service, known.email, NEW_PASSWORD)
    assert not signs_in(service, known.email, PASSWORD)


def test_codes_are_on_once_one_was_entered_and_off_by_the_password(service: Service, known: Somebody) -> None:
    page = known.browser.get(f"{HOME}/codes").text
    found = re.search(r'name="secret" value="([A-Z2-7]{32})"', page)
    assert found is not None
    secret = found[1]
    assert 'src="data:image/svg+xml' in page
    code = pyotp.TOTP(secret).now()
    given = {"secret": secret, "code": code, "password": PASSWORD}
    for wrong in ({"code": "000000" if code != "000000" else "111111"}, {"password": "x"}):
        answer = post(known.browser, f"{HOME}/codes", given | wrong)
        assert (answer.status_code, secret in answer.text) == (422, True)
    assert signs_in(service, known.email, PASSWORD)

    assert post(known.browser, f"{HOME}/codes", given).headers["Location"] == HOME
    assert secret not in known.browser.get(HOME).text
    assert known.browser.get(f"{HOME}/codes").headers["Location"] == HOME
    assert not signs_in(service, known.email, PASSWORD)
    assert not signs_in(service, known.email, PASSWORD, code), "a code is used once"
    later = pyotp.TOTP(secret).generate_otp(int(time.time()) // 30 + 1)
    assert signs_in(service, known.email, PASSWORD, later)

    assert post(known.browser, f"{HOME}/codes/off", {"password": "x"}).status_code == 422
    assert post(known.browser, f"{HOME}/codes/off", {"password": PASSWORD}).status_code == 303
    assert signs_in(service, known.email, PASSWORD)


def test_codes_turned_on_or_off_leave_nobody_signed_in_but_who_did_it(service: Service, known: Somebody) -> None:
    secret = service.parts.users.new_totp_secret()
    for path, given, said in (
        (f"{HOME}/codes", {"secret": secret, "code": pyotp.TOTP(secret).now()}, "From now on you sign in with a code"),
        (f"{HOME}/codes/off", {}, "No code is asked for any more"),
    ):
        other = service.parts.sessions.start(known.id)
        assert post(known.browser, path, {"password": PASSWORD, **given}).status_code == 303
        assert said in text(known.browser.get(HOME)), "still signed in here"
        assert service.parts.sessions.find(other) is None


def test_a_user_who_is_locked_is_told_so_and_let_in_again_by_an_admin(service: Service, ann: Somebody) -> None:
    bob = service.parts.users.find(new_user(service, ann.account, "member"))
    secret = with_codes(service, bob.id)
    with service.parts.database.write() as connection:
        stored_users.change(connection, bob.id, wrong_codes=49)
    with stranger(service) as browser:
        given = {"email": bob.email, "password": PASSWORD}
        later = pyotp.TOTP(secret).generate_otp(int(time.time()) // 30 + 1)
        for tried in ({"code": "none"}, {"code": later}, {}):
            answer = browser.post("/console/sign-in", data=given | tried)
            assert (answer.status_code, "Too many wrong codes" in answer.text) == (422, True)

    assert "Locked" in text(ann.browser.get(USERS))
    assert "50 wrong codes in a row" in text(ann.browser.get(f"{USERS}/{bob.id}"))
    assert "entered so many wrong codes" in text(ann.browser.get(f"{HOME}/log"))
    assert post(ann.browser, f"{USERS}/{bob.id}/codes-off").status_code == 303
    assert "Locked" not in text(ann.browser.get(USERS))
    assert signs_in(service, bob.email, PASSWORD)


@pytest.mark.parametrize("secret", ["", "A" * 31, "<script>", "é" * 32])
def test_a_secret_that_is_none_turns_nothing_on(service: Service, known: Somebody, secret: str) -> None:
    answer = post(known.browser, f"{HOME}/codes", {"secret": secret, "code": "000000", "password": PASSWORD})

    assert answer.status_code == 422
    assert not service.parts.users.find(known.id).has_totp


def test_tries_at_ones_own_password_are_limited(start: Callable[..., Service]) -> None:
    service = start(sign_in_limit=RateLimit(2, 86_400))
    with signed_in(service) as browser:
        answers = [post(browser, f"{HOME}/codes/off", {"password": "x"}).status_code for _ in range(3)]

    assert answers == [422, 422, 429]


def test_times_are_shown_in_the_zone_that_was_chosen(service: Service, ann: Somebody) -> None:
    assert post(ann.browser, f"{HOME}/zone", {"zone": "Nowhere/At_All"}).status_code == 422
    assert post(ann.browser, f"{HOME}/zone", {"zone": "Asia/Kolkata"}).status_code == 303

    assert service.parts.users.find(ann.id).time_zone == "Asia/Kolkata"
    assert "<option selected>Asia/Kolkata</option>" in ann.browser.get(HOME).text


def test_signing_out_everywhere_ends_every_session(service: Service, known: Somebody) -> None:
    other, own = service.parts.sessions.start(known.id), known.browser.cookies["session"]

    answer = post(known.browser, f"{HOME}/sessions", {"session": "every", "password": PASSWORD})
    assert answer.headers["Location"] == "/console/sign-in?out=1"
    assert [service.parts.sessions.find(cookie) for cookie in (other, own)] == [None, None]


def test_a_user_sees_their_own_sessions_and_ends_one_of_them_by_the_password(service: Service, known: Somebody) -> None:
    with stranger(service) as away:
        given = {"email": known.email, "password": PASSWORD}
        agent = {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0"}
        assert away.post("/console/sign-in", data=given, headers=agent).status_code == 303
        third = service.parts.sessions.start(known.id)
        shown = known.browser.get(HOME)
        assert "An unknown browser This one Began" in text(shown)
        assert re.search(r"Firefox on Linux Began \d+ \w+ \d+, \d\d:\d\d , last used \d+ ", text(shown))
        assert len(others_on(shown)) == 2

        chosen = others_on(shown)["Firefox on Linux"]
        for wrong, said in (({"password": "x"}, "not your password"), ({"session": ""}, "Choose what to end")):
            answer = post(known.browser, f"{HOME}/sessions", {"session": chosen, "password": PASSWORD} | wrong)
            assert (answer.status_code, said in text(answer)) == (422, True)
        assert away.get(HOME).status_code == 200, "nothing ended without the password"

        answer = post(known.browser, f"{HOME}/sessions", {"session": chosen, "password": PASSWORD})
        assert answer.headers["Location"] == HOME
        assert away.get(HOME).headers["Location"].startswith("/console/sign-in")
    left = known.browser.get(HOME)
    assert "The session is ended." in text(left)
    assert list(others_on(left)) == ["An unknown browser"]
    assert service.parts.sessions.find(third) is not None
    assert f"{known.email} ended a session of {known.email}" in text(known.browser.get(f"{HOME}/log"))


def test_sessions_of_others_are_neither_seen_nor_ended(service: Service, known: Somebody) -> None:
    theirs = service.parts.sessions.start(new_user(service, known.account), "Opera on macOS")
    session = service.parts.sessions.find(theirs)
    assert session is not None
    page = known.browser.get(HOME)
    assert session.id not in page.text
    assert "Opera" not in text(page)

    told = []
    for chosen in (session.id, "0" * 64, "x"):
        answer = post(known.browser, f"{HOME}/sessions", {"session": chosen, "password": PASSWORD})
        told.append((answer.status_code, answer.headers["Location"], *notices(known.browser.get(HOME))))
    assert told == [(303, HOME, "There is no such session any more.")] * 3
    assert service.parts.sessions.find(theirs) is not None
    assert "ended a session" not in text(known.browser.get(f"{HOME}/log"))


def test_tries_at_the_password_that_ends_sessions_are_limited(start: Callable[..., Service]) -> None:
    service = start(sign_in_limit=RateLimit(2, 86_400))
    with signed_in(service) as browser:
        given = {"session": "every", "password": "x"}
        answers = [post(browser, f"{HOME}/sessions", given).status_code for _ in range(3)]

    assert answers == [422, 422, 429]


SAFARI = "AppleWebKit/605.1.15 (KHTML, like Gecko)"
CHROME = "AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0"


@pytest.mark.parametrize(
    ("header", "name"),
    [
        (f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {CHROME} Safari/537.36 Edg/142.0.0.0", "Edge on Windows"),
        (f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {CHROME} Safari/537.36 OPR/124.0.0.0", "Opera on Windows"),
        (f"Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) {CHROME} Safari/537.36", "Chrome on ChromeOS"),
        (f"Mozilla/5.0 (Linux; Android 10; K) {CHROME} Mobile Safari/537.36", "Chrome on Android"),
        (f"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) {SAFARI} Version/26.1 Safari/605.1.15", "Safari on macOS"),
        (
            f"Mozilla/5.0 (iPhone; CPU iPhone OS 18_7 like Mac OS X) {SAFARI} CriOS/142.0 Mobile/15E148 Safari/604.1",
            "Chrome on iPhone",
        ),
        ("Mozilla/5.0 (X11; Linux x86_64)", "A browser on Linux"),
        ("Firefox/1", "Firefox"),
        ("curl/8.5.0", None),
        ("<script>", None),
        ("", None),
        (None, None),
    ],
)
def test_a_browser_is_named_in_plain_words_and_nothing_else_of_it_is_kept(header: str | None, name: str | None) -> None:
    assert agents.named(header) == name


# Users.


def test_somebody_who_is_invited_sets_a_password_by_the_link_that_is_shown_once(
    service: Service, ann: Somebody
) -> None:
    email = f"bob{ann.account}@example.com"
    made = post(ann.browser, USERS, {"email": email, "role": "member"})
    found = LINK.search(made.text)
    assert found is not None
    assert f"{service.url}/console/welcome?link={found[1]}" in made.text
    assert found[1] not in ann.browser.get(USERS).text
    with stranger(service) as bob:
        fields = {"link": found[1], "password": NEW_PASSWORD, "again": NEW_PASSWORD}
        assert bob.post("/console/welcome", data=fields).status_code == 303
        assert bob.get(USERS).status_code == 403
        assert bob.get(f"{HOME}/log").status_code == 403
    assert all(part in text(ann.browser.get(USERS)) for part in (email, "member", "Active"))
    taken = post(ann.browser, USERS, {"email": email, "role": "member"})
    assert (taken.status_code, "already" in taken.text) == (422, True)
    assert post(ann.browser, USERS, {"email": "nobody", "role": "member"}).status_code == 422
    assert post(ann.browser, USERS, {"email": "x@example.com", "role": "owner"}).status_code == 422


def test_the_last_admin_stays_one_and_stays_in(service: Service, known: Somebody) -> None:
    for change, fields in (("disable", {}), ("role", {"role": "member"})):
        answer = post(known.browser, f"{USERS}/{known.id}/{change}", fields)
        assert (answer.status_code, "only admin" in answer.text) == (422, True)

    assert service.parts.users.find(known.id).is_admin
    assert known.browser.get(USERS).status_code == 200


def test_a_user_is_disabled_and_enabled_and_gets_a_new_link(service: Service, ann: Somebody) -> None:
    bob = new_user(service, ann.account, "member")
    session = service.parts.sessions.start(bob)

    assert post(ann.browser, f"{USERS}/{bob}/disable").headers["Location"] == f"{USERS}/{bob}"
    assert service.parts.sessions.find(session) is None
    assert post(ann.browser, f"{USERS}/{bob}/link").status_code == 422
    assert post(ann.browser, f"{USERS}/{bob}/enable").status_code == 303
    assert LINK.search(post(ann.browser, f"{USERS}/{bob}/link").text)
    assert post(ann.browser, f"{USERS}/{bob}/role", {"role": "admin"}).status_code == 303
    assert post(ann.browser, f"{USERS}/{bob}/role", {"role": "none"}).status_code == 422
    assert post(ann.browser, f"{USERS}/{bob}/codes-off").status_code == 303
    assert service.parts.users.find(bob).is_admin


def test_users_of_other_accounts_are_nowhere(service: Service, ann: Somebody) -> None:
    stranger_id = new_user(service, service.account())

    assert ann.browser.get(f"{USERS}/{stranger_id}").status_code == 404
    for change in ("role", "disable", "enable", "link", "codes-off"):
        assert post(ann.browser, f"{USERS}/{stranger_id}/{change}", {"role": "member"}).status_code == 404
    assert service.parts.users.find(stranger_id).disabled_time is None


# The audit log.


def test_the_log_says_in_words_who_did_what_page_by_page(service: Service, known: Somebody) -> None:
    with service.client(known.account) as client:
        made = client.create("phone1\n+442079832100\n")
    for _ in range(51):
        with service.parts.database.write() as connection:
            service.parts.audit.note(connection, known.account, "operator", "new_action", details={"rows_read": 1200})

    first = known.browser.get(f"{HOME}/log")
    assert "the operator new action (1,200 rows read)" in text(first)
    older = re.search(r'href="([^"]*before=\d+)"', first.text)
    assert older is not None
    second = text(known.browser.get(older[1]))
    assert f"key test created audience {made.id}" in second
    assert f"{known.email} set a password by a link" in second
    assert known.browser.get(f"{HOME}/log?before=x").status_code == 200


def test_the_log_of_another_account_is_not_shown(service: Service, ann: Somebody) -> None:
    with signed_in(service) as other:
        assert ann.email not in text(other.get(f"{HOME}/log"))


# Do not contact.


def test_a_number_is_added_found_and_removed(ann: Somebody) -> None:
    assert "Nobody is on the list" in ann.browser.get(LIST).text
    assert post(ann.browser, f"{LIST}/add", {"phone": "020 7983 2100", "default_region": "GB"}).status_code == 303
    shown = text(ann.browser.get(LIST))
    assert all(part in shown for part in ("The number is on the list.", LONDON, "Numbers on the list 1"))
    post(ann.browser, f"{LIST}/add", {"phone": LONDON})
    assert "on the list already" in text(ann.browser.get(LIST))

    assert f"{LONDON} is on the list since" in text(post(ann.browser, f"{LIST}/find", {"phone": LONDON}, htmx=True))
    assert f"{PARIS} is not on the list" in text(post(ann.browser, f"{LIST}/find", {"phone": PARIS}))
    for change in ("find", "add"):
        wrong = post(ann.browser, f"{LIST}/{change}", {"phone": "12"}, htmx=True)
        assert (wrong.status_code, "country code" in wrong.text) == (422, True)
    assert post(ann.browser, f"{LIST}/remove", {"phone": LONDON}).status_code == 303
    assert "Nobody is on the list" in ann.browser.get(LIST).text
    log = text(ann.browser.get(f"{HOME}/log"))
    assert "added to the do-not-contact list (1 added)" in log
    assert "removed from the do-not-contact list (1 removed)" in log


def test_an_erased_number_is_found_and_neither_listed_nor_downloaded(service: Service, ann: Somebody) -> None:
    post(ann.browser, f"{LIST}/add", {"phone": LONDON})
    with service.client(ann.account, scopes=["people"]) as client:
        assert client.http.delete(f"/contacts/{LONDON[1:]}").status_code == 200

    page = ann.browser.get(LIST)
    assert "Of them erased people 1" in text(page)
    assert LONDON[1:] not in page.text
    assert f"{LONDON} is on the list since" in text(post(ann.browser, f"{LIST}/find", {"phone": LONDON}))
    assert ann.browser.get(f"{LIST}/do-not-contact.csv").text.strip() == "phone1,added_time"


def test_a_file_goes_on_the_list_with_the_counts_of_its_rows_and_comes_back_as_csv(ann: Somebody) -> None:
    rows = "".join(f"+4420798321{number:02}\n" for number in range(30))
    headers = {
        "Origin": str(ann.browser.base_url).rstrip("/"),
        "X-CSRF-Token": token(ann.browser),
        "HX-Request": "true",
    }

    def sent(content: str) -> httpx.Response:
        files = {"phone_column": (None, "phone1"), "default_region": (None, ""), "audience_file": ("l.csv", content)}
        return ann.browser.post(f"{LIST}/file", files=files, headers=headers)

    answer = sent(f"phone1\n{rows}{LONDON}\nnone\n")
    assert answer.status_code == 200
    said = text(answer)
    assert "Added to the list 30" in said
    assert "twice in the file 1" in said
    assert "No valid number 1" in said
    assert "Rows in the file 32" in said
    refused = sent("phone1\nnone\n")
    assert (refused.status_code, refused.headers["HX-Retarget"]) == (400, "#file-result")

    page = ann.browser.get(LIST)
    after = re.search(r'href="([^"]*cursor=[^"]+)"', page.text)
    assert after is not None
    assert len(set(re.findall(r"\+4420798321\d\d", page.text))) == 25
    assert len(set(re.findall(r"\+4420798321\d\d", ann.browser.get(after[1]).text))) == 5
    csv = ann.browser.get(f"{LIST}/do-not-contact.csv")
    assert csv.headers["Content-Type"].startswith("text/csv")
    assert len(csv.text.splitlines()) == 31


def test_the_list_of_another_account_is_not_shown(service: Service, ann: Somebody) -> None:
    post(ann.browser, f"{LIST}/add", {"phone": LONDON})
    with signed_in(service) as other:
        assert LONDON not in other.get(LIST).text
        assert "is not on the list" in text(post(other, f"{LIST}/find", {"phone": LONDON}))


def test_a_link_sets_a_password_and_does_not_stand_for_the_code(service: Service) -> None:
    user_id = new_user(service, service.account())
    with_codes(service, user_id)
    link = service.parts.users.link(user_id, "operator")
    with stranger(service) as browser:
        fields = {"link": link, "password": NEW_PASSWORD, "again": NEW_PASSWORD}
        answer = browser.post("/console/welcome", data=fields, headers={"Origin": service.url})
        assert (answer.status_code, answer.headers["location"]) == (303, "/console/sign-in")
        assert browser.get("/console/audiences").headers["location"].startswith("/console/sign-in")


@pytest.mark.parametrize("change", ["link", "codes-off"])
def test_an_open_browser_is_not_enough_to_take_its_owner_s_account(service: Service, change: str) -> None:
    account = service.account()
    user_id = new_user(service, account)
    with stranger(service) as browser:
        browser.cookies.set("session", service.parts.sessions.start(user_id))
        answer = post(browser, f"/console/account/users/{user_id}/{change}")
        assert answer.status_code == 422
        assert "link=" not in answer.text


def test_tries_with_a_false_link_use_up_nobody_s_sign_ins(start: Callable[..., Service]) -> None:
    service = start(trusted_proxies=("127.0.0.1",), sign_in_limit=RateLimit(10, 86_400))
    user_id = new_user(service, service.account())
    user = service.parts.users.use_link(service.parts.users.link(user_id, "operator"), PASSWORD, None)
    with stranger(service) as browser:
        for number in range(15):
            fields = {"link": "0" * 64, "password": "x", "again": "x", "email": user.email}
            browser.post("/console/welcome", data=fields, headers={"X-Forwarded-For": "192.0.2.1"})
            wrong = {"email": user.email, "password": f"wrong {number}"}
            browser.post("/console/sign-in", data=wrong, headers={"X-Forwarded-For": "192.0.2.1"})
        right = {"email": user.email, "password": PASSWORD}
        answer = browser.post("/console/sign-in", data=right, headers={"X-Forwarded-For": "192.0.2.2"})
        assert answer.status_code == 303


@pytest.mark.parametrize("headers", [{"Origin": "http://["}, {"HX-Request": "true", "HX-Current-URL": "http://["}])
def test_a_header_that_is_no_address_is_no_fault(service: Service, headers: dict[str, str]) -> None:
    with stranger(service) as browser:
        assert browser.post("/console/sign-in", headers=headers).status_code < 500
        assert browser.get("/console/keys", headers=headers).status_code < 500
