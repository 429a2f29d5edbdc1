"""The console as HTTP: who gets in, what every answer carries, and that no page trusts what another site sent."""

from __future__ import annotations

import itertools
import re
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import httpx
import pyotp
import pytest
from argon2.profiles import CHEAPEST
from starlette.applications import Starlette
from starlette.requests import Request

from audiences import clock
from audiences.app import create_app
from audiences.console import assets, cookies, door, render, shapes, trouble
from audiences.console.front import HEADERS
from audiences.console.routes import ADMIN, NOBODY, Page, Visit
from audiences.console.table import NAV, PAGES
from audiences.errors import Refusal, UnknownAudience, catalogue
from audiences.parts import Parts, opened_parts
from audiences.passwords import AT_ONCE, Passwords
from audiences.settings import RateLimit
from audiences.user import Begin, User, no_session
from audiences.users import UnknownUser, UserRefusal, Users
from conftest import settings_in
from console import PASSWORD, post, signed_in, stranger, text, token
from support import Service, started

FOLDER = Path(str(files("audiences.console"))) / "templates"
TEMPLATES = sorted(FOLDER.rglob("*.html"))
GETS = [page for page in PAGES if page.method == "GET"]
CHANGES = [page for page in PAGES if page.method != "GET"]
PARAMETER = re.compile(r"\{\w+(:\w+)?\}")

MAX_PAGE_BYTES = 150_000
NUMBERS = itertools.count(1)
OLD = "seven shy herons"


@pytest.fixture(scope="module")
def browser(service: Service) -> Iterator[httpx.Client]:
    """A browser in which an admin is signed in."""
    with signed_in(service) as made:
        yield made


@pytest.fixture
def nobody(service: Service) -> Iterator[httpx.Client]:
    """A browser in which nobody is."""
    with stranger(service) as made:
        yield made


def path_of(page: Page) -> str:
    """A path of the page, with an id that nobody has where one belongs."""
    return PARAMETER.sub("999999999", page.path)


def named(page: Page) -> str:
    """A page's name in a test."""
    return f"{page.method} {page.path}"


def linked(service: Service, role: str = ADMIN) -> tuple[str, str]:
    """A new user's email address, and the token of their link."""
    account = service.account()
    user, link = service.parts.users.create(account, f"{role}{account}@example.com", role, "operator")
    return user.email, link


def welcomed(service: Service) -> str:
    """The email address of a new user, whose password is `PASSWORD`."""
    email, link = linked(service)
    service.parts.users.use_link(link, PASSWORD, None)
    return email


# What every answer carries.


@pytest.mark.parametrize("page", GETS, ids=named)
def test_every_page_says_what_it_may_load_and_is_kept_nowhere(
    browser: httpx.Client, nobody: httpx.Client, page: Page
) -> None:
    for client in (browser, nobody):
        answer = client.get(path_of(page))
        assert dict(answer.headers).items() >= {name.lower(): value for name, value in HEADERS.items()}.items()
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.status_code < 500


def test_pages_that_are_not_there_and_methods_that_are_not_taken_get_a_page_with_the_headers_too(
    browser: httpx.Client,
) -> None:
    for answer, status in [(browser.get("/console/no/such"), 404), (browser.put("/console/sign-in"), 405)]:
        assert answer.status_code == status
        assert answer.headers["Content-Type"].startswith("text/html")
        assert answer.headers["Content-Security-Policy"] == HEADERS["Content-Security-Policy"]
    assert answer.headers["Allow"] == "GET, POST"


@pytest.mark.parametrize("page", GETS, ids=named)
def test_a_page_with_all_that_it_loads_is_light(browser: httpx.Client, nobody: httpx.Client, page: Page) -> None:
    for client in (browser, nobody):
        answer = client.get(path_of(page), follow_redirects=True)
        loaded = set(re.findall(r'(?:src|href)="(/console/static/[^"]+)"', answer.text))
        assert len(loaded) == 4
        sizes = [len(client.get(path).content) for path in loaded]
        assert len(answer.content) + sum(sizes) < MAX_PAGE_BYTES


