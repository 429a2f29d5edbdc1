"""The console's keys: shown once, rotated with a grace, ended at once, and never another account's."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from audiences import clock, keys
from audiences.clock import DAY
from audiences.console.table import PAGES
from audiences.store import keys as stored
from console import post, signed_in, text
from support import Service

KEY = re.compile(r"aud_[0-9A-Za-z]{49}")
FIELDS = {"name": "CRM sync", "scopes": ["audiences:read", "audiences:write"], "life": "90"}


@pytest.fixture
def account(service: Service) -> int:
    return service.account()


@pytest.fixture
def browser(service: Service, account: int) -> Iterator[httpx.Client]:
    with signed_in(service, account) as made:
        yield made


@pytest.fixture
def member(service: Service, account: int) -> Iterator[httpx.Client]:
    with signed_in(service, account, role="member") as made:
        yield made


def key_in(response: httpx.Response) -> str:
    """The key that a page shows."""
    assert response.status_code == 200, text(response)
    (found,) = set(KEY.findall(response.text))
    return str(found)


def called(service: Service, key: str) -> int:
    """What the API answers to a call with the key."""
    return httpx.get(f"{service.url}/audiences", headers={"Authorization": f"Bearer {key}"}).status_code


def id_of(service: Service, account: int, name: str = "CRM sync") -> str:
    """The id of the account's oldest key of that name."""
    return [str(key["id"]) for key in service.parts.keys.of_account(account) if key["name"] == name][-1]


def used(service: Service, key_id: str, moment: int) -> None:
    """Writes that the key was last used then."""
    with service.parts.database.write() as connection:
        stored.change(connection, key_id, last_used_time=moment)


def test_a_key_made_here_opens_the_api_and_is_shown_once_and_nowhere_else(
    service: Service, account: int, browser: httpx.Client
) -> None:
    assert "No key yet" in browser.get("/console/keys").text
    made = post(browser, "/console/keys", FIELDS)
    key, key_id = key_in(made), id_of(service, account)

    assert called(service, key) == 200
    assert f'data-copies="{key}"' in made.text
    assert key not in str(made.url) + str(made.headers)
    after = post(browser, "/console/keys/test", {"key": key})
    pages = [page.path.replace("{id}", key_id) for page in PAGES if page.method == "GET"]
    answers = [after, *(browser.get(path, follow_redirects=True) for path in pages)]
    assert not any(key in answer.text + str(answer.headers) for answer in answers)
    shown = text(browser.get("/console/keys"))
    assert all(part in shown for part in ("CRM sync", "in 90 days", "Read audiences", "Active"))


def test_a_rotated_key_works_on_for_its_grace_and_without_one_ends_at_once(
    service: Service, account: int, browser: httpx.Client
) -> None:
    first = key_in(post(browser, "/console/keys", FIELDS))
    first_id = id_of(service, account)

    assert 'value="7"' in browser.get(f"/console/keys/{first_id}").text
    second = key_in(post(browser, f"/console/keys/{first_id}/rotate", {"grace": "7"}))
    assert (called(service, first), called(service, second)) == (200, 200)
    old = service.parts.keys.find(first_id, account=account)
    assert abs(old["expires_time"] - clock.now() - 7 * DAY) < 60_000

    third = key_in(post(browser, f"/console/keys/{old['rotated_to']}/rotate", {"grace": "0"}))
    assert (called(service, second), called(service, third)) == (401, 200)
    again = post(browser, f"/console/keys/{old['rotated_to']}/rotate", {"grace": "0"})
    assert (again.status_code, "ended already" in again.text) == (422, True)


@pytest.mark.parametrize("grace", ["", "-1", "31", "1.5", "٣"])
def test_a_grace_of_other_than_0_to_30_days_is_refused(
    service: Service, account: int, browser: httpx.Client, grace: str
) -> None:
    service.parts.keys.create(account, "CRM sync")

    answer = post(browser, f"/console/keys/{id_of(service, account)}/rotate", {"grace": grace})

    assert (answer.status_code, "0 to 30 days" in answer.text) == (422, True)
    assert len(service.parts.keys.of_account(account)) == 1


