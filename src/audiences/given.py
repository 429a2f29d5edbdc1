"""The numbers that a request gives, as a file or as a list of texts, judged as an upload's are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from duckdb import DuckDBPyConnection

from audiences import pages
from audiences.errors import REASON_SENTENCES, Reason
from audiences.inbox import Upload
from audiences.judging import SAMPLES, Instructions, Judge, Judged
from audiences.layout import REASON, ROW, Stored
from audiences.pages import Filters
from audiences.set_aside import Against, Columns
from audiences.sql import identifier
from audiences.suppression_file import WANTED

if TYPE_CHECKING:
    from audiences.numbering.frames import Plan


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
    phone = identifier(judged.layout.phone_column)
    keep_wanted(connection, "SELECT NULL::BIGINT AS phone WHERE false")
    if judged.kept.contacts is not None:
        connection.execute(f"INSERT INTO {WANTED} SELECT {phone} FROM read_parquet(?)", [str(judged.kept.contacts)])
    report = judged.record.file
    return Given(report.rows, report.rejected_by_reason, file_samples(connection, judged), "audience_file")


def of_texts(connection: DuckDBPyConnection, plan: Plan, texts: Sequence[str | int], region: str | None) -> Given:
    """The numbers in a list, whose rows count from 1. Raises InvalidField for the region."""
    import polars as pl

    from audiences import phones

    judged = phones.judge(plan, pl.Series(texts, dtype=pl.String, strict=False), default_region=region)
    connection.register("given", Columns(judged))
    keep_wanted(connection, "SELECT DISTINCT phone::BIGINT AS phone FROM given WHERE phone IS NOT NULL")
    connection.unregister("given")
    rejected = judged.select(pl.int_range(1, pl.len() + 1).alias("row"), "reason").drop_nulls("reason")
    by_reason = Counter(dict(rejected["reason"].value_counts(sort=True).rows()))
    samples = rejected.head(SAMPLES).write_json().encode()
    return Given(len(texts), dict(by_reason.most_common()), samples, "phones")


def keep_wanted(connection: DuckDBPyConnection, query: str) -> None:
    """Leaves `wanted`: each valid number once."""
    connection.execute(f"CREATE TEMP TABLE {WANTED} AS {query}")


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
