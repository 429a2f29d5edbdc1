"""Audiences as a whole: create, replace, append, rename, delete, restore, list, report; a line a step."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Annotated

import anyio.to_thread
from msgspec import Meta, Struct

from audiences import answer, json_body, judging, queries, reports
from audiences.answer import Reply
from audiences.api.steps import Commit, Said, committing, once, read_key, refuse_early
from audiences.inbox import Upload
from audiences.library import Opened
from audiences.repeats import Claim
from audiences.routes import Call

MAX_RENAME_BYTES = 16 * 1024


class Rename(Struct, forbid_unknown_fields=True):
    """The body of a renaming."""

    name: Annotated[str, Meta(description="The audience's new name.", examples=["NE_USA-above60"])]


async def create_audience(call: Call) -> Reply:
    """One file in, one audience out: each line is one step, and one module of the package."""
    key = read_key(call)
    await refuse_early(call)
    async with call.parts.inbox.receive(call.request, required=("name",)) as upload:
        return await once(call, key, said(upload), partial(carry_out_creation, call, upload), in_engine=True)


def carry_out_creation(call: Call, upload: Upload, claim: Claim) -> Reply:
    """Creates the audience, or checks its file; the answer commits together with the audience."""
    if upload.problem is not None:
        raise upload.problem
    wanted = judging.instructions(upload.fields)
    if wanted.dry_run:
        return checked(call, upload, wanted)
    commit = committing(call, claim, "create", answer.created)
    return answer.created(call.parts.creation.create(call.account, upload, wanted, commit))


async def replace_audience(call: Call) -> Reply:
    """All contacts of an audience are replaced by a file's; readers see the old ones until then."""
    return await change_by_file(call, carry_out_replacement)


def carry_out_replacement(call: Call, opened: Opened, upload: Upload, claim: Claim) -> Reply:
    """Replaces the contacts, or checks the file that would."""
    wanted = judging.instructions({**upload.fields, "name": opened.row["name"]})
    if wanted.dry_run:
        return checked(call, upload, wanted)
    commit = committing(call, claim, "replace")
    audience_id = call.request.path_params["id"]
    return answer.changed(call.parts.creation.replace(call.account, audience_id, upload, wanted, commit))


async def append_contacts(call: Call) -> Reply:
    """A further file is added to an audience."""
    return await change_by_file(call, carry_out_append)


def carry_out_append(call: Call, opened: Opened, upload: Upload, claim: Claim) -> Reply:
    """Appends the file, or checks it against the contacts that are there."""
    wanted = judging.instructions({**upload.fields, "name": opened.row["name"]})
    if wanted.dry_run:
        return checked(call, upload, wanted, call.request.path_params["id"])
    commit = committing(call, claim, "append")
    audience_id = call.request.path_params["id"]
    return answer.changed(call.parts.creation.append(call.account, audience_id, upload, wanted, commit))


async def rename_audience(call: Call) -> Reply:
    """Another name for an audience."""
    key = read_key(call)
    shape = '{"name": "NE_USA-above60"}'
    body = await json_body.read(call.parts.inbox, call.request, Rename, MAX_RENAME_BYTES, shape)

    def work(claim: Claim) -> Reply:
        rename, commit = call.parts.changes.rename, committing(call, claim, "rename")
        return answer.changed(rename(call.account, call.request.path_params["id"], body.value.name, commit))

    return await once(call, key, Said(sha256=body.sha256), work, in_engine=False)


async def delete_audience(call: Call) -> Reply:
    """An audience is taken away; it can be restored for 7 days."""
    return await change_alone(call, "delete", call.parts.changes.delete)


async def restore_audience(call: Call) -> Reply:
    """The last PUT, append or DELETE is undone."""
    return await change_alone(call, "restore", call.parts.changes.restore)


async def list_audiences(call: Call) -> Reply:
    """All audiences of the account, as published; or a page of them."""
    query = call.request.query_params
    name = queries.read_name(query)
    paged = bool({"limit", "cursor", "name"} & query.keys())
    limit = queries.read_limit(query) if paged else None
    find = call.parts.library.listed
    items, cursor = await anyio.to_thread.run_sync(find, call.account, name, limit, query.get("cursor"))
    return answer.found("Audiences retrieved", items, next_cursor=cursor)


async def get_audience(call: Call) -> Reply:
    """The report of one audience."""
    audience_id = call.request.path_params["id"]
    found = await anyio.to_thread.run_sync(call.parts.library.report, call.account, audience_id)
    return answer.found("Audience retrieved", reports.in_order(found))


async def change_alone(call: Call, action: str, change: Callable[[int, str, Commit], int]) -> Reply:
    """Has `change` carried out, of which the path says all."""
    key = read_key(call)
    await json_body.read_unused(call.parts.inbox, call.request)

    def work(claim: Claim) -> Reply:
        return answer.changed(change(call.account, call.request.path_params["id"], committing(call, claim, action)))

    return await once(call, key, Said(), work, in_engine=False)


async def change_by_file(call: Call, work: Callable[[Call, Opened, Upload, Claim], Reply]) -> Reply:
    """Receives the file for an audience that takes one, and has `work` change the audience by it.

    An audience that is not there is refused before the file is received; but a request with a key may repeat one that
    was answered when it was.
    """
    key = read_key(call)
    await refuse_early(call)
    audience_id = call.request.path_params["id"]
    changeable = partial(call.parts.creation.changeable, call.account, audience_id)
    if key is None:
        await anyio.to_thread.run_sync(changeable)

    def carry_out(claim: Claim) -> Reply:
        if upload.problem is not None:
            raise upload.problem
        return work(call, changeable(), upload, claim)

    async with call.parts.inbox.receive(call.request) as upload:
        return await once(call, key, said(upload), carry_out, in_engine=True)


def checked(call: Call, upload: Upload, wanted: judging.Instructions, audience_id: str | None = None) -> Reply:
    """The report of a dry run, of a file by itself or of one to be appended."""
    report = call.parts.creation.check(call.account, upload, wanted, audience_id)
    return answer.found("Audience checked", reports.in_order(report))


def said(upload: Upload) -> Said:
    """What a form said."""
    return Said(upload.fields, upload.sha256, upload.size)
