"""What the screen of the do-not-contact list does in the engine: judges what was typed or sent; changes the list."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

from duckdb import DuckDBPyConnection
from sqlalchemy import Connection

from audiences import given, judging
from audiences.console.routes import Visit
from audiences.errors import REASON_SENTENCES, InvalidField, Reason
from audiences.given import Given
from audiences.inbox import Upload, disk_errors_refused
from audiences.regions import check_region
from audiences.suppression_file import Kind

MAX_TYPED = 64

ACTIONS: dict[Kind, str] = {"add": "suppress", "remove": "unsuppress"}
COUNTED: dict[Kind, str] = {"add": "added", "remove": "removed"}

Judge = Callable[[DuckDBPyConnection], Given]


def typed_phone(visit: Visit) -> int:
    """The number in the form. Raises InvalidField, whose message says what is wrong with it."""
    with visit.parts.engine.connection() as connection:
        judge_typed(visit, connection)
        ((phone,),) = connection.execute("FROM wanted").fetchall()
        return int(phone)


def judge_typed(visit: Visit, connection: DuckDBPyConnection) -> Given:
    """Leaves the number of the form on the connection. Raises InvalidField."""
    text = visit.form.get("phone", "").strip()[:MAX_TYPED]
    code = visit.form.get("default_region", "")
    numbers = given.of_texts(connection, visit.parts.engine.plan, [text], check_region(code) if code else None)
    if not numbers.valid:
        reason = REASON_SENTENCES[Reason(next(iter(numbers.by_reason)))]
        raise InvalidField(f"{reason} Write the number with its country code, or choose its country.", field="phone")
    return numbers


def carry_out_file(visit: Visit, upload: Upload, fields: dict[str, str]) -> tuple[Given, int]:
    """Adds the numbers of the file. Raises a Refusal."""
    if upload.problem is not None:
        raise upload.problem
    wanted = judging.instructions({**fields, "name": "suppressions"})

    def judge(connection: DuckDBPyConnection) -> Given:
        return given.of_file(connection, visit.parts.creation.judge, upload, wanted)

    return carry_out(visit, "add", judge, upload.folder)


def carry_out(visit: Visit, kind: Kind, judge: Judge, folder: Path | None) -> tuple[Given, int]:
    """What was given, and on how many of its numbers it had an effect; the record commits with the change.

    The new list is written in `folder`, or in one of its own in the spool.
    """
    parts = visit.parts

    def commit(catalog: Connection, changed: int) -> None:
        details = {COUNTED[kind]: changed}
        parts.audit.note(catalog, visit.account, visit.actor, ACTIONS[kind], details=details)

    with disk_errors_refused(), tempfile.TemporaryDirectory(dir=parts.inbox.spool) as own:
        parts.inbox.check_room(0)
        with parts.engine.connection() as connection:
            numbers = judge(connection)
            if not numbers.valid:
                raise InvalidField(numbers.complaint(), field=numbers.field)
            place = folder or Path(own)
            return numbers, parts.suppressions.change(connection, visit.account, kind, place, commit)
