"""The numbers that a request gives, as a file or as a list of texts, judged as an upload's are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec
from duckdb import DuckDBPyConnection

from audiences import pages, phones
from audiences.errors import REASON_SENTENCES, Reason
from audiences.inbox import Upload
from audiences.judging import SAMPLES, Instructions, Judge, Judged
from audiences.layout import REASON, ROW, Stored
from audiences.pages import Filters
from audiences.set_aside import JUDGED, Against
from audiences.suppression_file import WANTED


@dataclass(frozen=True)
class Given:
    """How many rows there were, and why some are no number; the others, each number once, are the table `wanted`.

    `samples` is a JSON array of up to 100 rows that are none; `field` is where they all came from.
    """

    rows: int
    by_reason: Mapping[str, int]
    samples: bytes
    field: str

    @property
    def rejected(self) -> int:
        """Rows that are no number."""
        return sum(self.by_reason.values())

    @property
    def valid(self) -> int:
        """Rows that are a number, however often it stands there."""
        return self.rows - self.rejected

    def complaint(self) -> str:
        """What to say where none of the rows is a number."""
        if not self.rows:
            return "The file has a header but no rows under it. Nothing was changed."
        reasons = list(self.by_reason.items())[:4]
        return (
            f"None of the {self.rows:,} rows is a valid phone number with its country code "
            f"({', '.join(f'{reason} {count:,}' for reason, count in reasons)}). Nothing was changed. "
            f"{REASON_SENTENCES[Reason(reasons[0][0])]} "
            "If the numbers are national ones, send default_region with the country, such as GB."
        )


def of_file(connection: DuckDBPyConnection, judge: Judge, upload: Upload, wanted: Instructions) -> Given:
    """The numbers in a file's phone column. Raises a Refusal."""
    judged = judge.judge_on(connection, upload, wanted, Against())
    keep_wanted(connection)
    report = judged.record.file
    return Given(report.rows, report.rejected_by_reason, file_samples(connection, judged), "audience_file")


def of_texts(connection: DuckDBPyConnection, texts: Sequence[str | int], region: str | None) -> Given:
    """The numbers in a list, whose rows count from 1. Raises InvalidField for the region.

    The engine takes them as JSON, so that no object is made of any of them here.
    """
    connection.execute(
        """
        CREATE TEMP TABLE given AS SELECT unnest(texts) AS text, generate_subscripts(texts, 1)::BIGINT AS id
        FROM (SELECT from_json(?, '["VARCHAR"]') AS texts)
        """,
        [msgspec.json.encode(texts).decode()],
    )
    phones.judge(connection, source="given", target=JUDGED, default_region=region)
    keep_wanted(connection)
    counted = connection.execute(
        f"SELECT reason, count(*) FROM {JUDGED} WHERE reason IS NOT NULL GROUP BY reason ORDER BY count(*) DESC, reason"
    ).fetchall()
    return Given(len(texts), dict(counted), text_samples(connection), "phones")


def keep_wanted(connection: DuckDBPyConnection) -> None:
    """Leaves `wanted`: each valid number once."""
    connection.execute(
        f"CREATE TEMP TABLE {WANTED} AS SELECT DISTINCT phone::BIGINT AS phone FROM {JUDGED} WHERE phone IS NOT NULL"
    )


def file_samples(connection: DuckDBPyConnection, judged: Judged) -> bytes:
    """The first rejects of a file as the API shows them; a number that stands there twice is none."""
    rejects = judged.kept.rejects
    if rejects is None:
        return b"[]"
    first = rejects.with_name("samples.parquet")
    connection.execute(
        f"""
        COPY (FROM read_parquet(?) WHERE {REASON} <> '{Reason.DUPLICATE}' ORDER BY {ROW} LIMIT {SAMPLES})
        TO ? (FORMAT parquet)
        """,
        [str(rejects), str(first)],
    )
    return pages.rejects(connection, [Stored.at(1, first, judged.layout)], Filters(), SAMPLES, (0, 0)).items


def text_samples(connection: DuckDBPyConnection) -> bytes:
    """The first rejects of a list: place and reason, and not the text, which the caller has."""
    ((items,),) = connection.execute(
        f"""
        SELECT string_agg(json_object('row', id, 'reason', reason), ',' ORDER BY id)
        FROM (SELECT id, reason FROM {JUDGED} WHERE reason IS NOT NULL ORDER BY id LIMIT {SAMPLES})
        """
    ).fetchall()
    return f"[{items or ''}]".encode()
