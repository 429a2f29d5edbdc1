"""Users of the console: links, passwords, codes, roles; who gets in, who does not, and what is told about it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pyotp
import pytest
from argon2.profiles import CHEAPEST, RFC_9106_LOW_MEMORY

from audiences import clock as real_clock
from audiences import emails, parts, passwords, sweep, users
from audiences.clock import DAY, HOUR, SECOND
from audiences.passwords import Passwords
from audiences.sessions import Sessions
from audiences.store import accounts, audit
from audiences.store import users as store
from audiences.store.database import Database
from audiences.users import User, Users
from conftest import settings_in
from test_cli import Run, run
from test_keys import Clock

# Fixtures are found by their names in this module.
__all__ = ["run"]

GOOD, BETTER = "a long walk by the sea", "two long walks by the sea"
ANN, BOB = "ann@example.com", "bob@example.com"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def database(tmp_path: Path, clock: Clock) -> Iterator[Database]:
    with parts.opened_catalog(settings_in(tmp_path), clock) as opened:
        yield opened


class CountedPasswords(Passwords):
    """Cheap ones, which count how often they hash."""

    def __init__(self) -> None:
        super().__init__(CHEAPEST)
        self.times = 0

    def hash(self, password: str) -> str:
        self.times += 1
        return super().hash(password)

    def matches(self, kept: str | None, password: str) -> bool:
        self.times += 1
        return super().matches(kept, password)


@pytest.fixture
def counted() -> CountedPasswords:
    return CountedPasswords()


@pytest.fixture
def people(database: Database, clock: Clock, counted: CountedPasswords) -> Users:
    return Users(database, clock, counted)


def joined(people: Users, email: str = ANN, role: str = "admin", account: int = 1) -> User:
    """A user who has set the password `GOOD`."""
    _, token = people.create(account, email, role, "operator")
    return people.use_link(token, GOOD, None)


def log_of(people: Users, account: int = 1) -> list[tuple[str, str, str | None]]:
    """The account's audit log: who, what, to whom."""
    with people.database.read() as connection:
        return [(row["actor"], row["action"], row["subject"]) for row in audit.every(connection, account)]


def at_once(work: Callable[[int], object], count: int = 4) -> list[str]:
    """What `count` threads that begin together come to, sorted: what is returned, or the name of what is raised."""
    ready, ends = threading.Barrier(count), list[str]()

    def run(number: int) -> None:
        ready.wait()
        try:
            ends.append(str(work(number)))
        except Exception as error:  # noqa: BLE001 - the kind of it is what the test is about
            ends.append(type(error).__name__)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sorted(ends)


class Interrupted(CountedPasswords):
    """Passwords between whose comparison and what follows from it something else is done, once."""

    meanwhile: Callable[[], object] | None = None

    def matches(self, kept: str | None, password: str) -> bool:
        found = super().matches(kept, password)
        meanwhile, self.meanwhile = self.meanwhile, None
        if meanwhile is not None:
            meanwhile()
        return found


def wrong_codes(people: Users) -> int:
    """How many wrong codes count for Ann."""
    return people.named(ANN).wrong_codes


def enter_wrong_codes(people: Users, times: int) -> None:
    """So many wrong codes after Ann's password."""
    for _ in range(times):
        with pytest.raises(users.WrongCode):
            people.authenticate(ANN, GOOD, "none")


def other_account(people: Users) -> int:
    """A second account."""
    with people.database.write() as connection:
        return accounts.add(connection, "other", people.clock())


# Links


def test_a_link_sets_a_password_once(people: Users) -> None:
    made, token = people.create(1, " Ann@Example.COM ", "admin", "operator")
    assert re.fullmatch(r"[0-9a-f]{64}", token)
    assert (made.email, made.has_password, made.account_name, made.is_admin) == (ANN, False, "default", True)
    found = people.find_link(token)
    assert found is not None
    assert found.user == made
    assert people.use_link(token, GOOD, None).has_password
    assert people.find_link(token) is None
    with pytest.raises(users.LinkGone):
        people.use_link(token, BETTER, None)
    assert people.authenticate("ANN@example.com", GOOD, None).id == made.id


