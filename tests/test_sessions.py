"""Sessions: how long they last, what ends them, and what proves that a form is the session's own."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from audiences import sweep
from audiences.clock import HOUR, MINUTE
from audiences.errors import TooManyRequests
from audiences.sessions import Sessions
from audiences.settings import RateLimit, Settings
from audiences.store.database import Database
from audiences.throttle import Throttle
from audiences.users import User, Users
from test_keys import Clock
from test_users import clock, counted, database, joined, log_of, people

# Fixtures are found by their names in this module.
__all__ = ["clock", "counted", "database", "people"]


@pytest.fixture
def sessions(database: Database, clock: Clock) -> Sessions:
    return Sessions(database, clock)


@pytest.fixture
def ann(people: Users) -> User:
    return joined(people)


def test_a_session_says_whose_it_is(sessions: Sessions, ann: User, clock: Clock) -> None:
    found = sessions.find(sessions.start(ann.id))
    assert found is not None
    assert (found.user, found.created_time) == (ann, clock.time)


@pytest.mark.parametrize("cookie", [None, "", "x", "0" * 64, "0" * 64 + "\n", "\ud800" * 64, "G" * 64, "0" * 100_000])
def test_what_is_no_cookie_of_a_session_finds_none(sessions: Sessions, ann: User, cookie: str | None) -> None:
    assert ann
    assert sessions.find(cookie) is None
    sessions.end(cookie)


@pytest.mark.embedded
def test_a_cookie_is_new_every_time_and_kept_as_a_hash_alone(sessions: Sessions, ann: User, tmp_path: Path) -> None:
    cookies = {sessions.start(ann.id) for _ in range(5)}
    assert len(cookies) == 5
    kept = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert ann.id.encode() in kept
    assert not any(cookie.encode() in kept or bytes.fromhex(cookie) in kept for cookie in cookies)


def test_a_session_ends_after_two_idle_hours(sessions: Sessions, ann: User, clock: Clock) -> None:
    cookie = sessions.start(ann.id)
    for _ in range(3):
        clock.time += 2 * HOUR - 1
        assert sessions.find(cookie) is not None
    clock.time += 2 * HOUR
    assert sessions.find(cookie) is None


def test_a_session_ends_after_24_hours_however_busy(sessions: Sessions, ann: User, clock: Clock) -> None:
    cookie = sessions.start(ann.id)
    for _ in range(23):
        clock.time += HOUR
        assert sessions.find(cookie) is not None
    clock.time += HOUR - 1
    assert sessions.find(cookie) is not None
    clock.time += 1
    assert sessions.find(cookie) is None


@pytest.mark.embedded
def test_a_page_writes_at_most_once_a_minute(sessions: Sessions, ann: User, clock: Clock, database: Database) -> None:
    cookie = sessions.start(ann.id)
    database.empty_log()
    log = Path(f"{database.engine.url.database}-wal")
    clock.time += MINUTE - 1
    assert sessions.find(cookie) is not None
    assert log.stat().st_size == 0
    clock.time += 1
    assert sessions.find(cookie) is not None
    assert log.stat().st_size > 0


def test_signing_out_ends_one_session_and_everywhere_all_of_the_user(
    sessions: Sessions, people: Users, ann: User
) -> None:
    bob = joined(people, "bob@example.com")
    first, second, third, theirs = (sessions.start(user.id) for user in (ann, ann, ann, bob))
    sessions.end(first)
    assert sessions.find(first) is None
    assert sessions.find(second) is not None
    sessions.end_all(ann.id)
    assert [sessions.find(cookie) for cookie in (second, third)] == [None, None]
    assert sessions.find(theirs) is not None


def test_a_user_s_live_sessions_are_listed_and_nobody_else_s(
    sessions: Sessions, people: Users, ann: User, clock: Clock
) -> None:
    bob = joined(people, "bob@example.com")
    began = clock.time
    sessions.start(ann.id)
    busy = sessions.start(ann.id, "Firefox on Linux")
    sessions.start(bob.id)
    clock.time += HOUR
    assert sessions.find(busy) is not None
    fresh = sessions.start(ann.id)
    clock.time += HOUR
    listed = [(one.browser, one.created_time, one.last_seen_time) for one in sessions.listed(ann.id)]
    assert listed == [(None, began + HOUR, began + HOUR), ("Firefox on Linux", began, began + HOUR)], "one is over"
    assert [one.id for one in sessions.listed(ann.id)] == [id_of(sessions, cookie) for cookie in (fresh, busy)]


def test_one_session_is_ended_by_its_own_user_alone(sessions: Sessions, people: Users, ann: User) -> None:
    bob = joined(people, "bob@example.com")
    first, second, theirs = (sessions.start(user.id) for user in (ann, ann, bob))
    for wrong in (id_of(sessions, theirs), "0" * 64, first[:-1], "", "\ud800", "x" * 64):
        assert not sessions.end_one(ann.id, wrong)
    assert sessions.end_one(ann.id, chosen := id_of(sessions, first))
    assert not sessions.end_one(ann.id, chosen), "it has ended"
    assert sessions.find(first) is None
    assert [sessions.find(cookie) is not None for cookie in (second, theirs)] == [True, True]
    ended = [line for line in log_of(people) if line[1] == "end_session"]
    assert ended == [(f"user {ann.id}", "end_session", ann.id)], "noted once"


def id_of(sessions: Sessions, cookie: str) -> str:
    """What the session of that cookie is known by to its user."""
    found = sessions.find(cookie)
    assert found is not None
    assert cookie not in found.id
    return found.id


def test_a_session_knows_its_user_as_they_are_now(sessions: Sessions, people: Users, ann: User) -> None:
    joined(people, "bob@example.com")
    cookie = sessions.start(ann.id)
    people.change_role(ann.id, "member", "operator")
    found = sessions.find(cookie)
    assert found is not None
    assert not found.user.is_admin


def test_a_form_needs_the_text_of_its_own_session(sessions: Sessions, ann: User) -> None:
    cookie = sessions.start(ann.id)
    mine, again, other = sessions.find(cookie), sessions.find(cookie), sessions.find(sessions.start(ann.id))
    assert mine is not None
    assert again is not None
    assert other is not None
    assert mine.csrf == again.csrf
    assert mine.csrf != cookie
    assert sessions.check_csrf(mine, again.csrf)
    for wrong in (other.csrf, cookie, "", None, mine.csrf[:-1], "é", "\ud800"):
        assert not sessions.check_csrf(mine, wrong)


def test_the_text_of_forms_outlives_the_process_and_is_another_catalogs_not(
    sessions: Sessions, ann: User, database: Database, clock: Clock
) -> None:
    found = sessions.find(sessions.start(ann.id))
    assert found is not None
    assert Sessions(database, clock).check_csrf(found, found.csrf)
    other = Sessions(database, clock)
    other.csrf_key = b"0" * 32
    assert other.csrf_of(b"x") != sessions.csrf_of(b"x")


def test_sessions_that_are_over_are_swept_and_live_ones_stay(sessions: Sessions, ann: User, clock: Clock) -> None:
    idle, old = sessions.start(ann.id), sessions.start(ann.id)
    for _ in range(23):
        clock.time += HOUR
        sessions.find(old)
    assert sweep.remove_old_sign_ins(sessions.database, clock) == 1
    fresh = sessions.start(ann.id)
    assert sessions.find(old) is not None
    clock.time += HOUR
    assert sweep.remove_old_sign_ins(sessions.database, clock) == 1
    assert sessions.find(fresh) is not None
    assert sessions.find(idle) is None


def tries(throttle: Throttle, *who: tuple[str, str]) -> list[bool]:
    """Whether each try to sign in is admitted, by address and email."""

    async def each() -> list[bool]:
        admitted = []
        for address, email in who:
            try:
                await throttle.admit_sign_in(address, email)
                admitted.append(True)
            except TooManyRequests:
                admitted.append(False)
        return admitted

    return asyncio.run(each())


def test_signing_in_is_throttled_by_address_and_by_email_in_any_spelling() -> None:
    one = ("203.0.113.1", "ann@example.com")
    throttle = Throttle(Settings(sign_in_limit=RateLimit(2, 86_400)))
    assert tries(throttle, one, one, one) == [True, True, False]
    assert tries(throttle, ("203.0.113.1", "bob@example.com")) == [False]
    # One machine cannot use up what a user has; many cannot try one user for ever.
    others = [(f"198.51.100.{number // 2}", " ANN@example.com ") for number in range(18)]
    assert tries(throttle, *others) == [True] * 18
    assert tries(throttle, ("203.0.113.2", "ann@example.com")) == [False]
    assert tries(throttle, ("203.0.113.3", "carl@example.com")) == [True]


def test_the_limit_on_sign_ins_is_ten_a_minute_and_can_be_switched_off() -> None:
    one = ("203.0.113.1", "ann@example.com")
    assert tries(Throttle(Settings()), *[one] * 11) == [True] * 10 + [False]
    assert all(tries(Throttle(Settings(sign_in_limit=None)), *[one] * 30))
