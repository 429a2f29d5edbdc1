"""Find the records that span physical lines, and the lines whose quoting is broken, by SQL over the table of lines.

Only lines that hold a quote are looked at. What a line does when it is begun inside of quotes is what it does, begun
outside, with a quote put before it; so one grammar serves both.
"""

from __future__ import annotations

import duckdb

from audiences.errors import UnreadableFile
from audiences.tables.dialect import MAX_RECORD_BYTES, MAX_RECORD_LINES, Dialect
from audiences.tables.sql import literal, stored

# Spans that do not overlap: first_line, last_line, inner_before and inner_lines (lines within records, up to the span
# and with it). Broken lines: pos. The text of each span: first_line, inner_before, raw.
SPANS = "audiences_spans"
BROKEN = "audiences_broken"
JOINED = "audiences_joined"
_ODD = "audiences_odd"
_CLOSERS = "audiences_closers"
_CANDIDATES = "audiences_candidates"
_JUMPS = "audiences_jumps"
_CHOSEN = "audiences_chosen"
_OPENS = f"(SELECT pos FROM {_ODD} WHERE opens)"
_ENDS = f"(SELECT pos FROM {_CLOSERS} WHERE kind <> 'reopened')"
TABLES = (SPANS, BROKEN, JOINED, _ODD, _CLOSERS, _CANDIDATES, _CHOSEN)

# What is to be known of them: each span with its text, and each broken line.
RESULTS = {
    "spans": f"""SELECT first_line::BIGINT AS first_line, last_line::BIGINT AS last_line, raw,
        inner_before::BIGINT AS inner_before, inner_lines::BIGINT AS inner_lines
        FROM {SPANS} JOIN (SELECT first_line, raw FROM {JOINED}) USING (first_line) ORDER BY first_line""",
    "broken": f"SELECT pos::BIGINT AS pos FROM {BROKEN} ORDER BY pos",
}


# Lines below an opened quote in which its end is looked for at first; nearly all cells that have line ends have few.
NEAR = 8

# Where spans overlap, which of them are records is found out in some twenty joins of them with themselves. A file has
# that many only if its quotes are rubbish; below the limit it takes half a minute at most.
MAX_CLASHES = 5_000_000


def find(connection: duckdb.DuckDBPyConnection, lines: str, dialect: Dialect, columns: int) -> None:
    """The tables `SPANS`, `BROKEN` and `JOINED` about the table `lines`.

    Raises: UnreadableFile.
    """
    _find_odd(connection, lines, dialect)
    _find_closers(
        connection, lines, dialect, f"rowid IN (SELECT unnest(range(pos + 1, pos + {NEAR + 1})) FROM {_OPENS})"
    )
    if _some_end_is_far(connection, lines):
        connection.execute(f"DROP TABLE {_CLOSERS}")
        _find_closers(connection, lines, dialect, f"(SELECT count(*) FROM {_OPENS}) > 0")
    _find_candidates(connection, lines, columns)
    _choose(connection)
    connection.execute(f"""
        CREATE TEMP TABLE {SPANS} AS
        SELECT first_line, last_line, sum(last_line - first_line) OVER (ORDER BY first_line) AS inner_lines,
            inner_lines - (last_line - first_line) AS inner_before
        FROM {_CHOSEN}""")
    connection.execute(f"""
        CREATE TEMP TABLE {BROKEN} AS
        SELECT pos FROM {_ODD} o ASOF LEFT JOIN {SPANS} s ON o.pos >= s.first_line
        WHERE s.last_line IS NULL OR o.pos > s.last_line""")
    connection.execute(f"""
        CREATE TEMP TABLE {JOINED} AS
        SELECT first_line, any_value(inner_before) AS inner_before, string_agg(
            CASE WHEN pos = last_line THEN line ELSE line || line_end END, '' ORDER BY pos) AS raw
        FROM (SELECT *, unnest(range(first_line, last_line + 1)) AS pos FROM {SPANS})
            JOIN (SELECT rowid AS pos, line, line_end FROM {lines}) USING (pos)
        GROUP BY first_line""")


def _find_odd(connection: duckdb.DuckDBPyConnection, lines: str, dialect: Dialect) -> None:
    """The lines that are no whole records by themselves, whether they end inside of quotes, and their delimiters."""
    connection.execute(f"""
        CREATE TEMP TABLE {_ODD} AS
        SELECT rowid AS pos, regexp_full_match(line, {literal(dialect.open)}) AS opens,
            {delimiters(outside("line", dialect), dialect)} AS delimiters
        FROM {lines}
        WHERE contains(line, {literal(dialect.quote)}) AND NOT regexp_full_match(line, {literal(dialect.closed)})""")


def _find_closers(connection: duckdb.DuckDBPyConnection, lines: str, dialect: Dialect, which: str) -> None:
    """Those lines that, begun inside of quotes, leave them: whether for good and properly, and their delimiters."""
    quote = literal(dialect.quote)
    connection.execute(f"""
        CREATE TEMP TABLE {_CLOSERS} AS
        SELECT pos,
            CASE WHEN regexp_full_match(inner_line, {literal(dialect.closed)}) THEN 'closed'
                 WHEN regexp_full_match(inner_line, {literal(dialect.open)}) THEN 'reopened'
                 ELSE 'broken' END AS kind,
            {delimiters(outside("inner_line", dialect), dialect)} AS delimiters,
            {delimiters(f"rtrim({outside('inner_line', dialect)}, {literal(dialect.separator + ' ')})", dialect)}
                AS filled
        FROM (SELECT rowid AS pos, {quote} || line AS inner_line FROM {lines}
              WHERE {which} AND contains(line, {quote}))
        WHERE NOT regexp_full_match(inner_line, {literal(dialect.inside)})""")


