"""Idempotency keys: a request sent again is answered again and done once."""

from __future__ import annotations

import asyncio
import threading
import time
import uuid
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection

from audiences import answer, clock, repeats, sweep
from audiences.answer import Reply
from audiences.creation import Creation
from audiences.errors import NotReady, RequestInProgress, out_of_reach
from audiences.parts import Parts, opened_parts
from audiences.repeats import KEPT, LEASE
from conftest import settings_in
from support import Client, Service, remade, started

ONE = "phone1\n442079832100\n"


def key() -> dict[str, str]:
    """A new idempotency key."""
    return {"Idempotency-Key": str(uuid.uuid4())}


def count(client: Client) -> int:
    """How many audiences there are."""
    return len(client.get("/audiences")["data"])


def test_a_repeated_request_gets_the_same_audience_and_a_fresh_time(client: Client) -> None:
    once = key()
    first, again = client.post(ONE, headers=once), client.post(ONE, headers=once)

    assert (again.status_code, again.json()["data"]) == (201, first.json()["data"])
    assert again.headers["idempotency-replayed"] == "true"
    assert again.headers["location"] == first.headers["location"]
    assert "idempotency-replayed" not in first.headers
    assert again.json()["response_time"] >= first.json()["response_time"]
    assert count(client) == 1


def test_the_boundary_and_unknown_fields_make_no_difference(client: Client) -> None:
    """Httpx chooses a new boundary for each request."""
    once = key()
    assert client.post(ONE, headers=once).status_code == 201
    assert client.post(ONE, headers=once, file_name="other.csv", colour="blue").status_code == 201
    assert count(client) == 1


@pytest.mark.parametrize("change", [{"name": "other"}, {"file": ONE + "447912345678\n"}, {"default_region": "GB"}])
def test_a_key_used_for_something_else_is_a_422(client: Client, change: dict[str, Any]) -> None:
    once = key()
    client.post(ONE, headers=once)
    response = client.post(**{"file": ONE, "headers": once, **change})
    assert (response.status_code, response.json()["errors"][0]["code"]) == (422, "idempotency_key_reused")


def test_a_400_is_replayed_and_so_is_a_dry_run(client: Client) -> None:
    once, dry = key(), key()
    first, again = client.post("a\n1\n", headers=once), client.post("a\n1\n", headers=once)
    assert (first.status_code, again.status_code) == (400, 400)
    assert again.json()["errors"] == first.json()["errors"]
    assert again.headers["idempotency-replayed"] == "true"
    checks = [client.post(ONE, headers=dry, dry_run="true").json() for _ in range(2)]
    assert checks[0]["data"] == checks[1]["data"]


def test_keys_belong_to_their_account(service: Service, client: Client) -> None:
    once = key()
    client.post(ONE, headers=once)
    with service.client() as stranger:
        assert "idempotency-replayed" not in stranger.post(ONE, headers=once).headers


@pytest.mark.parametrize("bad", ["x" * 256, ""])
def test_a_key_that_cannot_be_is_a_400(client: Client, bad: str) -> None:
    response = client.post(ONE, headers={"Idempotency-Key": bad})
    assert (response.status_code, response.json()["errors"][0]["field"]) == (400, "Idempotency-Key")