def test_what_pages_load_may_be_kept_for_good_under_its_hash_and_not_without(nobody: httpx.Client) -> None:
    for name, kind in assets.KINDS.items():
        answer = nobody.get(assets.url(name))
        assert answer.status_code == 200
        assert answer.headers["Content-Type"].startswith(kind)
        assert "immutable" in answer.headers["Cache-Control"]
        assert nobody.get(f"/console/static/{name}?v=old").headers["Cache-Control"] == "no-cache"
    assert nobody.get("/console/static/license").status_code == 404


# Templates.


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_no_template_has_a_script_or_a_style_in_it_or_loads_from_elsewhere(path: Path) -> None:
    source = path.read_text(encoding="utf-8")

    assert not re.search(r"<style|\sstyle=|\son[a-z]+=|javascript:|hx-on|https?://", source, re.IGNORECASE)
    assert all("src=" in tag for tag in re.findall(r"<script[^>]*>", source))
    render.environment().get_template(path.relative_to(FOLDER).as_posix())


@pytest.mark.parametrize("page", GETS, ids=named)
def test_no_id_stands_twice_on_a_page_and_every_label_has_its_field(browser: httpx.Client, page: Page) -> None:
    answer = browser.get(path_of(page), follow_redirects=True)
    ids = Counter(re.findall(r'\sid="([^"]+)"', answer.text))
    pointed = re.findall(r'\s(?:for|aria-labelledby)="([^"]+)"', answer.text)

    assert [name for name, times in ids.items() if times > 1] == []
    assert set(pointed) <= set(ids)


# Who gets in.


@pytest.mark.parametrize("page", [page for page in PAGES if page.needs != NOBODY], ids=named)
def test_a_stranger_is_led_to_the_sign_in_page(nobody: httpx.Client, page: Page) -> None:
    answer = nobody.request(page.method, path_of(page))
    scripted = nobody.request(page.method, path_of(page), headers={"HX-Request": "true"})

    assert answer.status_code == 303
    assert answer.headers["Location"].startswith("/console/sign-in")
    assert scripted.headers["HX-Redirect"].startswith("/console/sign-in")


@pytest.mark.parametrize("page", [page for page in PAGES if page.needs == ADMIN], ids=named)
def test_a_page_for_admins_is_not_open_to_a_member(service: Service, page: Page) -> None:
    with signed_in(service, role="member") as member:
        answer = member.request(page.method, path_of(page), headers={"X-CSRF-Token": token(member)})

    assert answer.status_code == 403
    assert "Only admins" in answer.text


@pytest.mark.parametrize("page", [page for page in CHANGES if page.needs != NOBODY], ids=named)
def test_what_changes_something_needs_the_token_of_this_very_session(
    service: Service, browser: httpx.Client, page: Page
) -> None:
    with signed_in(service) as other:
        foreign = token(other)

    for given in ({}, {"csrf": ""}, {"csrf": foreign}, {"csrf": "é"}):
        answer = browser.request(page.method, path_of(page), data=given)
        assert answer.status_code == 403
        assert "earlier session" in answer.text
    assert browser.get("/console/sign-in").status_code == 303, "still signed in"


@pytest.mark.parametrize("page", CHANGES, ids=named)
@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
    ],
)
def test_what_another_site_sends_is_refused_even_with_the_token(
    browser: httpx.Client, page: Page, headers: dict[str, str]
) -> None:
    answer = browser.request(page.method, path_of(page), data={"csrf": token(browser)}, headers=headers)

    assert answer.status_code == 403
    assert "another site" in answer.text


# Signing in and out.


