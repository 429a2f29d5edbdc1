"""The shapes of answers: what goes into the envelope's `data`, and what the API's description says of it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

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
    """What became of the rows: `rows = accepted + duplicates + suppressed + rejected`, + `erased` if there are any."""

    rows: Count
    accepted: Count
    duplicates: Count
    suppressed: Count
    rejected: Count
    rejected_by_reason: dict[str, int]
    blank_rows: Count
    erased: Annotated[int, Meta(ge=1, description="Rows of people who were erased since")] | UnsetType = UNSET


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
    excluded: dict[str, int] | UnsetType = UNSET


class Suppression(Struct):
    """A number on the do-not-contact list."""

    phone: Annotated[str, Meta(description="E.164 digits without +", examples=["442079832100"])]
    added_time: Moment


class RejectedNumber(Struct, omit_defaults=True):
    """One row that is no phone number. Of a list of numbers, `row` is the place in it, from 1, and stands alone."""

    row: int
    reason: str
    file: int | UnsetType = UNSET
    columns: dict[str, str] | UnsetType = UNSET
    raw: Annotated[str, Meta(description="Of a malformed row: the whole record")] | UnsetType = UNSET


class ListChange(Struct, kw_only=True):
    """What a change of the do-not-contact list found among its rows. Blank ones are none."""

    rows: Count
    rejected: Count
    rejected_by_reason: dict[str, int]
    sample_rejects: list[RejectedNumber]


class SuppressionsAdded(ListChange, kw_only=True):
    """`rows = added + already + rejected`; a number that stands there twice is added once."""

    added: Count
    already: Count


class SuppressionsRemoved(ListChange, kw_only=True):
    """`rows = removed + unknown + rejected`; a number that stands there twice is removed once."""

    removed: Count
    unknown: Annotated[int, Meta(ge=0, description="Numbers that were not on the list")]


class HeldRow(Struct, kw_only=True):
    """Where something is held: the audience, the file by its number in it, and the row.

    `state` is `replaced` for an old version, `deleted` for a deleted audience: both can be restored for 7 days.
    """

    audience: Digits
    name: str
    state: Literal["current", "replaced", "deleted"]
    file: int
    row: int


class HeldContact(HeldRow, kw_only=True):
    """A contact with the number. `columns` holds all columns but the phone column, as text."""

    columns: dict[str, str]


class HeldReject(HeldRow, kw_only=True, omit_defaults=True):
    """A row with the number that was not accepted, its cells as they stood; a malformed one has `raw` instead."""

    reason: str
    columns: dict[str, str]
    raw: str | UnsetType = UNSET


class HeldCell(HeldRow, kw_only=True):
    """A cell in another person's row in which the number stands."""

    column: str
    text: str


class HeldAsSent(Struct, kw_only=True):
    """A file that lies as it was sent, in which nobody looked.

    `kind` is `upload` for one that is kept beside its audience's rows, `check` for one under check in the console.
    """

    kind: Literal["upload", "check"]
    audience: Annotated[Digits | None, Meta(description="None for a file under check: it is in no audience yet")]
    sha256: str
    bytes: Count
    sent_time: Annotated[str, Meta(description="UTC", examples=["2025-10-01T09:10:00Z"])]
    kept_until: Annotated[str, Meta(description="UTC", examples=["2025-10-31T09:10:00Z"])]


class Held(Struct, kw_only=True):
    """All that the account holds on one number. What is known of a number without a country is None."""

    phone: Annotated[str, Meta(description="E.164 digits without +", examples=["442079832100"])]
    country: str | None
    line_type: str | None
    time_zones: list[str]
    suppressed: bool
    suppressed_time: Annotated[str, Meta(description="UTC", examples=["2025-10-01T09:10:00Z"])] | None
    contacts: list[HeldContact]
    rejects: list[HeldReject]
    cells: list[HeldCell]
    more: Annotated[bool, Meta(description="There is more than these 1,000 rows and cells, or files.")]
    not_searched: list[HeldAsSent]


class Erased(Struct, kw_only=True):
    """What was erased of a number, in how many audiences: rows that went, and cells of other rows that were emptied.

    `suppressed`: the number is on the do-not-contact list, and stays kept out by its hash.
    """

    audiences: Count
    contacts: Count
    rejects: Count
    cells: Count
    suppressed: bool
