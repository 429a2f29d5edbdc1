"""Judges a column of phones at once: the same verdicts as `reference.judge`, from joins with the numbering plan.

A large upload takes two statements. The first reads spellings that are cheap to recognise and looks them up; most files
are done with it. The second takes what is left, and all of a small upload: it cleans the text by the contract's rules,
does with the digits what the library's parser does (`numbering.dialling`), looks the result up, and knows a reason for
what is not there.

The connection's database has the tables of `numbering.load`.
"""

from __future__ import annotations

import difflib

import duckdb
from phonenumbers import SUPPORTED_REGIONS

from audiences.errors import InvalidField, Reason
from audiences.numbering import metadata
from audiences.numbering.dialling import KEY_WIDTH, KNOWN_DIGITS, LONGEST_DIALLED

PHONE_COLUMNS = tuple(f"phone{number}" for number in range(2, 10))
"""The columns beside `phone1` that are normalised where they hold a valid phone, and never reject a row."""

FEW_ROWS = 5_000
"""Rows up to which the second statement judges all: to plan the first one would take longer than it spares."""

LONGEST_TEXT = 250
"""Characters that the library parses, the `+` among them (`_MAX_INPUT_STRING_LENGTH`)."""

# The patterns of the cleaning, for texts whose other blanks, digits and invisible characters have become ASCII ones.
MARKS = r"^[\x00-\x20\x7F]*\x27?[\x00-\x20\x7F]*(?i:tel:)?"
CONTROL = r"[\x00-\x1F\x7F]"
SCIENTIFIC = r"[+-]?[0-9]+(?:[.,][0-9]*)?[eE][+-]?[0-9]+"
PUNCTUATION = " -./()"


def is_region(code: str) -> bool:
    """Whether `code`, in any case, is a region that national numbers can be read for."""
    return code.upper() in SUPPORTED_REGIONS


def check_region(code: str) -> str:
    """`code` in upper case. Raises InvalidField, saying what to send, when it is no region."""
    if is_region(code):
        return code.upper()
    known = sorted(SUPPORTED_REGIONS)
    near = difflib.get_close_matches(code.strip().upper()[:2], known, n=3, cutoff=0.5)
    hint = f" Near it: {', '.join(near)}." if near else ""
    raise InvalidField(
        "default_region must be a two-letter region code (ISO 3166), for example US, GB or BR, or be left out."
        f"{hint} The regions are: {', '.join(known)}.",
        field="default_region",
    )


def judge(
    connection: duckdb.DuckDBPyConnection,
    *,
    source: str,
    target: str,
    default_region: str | None = None,
    exact: bool = False,
) -> None:
    """Creates the temporary table `target`: one row for each of `source`, in no order.

    Its columns are `id` BIGINT; `phone` UBIGINT, E.164 digits; `place` USMALLINT, of `numbering_places`; `reason`
    VARCHAR, a `Reason`. A row has a phone and a place, or a reason.

    `source` is a relation (a name, or a query in parentheses) with `id` BIGINT and `text` VARCHAR; it is read twice.
    `default_region` and `exact` are those of `reference.judge`. Raises InvalidField for an unknown region.
    """
    region = None if default_region is None else check_region(default_region)
    rows, foreign = _counted(connection, source)
    if rows <= FEW_ROWS:
        whole = _judge_rest(connection, source, region, exact=exact, foreign=foreign)
        connection.execute(f"CREATE OR REPLACE TEMP TABLE {target} AS {whole}")
        return
    draft = f"{target}_draft"
    try:
        connection.execute(_look_up(source, draft, region))
        left = f"(SELECT id, text FROM {draft} WHERE place IS NULL)"
        rows, foreign = _counted(connection, left)
        rest = f"UNION ALL ({_judge_rest(connection, left, region, exact=exact, foreign=foreign)})" if rows else ""
        connection.execute(f"""
            CREATE OR REPLACE TEMP TABLE {target} AS
            SELECT id, phone, place, NULL::VARCHAR AS reason FROM {draft} WHERE place IS NOT NULL
            {rest}
        """)
    finally:
        connection.execute(f"DROP TABLE IF EXISTS {draft}")


