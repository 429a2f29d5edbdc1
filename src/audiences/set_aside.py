"""Set aside: rows with a valid number that do not become contacts all the same.

A number is suppressed, or a contact of the audience already, or stands in an earlier row of the file. What
`phones.judge` left (`id`, `phone`, `place`, `reason`) is read from the connection's table `judged`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from duckdb import DuckDBPyConnection

from audiences import layout
from audiences.errors import Reason
from audiences.layout import Stored
from audiences.sql import Query, identifier
from audiences.suppressed import Suppressed, on_current

JUDGED = "judged"


@dataclass(frozen=True)
class Against:
    """What a file is held against: the do-not-contact list, and the contacts that its audience has already.

    `suppressed` finds the list when it is needed: it may be another one than when the file came. `file` is the number
    that the file will have among the audience's files.
    """

    suppressed: Callable[[], Suppressed | None] = lambda: None
    contacts: Sequence[Stored] = ()
    file: int = 1


def set_aside(connection: DuckDBPyConnection, against: Against) -> None:
    """Leaves `set_aside`: rows with a valid number that are not accepted, each with its reason and place in the plan.

    A duplicate has the file and row of the contact that was there first. A suppressed number is that wherever it
    stands.
    """
    parts = []
    is_listed = on_current(against.suppressed, partial(mark_suppressed, connection))
    if is_listed:
        parts.append(f"SELECT *, '{Reason.SUPPRESSED}' AS reason, NULL AS first_file, NULL AS first FROM suppressed")
    if against.contacts:
        mark_known(connection, against.contacts)
        parts.append(
            f"SELECT held.id, held.place, held.phone, '{Reason.DUPLICATE}' AS reason, file AS first_file, row AS first "
            f"FROM {JUDGED} AS held JOIN known USING (phone){' ANTI JOIN suppressed USING (id)' if parts else ''}"
        )
    earlier = (("suppressed", is_listed), ("known", bool(against.contacts)))
    others = "".join(f" ANTI JOIN {name} USING (phone)" for name, used in earlier if used)
    parts.append(
        f"""
        SELECT later.id, later.place, later.phone, '{Reason.DUPLICATE}' AS reason,
               {int(against.file)}::BIGINT AS first_file, earliest.id AS first
        FROM {JUDGED} AS later
        JOIN (FROM (SELECT phone, min(id) AS id FROM {JUDGED} WHERE phone IS NOT NULL
                    GROUP BY phone HAVING count(*) > 1){others})
          AS earliest ON later.phone = earliest.phone AND later.id <> earliest.id
        """
    )
    connection.execute(f"CREATE TEMP TABLE set_aside AS {' UNION ALL '.join(parts)}")


def mark_suppressed(connection: DuckDBPyConnection, listed: Suppressed | None) -> bool:
    """Leaves `suppressed`: the rows whose number is on the do-not-contact list. Whether there is such a list."""
    if listed is None:
        return False
    query = Query()
    connection.execute(
        f"""
        CREATE TEMP TABLE suppressed AS SELECT id, place, phone FROM {JUDGED}
        WHERE phone IS NOT NULL AND {listed.names("phone::BIGINT", query.bind)}
        """,
        query.bound,
    )
    return True


def mark_known(connection: DuckDBPyConnection, contacts: Sequence[Stored]) -> None:
    """Leaves `known`: those of the numbers that are contacts of the audience already, with their file and row."""
    query = Query()
    there = " UNION ALL ".join(
        f"SELECT {identifier(stored.layout.phone_column)} AS phone, {int(stored.file)} AS file, {layout.ROW} AS row "
        f"FROM read_parquet({query.bind(str(stored.path))})"
        for stored in contacts
    )
    connection.execute(
        f"""
        CREATE TEMP TABLE known AS SELECT phone::UBIGINT AS phone, min(file)::BIGINT AS file, arg_min(row, file) AS row
        FROM ({there}) WHERE phone IN (SELECT phone::BIGINT FROM {JUDGED} WHERE phone IS NOT NULL) GROUP BY phone
        """,
        query.bound,
    )
