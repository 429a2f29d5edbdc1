"""The check of a draft: what was understood of it, what becomes of its rows, and why; or why it cannot be read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from audiences import judging
from audiences.console import new_look, new_rows
from audiences.console.new_rows import Told, short
from audiences.drafts import Draft
from audiences.errors import (
    MissingPhoneColumn,
    NoRoom,
    NotFound,
    Refusal,
    RepeatedPhoneColumn,
    SheetNotFound,
    Unavailable,
    likeliest_phone_column,
)
from audiences.inbox import Upload
from audiences.judging import Instructions
from audiences.models import Check, FileReport
from audiences.parts import Parts

# Columns that are offered as the one with the phones.
OFFERED = 300

# What to do about a file that cannot be read as it is, by the refusal; the rest is mended in the file.
STEPS: Mapping[type[Refusal], str] = {
    MissingPhoneColumn: "Choose the column that holds the phones to call, and check again. No new upload is needed.",
    RepeatedPhoneColumn: "Choose another column and check again, or rename all but one in the file and upload it anew.",
    SheetNotFound: "Choose a sheet and check again. No new upload is needed.",
    Unavailable: "Press Check again in a minute. No new upload is needed.",
    NoRoom: "Press Check again later. No new upload is needed.",
}
MEND = "Mend the file, then upload it anew."


@dataclass(frozen=True)
class Trouble:
    """Why the file cannot be read as it is, and what to do."""

    message: str
    step: str


@dataclass(frozen=True)
class Checked:
    """A check: of a file that was read `report`, `file`, `contacts` and `told`, of any other `trouble`.

    `phones` are columns to choose from, `phone` the one that is chosen or likeliest; `sheets` those of a workbook,
    where they can be told, `sheet` the one that is read. `hidden` is how many further columns are not shown. A file is
    `is_mendable` if reading it otherwise may help.
    """

    phones: list[str]
    phone: str
    sheets: list[str]
    sheet: str
    is_workbook: bool
    is_mendable: bool = True
    trouble: Trouble | None = None
    report: Check | None = None
    file: FileReport | None = None
    contacts: list[dict[str, Any]] = field(default_factory=list)
    columns: list[str] = field(default_factory=list)
    hidden: int = 0
    told: list[Told] = field(default_factory=list)

    @property
    def phone_choices(self) -> list[tuple[str, str]]:
        """The columns as a form offers them; also none, where none looks like one of phones."""
        first = [] if self.phone in self.phones else [("", "Choose a column")]
        return first + [(name, short(name)) for name in self.phones]

    @property
    def sheet_choices(self) -> list[tuple[str, str]]:
        """The sheets as a form offers them; before one was read, also none."""
        first = [] if self.sheet in self.sheets else [("", "The first one with the phone column")]
        return first + [(name, short(name)) for name in self.sheets]

    @property
    def headings(self) -> list[tuple[str, str, str]]:
        """The columns of one's own as a table heads them."""
        return [("", short(name), "text") for name in self.columns]


def check(parts: Parts, draft: Draft) -> Checked:
    """The draft, read and judged; nothing is stored. It blocks, in a place of the engine. Raises UnknownDraft."""
    wanted = judging.instructions(draft.fields)
    with parts.drafts.opened(draft) as upload:
        try:
            return read(parts, draft, upload, wanted)
        except NotFound:
            raise
        except Refusal as refusal:
            return not_read(parts, upload, wanted, refusal)


def read(parts: Parts, draft: Draft, upload: Upload, wanted: Instructions) -> Checked:
    """The check of a file that can be read. Raises a Refusal."""
    creation = parts.creation
    with parts.engine.connection() as connection:
        judged = creation.judge.judge_on(connection, upload, wanted, creation.against(draft.account))
        report = judged.check(wanted.name)
        file = report.files[0]
        first = new_rows.contacts(connection, judged, report)
        told = new_rows.told(connection, judged, report)
    return Checked(
        phones=offered(report.columns, file.phone_column),
        phone=file.phone_column,
        sheets=new_look.sheets(upload) if file.format != "csv" else [],
        sheet=file.sheet or "",
        is_workbook=file.format != "csv",
        report=report,
        file=file,
        contacts=first.contacts,
        columns=first.columns,
        hidden=first.hidden,
        told=told,
    )


def not_read(parts: Parts, upload: Upload, wanted: Instructions, refusal: Refusal) -> Checked:
    """The check of a file that was refused: with the columns and sheets that there are instead, where that helps."""
    columns: list[str] = []
    if isinstance(refusal, MissingPhoneColumn | RepeatedPhoneColumn):
        columns = new_look.columns(upload, parts.settings.max_upload_bytes)
    likeliest = likeliest_phone_column(wanted.phone_column, columns) or ""
    sheets = new_look.sheets(upload)
    is_workbook = bool(sheets) or wanted.sheet is not None or any(upload.folder.glob("sheet-*.arrow"))
    step = next((step for kind, step in STEPS.items() if isinstance(refusal, kind)), MEND)
    return Checked(
        phones=offered(columns, likeliest),
        phone=likeliest if columns else wanted.phone_column,
        sheets=sheets,
        sheet=wanted.sheet or "",
        is_workbook=is_workbook,
        is_mendable=step != MEND,
        trouble=Trouble(told_of(refusal, wanted), step),
    )


def told_of(refusal: Refusal, wanted: Instructions) -> str:
    """The refusal in words for a person; of a missing column, without how to say it to the API."""
    if isinstance(refusal, MissingPhoneColumn):
        return f"The file has no column named {wanted.phone_column}."
    return refusal.message


def offered(columns: list[str], chosen: str) -> list[str]:
    """The columns to choose from, the chosen one among them."""
    first = columns[:OFFERED]
    return first if chosen in first or not chosen else [chosen, *first]
