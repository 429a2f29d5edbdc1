"""Audiences as a whole: create, list, report; a handler each, a line a step."""

from __future__ import annotations

import anyio.to_thread

from audiences import answer, creation, queries, repeats, reports
from audiences.answer import Reply
from audiences.inbox import Upload
from audiences.parts import Parts
from audiences.repeats import Claim
from audiences.routes import Call


async def create_audience(call: Call) -> Reply:
    """One file in, one audience out: each line is one step, and one module of the package."""
    await anyio.to_thread.run_sync(call.parts.creation.refuse_full_account, call.account)
    key = repeats.check_key(call.request.headers.get("idempotency-key"))
    async with call.parts.inbox.receive(call.request, required=("name",)) as upload:
        same = repeats.fingerprint("POST", "/audiences", upload.fields, upload.sha256)

        async def work(claim: Claim) -> Reply:
            return await call.parts.engine.run(carry_out, call.parts, call.account, upload, claim)

        return await call.parts.repeats.once(call.account, key, same, work)


def carry_out(parts: Parts, account: int, upload: Upload, claim: Claim) -> Reply:
    """Creates the audience, or checks its file; the answer commits together with the audience."""
    if upload.problem is not None:
        raise upload.problem
    wanted = creation.instructions(upload.fields)
    if wanted.dry_run:
        return answer.found("Audience checked", reports.in_order(parts.creation.check(upload, wanted)))
    made = parts.creation.create(
        account, upload, wanted, lambda connection, new: parts.repeats.keep(connection, claim, answer.created(new))
    )
    return answer.created(made)


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