def test_signing_in_leads_on_to_the_page_that_was_asked_for_and_signing_out_ends_the_session(
    service: Service, nobody: httpx.Client
) -> None:
    email = welcomed(service)
    asked = nobody.get("/console?page=2").headers["Location"]
    assert asked == "/console/sign-in?next=%2Fconsole%3Fpage%3D2"
    assert 'value="/console?page=2"' in nobody.get(asked).text

    answer = sent(nobody, "/console/sign-in", email=email, password=PASSWORD, next="/console/audiences?page=2")
    assert (answer.status_code, answer.headers["Location"]) == (303, "/console/audiences?page=2")
    kept = answer.headers["Set-Cookie"].lower()
    assert all(part in kept for part in ("session=", "httponly", "samesite=lax", "path=/"))
    assert "secure" not in kept

    cookie = nobody.cookies["session"]
    left = post(nobody, "/console/sign-out").headers["Location"]
    assert "You are signed out" in text(nobody.get(left))
    assert service.parts.sessions.find(cookie) is None
    assert "session" not in nobody.cookies


def test_a_wrong_password_is_said_beside_the_form_which_keeps_the_email_and_no_password(
    service: Service, nobody: httpx.Client
) -> None:
    email = welcomed(service)

    answer = sent(nobody, "/console/sign-in", email=email, password="not the password")

    assert answer.status_code == 422
    assert "do not go together" in answer.text
    assert f'value="{email}"' in answer.text
    assert "not the password" not in answer.text
    assert "Set-Cookie" not in answer.headers


def test_a_user_with_a_second_factor_is_asked_for_its_code_on_the_same_page(
    service: Service, nobody: httpx.Client
) -> None:
    email = welcomed(service)
    users = service.parts.users
    secret = users.new_totp_secret()
    totp = pyotp.TOTP(secret)
    users.enable_totp(users.named(email).id, PASSWORD, secret, totp.now())
    given: dict[str, Any] = {"email": email, "password": PASSWORD}

    asked = sent(nobody, "/console/sign-in", **given)
    assert (asked.status_code, 'name="code"' in asked.text) == (200, True)
    scripted = sent(nobody, "/console/sign-in", htmx=True, **given)
    assert scripted.headers["HX-Retarget"] == "#second"
    assert 'name="code"' in scripted.text
    assert "<html" not in scripted.text
    wrong = sent(nobody, "/console/sign-in", **given, code="000000")
    assert (wrong.status_code, "This code is not right" in wrong.text) == (422, True)
    assert "session" not in nobody.cookies


@pytest.mark.parametrize(
    "to",
    [
        "https://evil.example", "//evil.example", "/\\evil.example", "/consoleevil", "javascript:alert(1)",
        "/audiences", "/console/../docs", "/console//evil.example", "/console\r\nSet-Cookie: a=b",
        "/console/\tx", "", "/console/é",
    ],
)  # fmt: skip
def test_no_link_to_the_sign_in_page_leads_off_the_console(to: str) -> None:
    assert door.local(to) == "/console"


def test_too_many_tries_to_sign_in_are_refused_with_when_to_go_on(start: Callable[..., Service]) -> None:
    service = start(sign_in_limit=RateLimit(2, 86_400))

    with stranger(service) as browser:
        answers = [sent(browser, "/console/sign-in", email="a@example.com", password="x") for _ in range(3)]

    assert [answer.status_code for answer in answers] == [422, 422, 429]
    assert int(answers[2].headers["Retry-After"]) > 0


class Overtaken(Users):
    """Users who are dealt with from elsewhere once they are let in, before their page goes on."""

    after: Callable[[User], object] | None = None

    def overtake(self, user: User) -> User:
        """Deals with them, once."""
        after, self.after = self.after, None
        if after is not None:
            after(user)
        return user

    def authenticate(self, email: str, password: str, code: str | None, begin: Begin = no_session) -> User:
        return self.overtake(super().authenticate(email, password, code, begin))

    def use_link(self, token: str, password: str, email: str | None, begin: Begin = no_session) -> User:
        return self.overtake(super().use_link(token, password, email, begin))

    def change_password(self, user: User, old: str, new: str, begin: Begin = no_session) -> None:
        super().change_password(user, old, new, begin)
        self.overtake(user)


