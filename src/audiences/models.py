"""The shapes of answers: what goes into the envelope's `data`, and what the API's description says of it."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import UNSET, Meta, Struct, UnsetType

Digits = Annotated[str, Meta(pattern=r"^[0-9]{6,15}$", description="An audience's id", examples=["312345"])]
Count = Annotated[int, Meta(ge=0)]
Moment = Annotated[str, Meta(description="UTC", examples=["2025-10-01T09:10:00Z"])]


class ErrorItem(Struct, omit_defaults=True):
    """One thing that was wrong, and how to mend it."""

    code: str
    message: str
    field: str | UnsetType = UNSET


class Created(Struct):
    """What a new or changed audience is answered with."""

    id: Digits


class AudienceItem(Struct):
    """An audience in the list. A dynamic one has no `user_count`."""

    id: Digits
    name: str
    created_time: Moment
    type: str
    user_count: Count | UnsetType = UNSET


class Counts(Struct, kw_only=True):
    """What became of the rows: `rows = accepted + duplicates + suppressed + rejected`."""

    rows: Count
    accepted: Count
    duplicates: Count
    suppressed: Count
    rejected: Count
    rejected_by_reason: dict[str, int]
    blank_rows: Count


class FileReport(Counts, kw_only=True):
    """One uploaded file: what was understood of it, and its counts."""

    name: str
    bytes: Count
    sha256: str
    format: str
    encoding: str | None
    delimiter: str | None
    sheet: str | None
    header_row: int
    phone_column: str


class Check(Counts, kw_only=True):
    """An audience's report without id and times: what a dry run answers, too. Totals are sums over the files."""

    name: str
    type: str
    user_count: Count
    columns: list[str]
    countries: dict[str, int]
    line_types: dict[str, int]
    files: list[FileReport]


class AudienceReport(Check, kw_only=True):
    """A stored audience."""

    id: Digits
    created_time: Moment
    updated_time: Moment


class Contact(Struct):
    """One accepted row. `columns` holds all columns but the phone column, as text."""

    file: int
    row: int
    phone1: Annotated[str, Meta(description="E.164 digits without +", examples=["442079832100"])]
    country: Annotated[str, Meta(description="libphonenumber's region code; 001 is not geographic", examples=["GB"])]
    line_type: str
    time_zones: list[str]
    columns: dict[str, str]


class Reject(Struct, omit_defaults=True):
    """One row that was not accepted, with its reason and its cells as they stood."""

    file: int
    row: int
    reason: str
    columns: dict[str, str]
    first_row: Annotated[int, Meta(description="Of a duplicate: the row that was kept")] | UnsetType = UNSET
    first_file: Annotated[int, Meta(description="Of a duplicate: that row's file")] | UnsetType = UNSET
    raw: Annotated[str, Meta(description="Of a malformed row: the whole record")] | UnsetType = UNSET


class CheckWithSamples(Check, kw_only=True):
    """A dry run's report: with up to 100 contacts and 100 rejects."""

    sample_contacts: list[Contact]
    sample_rejects: list[Reject]


class Health(Struct):
    """Whether the process lives, or each store is within reach."""

    status: str
    stores: dict[str, str] | UnsetType = UNSET


class Envelope(Struct, kw_only=True):
    """The one shape of every answer."""

    status: int
    description: str
    response_time: Annotated[str, Meta(examples=["2025-02-06T07:51:52.258Z"])]
    data: Any = UNSET
    errors: list[ErrorItem] | UnsetType = UNSET
    report: Any = UNSET
    next_cursor: str | UnsetType = UNSET