def test_a_link_lasts_24_hours_and_a_newer_one_ends_it(people: Users, clock: Clock) -> None:
    user, first = people.create(1, ANN, "admin", "operator")
    second = people.link(user.id, "operator")
    assert people.find_link(first) is None
    clock.time += DAY - 1
    assert people.find_link(second) is not None
    clock.time += 1
    assert people.find_link(second) is None
    with pytest.raises(users.LinkGone):
        people.use_link(second, GOOD, None)


def test_a_refused_password_leaves_the_link_as_it_was(people: Users) -> None:
    _, token = people.create(1, ANN, "admin", "operator")
    with pytest.raises(users.WeakPassword):
        people.use_link(token, "short", None)
    assert people.use_link(token, GOOD, None).has_password


def test_of_several_that_use_a_link_at_once_one_sets_the_password(people: Users) -> None:
    _, token = people.create(1, ANN, "admin", "operator")
    ends = at_once(lambda number: people.use_link(token, f"{GOOD} {number}", None).email)
    assert ends == [*3 * ["LinkGone"], ANN]


def test_the_first_start_makes_one_admin_however_many_try(people: Users) -> None:
    tokens = [people.first_link() or "" for _ in range(4)]  # each of four nodes printed one
    for token in tokens:
        found = people.find_link(token)
        assert found is not None
        assert found.user is None
    ends = at_once(lambda number: people.use_link(tokens[number], GOOD, f"{number}@example.com").role)
    assert ends == [*3 * ["LinkGone"], "admin"]
    assert [people.find_link(token) for token in tokens] == 4 * [None]
    assert people.first_link() is None
    assert [user.account_name for user in people.every(1)] == ["default"]


def test_the_first_link_is_over_once_anybody_set_a_password(people: Users) -> None:
    token = people.first_link()
    assert token is not None
    _, theirs = people.create(1, ANN, "admin", "operator")
    with pytest.raises(users.EmailTaken):
        people.use_link(token, GOOD, ANN)
    with pytest.raises(users.InvalidEmail):
        people.use_link(token, GOOD, None)
    people.use_link(theirs, GOOD, None)
    assert people.find_link(token) is None
    with pytest.raises(users.LinkGone):
        people.use_link(token, GOOD, BOB)


def test_an_address_is_taken_in_every_account_and_spelling(people: Users) -> None:
    joined(people)
    with pytest.raises(users.EmailTaken):
        people.create(other_account(people), "ANN@EXAMPLE.COM", "member", "operator")


def test_a_forgotten_password_is_replaced_and_what_it_opened_is_closed(people: Users, clock: Clock) -> None:
    user, sessions = joined(people), Sessions(people.database, clock)
    cookie = sessions.start(user.id)
    token = people.link(user.id, "operator")
    assert sessions.find(cookie) is not None
    people.use_link(token, BETTER, None)
    assert sessions.find(cookie) is None
    with pytest.raises(users.WrongCredentials):
        people.authenticate(ANN, GOOD, None)
    assert people.authenticate(ANN, BETTER, None).id == user.id


# Emails and passwords


@pytest.mark.parametrize(
    "text",
    ["", " ", "ann", "@example.com", "ann@", "a@b@c", "a n@example.com", "a\n@example.com", "a\u200b@example.com",
     "ann@.com", "ann@com.", "\ud800@example.com", "a@" + "b" * 254, None],
)  # fmt: skip
def test_what_is_no_address_is_refused(text: str | None) -> None:
    with pytest.raises(users.InvalidEmail):
        emails.checked(text)


def test_one_address_has_one_spelling() -> None:
    assert (
        emails.checked(" Zoe\u0308@EXAMPLE.com\n") == emails.checked("zo\u00eb@example.com") == "zo\u00eb@example.com"
    )
    assert emails.checked("a@" + "b" * 253)


@pytest.mark.parametrize(
    "text",
    ["eleven char", "x" * 1025, "somebody@example.com", "SOMEBODY@example.com", "Password1234", "aaaaaaaaaaaaaaaa",
     "abababababababab", "u\u0308" * 11, "Audiences2026!", "phone-console-admin", "Welcome, Admin 1",
     "Sonyericsson", "contortionist", "1978!Jessica!1978"],
)  # fmt: skip
def test_a_weak_password_is_refused_with_what_to_do(text: str) -> None:
    with pytest.raises(users.WeakPassword, match=r"^(Use|This is one of the passwords that are tried first\. Use) "):
        passwords.check(text, "somebody@example.com")