def test_no_session_outlives_what_ended_all_while_its_user_was_let_in(tmp_path: Path) -> None:
    def with_overtaken(parts: Parts) -> Parts:
        return replace(parts, users=Overtaken(parts.database, clock.now, Passwords(CHEAPEST)))

    with started(settings_in(tmp_path), with_overtaken) as service:
        people, sessions = service.parts.users, service.parts.sessions
        assert isinstance(people, Overtaken)
        for end in (
            lambda user: people.change_password(user, PASSWORD, "nine calm badgers"),
            lambda user: people.disable(user.id, "operator"),
            lambda user: sessions.end_all(user.id),
        ):
            for path in ("/console/sign-in", "/console/welcome", "/console/account/password"):
                user, link = people.create(1, f"{next(NUMBERS)}@example.com", "member", "operator")
                people.use_link(link, OLD if "account" in path else PASSWORD, None)
                people.after = end
                given: dict[str, Any] = {"email": user.email, "link": people.link(user.id, "operator")}
                given |= {"password": PASSWORD, "again": PASSWORD, "old": OLD}
                with stranger(service) as browser:
                    if "account" in path:
                        browser.cookies.set("session", sessions.start(user.id))
                        given["csrf"] = token(browser)
                    answer = sent(browser, path, **given)
                    assert answer.status_code == 303
                    assert browser.get("/console/account").headers["Location"].startswith("/console/sign-in")


class Held(Passwords):
    """Cheap passwords, none of which is hashed before they are let go; `held` are under way."""

    def __init__(self) -> None:
        super().__init__(CHEAPEST)
        self.let_go, self.held = threading.Event(), 0

    def hash(self, password: str) -> str:
        self.hold()
        return super().hash(password)

    def matches(self, kept: str | None, password: str) -> bool:
        self.hold()
        return super().matches(kept, password)

    def hold(self) -> None:
        """Waits."""
        if not self.let_go.is_set():
            self.held += 1
            assert self.let_go.wait(30)


async def crowd(app: Starlette, held: Held, path: str, fields: dict[str, str], cookie: str) -> list[int]:
    """Sends many such forms at once, looks at another page while they wait, and returns their statuses."""
    anyio.to_thread.current_default_thread_limiter().total_tokens = 1
    transport, cookies, answers = httpx.ASGITransport(app), {"session": cookie}, list[int]()
    async with httpx.AsyncClient(transport=transport, base_url="http://test", cookies=cookies) as browser:

        async def send() -> None:
            answers.append((await browser.post(path, data=fields)).status_code)

        with anyio.fail_after(20):
            async with anyio.create_task_group() as group:
                try:
                    for _ in range(4 * AT_ONCE):
                        group.start_soon(send)
                    while held.held < AT_ONCE:  # noqa: ASYNC110 - it is threads that raise it
                        await anyio.sleep(0.01)
                    for _ in range(3):
                        assert (await browser.get("/console/account")).status_code == 200
                    assert (held.held, answers) == (AT_ONCE, [])
                finally:
                    held.let_go.set()
    return answers


@pytest.mark.parametrize("page", ["sign-in", "welcome", "account/password", "account/codes", "account/codes/off"])
def test_who_waits_for_a_password_to_be_hashed_keeps_nobody_else_waiting(tmp_path: Path, page: str) -> None:
    """One thread is left for everything but passwords, and many more forms wait than may be hashed at once."""
    with opened_parts(settings_in(tmp_path)) as opened:
        held = Held()
        parts = replace(opened, users=Users(opened.database, clock.now, held))
        user, link = parts.users.create(1, "ann@example.com", "admin", "operator")
        app = create_app(lambda: nullcontext(parts))
        app.state.parts = parts
        cookie = parts.sessions.start(user.id)
        session = parts.sessions.find(cookie)
        assert session is not None
        fields = {"csrf": session.csrf, "email": user.email, "link": link, "password": PASSWORD, "again": PASSWORD}

        answers = anyio.run(crowd, app, held, f"/console/{page}", fields, cookie)

        assert len(answers) == 4 * AT_ONCE
        assert max(answers) < 500