def normalise(
    connection: duckdb.DuckDBPyConnection,
    *,
    source: str,
    target: str,
    default_region: str | None = None,
    exact: bool = False,
) -> None:
    """Creates the temporary table `target` of `id` BIGINT and `text` VARCHAR: E.164 digits, or the text as it stands.

    For the `PHONE_COLUMNS`. The arguments are those of `judge`; `source` is read twice.
    """
    judged = f"{target}_judged"
    judge(connection, source=source, target=judged, default_region=default_region, exact=exact)
    connection.execute(f"""
        CREATE OR REPLACE TEMP TABLE {target} AS
        SELECT id, coalesce(judged.phone::VARCHAR, given.text) AS text
        FROM {source} AS given JOIN {judged} AS judged USING (id)
    """)
    connection.execute(f"DROP TABLE {judged}")


def _look_up(source: str, draft: str, region: str | None) -> str:
    """The first statement: the table `draft` of id, phone, place; and the text where there is no place yet.

    A number in `number` is one that the library reads as it stands but for its punctuation. With a region only those
    after `+` or `00` are sure to be international.
    """
    prefix = r"(?:\+|00)" + ("?" if region is None else "")
    bare = "number::VARCHAR = text" if region is None else "false"
    return rf"""
        CREATE OR REPLACE TEMP TABLE {draft} AS
        WITH
        cast_whole AS (SELECT id, text, TRY_CAST(text AS UBIGINT) AS number FROM {source}),
        bare AS (SELECT id, text, CASE WHEN {bare} THEN number END AS number FROM cast_whole),
        compact AS (
            SELECT id, text, number, CASE
                WHEN number IS NULL AND NOT suffix(rtrim(text), '.0') THEN translate(text, '{PUNCTUATION}', '')
            END AS digits
            FROM bare
        ),
        numbers AS (
            SELECT id, text, coalesce(number, CASE
                WHEN regexp_full_match(digits, '{prefix}[1-9][0-9]{{6,18}}') THEN TRY_CAST(digits AS UBIGINT)
            END) AS number
            FROM compact
        )
        SELECT
            id,
            CASE WHEN direct IS NOT NULL THEN number END AS phone,
            direct AS place,
            CASE WHEN direct IS NULL THEN text END AS text
        FROM numbers ASOF LEFT JOIN numbering_plan ON number >= lo
    """


def _counted(connection: duckdb.DuckDBPyConnection, source: str) -> tuple[int, bool]:
    """How many rows `source` has, and whether any of them is written in more than ASCII."""
    counts = f"SELECT count(*), count(*) FILTER (strlen(text) <> length(text)) FROM {source}"
    ((rows, foreign),) = connection.execute(counts).fetchall()
    return rows, foreign > 0


def _judge_rest(
    connection: duckdb.DuckDBPyConnection, source: str, region: str | None, *, exact: bool, foreign: bool
) -> str:
    """The second statement: id, phone, place, reason of every row of `source`, which has id and text."""
    text = _in_ascii(connection) if foreign else "text"
    scientific = "false" if exact else f"regexp_full_match(text, '{SCIENTIFIC}')"
    return rf"""
            WITH
            visible AS (
                SELECT id, trim(
                    regexp_replace(regexp_replace(coalesce({text}, ''), '{MARKS}', ''), '{CONTROL}', '', 'g'), ' '
                ) AS text
                FROM {source}
            ),
            compact AS (
                SELECT
                    id,
                    CASE
                        WHEN text = '' THEN '{Reason.EMPTY}'
                        WHEN {scientific} THEN '{Reason.SCIENTIFIC_NOTATION}'
                    END AS reason,
                    translate(
                        CASE WHEN regexp_full_match(text, '[0-9]+\.0') THEN left(text, -2) ELSE text END,
                        '{PUNCTUATION}', ''
                    ) AS text
                FROM visible
            ),
            dialled AS (
                SELECT
                    id,
                    reason,
                    regexp_extract(text, '^(?:\+|00)?((?s:.*))$', 1) AS digits,
                    {"true" if region is None else "starts_with(text, '+') OR starts_with(text, '00')"} AS international
                FROM compact
            ),
            checked AS (
                SELECT id, digits, international, coalesce(reason, CASE
                    WHEN NOT regexp_full_match(digits, '[0-9]+') THEN '{Reason.NOT_A_NUMBER}'
                    WHEN length(digits) + international::INTEGER > {LONGEST_TEXT} THEN '{Reason.TOO_LONG}'
                END) AS reason
                FROM dialled
            ),
            {_NOT_NATIONAL if region is None else _national(region)},
            {_ROUTED}
            SELECT
                id,
                CASE WHEN place IS NOT NULL THEN number END AS phone,
                place,
                CASE WHEN place IS NULL THEN reason END AS reason
            FROM routed ASOF LEFT JOIN numbering_plan ON number >= lo
    """