@pytest.mark.parametrize(
    "text", [GOOD, "twelve chars", "x y" * 341, "пароль из слов", "🐢🐇🐢🐇🦊🦔🐢🐇🐢🐇🦊🦔", " inner  blanks "]
)
def test_any_characters_make_a_password(people: Users, text: str) -> None:
    _, token = people.create(1, ANN, "admin", "operator")
    people.use_link(token, text, None)
    assert people.authenticate(ANN, text, None).email == ANN
    with pytest.raises(users.WrongCredentials):
        people.authenticate(ANN, text.strip() + "!", None)


def test_a_password_is_the_same_however_the_keyboard_composes_it(people: Users) -> None:
    _, token = people.create(1, ANN, "admin", "operator")
    people.use_link(token, "gru\u0308ne Wiesen im Mai", None)
    assert people.authenticate(ANN, "gr\u00fcne Wiesen im Mai", None)


def test_at_least_3000_passwords_that_are_long_enough_are_known() -> None:
    """ASVS 5.0, 6.2.4."""
    assert sum(len(word) >= passwords.MIN_LENGTH for word in passwords.listed()) >= 3_000


@pytest.mark.parametrize("text", ["7k$93!55#201", "jessica and her nine cats", "1234 jess 5678 ica"])
def test_a_password_with_a_known_word_within_is_taken(text: str) -> None:
    passwords.check(text, "somebody@example.com")


def test_every_password_of_the_list_is_long_enough_to_need_it() -> None:
    assert min(map(len, passwords.COMMON)) >= passwords.MIN_LENGTH
    assert all(word == word.casefold() for word in passwords.COMMON)


def test_an_unset_password_costs_as_much_to_compare_as_a_real_one() -> None:
    """The real parameters, once: 64 MiB, three passes."""
    real = Passwords()
    kept, nobodys = real.hash(GOOD), real.nobodys
    assert kept.split("$")[1:4] == nobodys.split("$")[1:4] == ["argon2id", "v=19", "m=65536,t=3,p=4"]
    assert [len(part) for part in kept.split("$")] == [len(part) for part in nobodys.split("$")]
    assert real.matches(kept, GOOD)
    assert not real.matches(None, GOOD)


# Signing in


def test_whatever_is_wrong_one_password_is_hashed_and_the_same_is_told(
    people: Users, counted: CountedPasswords
) -> None:
    joined(people)
    disabled = joined(people, BOB)
    people.disable(disabled.id, "operator")
    people.create(1, "new@example.com", "member", "operator")
    told = set()
    for email, password in (
        (ANN, BETTER), (BOB, GOOD), (BOB, BETTER), ("new@example.com", GOOD), ("nobody@example.com", GOOD),
        ("no address", GOOD), ("", ""), (ANN, ""), (ANN, "x" * 100_000), ("\ud800@x.y", "\ud800" * 12),
    ):  # fmt: skip
        counted.times = 0
        with pytest.raises(users.WrongCredentials) as refused:
            people.authenticate(email, password, None)
        assert counted.times == 1, email
        told.add(str(refused.value))
    assert len(told) == 1


@pytest.mark.embedded
def test_a_failure_is_written_to_the_disk_whether_the_address_is_known_or_not(people: Users) -> None:
    """A commit takes milliseconds, which would tell."""
    joined(people)
    log = Path(str(people.database.engine.url.database) + "-wal")
    grown = []
    for email in (ANN, "nobody@example.com"):
        people.database.empty_log()
        with pytest.raises(users.WrongCredentials):
            people.authenticate(email, BETTER, None)
        grown.append(log.stat().st_size > 0)
    assert grown == [True, True]


def test_a_sign_in_renews_a_hash_of_older_parameters(people: Users, database: Database, clock: Clock) -> None:
    user = joined(people)
    stronger = Users(database, clock, Passwords(replace(CHEAPEST, time_cost=2)))
    assert stronger.authenticate(ANN, GOOD, None).last_sign_in_time == clock.time
    with database.read() as connection:
        kept = store.secrets_of(connection, user_id=user.id)
    assert kept is not None
    assert "t=2" in kept["password_hash"]
    assert stronger.authenticate(ANN, GOOD, None)
    assert Passwords(RFC_9106_LOW_MEMORY).is_outdated(kept["password_hash"])


