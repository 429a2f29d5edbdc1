"""Statements on sessions of the console. A cookie's text is never here, only its SHA-256."""

from __future__ import annotations

from sqlalchemy import Connection, delete, insert, or_, select, update
from sqlalchemy.engine import RowMapping

from audiences.store.schema import sessions


def add(connection: Connection, digest: bytes, user_id: str, now: int) -> None:
    """Stores a session."""
    connection.execute(insert(sessions).values(hash=digest, user_id=user_id, created_time=now, last_seen_time=now))


def find(connection: Connection, digest: bytes) -> RowMapping | None:
    """The session whose cookie hashes to `digest`, or None."""
    return connection.execute(select(sessions).where(sessions.c.hash == digest)).mappings().first()


def touch(connection: Connection, digest: bytes, now: int) -> None:
    """Notes that the session was used."""
    connection.execute(update(sessions).where(sessions.c.hash == digest).values(last_seen_time=now))


def remove(connection: Connection, digest: bytes) -> None:
    """Removes that session."""
    connection.execute(delete(sessions).where(sessions.c.hash == digest))


def remove_of(connection: Connection, user_id: str) -> int:
    """Removes all sessions of the user; how many."""
    return connection.execute(delete(sessions).where(sessions.c.user_id == user_id)).rowcount


def remove_older(connection: Connection, created_by: int, last_seen_by: int) -> int:
    """Removes sessions begun or last seen at those times or before; how many."""
    over = or_(sessions.c.created_time <= created_by, sessions.c.last_seen_time <= last_seen_by)
    return connection.execute(delete(sessions).where(over)).rowcount
