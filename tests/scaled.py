"""The other set-up: PostgreSQL in place of SQLite, S3 in place of a folder, Valkey in place of memory.

`./dev test --scaled` runs on it every test that starts a server or opens its parts: the same tests, the same answers.
"""

from __future__ import annotations

import os
import tempfile
from contextlib import ExitStack, closing
from dataclasses import replace
from functools import cache
from pathlib import Path

from audiences.settings import Settings
from audiences.store.database import Database
from postgres_server import PostgresServer, postgres_server
from redis_server import RedisServer, redis_server
from s3_server import S3Server, s3_server

# What a test process has started, until it ends.
OPENED = ExitStack()

# Which of Valkey's databases belongs to a catalog.
COUNTED: dict[str, int] = {}


@cache
def postgres() -> PostgresServer:
    """The process's PostgreSQL, started when it is first needed."""
    return OPENED.enter_context(postgres_server())


@cache
def objects() -> S3Server:
    """The process's S3 server."""
    server = OPENED.enter_context(s3_server(Path(OPENED.enter_context(tempfile.TemporaryDirectory()))))
    os.environ.update(server.environment)
    return server


@cache
def counters() -> RedisServer:
    """The process's Valkey."""
    return OPENED.enter_context(redis_server(databases=4096))


@cache
def migrated() -> str:
    """The name of a database with the newest schema, which others are copied from in no time."""
    address = postgres().database()
    with closing(Database(address)) as database:
        database.migrate()
    return address.rpartition("/")[2]


@cache
def catalog_of(_folder: Path) -> str:
    """The address of the catalog that belongs to a data folder: a test that opens the folder again finds it again."""
    return postgres().database(migrated())


def scaled(given: Settings) -> Settings:
    """The same settings on these servers."""
    catalog = catalog_of(given.data.resolve())
    files = objects().url(catalog.rpartition("/")[2])
    counted = f"{counters().url}/{COUNTED.setdefault(catalog, len(COUNTED))}"
    return replace(given, database_url=catalog, storage_url=files, redis_url=counted)