def _some_end_is_far(connection: duckdb.DuckDBPyConnection, lines: str) -> bool:
    """Whether some line opens a record that no line near below it ends, and there are more lines."""
    (far,) = stored(
        connection,
        f"""SELECT count(*) FROM {_OPENS} o ASOF LEFT JOIN {_ENDS} e ON o.pos < e.pos
        WHERE (e.pos IS NULL OR e.pos > o.pos + {NEAR}) AND o.pos + {NEAR} < (SELECT count(*) FROM {lines})""",
    )
    return bool(far)


def _find_candidates(connection: duckdb.DuckDBPyConnection, lines: str, columns: int) -> None:
    """Each line that opens a record, with the line that closes it, where that makes a record within the limits."""
    (longest,) = stored(connection, f"SELECT coalesce(max(strlen(line)) + 1, 0) FROM {lines}")
    connection.execute(f"""
        CREATE TEMP TABLE {_CANDIDATES} AS
        WITH closers AS (
            SELECT *, sum(delimiters) OVER (ORDER BY pos) - delimiters AS before FROM {_CLOSERS}),
        ends AS (FROM closers WHERE kind <> 'reopened'),
        pairs AS (
            SELECT o.pos AS first_line, e.pos AS last_line,
                o.delimiters + e.before - f.before + e.filled AS delimiters
            FROM {_ODD} o
            ASOF JOIN closers f ON o.pos < f.pos
            ASOF JOIN ends e ON o.pos < e.pos
            WHERE o.opens AND e.kind = 'closed' AND e.pos - o.pos < {MAX_RECORD_LINES}),
        sizes AS (
            SELECT rowid AS pos, sum(strlen(line) + 1) OVER (ROWS UNBOUNDED PRECEDING) AS upto
            FROM {lines} WHERE {longest} * (SELECT max(last_line - first_line) FROM pairs) >= {MAX_RECORD_BYTES})
        SELECT first_line, last_line, row_number() OVER (ORDER BY first_line) AS turn
        FROM pairs LEFT JOIN sizes a ON a.pos = first_line LEFT JOIN sizes b ON b.pos = last_line
        WHERE pairs.delimiters < {columns} AND coalesce(b.upto - a.upto < {MAX_RECORD_BYTES}, true)""")


def _choose(connection: duckdb.DuckDBPyConnection) -> None:
    """Of candidates that overlap the first, then the first after its end, and so on: as a reader going down would.

    Raises: UnreadableFile where more than `MAX_CLASHES` overlap.
    """
    (clashes,) = stored(
        connection,
        f"""SELECT count(*) FROM (
            SELECT first_line <= max(last_line) OVER (
                ORDER BY first_line ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS clash
            FROM {_CANDIDATES}) WHERE clash""",
    )
    if clashes > MAX_CLASHES:
        raise UnreadableFile(
            "Too many quotes in the file are opened and not closed. Save it again, with every quoted cell closed.",
            field="audience_file",
        )
    if not clashes:
        connection.execute(f"CREATE TEMP TABLE {_CHOSEN} AS SELECT first_line, last_line FROM {_CANDIDATES}")
        return
    _follow(connection)


def _follow(connection: duckdb.DuckDBPyConnection) -> None:
    """The candidates that are reached from the first, each followed by the next one after its end.

    Steps double in every round (1, 2, 4, …), so that a million of them take twenty rounds.
    """
    connection.execute(f"""
        CREATE TEMP TABLE {_JUMPS} AS SELECT c.turn AS origin, n.turn AS target
        FROM {_CANDIDATES} c ASOF JOIN {_CANDIDATES} n ON c.last_line < n.first_line""")
    connection.execute(f"CREATE TEMP TABLE {_CHOSEN} AS SELECT 1::BIGINT AS turn")
    while stored(connection, f"SELECT count(*) FROM {_JUMPS}") != (0,):
        connection.execute(f"""
            INSERT INTO {_CHOSEN} SELECT target FROM {_CHOSEN} JOIN {_JUMPS} ON turn = origin""")
        connection.execute(f"""
            CREATE OR REPLACE TEMP TABLE {_JUMPS} AS SELECT a.origin, b.target
            FROM {_JUMPS} a JOIN {_JUMPS} b ON a.target = b.origin""")
    connection.execute(f"DROP TABLE {_JUMPS}")
    connection.execute(f"""
        CREATE OR REPLACE TEMP TABLE {_CHOSEN} AS
        SELECT first_line, last_line FROM {_CANDIDATES} SEMI JOIN {_CHOSEN} USING (turn)""")


def outside(line: str, dialect: Dialect) -> str:
    """`line` with its quoted cells, the one still open included, written as `x`."""
    pattern = rf"(?s)(^|[{dialect.separator}]) *{dialect.quote}{dialect.body}(?:{dialect.quote} *|\\?$)"
    return rf"regexp_replace({line}, {literal(pattern)}, '\1x', 'g')"


def delimiters(text: str, dialect: Dialect) -> str:
    """How many delimiters `text` holds."""
    return f"length({text}) - length(replace({text}, {literal(dialect.separator)}, ''))"
