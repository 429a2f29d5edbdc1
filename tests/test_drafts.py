"""Drafts: files under check, of one user for an hour, counted in the quota, and published without another upload."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Connection, select

from audiences import drafts, parts, sweep
from audiences.clock import HOUR, MINUTE
from audiences.drafts import MOST, Draft, TooManyDrafts, UnknownDraft
from audiences.errors import NoValidRows, QuotaExceeded
from audiences.inbox import Upload
from audiences.judging import Judge, Judged
from audiences.parts import Parts
from audiences.store import accounts
from audiences.store import drafts as stored
from audiences.store.schema import audiences
from conftest import settings_in

LIST = "phone1,name\n442079460958,Ann\n442079460959,Bob\n"


class Moving:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.time = 1_800_000_000_000

    def __call__(self) -> int:
        return self.time


@pytest.fixture
def clock() -> Moving:
    """The clock of `opened`."""
    return Moving()


@pytest.fixture
def opened(tmp_path: Path, clock: Moving) -> Iterator[Parts]:
    """All parts on a folder of their own."""
    with parts.opened_parts(settings_in(tmp_path), clock) as made:
        yield made


@pytest.fixture
def user(opened: Parts) -> str:
    """A user of the first account."""
    return new_user(opened, 1)


def new_user(opened: Parts, account: int) -> str:
    """The id of a new user."""
    user, _ = opened.users.create(account, f"{secrets.token_hex(4)}@example.com", "member", "operator")
    return user.id


def drafted(opened: Parts, user: str, text: str = LIST, name: str = "list.csv", account: int = 1) -> Draft:
    """A draft of a file that was uploaded."""
    folder = opened.drafts.spool / secrets.token_hex(16)
    folder.mkdir()
    path = folder / "upload"
    path.write_text(text)
    upload = Upload(folder, path, name, path.stat().st_size, b"x" * 32, {"dry_run": "true", "name": "ignored"})
    return opened.drafts.add(account, user, upload)


def nothing(_connection: Connection, _audience: int) -> None:
    """Commits no more than the audience."""


def held(opened: Parts) -> set[str]:
    """The kinds of the files in the store."""
    return {name.partition("/")[2].partition("-")[0] for name in opened.files.names(0)}


def stored_bytes(opened: Parts) -> int:
    """What the quota counts."""
    from audiences.store import audiences as statements

    with opened.database.read() as connection:
        return statements.stored_bytes(connection, 1)


def test_a_draft_becomes_an_audience_and_is_gone_with_its_file(opened: Parts, user: str) -> None:
    draft = drafted(opened, user)
    assert (draft.fields, draft.size, held(opened)) == ({"name": "list"}, len(LIST), {"draft"})
    assert stored_bytes(opened) == len(LIST)

    audience_id = opened.drafts.publish(draft, opened.creation, nothing)

    assert opened.library.report(1, str(audience_id)).accepted == 2
    assert held(opened) == {"contacts"}
    assert list(opened.drafts.spool.glob("*/upload")) == [], "no folder of the spool is left with a second name of it"
    with pytest.raises(UnknownDraft):
        opened.drafts.find(1, user, draft.id)


def test_a_draft_is_its_users_alone(opened: Parts, user: str) -> None:
    draft = drafted(opened, user)
    with opened.database.write() as connection:
        other = accounts.add(connection, "other", 0)

    for account, who in [(1, new_user(opened, 1)), (other, user), (other, new_user(opened, other))]:
        with pytest.raises(UnknownDraft):
            opened.drafts.find(account, who, draft.id)
        assert opened.drafts.listed(account, who) == []
    assert opened.drafts.listed(1, user) == [draft]


def test_after_an_hour_it_is_gone_before_the_sweeper_comes_which_removes_it_with_its_file(
    opened: Parts, user: str, clock: Moving
) -> None:
    old = drafted(opened, user)
    clock.time += HOUR - MINUTE
    young = drafted(opened, user)
    assert opened.sweeper.sweep()["old_drafts"] == 0
    clock.time += MINUTE

    with pytest.raises(UnknownDraft):
        opened.drafts.find(1, user, old.id)
    assert held(opened) == {"draft"}
    assert opened.sweeper.sweep()["old_drafts"] == 1
    assert list(opened.files.names(0)) == [young.object]
    assert opened.drafts.find(1, user, young.id) == young


def test_the_sweeper_takes_files_without_a_row_and_leaves_those_with_one(opened: Parts, user: str) -> None:
    lost, kept = drafted(opened, user), drafted(opened, user)
    with opened.database.write() as connection:
        stored.remove(connection, lost.id)  # a crash between the row and the file

    assert sweep.remove_stray_files(opened.files, opened.database, opened.drafts.clock, age_s=0) == 1
    assert list(opened.files.names(0)) == [kept.object]


def test_of_two_creations_at_once_one_makes_an_audience(opened: Parts, user: str) -> None:
    draft = drafted(opened, user)
    both = threading.Barrier(2)

    class Waiting(Judge):
        """Lets both creations judge the file before either goes on."""

        def judge(self, *given: object) -> Judged:
            judged = super().judge(*given)  # type: ignore[arg-type]
            both.wait(10)
            return judged

    opened.creation.judge = Waiting(opened.settings, opened.engine, opened.metrics)

    def create() -> int | None:
        try:
            return opened.drafts.publish(draft, opened.creation, nothing)
        except UnknownDraft:
            return None

    with ThreadPoolExecutor(2) as threads:
        made = [job.result() for job in [threads.submit(create), threads.submit(create)]]

    with opened.database.read() as connection:
        there = list(connection.execute(select(audiences.c.id)).scalars())
    assert [audience for audience in made if audience is not None] == there
    assert len(there) == 1
    assert len(list(opened.files.names(0))) == 1, "the file of the second one is removed"


def test_a_creation_that_fails_leaves_the_draft(opened: Parts, user: str) -> None:
    draft = drafted(opened, user, "phone1\nnot a phone\n")
    whole = drafted(opened, user)

    def failing(_connection: Connection, _audience: int) -> None:
        raise RuntimeError

    with pytest.raises(NoValidRows):
        opened.drafts.publish(draft, opened.creation, nothing)
    with pytest.raises(RuntimeError):
        opened.drafts.publish(whole, opened.creation, failing)

    assert opened.drafts.find(1, user, draft.id) == draft
    assert opened.drafts.find(1, user, whole.id) == whole


def test_the_quota_counts_the_draft_and_needs_no_room_for_both(opened: Parts, user: str) -> None:
    many = "phone1\n" + "".join(f"44207946{number:04}\n" for number in range(1000))
    draft = drafted(opened, user, many)
    room = replace(opened.settings, account_bytes=len(many) + 100)
    opened.drafts.settings = opened.creation.settings = room

    with pytest.raises(QuotaExceeded):
        drafted(opened, user, many)
    assert stored_bytes(opened) == len(many)
    assert len(list(opened.files.names(0))) == 1, "nothing stays of what was refused"

    opened.drafts.publish(draft, opened.creation, nothing)
    assert 0 < stored_bytes(opened) < len(many)


def test_a_user_has_so_many_drafts_at_most_however_many_come_at_once(opened: Parts, user: str) -> None:
    for _ in range(MOST - 2):
        drafted(opened, user)
    opened.drafts.refuse_full(1, user)

    def add(_number: int) -> bool:
        try:
            drafted(opened, user)
        except TooManyDrafts:
            return False
        return True

    with ThreadPoolExecutor(6) as threads:
        assert sum(threads.map(add, range(6))) == 2
    with pytest.raises(TooManyDrafts):
        opened.drafts.refuse_full(1, user)
    assert len(list(opened.files.names(0))) == MOST, "nothing stays of what was refused"
    drafted(opened, new_user(opened, 1))


def test_drafts_that_are_over_leave_room_before_the_sweeper_comes(opened: Parts, user: str, clock: Moving) -> None:
    for _ in range(MOST):
        drafted(opened, user)
    clock.time += HOUR

    opened.drafts.refuse_full(1, user)
    drafted(opened, user)


def test_a_quota_that_is_too_small_for_the_audience_leaves_the_draft(opened: Parts, user: str) -> None:
    draft = drafted(opened, user)
    opened.creation.settings = replace(opened.settings, account_bytes=len(LIST) + 1)

    with pytest.raises(QuotaExceeded):
        opened.drafts.publish(draft, opened.creation, nothing)

    assert opened.drafts.find(1, user, draft.id) == draft
    assert held(opened) == {"draft"}


def test_a_draft_stays_readable_while_it_is_removed(opened: Parts, user: str) -> None:
    draft = drafted(opened, user)

    with opened.drafts.opened(draft) as upload:
        opened.drafts.remove(draft)
        assert upload.path.read_text() == LIST

    with pytest.raises(UnknownDraft), opened.drafts.opened(draft):
        pass
    with pytest.raises(UnknownDraft):
        opened.drafts.remove(draft)
    assert [path for path in opened.drafts.spool.iterdir() if (path / "upload").exists()] == []


def test_where_a_file_can_have_no_second_name_it_is_copied(
    opened: Parts, user: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_given: object) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr("audiences.drafts.os.link", refuse)
    with opened.drafts.opened(drafted(opened, user)) as upload:
        assert upload.path.read_text() == LIST


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("customers.csv", "customers"), ("NE_USA.above.50.xlsx", "NE_USA.above.50"), ("a.csv.gz", "a"),
        ("a.ZIP", "a"), (".csv", "New audience"), ("file", "file"), ("", "New audience"), ("x" * 300, "x" * 255),
    ],
)  # fmt: skip
def test_a_name_is_proposed_from_the_files(file: str, name: str) -> None:
    assert drafts.proposed_name(file) == name


def test_a_name_of_a_draft_is_taken_by_the_store_and_no_other_ending(opened: Parts, user: str) -> None:
    name = drafted(opened, user).object

    assert opened.files.local(name).read_text() == LIST
    for wrong in (name.replace("draft", "contacts"), name + ".gz", "../" + name, name.replace("upload", "csv")):
        with pytest.raises(ValueError, match="not a name"):
            opened.files.local(wrong)
