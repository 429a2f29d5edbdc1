"""Statements on the server's own keys."""

from __future__ import annotations

import secrets

from sqlalchemy import Connection, insert, select

from audiences.store.database import Database
from audiences.store.schema import secret_keys

KEY_BYTES = 32


def find(connection: Connection, name: str) -> bytes | None:
    """The key of that name, or None if it was never needed."""
    return connection.execute(select(secret_keys.c.value).where(secret_keys.c.name == name)).scalar()


def add(connection: Connection, name: str, value: bytes) -> None:
    """Stores a key."""
    connection.execute(insert(secret_keys).values(name=name, value=value))


def ensure(database: Database, name: str) -> bytes:
    """The key of that name, made and stored if there is none yet."""
    with database.read() as connection:
        known = find(connection, name)
    if known is not None:
        return known
    with database.write() as connection:
        known = find(connection, name)
        if known is None:
            known = secrets.token_bytes(KEY_BYTES)
            add(connection, name, known)
        return known
