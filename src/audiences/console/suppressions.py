"""The screen of the do-not-contact list: look a number up, add and remove it, add a file, download all of it.

A number that is looked up comes in a form, not in an address: addresses stay in a browser's history.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import anyio.to_thread
import msgspec
from starlette.responses import Response

from audiences.accept import CSV
from audiences.api.downloads import Bytes, Download
from audiences.console import shapes, trouble
from audiences.console.audience_download import Told
from audiences.console.routes import Page, Visit
from audiences.console.suppressing import carry_out, carry_out_file, judge_typed, typed_phone
from audiences.errors import REASON_SENTENCES, InvalidField, NotFound, Reason, Refusal
from audiences.exports.pieces import contents
from audiences.store import suppressions as stored
from audiences.suppression_file import Kind
from audiences.turns import Turn

HOME = "/console/suppressions"
UNPROCESSABLE = 422

# Numbers on a page, each with a dialog that removes it.
PAGE = 25
FILE = "do-not-contact.csv"


@dataclass(frozen=True)
class Found:
    """A number that was looked up, and since when it is on the list, if it is."""

    phone: str
    since: str | None


async def show(visit: Visit) -> Response:
    """A page of the list, and what can be done to it."""
    return await listed(visit, 200)


async def listed(visit: Visit, status: int, **told: Any) -> Response:  # noqa: ANN401
    """The page, with what became of the number that was typed."""
    cursor = visit.request.query_params.get("cursor")
    read = partial(visit.parts.suppressions.page, visit.account, None, PAGE, cursor)
    items, after = await visit.parts.engine.reads.run(visit.account, read)
    counts = await anyio.to_thread.run_sync(counted, visit)
    context = number_context(visit) | told
    return visit.render(
        "suppressions.html",
        status=status,
        items=msgspec.json.decode(items),
        after=after,
        cursor=cursor,
        **counts,
        **context,
    )


def counted(visit: Visit) -> dict[str, Any]:
    """How many numbers are on the list, how many of them were erased, and when it last changed."""
    with visit.parts.database.read() as connection:
        row = stored.find(connection, visit.account)
    if row is None:
        return {"total": 0, "erased": 0, "updated": None}
    return {"total": row["phones"] + row["hashes"], "erased": row["hashes"], "updated": row["updated_time"]}


def number_context(visit: Visit) -> dict[str, Any]:
    """What the form of one number shows, with what was typed."""
    typed = {"phone": visit.form.get("phone", ""), "region": visit.form.get("default_region", "")}
    return {"regions": [("", "None: with country code"), *shapes.regions()], "found": None, "error": None, **typed}


async def answer_number(visit: Visit, status: int = 200, **told: Any) -> Response:  # noqa: ANN401
    """What became of the number: for a script its part of the page, else the page."""
    if visit.is_htmx:
        return visit.render("suppressions.html", status=status, block="number", **(number_context(visit) | told))
    return await listed(visit, status, **told)


async def find(visit: Visit) -> Response:
    """Whether a number is on the list, erased or not."""
    try:
        phone = await visit.parts.engine.run(Turn(visit.account), typed_phone, visit)
    except InvalidField as refusal:
        return await answer_number(visit, UNPROCESSABLE, error=refusal.message)
    return await answer_number(visit, found=await looked_up(visit, phone))


async def looked_up(visit: Visit, phone: int) -> Found:
    """The number, and since when it is on the list."""
    read = partial(visit.parts.suppressions.page, visit.account, phone, 1, None)
    items, _ = await visit.parts.engine.reads.run(visit.account, read)
    found = msgspec.json.decode(items)
    return Found(str(phone), found[0]["added_time"] if found else None)


async def add(visit: Visit) -> Response:
    """Puts one number on the list."""
    return await change_number(visit, "add")


async def remove(visit: Visit) -> Response:
    """Takes one number off the list."""
    return await change_number(visit, "remove")


async def change_number(visit: Visit, kind: Kind) -> Response:
    """Changes the list by the number of the form, and goes back to it."""
    try:
        judge = partial(judge_typed, visit)
        _, changed = await visit.parts.engine.run(Turn(visit.account), carry_out, visit, kind, judge, None)
    except InvalidField as refusal:
        return await answer_number(visit, UNPROCESSABLE, error=refusal.message)
    done = {
        "add": ("The number is on the list.", "The number was on the list already."),
        "remove": ("The number is off the list and may be contacted.", "The number was not on the list."),
    }
    visit.notice(done[kind][0 if changed else 1], "good" if changed else "info")
    return visit.redirect(HOME)


async def add_file(visit: Visit) -> Response:
    """Puts a file's numbers on the list, however full the account is; the answer says what became of its rows."""
    try:
        return await added(visit)
    except Refusal as refusal:
        response = trouble.refused(visit, refusal)
        if visit.is_htmx:  # the dialog is open, and covers the place of notices
            response.headers["HX-Retarget"] = "#file-result"
        return response


async def added(visit: Visit) -> Response:
    """The same, or raises a Refusal."""
    await visit.admit_upload()
    async with visit.parts.inbox.receive(visit.request) as upload:
        # A field that was left empty says nothing.
        fields = {name: text for name, text in upload.fields.items() if text.strip()}
        turn = Turn(visit.account, upload.size)
        numbers, changed = await visit.parts.engine.run(turn, carry_out_file, visit, upload, fields)
    samples = msgspec.json.decode(numbers.samples)[:10]
    reasons = [(REASON_SENTENCES[Reason(reason)], count) for reason, count in numbers.by_reason.items()]
    told = {"numbers": numbers, "changed": changed, "reasons": reasons, "samples": samples}
    return visit.render("suppressions_added.html", **told)


async def download(visit: Visit) -> Response:
    """The whole list as CSV, such that it can be added elsewhere; without those who were erased."""
    if visit.request.path_params["file"] != FILE:
        raise NotFound("There is no such file.")
    headers = {"Content-Disposition": f'attachment; filename="{FILE}"'}
    if visit.request.method == "HEAD":
        return Response(None, media_type=CSV, headers=headers)
    return Told(visit, Download(whole_list(visit), CSV, headers))


@asynccontextmanager
async def whole_list(visit: Visit) -> AsyncIterator[Bytes]:
    """The list as a file that is gone behind the block. Raises EngineFull."""
    async with visit.parts.exports.place(visit.account) as folder:
        path = folder / "list.csv"
        await anyio.to_thread.run_sync(visit.parts.suppressions.write_csv, visit.account, None, path)
        yield Bytes(contents(path), path.stat().st_size)


PAGES: tuple[Page, ...] = (
    Page("GET", HOME, show, nav="Do not contact", icon="stop", order=2),
    Page("POST", f"{HOME}/find", find),
    Page("POST", f"{HOME}/add", add),
    Page("POST", f"{HOME}/remove", remove),
    Page("POST", f"{HOME}/file", add_file),
    Page("GET", f"{HOME}/{{file}}", download),
)
