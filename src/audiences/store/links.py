"""Statements on one-time links. A link's text is never here, only its SHA-256; NULL for a user is the first start."""

from __future__ import annotations

from sqlalchemy import Connection, delete, insert, select
from sqlalchemy.engine import RowMapping

from audiences.store.schema import sign_in_links as links


def add(connection: Connection, digest: bytes, user_id: str | None, created: int, expires: int) -> None:
    """Stores a link."""
    connection.execute(insert(links).values(hash=digest, user_id=user_id, created_time=created, expires_time=expires))


def find(connection: Connection, digest: bytes, now: int) -> RowMapping | None:
    """The link whose text hashes to `digest`, unless it has expired, or None."""
    found = select(links).where(links.c.hash == digest, links.c.expires_time > now)
    return connection.execute(found).mappings().first()


def take(connection: Connection, digest: bytes, now: int) -> bool:
    """Removes that link; whether it was still there. Of two at once, one is told so."""
    taken = delete(links).where(links.c.hash == digest, links.c.expires_time > now)
    return connection.execute(taken).rowcount == 1


def remove_of(connection: Connection, user_id: str | None) -> None:
    """Removes all links of the user, or those of the first start."""
    of_the_user = links.c.user_id.is_(None) if user_id is None else links.c.user_id == user_id
    connection.execute(delete(links).where(of_the_user))


def remove_expired(connection: Connection, now: int) -> int:
    """Removes links that have expired; how many."""
    return connection.execute(delete(links).where(links.c.expires_time <= now)).rowcount


def change_nothing(connection: Connection, digest: bytes) -> None:
    """Adds and removes a link that was over before it began: a commit to the disk that changes nothing."""
    add(connection, digest, None, 0, 0)
    connection.execute(delete(links).where(links.c.hash == digest))
