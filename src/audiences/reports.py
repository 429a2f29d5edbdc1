"""What became of the rows of a file, and of all files of an audience: totals are sums over the files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import UNSET, Struct
from sqlalchemy.engine import RowMapping

from audiences import clock
from audiences.errors import REASON_SENTENCES, NoValidRows, Reason
from audiences.inbox import Upload
from audiences.models import AudienceReport, Check, FileReport

if TYPE_CHECKING:
    from audiences.contacts import Kept
    from audiences.tables import Table

STATIC = "Static"


class FileRecord(Struct):
    """What the catalog keeps of one file's report."""

    file: FileReport
    columns: list[str]
    countries: dict[str, int]
    line_types: dict[str, int]


def of_file(upload: Upload, table: Table, kept: Kept) -> FileRecord:
    """The record of a file that was read and judged."""
    rejected = sum(kept.by_reason.values())
    report = FileReport(
        name=upload.file_name,
        bytes=upload.size,
        sha256=upload.sha256.hex(),
        format=table.format,
        encoding=table.encoding,
        delimiter=table.delimiter,
        sheet=table.sheet,
        header_row=table.header_row,
        phone_column=table.columns[table.phone],
        rows=kept.rows,
        accepted=kept.accepted,
        duplicates=kept.duplicates,
        suppressed=kept.suppressed,
        rejected=rejected,
        rejected_by_reason=kept.by_reason,
        blank_rows=kept.blank_rows,
    )
    if report.rows != report.accepted + report.duplicates + report.suppressed + report.rejected:
        raise AssertionError("rows were lost or made up between reading and keeping")  # invariant 1
    return FileRecord(report, list(table.columns), kept.countries, kept.line_types)


def of_check(name: str, records: Sequence[FileRecord]) -> Check:
    """The report over all files of an audience, stored or not."""
    files = [record.file for record in records]
    accepted = sum(file.accepted for file in files)
    return Check(
        name=name,
        type=STATIC,
        user_count=accepted,
        rows=sum(file.rows for file in files),
        accepted=accepted,
        duplicates=sum(file.duplicates for file in files),
        suppressed=sum(file.suppressed for file in files),
        rejected=sum(file.rejected for file in files),
        rejected_by_reason=added(file.rejected_by_reason for file in files),
        blank_rows=sum(file.blank_rows for file in files),
        columns=list(dict.fromkeys(name for record in records for name in record.columns)),
        countries=added(record.countries for record in records),
        line_types=added(record.line_types for record in records),
        files=files,
        erased=sum(file.erased or 0 for file in files) or UNSET,
    )


def of_audience(audience: RowMapping, files: Sequence[RowMapping]) -> AudienceReport:
    """The report of a stored audience."""
    records = [msgspec.convert(file["report"], FileRecord) for file in files]
    return AudienceReport(
        id=str(audience["id"]),
        created_time=clock.in_seconds(audience["created_time"]),
        updated_time=clock.in_seconds(audience["updated_time"]),
        **fields_of(of_check(audience["name"], records)),
    )


def nothing_accepted(check: Check, samples: Mapping[str, Any]) -> NoValidRows:
    """The refusal of a file of which no row is accepted: the commonest reasons, and what to do about the first."""
    report = in_order(check) | dict(samples)
    if check.rows == 0:
        return NoValidRows("The file has a header but no rows under it. Nothing was stored.", report)
    reasons = sorted(check.rejected_by_reason.items(), key=lambda pair: -pair[1])
    aside = [("already contacts or repeated", check.duplicates), ("on the do-not-contact list", check.suppressed)]
    told = ", ".join(f"{what} {count:,}" for what, count in [*reasons[:4], *aside] if count)
    if check.duplicates or check.suppressed:  # valid numbers, all of them
        return NoValidRows(f"None of the {check.rows:,} rows is a new contact ({told}). Nothing was stored.", report)
    return NoValidRows(
        f"None of the {check.rows:,} rows has a valid phone number with its country code ({told}). "
        f"{REASON_SENTENCES[Reason(reasons[0][0])]} "
        "If the numbers are national ones, send default_region with the country, such as default_region=GB.",
        report,
    )


def added(counts: Any) -> dict[str, int]:  # noqa: ANN401 - an iterable of mappings
    """The sum of several counts, most first."""
    total: Counter[str] = Counter()
    for count in counts:
        total.update(count)
    return dict(total.most_common())


def fields_of(struct: Struct) -> dict[str, Any]:
    """A struct's fields by name, those that are not set left out."""
    found = {name: getattr(struct, name) for name in struct.__struct_fields__}
    return {name: value for name, value in found.items() if value is not UNSET}


# What a reader looks for first; a struct's own fields come behind those that it inherits.
FIRST = ("id", "name", "type", "created_time", "updated_time", "user_count")


def in_order(report: Struct) -> dict[str, Any]:
    """A report's fields, and those of its files, in the order in which one reads them."""
    fields = fields_of(report)
    if "files" in fields:
        fields["files"] = [in_order(file) for file in fields["files"]]
    return {name: fields[name] for name in (*FIRST, *fields) if name in fields}