def test_twins_at_the_same_time_make_one_audience(client: Client) -> None:
    once, statuses = key(), []
    rows = "phone1\n" + "".join(f"4479{number:08d}\n" for number in range(20_000))
    threads = [
        threading.Thread(target=lambda: statuses.append(client.post(rows, headers=once).status_code)) for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(statuses) <= {201, 409}
    assert 201 in statuses
    assert client.post(rows, headers=once).status_code == 201
    assert count(client) == 1


def test_a_fault_frees_the_key_so_that_a_retry_can_succeed(tmp_path: Path) -> None:
    faults = [RuntimeError("first try")]

    def fail_once(parts: Parts) -> Parts:
        class Once(Creation):
            """Fails the first time."""

            def create(self, *given: Any) -> int:
                if faults:
                    raise faults.pop()
                return super().create(*given)

        return replace(parts, creation=remade(parts, Once))

    with started(settings_in(tmp_path), fail_once) as service, service.client() as client:
        once = key()
        assert [client.post(ONE, headers=once).status_code for _ in range(3)] == [500, 201, 201]
        assert count(client) == 1


def test_a_dead_node_s_mark_lapses_within_60_seconds_and_answers_after_24_hours(start: Callable[..., Service]) -> None:
    assert LEASE <= 60_000
    service = start()
    store = repeats.Repeats(service.parts.database, clock.now)
    account, mark = service.account(), store.fingerprint("POST", "/audiences", {}, b"")
    dead = store.begin(account, "k", mark)
    assert dead.replay is None

    later = repeats.Repeats(service.parts.database, lambda: clock.now() + LEASE)
    heir = later.begin(account, "k", mark)
    assert heir.owner != dead.owner
    with service.parts.database.write() as connection, pytest.raises(RequestInProgress):
        store.keep(connection, dead, answer.created(1))
    later.finish(heir, answer.created(2))
    assert later.begin(account, "k", mark).replay is not None

    next_day = repeats.Repeats(service.parts.database, lambda: clock.now() + LEASE + KEPT)
    assert next_day.begin(account, "k", mark).replay is None


def test_the_answer_commits_with_the_audience_or_not_at_all(tmp_path: Path) -> None:
    """If the answer cannot be kept, the audience is not there either."""

    def lose_answers(parts: Parts) -> Parts:
        class Losing(repeats.Repeats):
            """Cannot keep an answer."""

            def keep(self, *_: object) -> None:
                raise OSError("lost")

        return replace(parts, repeats=Losing(parts.database, clock.now))

    with started(settings_in(tmp_path), lose_answers) as service, service.client() as client:
        assert client.post(ONE, headers=key()).status_code == 500
        assert count(client) == 0


def test_a_form_with_something_missing_is_a_400_that_its_key_remembers(client: Client) -> None:
    once = key()
    assert client.post(ONE, name=None, headers=once).status_code == 400
    assert client.post(ONE, name=None, headers=once).headers["idempotency-replayed"] == "true"
    assert client.post(ONE, headers=once).status_code == 422


def test_a_running_mark_is_renewed(start: Callable[..., Service]) -> None:
    service, now = start(), clock.now()
    times = [now]
    store = repeats.Repeats(service.parts.database, lambda: times[0], renewal_s=0.005)
    account, mark = service.account(), b"x" * 32

    async def work(_: repeats.Claim) -> Reply:
        times[0] = now + LEASE - 1
        await asyncio.sleep(0.5)
        with pytest.raises(RequestInProgress):
            repeats.Repeats(service.parts.database, lambda: now + LEASE + 1).begin(account, "k", mark)
        return answer.created(1)

    assert asyncio.run(store.once(account, "k", mark, work)).status == 201


BAD = "phone1,name\ncall me,Ann Example\n"


def forget(service: Service, account: int) -> None:
    """What an erasure does to the account's answers."""
    with service.parts.database.write() as connection:
        repeats.forget_rows(connection, account)


@pytest.mark.parametrize(
    ("file", "fields"),
    [(BAD + ONE, {"dry_run": "true"}), (BAD, {}), ("Ann Example,1\n2,3\n", {}), ("a\n1\n", {"name": ""})],
)
def test_an_answer_whose_rows_are_forgotten_is_replayed_without_them(
    service: Service, client: Client, file: str, fields: dict[str, str]
) -> None:
    once = key()
    first = client.post(file, headers=once, **fields).json()
    forget(service, client.account)
    again = client.post(file, headers=once, **fields)
    assert again.headers["idempotency-replayed"] == "true"
    assert "Ann Example" not in again.text
    assert (again.json()["status"], again.json()["description"]) == (first["status"], first["description"])
    for part in ("data", "report"):
        bare = {name: [] if name.startswith("sample_") else value for name, value in first.get(part, {}).items()}
        assert again.json().get(part, {}) == bare
    told = [[(one["code"], one.get("field")) for one in told.get("errors", [])] for told in (first, again.json())]
    assert told[0] == told[1]
    forget(service, client.account)
    assert client.post(file, headers=once, **fields).json()["status"] == first["status"]


def test_an_answer_without_rows_stays_as_it_is(service: Service, client: Client) -> None:
    once = key()
    first = client.post(ONE, headers=once)
    forget(service, client.account)
    again = client.post(ONE, headers=once)
    assert (again.json()["data"], again.headers["location"]) == (first.json()["data"], first.headers["location"])


def test_a_request_that_runs_while_rows_are_forgotten_keeps_none(service: Service) -> None:
    account, other, store = service.account(), service.account(), service.parts.repeats
    reply = Reply(status=200, description="x", data={"rows": 1, "sample_rejects": [{"row": 2}]})
    claims = [store.begin(whose, "k", b"x" * 32) for whose in (account, other)]
    forget(service, account)
    for claim in claims:
        store.finish(claim, reply)
    kept = [store.begin(whose, "k", b"x" * 32).replay for whose in (account, other)]
    assert [one.data["sample_rejects"] for one in kept if one] == [[], [{"row": 2}]]
    store.finish(store.begin(account, "later", b"x" * 32), reply)
    later = store.begin(account, "later", b"x" * 32).replay
    assert later is not None
    assert later.data == reply.data


def test_a_request_that_was_answered_leaves_no_mark_to_remove(
    service: Service, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The mark, and the answer with the audience: two commits to the disk, which small uploads wait for."""
    client.post(ONE)  # the key's first use is noted
    written = turns_to_write(service, monkeypatch)
    assert client.post(ONE, headers=key()).status_code == 201
    time.sleep(0.1)  # what comes behind the answer
    assert written.count(client.account) == 2


def test_a_long_answer_is_replayed_without_its_samples(client: Client) -> None:
    once = key()
    rows = "phone1,note\n" + "".join(f"4479{number:08d},{'x' * 1000}\n" for number in range(100))
    first = client.post(rows, headers=once, dry_run="true").json()["data"]
    assert len(first["sample_contacts"]) == 100

    again = client.post(rows, headers=once, dry_run="true")

    assert again.headers["idempotency-replayed"] == "true"
    assert again.json()["data"] == first | {"sample_contacts": []}


def test_what_a_long_refusal_says_is_replayed_without_its_samples(client: Client) -> None:
    once = key()
    rows = "phone1,note\n" + f"call me,{'x' * 1000}\n" * 100
    first, again = (client.post(rows, headers=once).json() for _ in range(2))
    assert first["report"]["sample_rejects"]
    assert again["errors"] == first["errors"]
    assert again["report"] == first["report"] | {"sample_rejects": []}


QUOTING = Reply(status=200, description="x", data={"rows": 1, "sample_rejects": [{"row": 2}]})


def test_rows_are_forgotten_batch_by_batch_and_others_write_in_between(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(repeats, "BATCH", 2)
    account, store, database = service.account(), service.parts.repeats, service.parts.database
    for number in range(5):
        store.finish(store.begin(account, f"k{number}", b"x" * 32), QUOTING)
    written = turns_to_write(service, monkeypatch)

    repeats.forget_most_rows(database, account)

    assert written == [account] * 4
    kept = [store.begin(account, f"k{number}", b"x" * 32).replay for number in range(5)]
    assert [one.data for one in kept if one] == [{"rows": 1, "sample_rejects": []}] * 5


def test_old_answers_are_swept_batch_by_batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweep, "BATCH", 2)
    with opened_parts(settings_in(tmp_path)) as parts:  # a server would sweep as well
        service = Service("", parts)
        account, store = service.account(), parts.repeats
        for number in range(5):
            store.finish(store.begin(account, f"k{number}", b"x" * 32), QUOTING)
        written = turns_to_write(service, monkeypatch)
        assert sweep.remove_old_answers(parts.database, clock.now) == 0
        assert sweep.remove_old_answers(parts.database, lambda: clock.now() + KEPT + 1) == 5
        assert written == [None] * 5


def test_nobody_waits_for_the_writes_of_another_account_whose_key_is_to_be_freed(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    account, other = service.account(), service.account()
    store = repeats.Repeats(service.parts.database, clock.now)
    claim = store.begin(account, "k", b"x" * 32)
    with monkeypatch.context() as outage:
        outage.setattr(store.database, "write", away)
        with pytest.raises(NotReady):
            store.release(claim)
    written = turns_to_write(service, monkeypatch)

    assert store.begin(other, "k", b"x" * 32).replay is None
    assert written == [other]
    assert store.begin(account, "k", b"x" * 32).replay is None


def away(_account: int | None = None) -> AbstractContextManager[Connection]:
    """A catalog that does not answer."""
    raise out_of_reach("its catalog")


def turns_to_write(service: Service, monkeypatch: pytest.MonkeyPatch) -> list[int | None]:
    """For whom the catalog is written in from now on."""
    written: list[int | None] = []
    write = service.parts.database.write

    def counted(account: int | None = None) -> AbstractContextManager[Connection]:
        written.append(account)
        return write(account)

    monkeypatch.setattr(service.parts.database, "write", counted)
    return written