# The first password.


def test_a_link_sets_the_password_once_and_signs_in(service: Service, nobody: httpx.Client) -> None:
    email, link = linked(service)
    assert email in nobody.get(f"/console/welcome?link={link}").text

    for password, again, wrong in [(PASSWORD, "other", "not the same"), ("short", "short", "12")]:
        answer = sent(nobody, "/console/welcome", link=link, password=password, again=again)
        assert (answer.status_code, 'aria-invalid="true"' in answer.text) == (422, True)
        assert wrong in answer.text
        assert f'value="{password}"' not in answer.text

    answer = sent(nobody, "/console/welcome", link=link, password=PASSWORD, again=PASSWORD)
    assert answer.headers["Location"] == "/console"
    assert service.parts.sessions.find(nobody.cookies["session"]) is not None
    used = nobody.get(f"/console/welcome?link={link}")
    assert (used.status_code, "used up" in used.text) == (404, True)


def test_the_first_link_of_all_makes_the_first_admin_who_says_their_email(start: Callable[..., Service]) -> None:
    service = start()
    link = service.parts.users.first_link()
    assert link is not None

    with stranger(service) as browser:
        given: dict[str, Any] = {"link": link, "password": PASSWORD, "again": PASSWORD}
        wrong = sent(browser, "/console/welcome", email="nonsense", **given)
        assert (wrong.status_code, 'value="nonsense"' in wrong.text) == (422, True)
        answer = sent(browser, "/console/welcome", email="first@example.com", **given)
        session = service.parts.sessions.find(browser.cookies["session"])

    assert answer.status_code == 303
    assert session is not None
    assert session.user.is_admin


# Behind a proxy that ends TLS.


def test_the_cookie_is_bound_to_https_by_the_word_of_a_trusted_proxy_alone(
    start: Callable[..., Service], tmp_path: Path
) -> None:
    trusting = start(trusted_proxies=("127.0.0.1",))
    wary = start(trusted_proxies=(), data=tmp_path / "wary")
    said = {"X-Forwarded-Proto": "https"}

    with stranger(trusting) as browser:
        given = {"email": welcomed(trusting), "password": PASSWORD}
        cookie = browser.post("/console/sign-in", data=given, headers=said).headers["Set-Cookie"]
        assert cookie.startswith("__Host-session=")
        assert "Secure" in cookie
        value = cookie.partition("=")[2].partition(";")[0]
        plain = browser.get("/console", headers=said | {"Cookie": f"session={value}"})
        assert plain.headers["Location"].startswith("/console/sign-in"), "a cookie that another host can set"
        assert browser.get("/console", headers=said | {"Cookie": f"__Host-session={value}"}).status_code < 304

    with stranger(wary) as browser:
        given = {"email": welcomed(wary), "password": PASSWORD}
        assert browser.post("/console/sign-in", data=given, headers=said).headers["Set-Cookie"].startswith("session=")


# Trouble.


def test_a_fault_is_a_page_with_the_request_id_and_nothing_of_what_went_wrong(start: Callable[..., Service]) -> None:
    service = start()

    with signed_in(service) as browser:
        object.__setattr__(service.parts, "sessions", None)
        answer = browser.get("/console", headers={"X-Request-ID": "my-request"})

    assert answer.status_code == 500
    assert "my-request" in answer.text
    assert "NoneType" not in answer.text
    assert answer.headers["Content-Security-Policy"] == HEADERS["Content-Security-Policy"]


def test_a_script_gets_a_refusal_as_a_notice_for_the_page_that_is_open(browser: httpx.Client) -> None:
    answer = browser.get("/console/no/such", headers={"HX-Request": "true"})

    assert (answer.status_code, answer.headers["HX-Retarget"]) == (404, "#notices")
    assert answer.text.count("<div") == 1
    assert "<html" not in answer.text


