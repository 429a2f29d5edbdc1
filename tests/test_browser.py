"""The console as a person uses it: in a real browser, from the printed link to an exported audience."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

import browser as real
from browser import Scheme
from console import PASSWORD, new_user, signed_in
from support import Client, Service

SAMPLE = Path(__file__).parent.parent / "samples" / "customers.csv"
PAGES = ("audiences", "new", "keys", "keys/new", "suppressions", "usage", "account", "account/users", "account/log")


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with real.opened() as opened:
        yield opened


def cookie_of(service: Service, account: int, role: str = "admin") -> tuple[str, str]:
    """Address and text of a new user's session."""
    return service.url, service.parts.sessions.start(new_user(service, account, role))


def upload(page: Page, service: Service, file: Path) -> None:
    """From the new-audience page to the check of a file."""
    page.goto(f"{service.url}/console/new")
    page.set_input_files("input[type=file]", file)
    if "/console/new/" not in page.url:
        page.get_by_role("button", name="Upload and check").click()
    page.wait_for_url("**/console/new/*")


def test_from_the_printed_link_to_an_exported_audience(
    start: Callable[..., Service], chromium: Browser, tmp_path: Path
) -> None:
    """Somebody who never saw it: password, a messy file, its check, the audience, its export."""
    service = start()
    link = service.parts.users.first_link()
    with real.visiting(chromium) as page:
        page.goto(f"{service.url}/console/welcome?link={link}")
        page.get_by_label("Email").fill("ann@example.com")
        for field in page.locator("input[type=password]").all():
            field.fill(PASSWORD)
        page.locator("main button[type=submit]").click()
        page.wait_for_url("**/console/audiences")

        upload(page, service, SAMPLE)
        expect(page.get_by_text("Nothing is stored yet.")).to_be_visible()
        page.get_by_label("Name of the audience").fill("NE_USA-above50")
        page.get_by_role("button", name="Create").click()
        page.wait_for_url("**/console/audiences/*")
        expect(page.get_by_role("heading", level=1)).to_have_text("NE_USA-above50")

        page.get_by_role("link", name="Contacts", exact=False).first.click()
        page.locator("details.download summary").click()
        with page.expect_download() as download:
            page.locator("details.download").get_by_role("button", name="Download").click()
        target = tmp_path / "export.csv"
        download.value.save_as(target)
        assert len(target.read_text(encoding="utf-8").splitlines()) > 300


def test_a_file_without_a_phone1_column_says_so_and_is_mended_without_another_upload(
    service: Service, client: Client, chromium: Browser, tmp_path: Path
) -> None:
    file = tmp_path / "wrong.csv"
    file.write_text("mobile,name\n442079832100,Ann\n447912345678,Bob\n", encoding="utf-8")
    with real.visiting(chromium, cookie_of(service, client.account)) as page:
        upload(page, service, file)
        expect(page.get_by_text("The file has no column named phone1", exact=False).first).to_be_visible()
        expect(page.get_by_label("Column of phones")).to_have_value("mobile")  # the likeliest one is proposed
        page.get_by_role("button", name="Check again").click()
        expect(page.get_by_text("2 of 2 rows would become contacts", exact=False)).to_be_visible()
        page.get_by_role("button", name="Create").click()
        page.wait_for_url("**/console/audiences/*")
    assert client.get("/audiences")["data"][0]["user_count"] == 2


def test_the_first_key_is_shown_once_and_works_at_once(service: Service, client: Client, chromium: Browser) -> None:
    with real.visiting(chromium, cookie_of(service, client.account)) as page:
        page.goto(f"{service.url}/console/keys/new")
        page.get_by_label("Name").fill("integration")
        page.locator("main form button[type=submit]").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("Your new key")
        key = next(text for text in page.locator("code").all_inner_texts() if text.startswith("aud_"))
        with httpx.Client(base_url=service.url, headers={"Authorization": f"Bearer {key}"}) as caller:
            assert caller.get("/audiences").status_code == 200
            page.goto(f"{service.url}/console/keys")
            assert key not in page.content()


def test_a_rotated_key_works_on_beside_its_successor_and_a_revoked_one_does_not(
    service: Service, client: Client, chromium: Browser
) -> None:
    key, old = service.parts.keys.create(client.account, "integration", scopes=["audiences:read"], days=30)

    def status(text: str) -> int:
        return httpx.get(f"{service.url}/audiences", headers={"Authorization": f"Bearer {text}"}).status_code

    with real.visiting(chromium, cookie_of(service, client.account)) as page:
        page.goto(f"{service.url}/console/keys")
        page.get_by_role("link", name="integration").first.click()
        page.get_by_role("button", name="Rotate key").click()
        new = next(text for text in page.locator("code").all_inner_texts() if text.startswith("aud_"))
        assert (status(old), status(new)) == (200, 200)

        page.goto(f"{service.url}/console/keys/{key}")
        page.get_by_role("button", name="Revoke key").click()
        dialog = page.locator("dialog[open]")
        dialog.locator("input[name=typed]").fill("integration")
        dialog.get_by_role("button", name="Revoke key").click()
        page.wait_for_load_state("networkidle")
        assert (status(old), status(new)) == (401, 200)


def test_another_account_s_audience_is_not_there(service: Service, client: Client, chromium: Browser) -> None:
    made = client.create("phone1\n442079832100\n")
    with real.visiting(chromium, cookie_of(service, service.account())) as page:
        answer = page.goto(f"{service.url}/console/audiences/{made.id}")
        assert answer is not None
        assert answer.status == 404


def test_signing_out_everywhere_ends_every_window(service: Service, client: Client, chromium: Browser) -> None:
    cookie = cookie_of(service, client.account)
    with real.visiting(chromium, cookie) as first, real.visiting(chromium, cookie) as second:
        for page in (first, second):
            page.goto(f"{service.url}/console/audiences")
        session = service.parts.sessions.find(cookie[1])
        assert session is not None
        service.parts.sessions.end_all(session.user.id)
        for page in (first, second):
            page.goto(f"{service.url}/console/audiences")
            assert "/console/sign-in" in page.url


# What axe looks at depends on the colours and on the width, and not on both together.
@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 360)])
def test_axe_finds_nothing_and_no_page_is_wider_than_its_window(
    service: Service, chromium: Browser, scheme: Scheme, width: int
) -> None:
    with signed_in(service) as _, service.client() as client:
        made = client.create(SAMPLE.read_bytes(), name="NE_USA-above50")
        own = [f"audiences/{made.id}{tab}" for tab in ("", "/contacts", "/rejects", "/append", "/replace")]
        with real.visiting(chromium, cookie_of(service, client.account), scheme=scheme, width=width) as page:
            found = {}
            for path in (*PAGES, *own):
                answer = page.goto(f"{service.url}/console/{path}")
                assert answer is not None
                assert answer.status == 200, path
                problems = real.violations(page) + ["wider than its window"] * real.overflows(page)
                if problems:
                    found[path] = problems
            assert found == {}
