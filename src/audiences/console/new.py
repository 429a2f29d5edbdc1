"""New audience: a file is uploaded once, checked as often as need be, and then created or thrown away."""

from __future__ import annotations

from functools import partial
from typing import Any

import anyio.to_thread
from sqlalchemy import Connection
from starlette.responses import Response

from audiences import names
from audiences.console import new_check, shapes
from audiences.console.new_check import Checked
from audiences.console.routes import Page, Visit
from audiences.drafts import FIELDS, Draft, TooManyDrafts
from audiences.errors import BadRequest, InvalidField, NoRoom
from audiences.models import AudienceReport
from audiences.regions import is_region
from audiences.turns import Turn

NEW = "/console/new"
UNPROCESSABLE = 422


class NoFile(BadRequest):
    """The form came without a file."""

    step = "Choose a CSV file or a workbook, and upload it again."


async def show(visit: Visit) -> Response:
    """The form for a file, and what the user has under check already."""
    full = ""
    try:
        await refuse_full(visit)
    except (NoRoom, TooManyDrafts) as refusal:
        full = refusal.message
    drafts = await anyio.to_thread.run_sync(visit.parts.drafts.listed, visit.account, visit.user.id)
    return visit.render("new.html", drafts=drafts, full=full, most=visit.parts.settings.max_upload_bytes)


async def refuse_full(visit: Visit) -> None:
    """Raises QuotaExceeded or TooManyDrafts where there is no room for one more file under check."""
    await anyio.to_thread.run_sync(visit.parts.creation.refuse_full_account, visit.account)
    await anyio.to_thread.run_sync(visit.parts.drafts.refuse_full, visit.account, visit.user.id)


async def receive(visit: Visit) -> Response:
    """The file becomes a draft; on to its check."""
    parts = visit.parts
    await visit.admit_upload()
    await refuse_full(visit)
    async with parts.inbox.receive(visit.request) as upload:
        if upload.problem is not None:
            raise NoFile("No file was chosen.")
        draft = await anyio.to_thread.run_sync(parts.drafts.add, visit.account, visit.user.id, upload)
    return visit.redirect(f"{NEW}/{draft.id}")


async def show_draft(visit: Visit) -> Response:
    """The page of a draft, at once; the check takes seconds, and is loaded by the page."""
    return page(visit, await found(visit), None)


async def show_check(visit: Visit) -> Response:
    """The check itself."""
    return await checked(visit, await found(visit))


async def read_otherwise(visit: Visit) -> Response:
    """The check again, of the file read as the form says."""
    draft = await found(visit)
    fields = said(visit, draft)
    try:
        names.check_name(fields["name"])
    except InvalidField:
        fields["name"] = draft.fields["name"]  # its own form says so
    draft = await anyio.to_thread.run_sync(visit.parts.drafts.change, draft, fields)
    return await checked(visit, draft) if visit.is_htmx else visit.redirect(f"{NEW}/{draft.id}/check")


async def create(visit: Visit) -> Response:
    """The draft becomes an audience, read as it was when its check was shown; on to the audience."""
    draft = await found(visit)
    fields = said(visit, draft)
    try:
        names.check_name(fields["name"])
    except InvalidField as refusal:
        return unnamed(visit, draft, fields, refusal.message)
    turn = Turn(visit.account, draft.size)
    audience_id = await visit.parts.engine.run(turn, publish, visit, Draft(**{**vars(draft), "fields": fields}))
    report = await anyio.to_thread.run_sync(visit.parts.library.report, visit.account, str(audience_id))
    visit.notice(counted(report))
    return visit.redirect(f"/console/audiences/{audience_id}")


async def throw_away(visit: Visit) -> Response:
    """The draft is removed."""
    draft = await found(visit)
    await anyio.to_thread.run_sync(visit.parts.drafts.remove, draft)
    visit.notice(f"{draft.file_name} was thrown away. Nothing of it is stored.", "info")
    return visit.redirect(NEW)


async def found(visit: Visit) -> Draft:
    """The user's draft in the path. Raises UnknownDraft."""
    find = partial(visit.parts.drafts.find, visit.account, visit.user.id, str(visit.request.path_params["id"]))
    return await anyio.to_thread.run_sync(find)


async def checked(visit: Visit, draft: Draft) -> Response:
    """The check, as a part of the page or with all of it."""
    turn = Turn(visit.account, draft.size)
    return page(visit, draft, await visit.parts.engine.run(turn, new_check.check, visit.parts, draft))


def page(visit: Visit, draft: Draft, check: Checked | None) -> Response:
    """The page of a draft; without its check it loads that by itself."""
    chosen = {name: draft.fields.get(name, "") for name in FIELDS}
    if check is not None:
        chosen |= {"phone_column": check.phone, "sheet": check.sheet}
    stage = "Reading and judging every row… A large file takes some seconds." if check is None else summary(check)
    template = "new_check.html" if visit.is_htmx and check is not None else "new_draft.html"
    shown: dict[str, Any] = {"draft": draft, "checked": check, "chosen": chosen, "stage": stage}
    shown["regions"] = shapes.regions()
    return visit.render(template, is_part=visit.is_htmx, error="", **shown)


def unnamed(visit: Visit, draft: Draft, fields: dict[str, str], error: str) -> Response:
    """The form that creates, with what is wrong with the name."""
    template = "new_create.html" if visit.is_htmx else "new_draft.html"
    response = visit.render(template, status=UNPROCESSABLE, draft=draft, chosen=fields, error=error, stage="")
    response.headers.update({"HX-Retarget": "#create", "HX-Reswap": "outerHTML"})
    return response


def publish(visit: Visit, draft: Draft) -> int:
    """The new audience's id. It blocks, and takes a place of the engine. Raises a Refusal."""

    def commit(connection: Connection, audience_id: int) -> None:
        visit.parts.audit.note(connection, draft.account, visit.actor, "create", subject=str(audience_id))

    return visit.parts.drafts.publish(draft, visit.parts.creation, commit)


def said(visit: Visit, draft: Draft) -> dict[str, str]:
    """What the form says of the file, and for what it leaves out what was said before. No region is no country."""
    fields = {name: visit.form.get(name, draft.fields.get(name, "")).strip() for name in FIELDS}
    return fields | {"default_region": fields["default_region"] if is_region(fields["default_region"]) else ""}


def summary(check: Checked) -> str:
    """What the check found, in a sentence: what a screen reader says once it is there."""
    if check.report is None:
        return "The file cannot be read as it is. Nothing is stored."
    return f"{check.report.accepted:,} of {check.report.rows:,} rows would become contacts. Nothing is stored yet."


def counted(report: AudienceReport) -> str:
    """The counts of a new audience, in a sentence."""
    others = [(report.duplicates, "duplicate"), (report.suppressed, "on the do-not-contact list")]
    others.append((report.rejected, "rejected"))
    told = [f"{count:,} {word}" for count, word in others if count]
    return f"{report.name} is created: {report.accepted:,} of {report.rows:,} rows are contacts" + (
        f" ({', '.join(told)})." if told else "."
    )


PAGES: tuple[Page, ...] = (
    Page("GET", NEW, show),
    Page("POST", NEW, receive),
    Page("GET", NEW + "/{id}", show_draft),
    Page("POST", NEW + "/{id}", read_otherwise),
    Page("GET", NEW + "/{id}/check", show_check),
    Page("POST", NEW + "/{id}/create", create),
    Page("POST", NEW + "/{id}/remove", throw_away),
)