@pytest.mark.parametrize("refusal", [UnknownAudience("Audience 7 is of account 9."), UnknownUser()])
def test_what_is_of_another_account_gets_the_page_of_what_is_nowhere(
    service: Service, browser: httpx.Client, refusal: Refusal | UserRefusal
) -> None:
    scope = {"type": "http", "method": "GET", "path": "/console/no/such", "headers": [], "query_string": b""}
    visit = Visit(Request(scope), service.parts, is_https=False, nav=NAV)
    visit.session = service.parts.sessions.find(browser.cookies["session"])

    page = trouble.refused_user(visit, refusal) if isinstance(refusal, UserRefusal) else trouble.refused(visit, refusal)

    assert (page.status_code, bytes(page.body).decode()) == (404, browser.get("/console/no/such").text)


def test_every_refusal_has_a_title_and_a_next_step() -> None:
    assert {kind.status for kind in catalogue()} - {406} <= set(trouble.PAGES)


def test_a_form_larger_than_its_page_takes_is_refused(browser: httpx.Client) -> None:
    answer = post(browser, "/console/sign-out", {"long": "x" * 70_000})

    assert answer.status_code == 413
    assert browser.get("/console/sign-in").status_code == 303, "still signed in"


# Notices and shapes.


def test_a_notice_is_shown_once_and_only_if_it_was_made_for_this_session(
    service: Service, browser: httpx.Client
) -> None:
    session = service.parts.sessions.find(browser.cookies["session"])
    assert session is not None

    held = f"session={browser.cookies['session']}; notice="
    made = cookies.notice(session.csrf, "good", "The key was <revoked>.").value
    shown = browser.get("/console/no-page", headers={"Cookie": held + made})
    assert "The key was &lt;revoked&gt;." in shown.text
    assert 'notice=""' in shown.headers["Set-Cookie"]
    forged = cookies.notice("another", "good", "Call this number").value
    other = browser.get("/console/no-page", headers={"Cookie": held + forged})
    assert "Call this number" not in other.text


def test_numbers_shares_and_bytes_read_as_people_write_them() -> None:
    assert [shapes.number(value) for value in (0, 1234567, None)] == ["0", "1,234,567", "–"]
    pairs = [(0, 10), (1, 1000), (999, 1000), (1, 2), (5, 5), (0, 0)]
    assert [shapes.percent(part, whole) for part, whole in pairs] == ["0 %", "< 1 %", "> 99 %", "50 %", "100 %", "0 %"]
    assert [shapes.size(count) for count in (0, 999, 1000, 1420, 999_999, 12_345_678)] == [
        "0 bytes", "999 bytes", "1 kB", "1.4 kB", "1 MB", "12 MB",
    ]  # fmt: skip
    assert [shapes.country(region) for region in ("DE", "001", "ZZ")] == ["Germany", "International", "ZZ"]


def test_times_are_written_in_the_users_zone_with_utc_beside_them() -> None:
    written = shapes.time_of(1_700_000_000_000, "Asia/Kolkata")

    assert "15 Nov 2023, 03:43" in written
    assert 'title="2023-11-14 22:13:20 UTC"' in written
    assert "22:13" in shapes.time_of(1_700_000_000_000, "Nowhere/At_All")


def test_the_pieces_of_a_bar_end_where_the_bar_does() -> None:
    for counts in ([1, 1_000_000], [0, 0], [5], [1] * 300):
        found = shapes.shares(counts)
        assert all(0 <= share.start <= 100 and share.start + share.width <= 100.01 for share in found)
        assert [share.width > 0 for share in found[:2]] == [count > 0 for count in counts[:2]]


def sent(browser: httpx.Client, path: str, *, htmx: bool = False, **fields: Any) -> httpx.Response:
    """Sends a form of a page for strangers, as a browser would."""
    headers = {"Origin": str(browser.base_url).rstrip("/")} | ({"HX-Request": "true"} if htmx else {})
    return browser.post(path, data=fields, headers=headers)
