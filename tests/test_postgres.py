"""The catalog on PostgreSQL: what a write looks up stays so, several nodes work at once, an outage is no fault."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Self

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DataError

import scaled
from audiences import clock, sweep
from audiences.clock import HOUR
from audiences.errors import CannotOpen, DiskFull, NotReady
from audiences.keys import Keys
from audiences.sessions import Sessions
from audiences.store import accounts, audiences, idempotency
from audiences.store import usage as stored_usage
from audiences.store.database import HEAD, Database
from audiences.store.files import FolderStore, InUse
from audiences.store.postgres import Postgres
from audiences.usage import Usage
from audiences.users import ADMIN, OPERATOR, Users, WrongCredentials
from audiences.watch import Metrics
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


@pytest.fixture
def other_node(catalog: Database) -> Iterator[Database]:
    """Another node on the same catalog."""
    with closing(Database(address_of(catalog))) as opened:
        yield opened


def address_of(catalog: Database) -> str:
    """Where the catalog is."""
    return catalog.engine.url.render_as_string(hide_password=False)


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
        self.refused = False
        self.begun, self.end = threading.Event(), threading.Event()
        self.thread = threading.Thread(target=self.work)

    def work(self) -> None:
        """Writes, unless it is refused."""
        try:
            with self.catalog.write(self.account):
                self.begun.set()
                assert self.end.wait(20)
        except NotReady:
            assert self.refused

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
    catalog: Database, other_node: Database, first: int | None, second: int | None, *, waits: bool
) -> None:
    with Turn(catalog, first) as one:
        assert one.begun.wait(10)
        with Turn(other_node, second) as two:
            assert two.begun.wait(SOON_S if waits else 10) is not waits
            one.end.set()
            assert two.begun.wait(10)


def test_however_many_wait_for_a_slow_account_others_are_served(
    catalog: Database, other_node: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("audiences.store.postgres.POOL_S", 0.2)
    with (
        closing(Database(address_of(catalog), connections=4)) as node,
        Turn(other_node, 1) as slow,
        ExitStack() as all_,
    ):
        assert slow.begun.wait(10)
        waiting = [all_.enter_context(Turn(node, 1)) for _ in range(6)]
        time.sleep(SOON_S)
        assert node.reachable()
        with node.write(2) as connection, node.read() as reading:
            accounts.add(connection, "three", 0)
            assert len(accounts.every(reading)) == 2
        for turn in (slow, *waiting):
            turn.end.set()
        assert all(turn.begun.wait(10) for turn in waiting)


def test_writers_of_any_accounts_leave_connections_to_readers(
    catalog: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("audiences.store.postgres.TURN_S", 0.3)
    with closing(Database(address_of(catalog), connections=4)) as node, ExitStack() as writers:
        for account in (1, 2):
            assert writers.enter_context(Turn(node, account)).begun.wait(10)
        assert node.reachable()
        with pytest.raises(NotReady), node.write(3):
            pass


def test_a_write_that_is_no_account_s_gives_up_soon_behind_a_slow_account(
    catalog: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Everybody waits behind it: so it must not wait for long itself."""
    monkeypatch.setattr("audiences.store.postgres.WHOLE_S", 0.3)
    with Turn(catalog, 1) as slow:
        assert slow.begun.wait(10)
        with Turn(catalog, None) as whole, Turn(catalog, 2) as other:
            whole.refused = True
            begun = time.monotonic()
            assert other.begun.wait(5)
            assert time.monotonic() - begun < 3
            other.end.set()
        assert not whole.begun.is_set()
    with catalog.write() as connection:
        assert connection.execute(text("SHOW lock_timeout")).scalar() == "30s"


