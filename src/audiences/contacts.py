"""Keep: of the judged rows the first of each number becomes a contact, every other row a reject; both as Parquet.

All is SQL on the temporary tables of one upload's connection: the records that `tables.read` left (`row`, `c1` …), and
the verdicts that `phones.judge` left (`id`, `phone`, `place`, `reason`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from duckdb import DuckDBPyConnection

from audiences import layout
from audiences.errors import Reason
from audiences.layout import Layout
from audiences.sql import identifier
from audiences.tables import Table

JUDGED = "judged"

# Rows that are compressed together, and the least that a page has to read: DuckDB's own default, and fewer of wide
# tables, since a group is held in memory while it is written (100,000 rows of 200 columns in one: 18 s, in five: 2 s).
ROW_GROUP = 122_880
CELLS_IN_GROUP = 20 * ROW_GROUP
VECTOR = 2048

# A dictionary pays for columns of few values; looking for one in a column of names costs more than it saves.
FOR_MANY_ROWS = ", DICTIONARY_SIZE_LIMIT 4096, WRITE_BLOOM_FILTER false"


@dataclass(frozen=True)
class Kept:
    """What became of a file's rows. The paths are None where there is nothing to keep."""

    accepted: int
    duplicates: int
    by_reason: dict[str, int]
    countries: dict[str, int]
    line_types: dict[str, int]
    contacts: Path | None
    rejects: Path | None


def keep(
    connection: DuckDBPyConnection, table: Table, plan: Layout, folder: Path, normalised: Mapping[int, str]
) -> Kept:
    """Marks duplicates, counts, and writes `contacts.parquet` and `rejects.parquet` into `folder`.

    `normalised` names, by a column's index, the table (`id`, `text`) of what stands in its place in contacts.
    """
    mark_duplicates(connection)
    counted = count(connection, table)
    by_reason, accepted = counted.by_reason, sum(counted.countries.values())
    duplicates = by_reason.pop(Reason.DUPLICATE, 0)
    contacts, rejects = folder / "contacts.parquet", folder / "rejects.parquet"
    if accepted:
        write_contacts(connection, table, plan, contacts, normalised)
    refused = duplicates + sum(by_reason.values())
    if refused:
        write_rejects(connection, table, plan, rejects)
    return Kept(
        accepted,
        duplicates,
        by_reason,
        counted.countries,
        counted.line_types,
        contacts if accepted else None,
        rejects if refused else None,
    )


def mark_duplicates(connection: DuckDBPyConnection) -> None:
    """Leaves `duplicates`: each row whose number stands in an earlier row, with that row and its place in the plan."""
    connection.execute(
        f"""
        CREATE TEMP TABLE duplicates AS
        SELECT later.id, later.place, earliest.id AS first
        FROM {JUDGED} AS later
        JOIN (SELECT phone, min(id) AS id FROM {JUDGED} WHERE phone IS NOT NULL GROUP BY phone HAVING count(*) > 1)
          AS earliest ON later.phone = earliest.phone AND later.id <> earliest.id
        """
    )


@dataclass(frozen=True)
class Counted:
    """Rows by reason, duplicates among them; and contacts by country and by line type. Each most first."""

    by_reason: dict[str, int]
    countries: dict[str, int]
    line_types: dict[str, int]


def count(connection: DuckDBPyConnection, table: Table) -> Counted:
    """What became of the rows, in one statement: there are about a thousand places, however many rows."""
    counted = connection.execute(
        f"""
        SELECT reason, NULL AS country, NULL AS line_type, count(*) AS rows
        FROM {JUDGED} WHERE reason IS NOT NULL GROUP BY reason
        UNION ALL SELECT '{Reason.DUPLICATE}', NULL, NULL, count(*) FROM duplicates
        UNION ALL SELECT '{Reason.MALFORMED_ROW}', NULL, NULL, count(*) FROM {table.malformed}
        UNION ALL
        SELECT NULL, country, line_type, sum(rows)::BIGINT
        FROM (SELECT place, count(*) AS rows FROM {JUDGED} WHERE phone IS NOT NULL GROUP BY place
              UNION ALL SELECT place, -count(*) FROM duplicates GROUP BY place)
        JOIN places USING (place) GROUP BY country, line_type ORDER BY ALL
        """
    ).fetchall()
    sums: tuple[Counter[str], ...] = (Counter(), Counter(), Counter())
    for *names, rows in counted:
        for total, name in zip(sums, names, strict=True):
            if name is not None:
                total[str(name)] += rows
    by_reason, countries, line_types = (dict((+total).most_common()) for total in sums)
    return Counted(by_reason, countries, line_types)


def write_contacts(
    connection: DuckDBPyConnection, table: Table, plan: Layout, target: Path, normalised: Mapping[int, str]
) -> None:
    """Writes the accepted rows, nearly in file order; the phone column holds E.164 digits, as a number."""
    cells = {index: f"records.c{index + 1}" for index in range(len(plan.stored))}
    cells |= {index: f"{name}.text" for index, name in normalised.items()}
    cells[plan.phone] = "judged.phone::BIGINT"
    columns = [f"{cells[index]} AS {identifier(name)}" for index, name in enumerate(plan.stored)]
    joins = [f"LEFT JOIN {name} ON {name}.id = records.row" for name in normalised.values()]
    connection.execute(
        f"""
        COPY (
          SELECT records.row::BIGINT AS {layout.ROW}, country AS {layout.COUNTRY}, line_type AS {layout.LINE_TYPE},
                 time_zones AS {layout.TIME_ZONES}, {", ".join(columns)}
          FROM {table.relation} AS records
          JOIN (FROM {JUDGED} ANTI JOIN duplicates USING (id)) AS judged ON judged.id = records.row
          JOIN places USING (place)
          {" ".join(joins)}
        ) TO ? ({options(table)})
        """,
        [str(target)],
    )


def write_rejects(connection: DuckDBPyConnection, table: Table, plan: Layout, target: Path) -> None:
    """Writes every row that was not accepted, in file order, its cells as they stood, or whole as `raw`."""
    cells = [f"records.c{index + 1} AS {identifier(name)}" for index, name in enumerate(plan.stored)]
    connection.execute(
        f"""
        COPY (
          SELECT records.row::BIGINT AS {layout.ROW}, refused.reason AS {layout.REASON},
                 refused.first::BIGINT AS {layout.FIRST_ROW}, NULL::VARCHAR AS {layout.RAW}, {", ".join(cells)}
          FROM {table.relation} AS records
          JOIN (SELECT id, reason::VARCHAR AS reason, NULL::BIGINT AS first FROM {JUDGED} WHERE reason IS NOT NULL
                UNION ALL SELECT id, '{Reason.DUPLICATE}', first FROM duplicates) AS refused ON refused.id = records.row
          UNION ALL BY NAME
          SELECT row::BIGINT AS {layout.ROW}, '{Reason.MALFORMED_ROW}' AS {layout.REASON}, raw AS {layout.RAW}
          FROM {table.malformed}
          ORDER BY {layout.ROW}
        ) TO ? ({options(table)})
        """,
        [str(target)],
    )


def options(table: Table) -> str:
    """How Parquet of this table's rows is written."""
    parquet = f"FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {rows_in_group(len(table.columns))}"
    return parquet + (FOR_MANY_ROWS if table.row_count > ROW_GROUP else "")


def rows_in_group(columns: int) -> int:
    """Rows of a Parquet row group of so many columns: whole vectors of the engine."""
    return min(ROW_GROUP, max(VECTOR, CELLS_IN_GROUP // columns // VECTOR * VECTOR))