def test_a_changed_password_needs_the_old_one_and_ends_all_sessions(people: Users, clock: Clock) -> None:
    user, sessions = joined(people), Sessions(people.database, clock)
    cookie, link = sessions.start(user.id), people.link(user.id, "operator")
    with pytest.raises(users.WrongCredentials):
        people.change_password(user, BETTER, BETTER)
    with pytest.raises(users.WeakPassword):
        people.change_password(user, GOOD, "short")
    people.change_password(user, GOOD, BETTER)
    assert sessions.find(cookie) is None
    assert people.find_link(link) is None
    assert people.authenticate(ANN, BETTER, None)


def test_what_a_password_proved_is_over_once_the_password_is_changed(
    people: Users, database: Database, clock: Clock
) -> None:
    user, hashing = joined(people), Interrupted()
    slow, begun = Users(database, clock, hashing), list[str]()
    secret = people.new_totp_secret()

    def begin(_connection: object, user_id: str) -> None:
        begun.append(user_id)

    now, other = GOOD, BETTER
    for act, refusal in (
        (lambda password: slow.authenticate(ANN, password, None, begin), users.WrongCredentials),
        (lambda password: slow.change_password(user, password, "another good one", begin), users.WrongPassword),
        (lambda password: slow.enable_totp(user.id, password, secret, code(secret, clock), begin), users.WrongPassword),
        (lambda password: slow.disable_totp(user.id, password, begin), users.WrongPassword),
    ):
        hashing.meanwhile = partial(people.change_password, user, now, other)
        with pytest.raises(refusal):
            act(now)
        now, other = other, now
    assert begun == []
    assert not people.named(ANN).has_totp
    assert people.authenticate(ANN, now, None)


# Codes


@pytest.fixture
def secret(people: Users, clock: Clock) -> str:
    """The secret of Ann, for whom codes are on; used with the code of two steps ago."""
    user = joined(people)
    secret = people.new_totp_secret()
    people.enable_totp(user.id, GOOD, secret, code(secret, clock))
    clock.time += 60 * SECOND
    return secret


