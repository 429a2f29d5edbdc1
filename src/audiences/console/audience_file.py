"""A file for an audience that is there: in place of all its contacts, or in addition to them."""

from __future__ import annotations

from functools import partial
from typing import Any

import anyio.to_thread
from starlette.responses import Response

from audiences import judging
from audiences.console import audience_frame, audience_words, shapes
from audiences.console.audience_frame import AUDIENCE, Seen, address, framed, noting
from audiences.console.routes import Page, Visit
from audiences.errors import BadRequest
from audiences.inbox import Upload
from audiences.models import FileReport
from audiences.turns import Turn

# What refusals tell a program to send, and what a person does about the same in the form.
ADVICE = (
    (" Send phone_column=", " Write its name into the field below."),
    (" Name a column ", " Write the name of the column of phone numbers into the field below."),
    (" If the numbers are national ones, send", " If the numbers are national ones, choose their country below."),
)


async def show_append(visit: Visit) -> Response:
    """The form that adds a file."""
    return await form(visit, "append")


async def show_replace(visit: Visit) -> Response:
    """The form that puts a file in place of all contacts."""
    return await form(visit, "replace")


async def form(visit: Visit, kind: str) -> Response:
    """The form of either."""
    await anyio.to_thread.run_sync(visit.parts.creation.changeable, visit.account, audience_frame.audience_id(visit))
    seen = await anyio.to_thread.run_sync(audience_frame.find, visit)
    shown: dict[str, Any] = {
        "kind": kind,
        "last": seen.report.files[-1] if seen.report.files else None,
        "regions": [("", "None: each begins with its country code"), *shapes.regions()],
        "most": visit.parts.settings.max_upload_bytes,
        "problem": "",
    }
    return visit.render("audience_file.html", **framed(visit, seen, kind), **shown)


async def append(visit: Visit) -> Response:
    """A further file is added."""
    return await change(visit, "append")


async def replace(visit: Visit) -> Response:
    """All contacts are replaced by a file's."""
    return await change(visit, "replace")


async def change(visit: Visit, kind: str) -> Response:
    """Receives the file and changes the audience by it; then on to the audience, with what became of the rows."""
    creation, found = visit.parts.creation, audience_frame.audience_id(visit)
    await visit.admit_upload()
    await anyio.to_thread.run_sync(creation.changeable, visit.account, found)
    try:
        await anyio.to_thread.run_sync(creation.refuse_full_account, visit.account)
        async with visit.parts.inbox.receive(visit.request) as upload:
            turn = Turn(visit.account, upload.size)
            await visit.parts.engine.run(turn, partial(carry_out, visit, kind, found, upload))
    except BadRequest as refusal:
        return visit.render("audience_file.html", status=422, block="told", problem=told(refusal.message))
    seen = await anyio.to_thread.run_sync(audience_frame.find, visit)
    visit.notice(became(seen, kind))
    return visit.redirect(address(seen))


def told(message: str) -> str:
    """A refusal's message, its advice in terms of the form."""
    for advice, ours in ADVICE:
        begin, found, _ = message.partition(advice)
        if found:
            return begin + ours
    return message


def carry_out(visit: Visit, kind: str, found: str, upload: Upload) -> None:
    """Changes the audience. Raises a Refusal, and then nothing is changed."""
    if upload.problem is not None:
        raise upload.problem
    creation = visit.parts.creation
    name = creation.changeable(visit.account, found).row["name"]
    wanted = judging.instructions({**upload.fields, "name": name, "dry_run": ""})
    work = creation.append if kind == "append" else creation.replace
    work(visit.account, found, upload, wanted, noting(visit, kind))


def became(seen: Seen, kind: str) -> str:
    """What became of the rows of the last file."""
    file = seen.report.files[-1]
    done = "appended" if kind == "append" else "put in place of all contacts"
    return f"{file.name} was {done}: {audience_words.rows(file.rows)} = {sum_of(file)}."


def sum_of(file: FileReport) -> str:
    """`4 accepted + 1 duplicate`: what the rows of a file add up to."""
    duplicates = "duplicate" if file.duplicates == 1 else "duplicates"
    parts = [
        (file.duplicates, duplicates),
        (file.suppressed, "on the do-not-contact list"),
        (file.rejected, "rejected"),
    ]
    return " + ".join([f"{file.accepted:,} accepted", *(f"{count:,} {what}" for count, what in parts if count)])


PAGES: tuple[Page, ...] = (
    Page("GET", f"{AUDIENCE}/append", show_append),
    Page("POST", f"{AUDIENCE}/append", append),
    Page("GET", f"{AUDIENCE}/replace", show_replace),
    Page("POST", f"{AUDIENCE}/replace", replace),
)
