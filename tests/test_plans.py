"""The cost of growth: what a usual request looks up is found by an index, however many audiences there are.

The statements are those that a server really sent; each database is asked how it would carry them out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, event

import scaled
from audiences.store import schema
from audiences.store.database import Database
from conftest import plain_settings
from support import Made, Service, started, until

FILE = "phone1,n\n442079832100,1\n442079832101,2\nx,3\n"

# Tables with a row for each account or fewer, which are read whole where all of them are wanted.
FEW = {"accounts", "secret_keys"}

# The files of one audience are sorted when they are found.
OF_ONE_AUDIENCE = "ORDER BY audience_files.position"


@dataclass
class Sent:
    """The statements that a database was sent, each with what was bound to it."""

    database: Database
    statements: dict[str, Any] = field(default_factory=dict)

    def take(self, _connection: object, _cursor: object, statement: str, bound: Any, *_: object) -> None:
        """Takes one down; of one that was sent for many rows, the first row."""
        if statement.startswith(("SELECT", "UPDATE", "DELETE", "WITH")):
            self.statements[statement] = bound[0] if isinstance(bound, list) else bound

    def whole_tables(self) -> list[str]:
        """The statements for which a whole table has to be read or sorted, each with its plan."""
        explain = on_sqlite if self.database.engine.dialect.name == "sqlite" else on_postgres
        found = []
        with self.database.read() as connection:
            for statement, bound in self.statements.items():
                steps = explain(connection, statement, bound)
                if any(is_whole(step) for step in steps) and OF_ONE_AUDIENCE not in statement:
                    found.append("\n".join([statement, *steps]))
        return found


def on_sqlite(connection: Connection, statement: str, bound: Any) -> list[str]:
    """The steps of SQLite's plan, which does not depend on how many rows there are."""
    return [row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", bound)]


def on_postgres(connection: Connection, statement: str, bound: Any) -> list[str]:
    """The steps of PostgreSQL's plan, if it would rather do anything than read a table whole or sort."""
    connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
    connection.exec_driver_sql("SET LOCAL enable_sort = off")
    return [row[0] for row in connection.exec_driver_sql(f"EXPLAIN {statement}", bound)]


def is_whole(step: str) -> bool:
    """Whether the step reads all rows of a table that grows, or sorts rows, be there a few or all."""
    words = step.replace("->", " ").split()
    scans = words[:1] == ["SCAN"] or words[:3] == ["Seq", "Scan", "on"]
    tables = set(schema.metadata.tables) - FEW
    return (scans and bool(tables & set(words))) or words[:3] == ["USE", "TEMP", "B-TREE"] or words[:1] == ["Sort"]


@contextmanager
def sent_to(database: Database) -> Iterator[Sent]:
    """What is sent to the database within the block."""
    sent = Sent(database)
    event.listen(database.engine, "before_cursor_execute", sent.take)
    try:
        yield sent
    finally:
        event.remove(database.engine, "before_cursor_execute", sent.take)


@pytest.fixture(params=["sqlite", "postgresql"])
def grown(request: pytest.FixtureRequest, service: Service, tmp_path: Path) -> Iterator[Service]:
    """A server on each database."""
    if request.param == "sqlite":
        yield service
    else:
        address = scaled.postgres().database(scaled.migrated())
        with started(replace(plain_settings(tmp_path), database_url=address)) as made:
            yield made


def test_usual_requests_read_no_table_whole(grown: Service) -> None:
    with grown.client() as client:
        made = client.create(FILE, name="first")
        client.http.post("/suppressions", json={"phones": ["447912345678"]})
        with sent_to(grown.parts.database) as sent:
            for carry_out in requests(made):
                carry_out()
            assert until(lambda: any("DELETE FROM reads" in statement for statement in sent.statements))
    assert not sent.whole_tables()


def requests(made: Made) -> Sequence[Callable[[], object]]:
    """An upload, two pages of the list, a report, pages, an export, and every change of an audience."""
    client, path = made.client, f"/audiences/{made.id}"
    return (
        lambda: client.create(FILE, headers={"Idempotency-Key": "once"}),
        lambda: client.get("/audiences", limit=1, cursor=client.get("/audiences", limit=1)["next_cursor"]),
        lambda: client.get(path),
        lambda: client.get(f"{path}/contacts", limit=1, cursor=client.get(f"{path}/contacts", limit=1)["next_cursor"]),
        lambda: client.get(f"{path}/rejects", limit=1),
        made.csv,
        lambda: made.append(FILE.replace("442079832", "442079833")).raise_for_status(),
        lambda: made.replace(FILE).raise_for_status(),
        lambda: client.http.patch(path, json={"name": "other"}).raise_for_status(),
        lambda: client.http.delete(path).raise_for_status(),
        lambda: made.restore().raise_for_status(),
    )
