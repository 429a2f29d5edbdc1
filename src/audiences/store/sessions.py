"""Statements on sessions of the console. A cookie's text is never here, only its SHA-256."""

from __future__ import annotations

from sqlalchemy import Connection, and_, delete, insert, or_, select, update
from sqlalchemy.engine import RowMapping

from audiences.store.schema import sessions


def add(connection: Connection, digest: bytes, user_id: str, now: int, browser: str | None) -> None:
    """Stores a session."""
    values = {"hash": digest, "user_id": user_id, "created_time": now, "last_seen_time": now, "browser": browser}
    connection.execute(insert(sessions).values(values))


def find(connection: Connection, digest: bytes) -> RowMapping | None:
    """The session whose cookie hashes to `digest`, or None."""
    return connection.execute(select(sessions).where(sessions.c.hash == digest)).mappings().first()


def of_user(connection: Connection, user_id: str) -> list[RowMapping]:
    """The sessions of the user, those that are over and not yet swept among them; the one used last comes first."""
    newest = sessions.c.last_seen_time.desc(), sessions.c.created_time.desc(), sessions.c.hash
    chosen = select(sessions).where(sessions.c.user_id == user_id).order_by(*newest)
    return list(connection.execute(chosen).mappings())


def touch(connection: Connection, digest: bytes, now: int) -> None:
    """Notes that the session was used."""
    connection.execute(update(sessions).where(sessions.c.hash == digest).values(last_seen_time=now))


def remove(connection: Connection, digest: bytes) -> None:
    """Removes that session."""
    connection.execute(delete(sessions).where(sessions.c.hash == digest))


def remove_one_of(connection: Connection, user_id: str, digest: bytes) -> bool:
    """Removes that session if it is the user's; whether it was."""
    condition = and_(sessions.c.hash == digest, sessions.c.user_id == user_id)
    return connection.execute(delete(sessions).where(condition)).rowcount == 1


def remove_of(connection: Connection, user_id: str) -> int:
    """Removes all sessions of the user; how many."""
    return connection.execute(delete(sessions).where(sessions.c.user_id == user_id)).rowcount


def remove_older(connection: Connection, created_by: int, last_seen_by: int) -> int:
    """Removes sessions begun or last seen at those times or before; how many."""
    over = or_(sessions.c.created_time <= created_by, sessions.c.last_seen_time <= last_seen_by)
    return connection.execute(delete(sessions).where(over)).rowcount