def test_nobody_of_another_account_is_shut_out_by_a_slow_one(
    catalog: Database, other_node: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    people, keys = Users(catalog, clock.now), Keys(catalog, clock.now)
    user, token = people.create(2, "ann@example.com", ADMIN, OPERATOR)
    people.use_link(token, "eight tame otters", None)
    key, _ = keys.create(2, "CRM")
    sessions = Sessions(catalog, clock.now)
    later = Sessions(catalog, lambda: clock.now() + HOUR)
    usage = Usage(catalog, clock.now, flush_s=3600)
    # Whatever asks for the whole catalog is refused: it would wait for the slow account, and everybody for it.
    monkeypatch.setattr("audiences.store.postgres.WHOLE_S", 0.01)
    with Turn(other_node, 1) as slow:
        assert slow.begun.wait(10)
        assert people.authenticate("ann@example.com", "eight tame otters", None).id == user.id
        for email in ("ann@example.com", "nobody@example.com"):
            with pytest.raises(WrongCredentials):
                people.authenticate(email, "eight wild otters", None)
        cookie = sessions.start(user.id)
        assert later.find(cookie) is not None
        sessions.end(cookie)
        sessions.end_all(user.id)
        keys.revoke(keys.rotate(key)[0])
        usage.count_throttled(2)
        assert usage.days(2, 1)[0].throttled == 1


def test_a_count_that_cannot_be_written_keeps_no_other_one_back_for_long(
    catalog: Database, other_node: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("audiences.store.postgres.TURN_S", 0.3)
    monkeypatch.setitem(Postgres.SESSION, "lock_timeout", "300ms")
    with closing(Database(address_of(catalog))) as node:
        usage = Usage(node, clock.now, flush_s=3600)
        with Turn(other_node, 1) as slow:
            assert slow.begun.wait(10)
            for account in (1, 2):
                usage.count_throttled(account)
            usage.flush()
            usage.flush()
            with other_node.read() as connection:
                assert [row["throttled"] for row in stored_usage.since(connection, 2, 0)] == [1]
        assert usage.days(1, 1)[0].throttled == 1


class Copies(FolderStore):
    """A store that says whether its copies were looked through."""

    trimmed = False

    def trim(self, in_use: InUse) -> int:
        """Says so."""
        self.trimmed = True
        return super().trim(in_use)


def test_a_node_tidies_its_own_disk_also_where_the_catalog_is_too_busy_for_a_sweep(
    catalog: Database, other_node: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("audiences.store.postgres.WHOLE_S", 0.01)
    files = Copies(tmp_path)
    with Turn(other_node, 1) as slow:
        assert slow.begun.wait(10)
        with pytest.raises(NotReady):
            sweep.Sweeper(files, catalog, clock.now, Metrics(), "this catalog").sweep()
    assert files.trimmed


def test_of_twins_that_come_at_once_to_two_nodes_one_is_let_in(catalog: Database, other_node: Database) -> None:
    """The find and the add of an idempotency record are one step, without a conflict that anybody has to resolve."""
    let_in = []

    def begin(number: int) -> None:
        with (catalog, other_node)[number % 2].write(1) as connection:
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


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://somebody:secret@127.0.0.1:1/nothing",
        "postgresql://127.0.0.1:1/nothing?user=somebody&password=secret",
        "postgresql://somebody@127.0.0.1:1/nothing?sslpassword=secret",
    ],
)
def test_an_address_that_leads_nowhere_is_told_without_its_password(address: str) -> None:
    with closing(Database(address)) as opened, pytest.raises(CannotOpen, match=r"nothing on 127\.0\.0\.1") as refusal:
        opened.migrate()
    assert "secret" not in str(refusal.value)


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://a:b@host:secret/x",
        "postgresql://a:sec ret@host:port/x",
        "postgresql://a:b@secret@host/x",
        "secret",
    ],
)
def test_an_address_that_cannot_be_read_is_refused_and_not_repeated(address: str) -> None:
    with pytest.raises(CannotOpen, match="AUDIENCES_DATABASE_URL") as refusal:
        Database(address)
    assert "sec" not in str(refusal.value)


def test_a_server_whose_machine_is_gone_is_noticed_in_half_a_minute(catalog: Database) -> None:
    with catalog.read() as connection:
        raw = connection.connection.dbapi_connection
        assert raw is not None
        with socket.socket(fileno=os.dup(raw.fileno())) as line:
            assert line.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
            names = (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT, socket.TCP_USER_TIMEOUT)
            assert [line.getsockopt(socket.IPPROTO_TCP, name) for name in names] == [15, 5, 3, 30_000]


def test_one_node_sweeps_at_a_time_and_a_node_that_died_hinders_nobody(catalog: Database) -> None:
    with closing(Database(address_of(catalog))) as other:
        with catalog.alone(sweep.WORK) as first:
            with other.alone(sweep.WORK) as second:
                assert (first, second) == (True, False)
            with other.alone(sweep.WORK + 1) as another:
                assert another
        with other.alone(sweep.WORK) as second:
            assert second


def test_a_sweep_whose_connection_is_lost_ends_without_a_fault(catalog: Database, other_node: Database) -> None:
    with catalog.alone(sweep.WORK) as first:
        assert first
        with other_node.read() as connection:
            connection.execute(text("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'"))
    with other_node.alone(sweep.WORK) as second:
        assert second


@pytest.mark.parametrize("state", ["57014", "40P01", "40001"])
def test_a_statement_that_the_server_ended_is_to_be_sent_again(catalog: Database, state: str) -> None:
    with pytest.raises(NotReady), catalog.write(1) as connection:
        connection.execute(text(f"DO $$ BEGIN RAISE EXCEPTION 'ended' USING ERRCODE = '{state}'; END $$"))


def test_a_server_that_became_a_replica_is_away_and_its_connection_is_given_up(catalog: Database) -> None:
    name = catalog.engine.url.database
    with psycopg.connect(scaled.postgres().address("postgres"), autocommit=True) as operator:
        operator.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on".encode())
        with closing(Database(address_of(catalog))) as node:
            with pytest.raises(NotReady), node.write(1) as connection:
                accounts.add(connection, "three", 0)
            operator.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = off".encode())
            with node.write(1) as connection:
                accounts.add(connection, "three", 0)


def test_what_the_driver_cannot_send_is_a_fault_and_no_outage(catalog: Database) -> None:
    with pytest.raises(DataError), catalog.read() as connection:
        audiences.page(connection, 1, name="\0", after=None, limit=None)


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
    with closing(Database(address_of(catalog))) as still:

        def stand_still() -> None:
            with still.write():
                begun = time.monotonic()
                with catalog.write(1) as connection:
                    accounts.add(connection, "three", 0)
                assert time.monotonic() - begun < 10

        with pytest.raises(NotReady):
            stand_still()