def test_a_revoked_key_is_refused_from_then_on_and_only_if_its_name_was_typed(
    service: Service, account: int, browser: httpx.Client
) -> None:
    key = key_in(post(browser, "/console/keys", FIELDS))
    path = f"/console/keys/{id_of(service, account)}/revoke"

    wrong = post(browser, path, {"typed": "crm"})
    assert (wrong.status_code, called(service, key)) == (422, 200)
    assert post(browser, path, {"typed": "CRM sync"}).headers["Location"] == "/console/keys"
    assert called(service, key) == 401
    shown = text(browser.get("/console/keys"))
    assert all(part in shown for part in ("The key CRM sync is revoked.", "Ended keys (1)", "Revoked"))


def test_a_key_of_another_account_is_nowhere_and_its_text_is_unknown(service: Service, browser: httpx.Client) -> None:
    other = service.account()
    key_id, key = service.parts.keys.create(other, "theirs")

    assert browser.get(f"/console/keys/{key_id}").status_code == 404
    for change, fields in (("rotate", {"grace": "0"}), ("revoke", {"typed": "theirs"})):
        assert post(browser, f"/console/keys/{key_id}/{change}", fields).status_code == 404
    assert called(service, key) == 200
    theirs = post(browser, "/console/keys/test", {"key": key}, htmx=True)
    nobodys = post(browser, "/console/keys/test", {"key": keys.mint()}, htmx=True)
    nonsense = post(browser, "/console/keys/test", {"key": "é"}, htmx=True)
    assert theirs.text == nobodys.text == nonsense.text
    assert "no key of your account" in text(theirs)


def test_a_tested_key_is_described_whether_it_works_or_not(
    service: Service, account: int, browser: httpx.Client
) -> None:
    key_id, key = service.parts.keys.create(account, "Nightly", scopes=["audiences:read"], days=30)

    valid = text(post(browser, "/console/keys/test", {"key": f" Bearer {key}\n"}, htmx=True))
    assert all(part in valid for part in ("Valid", "Nightly", "Read audiences", "in 30 days", "account"))
    service.parts.keys.revoke(key_id)
    assert text(post(browser, "/console/keys/test", {"key": key}, htmx=True)).startswith(
        "Revoked This is the key Nightly"
    )


def test_members_make_and_rotate_keys_but_none_that_reaches_people_or_never_ends(
    service: Service, account: int, member: httpx.Client
) -> None:
    form = member.get("/console/keys/new").text
    assert 'value="people"' not in form
    assert 'value="never"' not in form
    for forged in ({"scopes": ["people"]}, {"life": "never"}):
        assert post(member, "/console/keys", FIELDS | forged).status_code == 422
    assert service.parts.keys.of_account(account) == []

    key_in(post(member, "/console/keys", FIELDS))
    key_in(post(member, f"/console/keys/{id_of(service, account)}/rotate", {"grace": "1"}))
    for given in ({"scopes": ["people"]}, {"days": None}):
        strong, _ = service.parts.keys.create(account, "strong", **given)
        answer = post(member, f"/console/keys/{strong}/rotate", {"grace": "1"})
        assert (answer.status_code, KEY.search(answer.text)) == (403, None)


