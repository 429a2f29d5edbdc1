"""The catalog on PostgreSQL: what a write looks up stays so, several nodes work at once, an outage is no fault."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from typing import Self

import psycopg
import pytest
from sqlalchemy import text

import scaled
from audiences import clock, sweep
from audiences.errors import CannotOpen, DiskFull, NotReady
from audiences.store import accounts, idempotency
from audiences.store.database import HEAD, Database
from audiences.store.postgres import Postgres
from postgres_server import PostgresServer, postgres_server

SOON_S = 0.3


@pytest.fixture
def catalog() -> Iterator[Database]:
    """A catalog with its schema, and two accounts."""
    with closing(Database(scaled.postgres().database(scaled.migrated()))) as opened:
        with opened.write() as connection:
            for name in ("one", "two"):
                accounts.add(connection, name, 0)
        yield opened


def test_nodes_that_start_at_once_migrate_once() -> None:
    address = scaled.postgres().database()
    with ExitStack() as stack:
        nodes = [stack.enter_context(closing(Database(address))) for _ in range(4)]
        with ThreadPoolExecutor(4) as threads:
            list(threads.map(Database.migrate, nodes))
        assert [node.schema_version() for node in nodes] == [HEAD] * 4


def test_a_read_sees_one_state_and_cannot_write(catalog: Database) -> None:
    with catalog.read() as connection:
        before = len(accounts.every(connection))
        with catalog.write() as other:
            accounts.add(other, "three", 0)
        assert len(accounts.every(connection)) == before
        with pytest.raises(Exception, match="read-only"):
            accounts.add(connection, "four", 0)


class Turn:
    """A write that goes on until it is told to end, in a thread of its own."""

    def __init__(self, catalog: Database, account: int | None) -> None:
        self.catalog, self.account = catalog, account
        self.begun, self.end = threading.Event(), threading.Event()
        self.thread = threading.Thread(target=self.work)

    def work(self) -> None:
        """Writes."""
        with self.catalog.write(self.account):
            self.begun.set()
            assert self.end.wait(20)

    def __enter__(self) -> Self:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.end.set()
        self.thread.join()


@pytest.mark.parametrize(
    ("first", "second", "waits"), [(1, 1, True), (1, 2, False), (1, None, True), (None, 1, True), (None, None, True)]
)
def test_writes_of_an_account_take_turns_and_those_of_none_stand_alone(
    catalog: Database, first: int | None, second: int | None, *, waits: bool
) -> None:
    with Turn(catalog, first) as one:
        assert one.begun.wait(10)
        with Turn(catalog, second) as two:
            assert two.begun.wait(SOON_S if waits else 10) is not waits
            one.end.set()
            assert two.begun.wait(10)


def test_of_twins_that_come_at_once_to_two_nodes_one_is_let_in(catalog: Database) -> None:
    """The find and the add of an idempotency record are one step, without a conflict that anybody has to resolve."""
    let_in = []

    def begin(number: int) -> None:
        with catalog.write(1) as connection:
            if idempotency.find(connection, 1, "key") is None:
                values = {"account_id": 1, "key": "key", "fingerprint": b"x" * 32, "owner": str(number)}
                idempotency.add(connection, values | {"created_time": 0, "lease_until": 0})
                let_in.append(number)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(begin, range(8)))
    assert len(let_in) == 1


def test_commits_wait_for_the_disk_whatever_the_server_s_default_is() -> None:
    address = scaled.postgres().database()
    with psycopg.connect(address, autocommit=True) as connection:
        name = address.rpartition("/")[2]
        connection.execute(f"ALTER DATABASE {name} SET synchronous_commit = off".encode())
    with closing(Database(address)) as opened, opened.engine.connect() as connection:
        assert connection.execute(text("SHOW synchronous_commit")).scalar() == "on"


def test_a_database_that_cannot_hold_every_name_is_refused() -> None:
    with psycopg.connect(scaled.postgres().address("postgres"), autocommit=True) as connection:
        connection.execute(b"CREATE DATABASE narrow ENCODING 'SQL_ASCII' TEMPLATE template0")
    with (
        closing(Database(scaled.postgres().address("narrow"))) as opened,
        pytest.raises(CannotOpen, match=r"SQL_ASCII.*UTF8"),
    ):
        opened.migrate()


def test_an_address_that_leads_nowhere_is_told_without_its_password() -> None:
    with (
        closing(Database("postgresql://somebody:secret@127.0.0.1:1/nothing")) as opened,
        pytest.raises(CannotOpen, match="somebody") as refusal,
    ):
        opened.migrate()
    assert "secret" not in str(refusal.value)


def test_one_node_sweeps_at_a_time_and_a_node_that_died_hinders_nobody(catalog: Database) -> None:
    with closing(Database(catalog.engine.url.render_as_string(hide_password=False))) as other:
        with catalog.alone(sweep.WORK) as first:
            with other.alone(sweep.WORK) as second:
                assert (first, second) == (True, False)
            with other.alone(sweep.WORK + 1) as another:
                assert another
        with other.alone(sweep.WORK) as second:
            assert second


def test_a_pool_that_is_used_up_is_busy_and_no_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("audiences.store.postgres.POOL_S", 0.2)
    with closing(Database(scaled.postgres().database(), connections=1)) as opened, opened.read():
        with pytest.raises(NotReady) as refusal, opened.read():
            pass
        assert refusal.value.headers["Retry-After"]


def test_a_full_disk_of_the_database_is_told_as_one(catalog: Database) -> None:
    def fail() -> None:
        with catalog.write() as connection:
            connection.execute(text("DO $$ BEGIN RAISE EXCEPTION 'full' USING ERRCODE = '53100'; END $$"))

    with pytest.raises(DiskFull):
        fail()


@pytest.fixture(scope="module")
def own_server() -> Iterator[PostgresServer]:
    """A server that a test may stop."""
    with postgres_server() as running:
        yield running


@pytest.mark.parametrize("at_once", [False, True])
def test_while_the_database_is_away_everybody_is_asked_to_come_back_and_then_served(
    own_server: PostgresServer, *, at_once: bool
) -> None:
    with closing(Database(own_server.database())) as opened:
        opened.migrate()

        def add() -> None:
            with opened.write(1) as connection:
                own_server.stop(at_once=at_once)
                accounts.add(connection, "lost", clock.now())

        with pytest.raises(NotReady):
            add()
        with pytest.raises(NotReady), opened.read():
            pass
        own_server.start()
        with opened.read() as connection:
            assert accounts.every(connection) == []


def test_a_node_that_stands_still_in_a_transaction_holds_up_the_others_for_a_while_only(
    catalog: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(Postgres.SESSION, "idle_in_transaction_session_timeout", "300ms")
    with closing(Database(catalog.engine.url.render_as_string(hide_password=False))) as still:

        def stand_still() -> None:
            with still.write():
                begun = time.monotonic()
                with catalog.write(1) as connection:
                    accounts.add(connection, "three", 0)
                assert time.monotonic() - begun < 10

        with pytest.raises(NotReady):
            stand_still()