def _in_ascii(connection: duckdb.DuckDBPyConnection) -> str:
    """An expression of `text` with its digits, blanks and invisible characters beyond ASCII as such in ASCII."""
    patterns = dict(connection.execute("FROM numbering_characters").fetchall())
    digits = "text"
    for digit in "0123456789":
        digits = f"regexp_replace({digits}, '{patterns[digit]}', '{digit}', 'g')"
    ascii_digits = f"CASE WHEN regexp_matches(text, '{patterns['digit']}') THEN {digits} ELSE text END"
    blanks = f"regexp_replace({ascii_digits}, '{patterns['blank']}', ' ', 'g')"
    return f"regexp_replace({blanks}, '{patterns['invisible']}', chr(127), 'g')"


def _routing_key(digits: str) -> str:
    """The key of `numbering_routes` of the expression `digits`; see `dialling.Leaf.key`."""
    return (
        f"least(length({digits}), {LONGEST_DIALLED})::UBIGINT * {KEY_WIDTH}"
        f" + TRY_CAST(rpad(left({digits}, {KNOWN_DIGITS}), {KNOWN_DIGITS}, '0') AS UBIGINT)"
    )


_NOT_NATIONAL = """entered AS (
                SELECT id, digits AS digits_after, true AS further, reason, NULL::VARCHAR AS otherwise FROM checked
            )"""


def _national(region: str) -> str:
    """Reads national numbers as `region` does; `digits` are then E.164, or, if international, to be routed again.

    `otherwise` is the reason where the numbering plan does not have the E.164 number.
    """
    prefix = metadata.rules(0, region).international_prefix
    return rf"""
            prefixed AS (
                SELECT
                    *,
                    CASE
                        WHEN NOT international AND reason IS NULL AND length(digits) > 1
                        THEN nullif(regexp_extract(digits, '^(?:{prefix})'), '')
                    END AS found,
                    CASE WHEN substr(digits, length(found) + 1, 1) <> '0' THEN length(found) END AS idd_length
                FROM checked
            ),
            domestic AS (
                SELECT
                    *,
                    CASE WHEN NOT international AND reason IS NULL AND idd_length IS NULL
                    THEN {_routing_key("digits")} END AS key
                FROM prefixed
            ),
            entered AS (
                SELECT
                    id,
                    coalesce(head, '') || substr(digits, coalesce(idd_length, dropped, 0) + 1) AS digits_after,
                    domestic.international OR idd_length IS NOT NULL OR coalesce(ways.international, false) AS further,
                    coalesce(domestic.reason, CASE
                        WHEN further AND NOT domestic.international AND length(digits_after) <= 2
                        THEN '{Reason.TOO_SHORT}'
                    END) AS reason,
                    ways.reason AS otherwise
                FROM domestic
                ASOF LEFT JOIN (FROM numbering_routes WHERE region = '{region}') AS ways ON key >= lo
            )"""


_ROUTED = f"""
            keyed AS (
                SELECT *, CASE WHEN further AND reason IS NULL THEN {_routing_key("digits_after")} END AS key
                FROM entered
            ),
            routed AS (
                SELECT
                    id,
                    coalesce(head, '') || substr(digits_after, coalesce(dropped, 0) + 1) AS e164,
                    coalesce(keyed.reason, ways.reason, otherwise) AS reason,
                    CASE WHEN keyed.reason IS NULL AND NOT starts_with(e164, '0') THEN TRY_CAST(e164 AS UBIGINT) END
                    AS number
                FROM keyed
                ASOF LEFT JOIN (FROM numbering_routes WHERE region = '{metadata.NON_GEOGRAPHIC}') AS ways ON key >= lo
            )"""