def code(secret: str, clock: Clock, seconds: int = 0) -> str:
    """What an app shows `seconds` from now."""
    return pyotp.TOTP(secret).at(clock.time // SECOND + seconds)


def test_a_code_is_asked_for_once_the_password_is_right(people: Users, clock: Clock, secret: str) -> None:
    with pytest.raises(users.WrongCredentials):
        people.authenticate(ANN, BETTER, code(secret, clock))
    for nothing in (None, "", " "):
        with pytest.raises(users.CodeNeeded):
            people.authenticate(ANN, GOOD, nothing)
    for wrong in ("000000", "12345", "abcdef", "١٢٣٤٥٦", code(secret, clock)[:5]):
        with pytest.raises(users.WrongCode):
            people.authenticate(ANN, GOOD, wrong)
    spaced = f" {code(secret, clock)[:3]} {code(secret, clock)[3:]}"
    assert people.authenticate(ANN, GOOD, spaced).has_totp


@pytest.mark.parametrize(("seconds", "fits"), [(-60, False), (-30, True), (0, True), (30, True), (60, False)])
def test_a_clock_may_be_one_step_off(people: Users, clock: Clock, secret: str, seconds: int, fits: bool) -> None:  # noqa: FBT001
    clock.time += 600 * SECOND
    if fits:
        assert people.authenticate(ANN, GOOD, code(secret, clock, seconds))
    else:
        with pytest.raises(users.WrongCode):
            people.authenticate(ANN, GOOD, code(secret, clock, seconds))


def test_a_code_is_used_once_and_so_are_those_before_it(people: Users, clock: Clock, secret: str) -> None:
    clock.time += 600 * SECOND
    assert people.authenticate(ANN, GOOD, code(secret, clock))
    for used in (code(secret, clock), code(secret, clock, -30)):
        with pytest.raises(users.WrongCode):
            people.authenticate(ANN, GOOD, used)
    assert people.authenticate(ANN, GOOD, code(secret, clock, 30))


def test_of_several_with_one_code_at_once_one_gets_in(people: Users, clock: Clock, secret: str) -> None:
    now = code(secret, clock)
    ends = at_once(lambda _: people.authenticate(ANN, GOOD, now).email)
    assert ends == [*3 * ["WrongCode"], ANN]


def test_codes_are_turned_on_by_a_code_that_is_used_up_by_it(people: Users, clock: Clock) -> None:
    user = joined(people)
    secret = people.new_totp_secret()
    assert people.totp_uri(user, secret).startswith("otpauth://totp/Audiences:ann%40example.com?secret=" + secret)
    for wrong_secret, wrong_code in ((secret, "000000"), ("short", "123456"), (people.new_totp_secret(), "1")):
        with pytest.raises(users.WrongCode):
            people.enable_totp(user.id, GOOD, wrong_secret, wrong_code)
    assert people.authenticate(ANN, GOOD, None)
    people.enable_totp(user.id, GOOD, secret, code(secret, clock))
    with pytest.raises(users.WrongCode):
        people.authenticate(ANN, GOOD, code(secret, clock))
    other = people.new_totp_secret()
    with pytest.raises(users.TotpIsOn):
        people.enable_totp(user.id, GOOD, other, code(other, clock))


def test_codes_are_turned_off_by_the_password_or_the_operator(people: Users, secret: str, clock: Clock) -> None:
    user = people.named(ANN)
    with pytest.raises(users.WrongCredentials):
        people.disable_totp(user.id, BETTER)
    people.disable_totp(user.id, GOOD)
    assert not people.authenticate(ANN, GOOD, None).has_totp
    people.enable_totp(user.id, GOOD, secret, code(secret, clock))
    people.reset_totp(user.id, "operator")
    assert people.authenticate(ANN, GOOD, None)


def test_codes_turned_on_or_off_end_every_session_but_the_one_that_begins(people: Users, clock: Clock) -> None:
    user, sessions = joined(people), Sessions(people.database, clock)
    secret, cookie = people.new_totp_secret(), "a" * 64

    def ends_others(act: Callable[[users.Begin], None]) -> bool:
        before = sessions.start(user.id)
        act(partial(sessions.begin, cookie=cookie, instead_of=cookie))
        return sessions.find(before) is None

    assert ends_others(lambda begin: people.enable_totp(user.id, GOOD, secret, code(secret, clock), begin))
    assert sessions.find(cookie) is not None
    assert ends_others(lambda begin: people.disable_totp(user.id, GOOD, begin))
    assert sessions.find(cookie) is not None
    people.enable_totp(user.id, GOOD, secret, code(secret, clock))
    assert ends_others(lambda _: people.reset_totp(user.id, "operator"))
    assert sessions.find(cookie) is None


def test_after_fifty_wrong_codes_in_a_row_none_is_taken(people: Users, clock: Clock, secret: str) -> None:
    enter_wrong_codes(people, 49)
    with pytest.raises(users.CodesLocked):
        people.authenticate(ANN, GOOD, "none")
    assert people.named(ANN).is_locked
    for given in (code(secret, clock), "none", None):
        with pytest.raises(users.CodesLocked):
            people.authenticate(ANN, GOOD, given)
    assert wrong_codes(people) == 50, "what is refused unread does not count"
    with pytest.raises(users.WrongCredentials):
        people.authenticate(ANN, BETTER, None)
    assert [action for _, action, _ in log_of(people)].count("lock_codes") == 1


def test_a_right_code_makes_wrong_ones_forgotten_and_a_wrong_password_counts_for_none(
    people: Users, clock: Clock, secret: str
) -> None:
    enter_wrong_codes(people, 49)
    with pytest.raises(users.WrongCredentials):
        people.authenticate(ANN, BETTER, "none")
    with pytest.raises(users.CodeNeeded):
        people.authenticate(ANN, GOOD, None)
    assert wrong_codes(people) == 49
    assert people.authenticate(ANN, GOOD, code(secret, clock))
    assert wrong_codes(people) == 0
    enter_wrong_codes(people, 49)


def test_wrong_codes_that_come_at_once_count_each(people: Users, database: Database, clock: Clock, secret: str) -> None:
    assert secret
    enter_wrong_codes(people, 48)
    hashing = Interrupted()
    hashing.meanwhile = lambda: enter_wrong_codes(people, 1)
    with pytest.raises(users.CodesLocked):
        Users(database, clock, hashing).authenticate(ANN, GOOD, "none")
    assert wrong_codes(people) == 50


def test_a_right_code_that_was_read_before_the_last_wrong_one_counted_is_too_late(
    people: Users, database: Database, clock: Clock, secret: str
) -> None:
    enter_wrong_codes(people, 49)
    hashing = Interrupted()

    def last_wrong_one() -> None:
        with pytest.raises(users.CodesLocked):
            people.authenticate(ANN, GOOD, "none")

    hashing.meanwhile = last_wrong_one
    with pytest.raises(users.CodesLocked):
        Users(database, clock, hashing).authenticate(ANN, GOOD, code(secret, clock))


def test_who_is_locked_gets_in_without_codes_or_by_a_new_password(people: Users, clock: Clock, secret: str) -> None:
    user = people.named(ANN)

    def lock() -> None:
        enter_wrong_codes(people, 49)
        with pytest.raises(users.CodesLocked):
            people.authenticate(ANN, GOOD, "none")

    lock()
    link = people.link(user.id, "operator")
    assert people.named(ANN).is_locked, "a link that nobody used changes nothing"
    with pytest.raises(users.WeakPassword, match="password of before"):
        people.use_link(link, GOOD, None)
    people.use_link(link, BETTER, None)
    assert people.authenticate(ANN, BETTER, code(secret, clock))
    people.change_password(user, BETTER, GOOD)
    lock()
    with pytest.raises(users.WeakPassword, match="password of before"):
        people.change_password(user, GOOD, GOOD)
    people.change_password(user, GOOD, BETTER)
    people.change_password(user, BETTER, GOOD)
    assert people.authenticate(ANN, GOOD, code(secret, clock, 30))
    lock()
    people.reset_totp(user.id, "operator")
    assert people.authenticate(ANN, GOOD, None).wrong_codes == 0


def test_a_new_password_by_link_does_not_do_without_the_code(people: Users, secret: str) -> None:
    assert secret
    begun = list[str]()
    link = people.link(people.named(ANN).id, "operator")
    people.use_link(link, BETTER, None, lambda _connection, user_id: begun.append(user_id))
    assert begun == []
    with pytest.raises(users.CodeNeeded):
        people.authenticate(ANN, BETTER, None)


# Roles


def test_the_last_admin_who_can_sign_in_stays_one(people: Users) -> None:
    ann = joined(people)
    people.create(1, "new@example.com", "admin", "operator")  # an admin, but without a password
    joined(people, "far@example.com", account=other_account(people))
    for change in (people.disable, lambda who, actor: people.change_role(who, "member", actor)):
        with pytest.raises(users.LastAdmin):
            change(ann.id, "operator")
    bob = joined(people, BOB, "member")
    people.change_role(bob.id, "admin", f"user {ann.id}")
    people.disable(ann.id, f"user {bob.id}")
    with pytest.raises(users.LastAdmin):
        people.disable(bob.id, "operator")
    people.enable(ann.id, f"user {bob.id}")
    people.change_role(bob.id, "member", f"user {ann.id}")
    assert {user.email: user.role for user in people.every(1) if user.has_password} == {ANN: "admin", BOB: "member"}


def test_two_admins_who_disable_one_another_leave_one(people: Users) -> None:
    pair = [joined(people), joined(people, BOB)]
    ends = at_once(lambda number: people.disable(pair[number].id, f"user {pair[1 - number].id}"), 2)
    assert ends == ["LastAdmin", "None"]


def test_a_disabled_user_is_out_at_once_and_gets_no_link(people: Users, clock: Clock) -> None:
    joined(people)
    bob, sessions = joined(people, BOB, "member"), Sessions(people.database, clock)
    cookie, token = sessions.start(bob.id), people.link(bob.id, "operator")
    people.disable(bob.id, "operator")
    people.disable(bob.id, "operator")
    assert sessions.find(cookie) is None
    assert sessions.find(sessions.start(bob.id)) is None
    assert people.find_link(token) is None
    with pytest.raises(users.UserDisabled):
        people.link(bob.id, "operator")
    people.enable(bob.id, "operator")
    assert sessions.find(cookie) is None
    assert people.authenticate(BOB, GOOD, None)


def test_a_user_of_another_account_is_an_unknown_one(people: Users) -> None:
    ann, other = joined(people), other_account(people)
    foreign = {"account": other}
    for change in (
        lambda: people.find(ann.id, **foreign),
        lambda: people.link(ann.id, "x", **foreign),
        lambda: people.change_role(ann.id, "member", "x", **foreign),
        lambda: people.disable(ann.id, "x", **foreign),
        lambda: people.enable(ann.id, "x", **foreign),
        lambda: people.reset_totp(ann.id, "x", **foreign),
        lambda: people.find("nobody", account=1),
    ):
        with pytest.raises(users.UnknownUser):
            change()
    assert people.find(ann.id, account=1) == ann
    assert people.every(other) == []


def test_a_time_zone_is_one_that_there_is(people: Users) -> None:
    ann = joined(people)
    people.change_time_zone(ann.id, "Asia/Tokyo")
    assert people.find(ann.id).time_zone == "Asia/Tokyo"
    for wrong in ("Mars/Base", "../../etc/passwd", ""):
        with pytest.raises(users.UnknownTimeZone):
            people.change_time_zone(ann.id, wrong)


# What is kept


def test_the_log_says_who_did_what_and_holds_no_secret(people: Users, clock: Clock) -> None:
    token = people.first_link()
    assert token is not None
    ann = people.use_link(token, GOOD, ANN)
    me = f"user {ann.id}"
    people.authenticate(ANN, GOOD, None)
    with pytest.raises(users.WrongCredentials):
        people.authenticate(ANN, BETTER, None)
    with pytest.raises(users.WrongCredentials):
        people.authenticate("nobody@example.com", BETTER, None)
    bob, _ = people.create(1, BOB, "member", me)
    people.change_role(bob.id, "admin", me)
    people.disable(bob.id, me)
    secret = people.new_totp_secret()
    people.enable_totp(ann.id, GOOD, secret, code(secret, clock))
    people.disable_totp(ann.id, GOOD)
    Sessions(people.database, clock).end_all(ann.id)
    people.change_password(ann, GOOD, BETTER)
    assert log_of(people) == [
        ("operator", "make_link", None),
        (me, "create_user", ann.id),
        (me, "set_password", ann.id),
        (me, "sign_in", ann.id),
        ("unknown", "fail_sign_in", ann.id),
        (me, "create_user", bob.id),
        (me, "make_link", bob.id),
        (me, "make_admin", bob.id),
        (me, "disable_user", bob.id),
        (me, "turn_on_totp", ann.id),
        (me, "turn_off_totp", ann.id),
        (me, "sign_out_everywhere", ann.id),
        (me, "change_password", ann.id),
    ]
    with people.database.read() as connection:
        written = json.dumps([dict(row) for row in audit.every(connection, 1)])
    assert not any(text in written for text in (GOOD, BETTER, token, secret, "@"))


@pytest.mark.embedded
def test_neither_a_password_nor_a_link_is_kept_as_it_is(people: Users, tmp_path: Path) -> None:
    joined(people)
    _, token = people.create(1, BOB, "member", "operator")
    kept = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert ANN.encode() in kept
    assert not any(text.encode() in kept for text in (GOOD, token))


def test_links_that_are_over_are_swept_and_live_ones_stay(people: Users, clock: Clock) -> None:
    people.create(1, ANN, "admin", "operator")
    clock.time += 23 * HOUR
    _, live = people.create(1, BOB, "admin", "operator")
    clock.time += HOUR
    assert sweep.remove_old_sign_ins(people.database, clock) == 1
    assert sweep.remove_old_sign_ins(people.database, clock) == 0
    assert people.find_link(live) is not None


# The command line


@pytest.mark.embedded
def test_a_new_user_s_link_is_printed_alone_and_the_first_user_is_an_admin(run: Run, tmp_path: Path) -> None:
    made = run("users", "create", ANN, "--data", tmp_path, AUDIENCES_URL="")
    token = re.fullmatch(r"http://127\.0\.0\.1:8000/console/welcome\?link=([0-9a-f]{64})\n", made.stdout)
    assert token is not None
    assert made.stderr == ""
    run("users", "create", BOB, "--data", tmp_path)
    with parts.opened_catalog(settings_in(tmp_path)) as database:
        people = Users(database, real_clock.now, Passwords(CHEAPEST))
        assert people.use_link(token[1], GOOD, None).email == ANN
        assert [(user.email, user.role) for user in people.every(None)] == [(ANN, "admin"), (BOB, "member")]
    listed = run("users", "list", "--data", tmp_path, COLUMNS="200").stdout.splitlines()
    assert re.fullmatch(rf"{ANN}  default  admin   off    \S+  never +live *", listed[1])
    assert "no password yet" in listed[2]


def test_the_operator_makes_links_and_disables_users(run: Run, tmp_path: Path) -> None:
    at = ("--data", tmp_path)
    run("users", "create", ANN, "--role", "member", *at)
    for url, environment in ((("--url", "https://a.example/"), {}), ((), {"AUDIENCES_URL": "https://a.example"})):
        again = run("users", "link", ANN.upper(), "--reset-totp", *url, *at, **environment)
        assert again.stdout.startswith("https://a.example/console/welcome?link=")
    run("users", "disable", ANN, *at)
    assert "disabled" in run("users", "list", *at, COLUMNS="200").stdout
    assert "is disabled" in run("users", "link", ANN, *at, code=1).stderr
    run("users", "enable", ANN, *at)
    run("users", "link", ANN, *at)


@pytest.mark.embedded
def test_the_operator_resets_the_codes_of_a_user_who_is_locked(run: Run, tmp_path: Path) -> None:
    with parts.opened_catalog(settings_in(tmp_path)) as database:
        people = Users(database, real_clock.now, Passwords(CHEAPEST))
        user, secret = joined(people), people.new_totp_secret()
        people.enable_totp(user.id, GOOD, secret, pyotp.TOTP(secret).now())
        enter_wrong_codes(people, 49)
        with pytest.raises(users.CodesLocked):
            people.authenticate(ANN, GOOD, "none")
    at = ("--data", tmp_path)
    assert "locked" in run("users", "list", *at, COLUMNS="200").stdout
    assert run("users", "reset-codes", ANN, *at).stdout == ""
    with parts.opened_catalog(settings_in(tmp_path)) as database:
        assert Users(database, real_clock.now, Passwords(CHEAPEST)).authenticate(ANN, GOOD, None)


@pytest.mark.embedded
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("create", "nonsense"), "looks like"),
        (("create", BOB, "--account", "nowhere"), "no account nowhere"),
        (("link", BOB), "no user"),
        (("disable", BOB), "no user"),
        (("reset-codes", BOB), "no user"),
        (("create", ANN), "already"),
        (("disable", ANN), "only admin"),
    ],
)
def test_what_cannot_be_done_for_a_user_is_told_in_one_line(
    run: Run, tmp_path: Path, arguments: tuple[str, ...], words: str
) -> None:
    with parts.opened_catalog(settings_in(tmp_path)) as database:
        joined(Users(database, real_clock.now, Passwords(CHEAPEST)))
    done = run("users", *arguments, "--data", tmp_path, code=1)
    assert words in done.stderr
    assert (done.stdout, len(done.stderr.splitlines())) == ("", 1)


@pytest.mark.embedded
def test_a_start_prints_the_first_link_apart_from_the_log_until_there_is_an_admin(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "audiences.cli", "serve", "--port", "0", "--data", str(tmp_path)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    with process.stderr as printed:
        address = json.loads(printed.readline())["address"]
        sentence = printed.readline()
        process.terminate()
        assert "link=" not in printed.read()
    process.wait()
    token = sentence.partition(f" {address}/console/welcome?link=")[2].strip()
    with parts.opened_catalog(settings_in(tmp_path)) as database:
        people = Users(database, real_clock.now, Passwords(CHEAPEST))
        assert people.use_link(token, GOOD, ANN).is_admin
        assert people.first_link() is None
