"""Set aside: rows with a valid number that do not become contacts all the same.

A number is suppressed, or a contact of the audience already, or stands in an earlier row of the file. Where only the
last can be, and memory has room for the verdicts and for what they tell, sorting the numbers tells (`duplicates`); else
the engine does, which goes through files and spills.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from duckdb import DuckDBPyConnection

from audiences import layout
from audiences.errors import Reason
from audiences.layout import Stored
from audiences.settings import MIB
from audiences.sql import Query, identifier
from audiences.suppressed import Suppressed, on_current

if TYPE_CHECKING:
    import polars as pl

    from audiences.verdicts import Verdicts

JUDGED = "judged"

# Bytes of verdicts that stay in memory while the engine looks at as many, and spills: those of some three million rows.
MOST_BESIDE = 32 * MIB


@dataclass(frozen=True)
class Against:
    """What a file is held against: the do-not-contact list, and the contacts that its audience has already.

    `suppressed` finds the list when it is needed: it may be another one than when the file came. `file` is the number
    that the file will have among the audience's files.
    """

    suppressed: Callable[[], Suppressed | None] = lambda: None
    contacts: Sequence[Stored] = ()
    file: int = 1


class Aside:
    """The rows that were set aside, ascending.

    `row` Int64, `place` UInt16, `phone` UInt64, `why`, a `Reason`; for a duplicate `first_file` and `first`, where the
    number stood first. They are the relation `relation` on the connection, or, where they are few, `frame`.
    """

    def __init__(self, connection: DuckDBPyConnection, folder: Path, frame: pl.DataFrame | None = None) -> None:
        self.connection = connection
        self.folder = folder
        self.frame = frame
        self.turn = threading.Lock()  # several threads ask, and a connection is for one at a time

    def between(self, rows: pl.Series) -> pl.DataFrame:
        """Those that are among `rows`, which ascend and are all there are from the first to the last of them."""
        first, last = (int(rows[0]), int(rows[-1])) if len(rows) else (0, -1)
        if self.frame is not None:
            row = self.frame["row"]
            if not len(row) or (first <= row[0] and row[-1] <= last):
                return self.frame
            return self.frame[((row >= first) & (row <= last)).arg_true()]
        with self.turn:
            query = f"FROM set_aside WHERE row BETWEEN {first} AND {last} ORDER BY row"
            return framed(self.connection, query, self.folder)

    def counts(self) -> pl.DataFrame:
        """How many there are: `why`, `place`, `rows`."""
        import polars as pl

        if self.frame is not None:
            return self.frame.group_by("why", "place").agg(rows=pl.len())
        query = "SELECT why, place, count(*) AS rows FROM set_aside GROUP BY ALL"
        return framed(self.connection, query, self.folder)


def set_aside(
    connection: DuckDBPyConnection, verdicts: Verdicts, against: Against, most_beside: int = MOST_BESIDE
) -> Aside:
    """The rows with a valid number that are not accepted.

    A duplicate has the file and row of the contact that was there first. A suppressed number is that wherever it
    stands.
    """
    from audiences import duplicates

    in_memory = not against.contacts and against.suppressed() is None and verdicts.are_in_memory
    later = duplicates.later_ones(verdicts) if in_memory else None
    if later is not None:
        return Aside(connection, verdicts.folder, told(later, against.file))
    if verdicts.taken > most_beside:
        verdicts.put_down()
    relate(connection, verdicts)
    in_engine(connection, against)
    return Aside(connection, verdicts.folder)


def told(later: pl.DataFrame, file: int) -> pl.DataFrame:
    """Duplicates within a file, as `Aside` has them."""
    import polars as pl

    from audiences.chains import collected

    why, first_file = pl.lit(str(Reason.DUPLICATE)).alias("why"), pl.lit(file, pl.Int64).alias("first_file")
    return collected(later.lazy().select("row", "place", "phone", why, first_file, "first").sort("row"))


def relate(connection: DuckDBPyConnection, verdicts: Verdicts) -> None:
    """Leaves `judged`: id, phone and place of every row with a valid number."""
    connection.execute(f"CREATE TEMP TABLE {JUDGED} (id BIGINT, phone UBIGINT, place USMALLINT)")
    for piece in verdicts:
        connection.register("verdicts", Columns(piece.drop("reason")))
        connection.execute(f"INSERT INTO {JUDGED} SELECT row, phone, place FROM verdicts WHERE phone IS NOT NULL")
        connection.unregister("verdicts")


class Columns:
    """A frame as the engine takes it: by Arrow's interface for streams of columns, without another library."""

    def __init__(self, frame: pl.DataFrame) -> None:
        self.frame = frame

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """A stream of the frame's columns."""
        return self.frame.__arrow_c_stream__(requested_schema)


def framed(connection: DuckDBPyConnection, query: str, folder: Path) -> pl.DataFrame:
    """What a query yields, by way of a file in `folder`.

    Not as a stream of Arrow: a process in which DuckDB has handed out one complains of leaks when it ends.
    """
    import polars as pl

    path = folder / "framed.parquet"
    connection.execute(f"COPY ({query}) TO ? (FORMAT parquet, COMPRESSION uncompressed)", [str(path)])
    try:
        return pl.read_parquet(path)
    finally:
        path.unlink()


def in_engine(connection: DuckDBPyConnection, against: Against) -> None:
    """Leaves `set_aside`, of the rows in `judged`."""
    parts = []
    is_listed = on_current(against.suppressed, partial(mark_suppressed, connection))
    if is_listed:
        parts.append(f"SELECT *, '{Reason.SUPPRESSED}' AS why, NULL AS first_file, NULL AS first FROM suppressed")
    if against.contacts:
        mark_known(connection, against.contacts)
        parts.append(
            f"SELECT held.id, held.place, held.phone, '{Reason.DUPLICATE}' AS why, file AS first_file, row AS first "
            f"FROM {JUDGED} AS held JOIN known USING (phone){' ANTI JOIN suppressed USING (id)' if parts else ''}"
        )
    earlier = (("suppressed", is_listed), ("known", bool(against.contacts)))
    others = "".join(f" ANTI JOIN {name} USING (phone)" for name, used in earlier if used)
    parts.append(
        f"""
        SELECT later.id, later.place, later.phone, '{Reason.DUPLICATE}' AS why,
               {int(against.file)}::BIGINT AS first_file, earliest.id AS first
        FROM {JUDGED} AS later
        JOIN (FROM (SELECT phone, min(id) AS id FROM {JUDGED} GROUP BY phone HAVING count(*) > 1){others})
          AS earliest ON later.phone = earliest.phone AND later.id <> earliest.id
        """
    )
    connection.execute(
        f"""
        CREATE TEMP TABLE set_aside AS
        SELECT id AS row, place, phone, why, first_file::BIGINT AS first_file, first::BIGINT AS first
        FROM ({" UNION ALL ".join(parts)}) ORDER BY row
        """
    )


def mark_suppressed(connection: DuckDBPyConnection, listed: Suppressed | None) -> bool:
    """Leaves `suppressed`: the rows whose number is on the do-not-contact list. Whether there is such a list."""
    if listed is None:
        return False
    query = Query()
    connection.execute(
        f"""
        CREATE TEMP TABLE suppressed AS SELECT id, place, phone FROM {JUDGED}
        WHERE {listed.names("phone::BIGINT", query.bind)}
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
        FROM ({there}) WHERE phone IN (SELECT phone::BIGINT FROM {JUDGED}) GROUP BY phone
        """,
        query.bound,
    )
