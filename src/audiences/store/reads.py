"""Statements on holds: each keeps stored files from being removed, under a lease that is renewed.

Most are of reads under way; an erasure holds the files that it has written until its rows refer to them.
"""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import Connection, and_, delete, func, insert, select, update

from audiences.store.schema import reads


def add(connection: Connection, read_id: str, names: Collection[str], lease_until: int) -> None:
    """Holds the files `names`."""
    rows = [{"id": read_id, "object": name, "lease_until": lease_until} for name in set(names)]
    if rows:
        connection.execute(insert(reads), rows)


def renew(connection: Connection, read_id: str, names: Collection[str], lease_until: int) -> None:
    """Holds them longer, and again what a node whose clock is ahead has taken for lapsed and removed."""
    longer = update(reads).where(reads.c.id == read_id).values(lease_until=lease_until).returning(reads.c.object)
    there = set(connection.execute(longer).scalars())
    add(connection, read_id, set(names) - there, lease_until)


def remove(connection: Connection, read_id: str) -> list[str]:
    """Lets go of them; their names."""
    return list(connection.execute(delete(reads).where(reads.c.id == read_id).returning(reads.c.object)).scalars())


def held(connection: Connection, names: Collection[str], now: int, *, but: str = "") -> set[str]:
    """Those of `names` that a hold has, another than `but`: they must not be removed yet."""
    wanted = and_(reads.c.object.in_(names), reads.c.lease_until > now, reads.c.id != but)
    return set(connection.execute(select(reads.c.object).where(wanted)).scalars())


def held_until(connection: Connection, names: Collection[str]) -> int:
    """Until when all of `names` are held, as it stands now; 0 if one of them is not."""
    each = select(func.max(reads.c.lease_until)).where(reads.c.object.in_(names)).group_by(reads.c.object)
    found = connection.execute(each).scalars().all()
    return min(found) if len(found) == len(names) else 0


def remove_lapsed(connection: Connection, now: int) -> int:
    """Removes the marks of reads whose node died; how many."""
    return connection.execute(delete(reads).where(reads.c.lease_until <= now)).rowcount
