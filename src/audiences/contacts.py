"""Keep: of the judged rows the first of each number becomes a contact, every other row a reject; both as Parquet.

All is SQL on the temporary tables of one upload's connection: the records that `tables.read` left (`row`, `c1` …), and
the verdicts that `phones.judge` left (`id`, `phone`, `place`, `reason`). Rows with a valid number that are
not accepted all the same were set aside before.
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
from audiences.set_aside import JUDGED, Against, set_aside
from audiences.sql import identifier
from audiences.tables import Table

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
    suppressed: int
    by_reason: dict[str, int]
    countries: dict[str, int]
    line_types: dict[str, int]
    contacts: Path | None
    rejects: Path | None


@dataclass(frozen=True)
class Keeping:
    """One file on its way: its table, how its columns will lie, and the folder that it is written to.

    `normalised` names, by a column's index, the table (`id`, `text`) of what stands in its place in contacts.
    """

    table: Table
    plan: Layout
    folder: Path
    normalised: Mapping[int, str]


def keep(connection: DuckDBPyConnection, keeping: Keeping, against: Against, *, sorted_from: int) -> Kept:
    """Sets rows aside, counts, and writes `contacts.parquet` and `rejects.parquet` into the folder.

    From `sorted_from` rows on contacts are sorted as they are written.
    """
    set_aside(connection, against)
    counted = count(connection, keeping.table)
    by_reason, accepted = counted.by_reason, sum(counted.countries.values())
    duplicates, suppressed = (by_reason.pop(reason, 0) for reason in (Reason.DUPLICATE, Reason.SUPPRESSED))
    contacts, rejects = keeping.folder / "contacts.parquet", keeping.folder / "rejects.parquet"
    if accepted:
        in_order = keeping.table.row_count >= sorted_from
        write_contacts(connection, keeping, contacts, in_order=in_order)
    refused = duplicates + suppressed + sum(by_reason.values())
    if refused:
        write_rejects(connection, keeping, rejects)
    return Kept(
        accepted,
        duplicates,
        suppressed,
        by_reason,
        counted.countries,
        counted.line_types,
        contacts if accepted else None,
        rejects if refused else None,
    )


@dataclass(frozen=True)
class Counted:
    """Rows by reason, all reasons; and contacts by country and by line type. Each most first."""

    by_reason: dict[str, int]
    countries: dict[str, int]
    line_types: dict[str, int]


def count(connection: DuckDBPyConnection, table: Table) -> Counted:
    """What became of the rows, in one statement: there are about a thousand places, however many rows."""
    counted = connection.execute(
        f"""
        SELECT reason, NULL AS country, NULL AS line_type, count(*) AS rows
        FROM {JUDGED} WHERE reason IS NOT NULL GROUP BY reason
        UNION ALL SELECT reason, NULL, NULL, count(*) FROM set_aside GROUP BY reason
        UNION ALL SELECT '{Reason.MALFORMED_ROW}', NULL, NULL, count(*) FROM {table.malformed}
        UNION ALL
        SELECT NULL, country, line_type, sum(rows)::BIGINT
        FROM (SELECT place, count(*) AS rows FROM {JUDGED} WHERE phone IS NOT NULL GROUP BY place
              UNION ALL SELECT place, -count(*) FROM set_aside GROUP BY place)
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


def write_contacts(connection: DuckDBPyConnection, keeping: Keeping, target: Path, *, in_order: bool) -> None:
    """Writes the accepted rows, nearly in file order: groups of rows may change places, unless `in_order`.

    The phone column holds E.164 digits, as a number.
    """
    plan = keeping.plan
    cells = {index: f"records.c{index + 1}" for index in range(len(plan.stored))}
    cells |= {index: f"{name}.text" for index, name in keeping.normalised.items()}
    cells[plan.phone] = "judged.phone::BIGINT"
    columns = [f"{cells[index]} AS {identifier(name)}" for index, name in enumerate(plan.stored)]
    joins = [f"LEFT JOIN {name} ON {name}.id = records.row" for name in keeping.normalised.values()]
    connection.execute(
        f"""
        COPY (
          SELECT records.row::BIGINT AS {layout.ROW}, country AS {layout.COUNTRY}, line_type AS {layout.LINE_TYPE},
                 time_zones AS {layout.TIME_ZONES}, {", ".join(columns)}
          FROM {keeping.table.relation} AS records
          JOIN (FROM {JUDGED} ANTI JOIN set_aside USING (id)) AS judged ON judged.id = records.row
          JOIN places USING (place)
          {" ".join(joins)}
          {"ORDER BY records.row" if in_order else ""}
        ) TO ? ({options(keeping.table)})
        """,
        [str(target)],
    )


def write_rejects(connection: DuckDBPyConnection, keeping: Keeping, target: Path) -> None:
    """Writes every row that was not accepted, in file order, its cells as they stood, or whole as `raw`.

    A valid number that was set aside stands beside its row, so that all rows of a number can be found.
    """
    table = keeping.table
    cells = [f"records.c{index + 1} AS {identifier(name)}" for index, name in enumerate(keeping.plan.stored)]
    connection.execute(
        f"""
        COPY (
          SELECT records.row::BIGINT AS {layout.ROW}, refused.reason AS {layout.REASON},
                 refused.first_file::BIGINT AS {layout.FIRST_FILE}, refused.first::BIGINT AS {layout.FIRST_ROW},
                 NULL::VARCHAR AS {layout.RAW}, refused.phone::BIGINT AS {layout.PHONE}, {", ".join(cells)}
          FROM {table.relation} AS records
          JOIN (SELECT id, reason::VARCHAR AS reason, NULL AS first_file, NULL AS first, NULL AS phone
                FROM {JUDGED} WHERE reason IS NOT NULL
                UNION ALL SELECT id, reason, first_file, first, phone FROM set_aside) AS refused
            ON refused.id = records.row
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
    return parquet_options(len(table.columns), table.row_count)


def parquet_options(columns: int, rows: int) -> str:
    """How Parquet of so many columns of a file's own and so many rows is written."""
    parquet = f"FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {rows_in_group(columns)}"
    return parquet + (FOR_MANY_ROWS if rows > ROW_GROUP else "")


def rows_in_group(columns: int) -> int:
    """Rows of a Parquet row group of so many columns: whole vectors of the engine."""
    return min(ROW_GROUP, max(VECTOR, CELLS_IN_GROUP // columns // VECTOR * VECTOR))