@pytest.mark.parametrize("given", [{"scopes": ["people"]}, {"days": None}, {"days": 366}])
def test_a_member_neither_rotates_nor_revokes_a_key_that_they_may_not_hand_out(
    service: Service, account: int, member: httpx.Client, browser: httpx.Client, given: dict[str, Any]
) -> None:
    key_id, key = service.parts.keys.create(account, "strong", **given)
    path = f"/console/keys/{key_id}"

    page = member.get(path)
    assert (f"{path}/rotate" in page.text, f"{path}/revoke" in page.text) == (False, False)
    assert "Only admins of your account rotate and revoke keys that reach people's data" in text(page)
    for change, fields in (("rotate", {"grace": "0"}), ("revoke", {"typed": "strong"})):
        answer = post(member, f"{path}/{change}", fields)
        assert (answer.status_code, "Only admins of your account" in text(answer)) == (403, True)
    assert not service.parts.keys.known(key, account=account)["revoked_time"]  # type: ignore[index]
    assert len(service.parts.keys.of_account(account)) == 1

    assert f"{path}/revoke" in browser.get(path).text
    assert post(browser, f"{path}/revoke", {"typed": "strong"}).status_code == 303
    assert called(service, key) == 401


def test_a_member_rotates_and_revokes_a_key_of_a_year(service: Service, account: int, member: httpx.Client) -> None:
    key_id, _ = service.parts.keys.create(account, "yearly", days=365)

    key_in(post(member, f"/console/keys/{key_id}/rotate", {"grace": "7"}))
    successor = service.parts.keys.find(key_id, account=account)["rotated_to"]
    made = service.parts.keys.find(successor, account=account)
    assert made["expires_time"] - made["created_time"] == 365 * DAY
    for one in (key_id, successor):
        assert post(member, f"/console/keys/{one}/revoke", {"typed": "yearly"}).status_code == 303


def test_admins_make_keys_that_reach_people_and_never_end(
    service: Service, account: int, browser: httpx.Client
) -> None:
    key_in(post(browser, "/console/keys", {"name": "Erasures", "scopes": ["people"], "life": "never"}))

    (made,) = service.parts.keys.of_account(account)
    assert (made["scopes"], made["expires_time"]) == ("people", None)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"name": " "}, "1 to 255 characters"),
        ({"name": "a\tb"}, "control characters"),
        ({"scopes": ["all"]}, "at least one"),
        ({"life": "1"}, "when the key ends"),
    ],
)
def test_what_is_wrong_with_a_new_key_is_said_beside_the_form(
    service: Service, account: int, browser: httpx.Client, wrong: dict[str, object], said: str
) -> None:
    answer = post(browser, "/console/keys", FIELDS | wrong)

    assert (answer.status_code, said in answer.text) == (422, True)
    assert service.parts.keys.of_account(account) == []


def test_a_key_in_use_that_ends_within_30_days_is_announced(
    service: Service, account: int, browser: httpx.Client
) -> None:
    now = clock.now()
    for name, days, last in (("soon", 20, now), ("later", 90, now), ("idle", 20, now - 40 * DAY), ("new", 20, None)):
        key_id, _ = service.parts.keys.create(account, name, days=days)
        if last is not None:
            used(service, key_id, last)
    replaced, _ = service.parts.keys.create(account, "replaced", days=90)
    used(service, replaced, now - DAY)
    service.parts.keys.rotate(replaced)

    def announced() -> set[str]:
        return {key["name"] for key in keys.ending(service.parts.keys.of_account(account), clock.now())}

    assert announced() == {"soon"}
    assert browser.get("/console/keys").text.count("is in use and ends") == 1
    used(service, replaced, clock.now() + 1000)
    assert announced() == {"soon", "replaced"}, "its successor has not taken its place yet"


def test_what_is_done_to_keys_stands_in_the_audit_log(service: Service, account: int, browser: httpx.Client) -> None:
    key_in(post(browser, "/console/keys", FIELDS))
    path = f"/console/keys/{id_of(service, account)}"
    post(browser, f"{path}/rotate", {"grace": "1"})
    post(browser, f"{path}/revoke", {"typed": "CRM sync"})

    log = text(browser.get("/console/account/log"))
    for words in ("created the key CRM sync", "rotated the key CRM sync", "revoked the key CRM sync"):
        assert words in log
