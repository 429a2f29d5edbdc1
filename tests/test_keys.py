"""Keys: minted, hashed, expired, rotated, revoked; and what a caller without a good one hears."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audiences import keys, parts
from audiences.clock import DAY
from audiences.errors import InvalidToken
from audiences.keys import Keys
from audiences.store import audit
from conftest import settings_in
from support import Client, Service
from test_cli import Run, run

__all__ = ["run"]

# Well-formed, and nobody's.
UNKNOWN = keys.PREFIX + "0" * keys.RANDOM_LENGTH + keys.check_digits("0" * keys.RANDOM_LENGTH)


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.time = 1_700_000_000_000

    def __call__(self) -> int:
        return self.time


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(tmp_path: Path, clock: Clock) -> Iterator[Keys]:
    with parts.opened_catalog(settings_in(tmp_path), clock) as database:
        yield Keys(database, clock)


def works(store: Keys, key: str) -> bool:
    """Whether a key gets in."""
    try:
        store.authenticate(f"Bearer {key}")
    except InvalidToken:
        return False
    return True


def test_a_key_has_its_prefix_256_random_bits_and_check_digits() -> None:
    made = {keys.mint() for _ in range(200)}
    assert len(made) == 200
    assert all(re.fullmatch(r"aud_[0-9A-Za-z]{43}[0-9A-Za-z]{6}", key) for key in made)
    assert all(keys.is_well_formed(key) for key in made)


@given(st.integers(0, 52), st.sampled_from(keys.ALPHABET))
def test_a_mistyped_key_is_found_out_without_a_look_up(place: int, other: str) -> None:
    key = keys.mint()
    wrong = key[:place] + other + key[place + 1 :]
    assert keys.is_well_formed(wrong) == (wrong == key)


def test_a_key_is_kept_as_a_hash_alone(store: Keys, tmp_path: Path) -> None:
    _, key = store.create(1, "test")
    assert works(store, key)
    kept = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert key.encode() not in kept
    assert keys.hash_of(key) in kept


def test_a_key_ends_when_it_expires_and_one_without_end_does_not(store: Keys, clock: Clock) -> None:
    _, year = store.create(1, "year")
    _, forever = store.create(1, "forever", days=None)
    clock.time += 365 * DAY - 1
    assert works(store, year)
    clock.time += 1
    assert not works(store, year)
    clock.time += 100 * 365 * DAY
    assert works(store, forever)


def test_a_rotated_key_works_on_for_its_grace_period(store: Keys, clock: Clock) -> None:
    old_id, old = store.create(1, "test", scopes=("people",))
    _, new = store.rotate(old_id, grace_days=7)
    assert store.authenticate(f"Bearer {new}").scopes == {"people"}
    clock.time += 7 * DAY - 1
    assert works(store, old)
    clock.time += 1
    assert not works(store, old)
    assert works(store, new)
    with pytest.raises(keys.UnknownKey):
        store.rotate(old_id)


def test_rotation_without_grace_and_revocation_work_at_once(store: Keys) -> None:
    first_id, first = store.create(1, "test")
    second_id, second = store.rotate(first_id, grace_days=0)
    assert not works(store, first)
    store.revoke(second_id)
    assert not works(store, second)


def test_a_key_is_revoked_once_and_keeps_the_time(store: Keys, clock: Clock) -> None:
    key_id, _ = store.create(1, "mine")
    ended: list[str] = []
    for _ in range(2):
        store.revoke(key_id, commit=lambda _connection, ended_id: ended.append(ended_id))
        clock.time += DAY

    assert ended == [key_id]
    assert store.find(key_id, account=1)["revoked_time"] == clock.time - 2 * DAY


def test_the_command_line_s_changes_stand_in_the_audit_log_of_the_key_s_account(run: Run, tmp_path: Path) -> None:
    at = ("--data", tmp_path)
    run("accounts", "create", "acme", *at)
    run("keys", "create", "mine", "--account", "acme", *at)
    with parts.opened_catalog(settings_in(tmp_path)) as database:
        (key,) = Keys(database, Clock()).every()
        run("keys", "rotate", key["id"], *at)
        for _ in range(2):
            run("keys", "revoke", key["id"], *at)
        with database.read() as connection:
            found = audit.every(connection, key["account_id"])
            others = audit.every(connection, 1)

    told = [(row["actor"], row["action"], row["subject"]) for row in found]
    assert told == [("operator", f"{done}_key", key["id"]) for done in ("create", "rotate", "revoke")]
    assert others == []


def test_last_use_is_kept_to_the_minute(store: Keys, clock: Clock) -> None:
    _, key = store.create(1, "test")
    assert store.every()[0]["last_used_time"] is None
    store.authenticate(f"bearer {key}")
    first = store.every()[0]["last_used_time"]
    clock.time += 59_000
    store.authenticate(f"BEARER {key}")
    assert store.every()[0]["last_used_time"] == first
    clock.time += 1_000
    store.authenticate(f"Bearer   {key}")
    assert store.every()[0]["last_used_time"] == clock.time


def test_the_list_of_keys_has_no_hash(store: Keys) -> None:
    store.create(1, "test")
    assert "hash" not in store.every()[0]


@pytest.mark.parametrize(
    ("header", "code", "challenge"),
    [
        (None, "missing_token", 'Bearer realm="audiences"'),
        ("", "missing_token", 'Bearer realm="audiences"'),
        ("Basic dXNlcjpwYXNz", "missing_token", 'Bearer realm="audiences"'),
        ("Bearer", "missing_token", 'Bearer realm="audiences"'),
        ("Bearer x", "invalid_token", 'Bearer realm="audiences", error="invalid_token"'),
        (f"Bearer {UNKNOWN}", "invalid_token", 'Bearer realm="audiences", error="invalid_token"'),
    ],
)
def test_who_has_no_good_key_is_told_so_as_rfc_6750_says(
    client: Client, header: str | None, code: str, challenge: str
) -> None:
    client.http.headers.pop("Authorization")
    response = client.http.get("/audiences", headers={} if header is None else {"Authorization": header})
    body = response.json()
    assert (response.status_code, body["status"], body["description"]) == (401, 401, "Unauthorized")
    assert body["errors"][0]["code"] == code
    assert response.headers["www-authenticate"] == challenge


@pytest.mark.parametrize("scheme", ["bearer", "BEARER", "bEaReR"])
def test_the_scheme_is_compared_without_case(client: Client, scheme: str) -> None:
    assert client.http.get("/audiences", headers={"Authorization": f"{scheme} {client.key}"}).status_code == 200


@pytest.mark.parametrize(
    ("scope", "method", "path"), [("audiences:read", "POST", "/audiences"), ("audiences:write", "GET", "/audiences")]
)
def test_a_key_without_the_scope_is_a_403_that_names_it(service: Service, scope: str, method: str, path: str) -> None:
    with service.client(scopes=[scope]) as client:
        response = client.http.request(method, path)
        assert (response.status_code, response.json()["errors"][0]["code"]) == (403, "insufficient_scope")
        assert 'error="insufficient_scope"' in response.headers["www-authenticate"]


def test_revoking_works_at_once_over_http(start: Callable[..., Service]) -> None:
    service = start()
    with service.client() as client:
        assert client.http.get("/audiences").status_code == 200
        service.parts.keys.revoke(service.parts.keys.every()[0]["id"])
        assert client.http.get("/audiences").status_code == 401
