"""The do-not-contact list: read it, add to it, remove from it; as a file or as JSON."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import anyio.to_thread
import msgspec
from duckdb import DuckDBPyConnection
from msgspec import Meta, Struct
from sqlalchemy import Connection
from starlette.responses import Response

from audiences import accept, answer, given, json_body, judging, queries
from audiences.accept import CSV, JSON
from audiences.answer import Reply
from audiences.api.downloads import Bytes, Download
from audiences.api.rows import VARY
from audiences.api.steps import Said, once, read_key, refuse_if_busy
from audiences.errors import InvalidParameter, NoValidRows
from audiences.exports.pieces import contents
from audiences.given import Given
from audiences.inbox import Upload, disk_errors_refused
from audiences.json_body import Body
from audiences.regions import check_region
from audiences.repeats import Claim
from audiences.routes import Call
from audiences.settings import MIB
from audiences.suppression_file import Kind

MAX_BODY_BYTES = 8 * MIB
MAX_PHONES = 100_000
SHAPE = '{"phones": ["442079832100"]}, with up to 100,000 texts or whole numbers; or a file, as multipart/form-data'

# What a change is called in the report: numbers that it had an effect on, and those that were like that already.
OUTCOMES: dict[Kind, tuple[str, str]] = {"add": ("added", "already"), "remove": ("removed", "unknown")}
ACTIONS: dict[Kind, str] = {"add": "suppress", "remove": "unsuppress"}


class Numbers(Struct, forbid_unknown_fields=True):
    """The body of a change that brings its numbers along."""

    phones: Annotated[list[Annotated[int, Meta(ge=0, le=2**63 - 1)] | str], Meta(min_length=1, max_length=MAX_PHONES)]
    default_region: str | None = None
    dry_run: bool = False


@dataclass(frozen=True)
class Change:
    """A change of the list: its numbers are what `judge` leaves on a connection."""

    kind: Kind
    judge: Callable[[DuckDBPyConnection], Given]
    dry_run: bool


async def list_suppressions(call: Call) -> Reply | Response:
    """A page of the list, or all of it as CSV."""
    query = call.request.query_params
    phone = queries.read_filters(query, queries.SUPPRESSION_FILTERS).phone
    if accept.choose(call.request.headers.get("accept"), (JSON, CSV)) == CSV:
        headers = {"Content-Disposition": 'attachment; filename="suppressions.csv"', "Cache-Control": "no-store"}
        headers |= {"X-Content-Type-Options": "nosniff"} | VARY
        if call.request.method == "HEAD":
            return Response(None, media_type=CSV, headers=headers)
        return Download(whole_list(call, phone), CSV, headers)
    limit, cursor = queries.read_limit(query), query.get("cursor")
    read = partial(call.parts.suppressions.page, call.account, phone, limit, cursor)
    page, after = await call.parts.engine.reads.run(call.account, read)
    reply = answer.found("Suppressions retrieved", page, next_cursor=after)
    reply.headers = reply.headers | VARY
    return reply


@asynccontextmanager
async def whole_list(call: Call, phone: int | None) -> AsyncIterator[Bytes]:
    """The list as CSV, from a file that is gone behind the block. Raises EngineFull."""
    async with call.parts.exports.place(call.account) as folder:
        path = folder / "suppressions.csv"
        await anyio.to_thread.run_sync(call.parts.suppressions.write_csv, call.account, phone, path)
        yield Bytes(contents(path), path.stat().st_size)


async def add_suppressions(call: Call) -> Reply:
    """Numbers that nobody of the account contacts any more; however full the account is."""
    return await change_list(call, "add")


async def remove_suppressions(call: Call) -> Reply:
    """Numbers that may be contacted again."""
    return await change_list(call, "remove")


async def change_list(call: Call, kind: Kind) -> Reply:
    """Receives the numbers, as a file or as JSON, and changes the list by them."""
    key, inbox = read_key(call), call.parts.inbox
    refuse_if_busy(call)
    query, media_type = call.request.query_params, call.request.headers.get("content-type", "").lower()
    if query or not media_type.startswith("multipart/"):
        body = await (
            read_query(call) if query else json_body.read(inbox, call.request, Numbers, MAX_BODY_BYTES, SHAPE)
        )
        work = partial(change_by_numbers, call, kind, body.value)
        return await once(call, key, Said(sha256=body.sha256), work, in_engine=True)
    async with inbox.receive(call.request) as upload:
        said = Said(upload.fields, upload.sha256, upload.size)
        return await once(call, key, said, partial(change_by_file, call, kind, upload), in_engine=True)


async def read_query(call: Call) -> Body[Numbers]:
    """The numbers in the query of a DELETE, since not every client sends a body with one.

    Raises InvalidParameter for a body beside it or a query without a number, InvalidField, or DigestMismatch.
    """
    query = call.request.query_params
    if "transfer-encoding" in call.request.headers or call.request.headers.get("content-length", "0") != "0":
        raise InvalidParameter("Send everything in the body or everything in the query, not both.", field="phone")
    await json_body.read_unused(call.parts.inbox, call.request)
    if "phone" not in query:
        raise InvalidParameter("The query has no number. Send phone, or all of it in the body.", field="phone")
    dry_run = judging.check_flag("dry_run", query.get("dry_run", ""))
    return json_body.as_body(Numbers(list(query.getlist("phone")), query.get("default_region"), dry_run))


def change_by_numbers(call: Call, kind: Kind, numbers: Numbers, claim: Claim) -> Reply:
    """Changes the list by numbers of the request's own."""
    region = check_region(numbers.default_region) if numbers.default_region else None

    def judge(connection: DuckDBPyConnection) -> Given:
        return given.of_texts(connection, call.parts.engine.plan, numbers.phones, region)

    call.parts.inbox.check_room(0)
    with disk_errors_refused(), spool_folder(call.parts.inbox.spool) as folder:
        return carry_out(call, Change(kind, judge, numbers.dry_run), folder, claim)


def change_by_file(call: Call, kind: Kind, upload: Upload, claim: Claim) -> Reply:
    """Changes the list by a file's numbers."""
    if upload.problem is not None:
        raise upload.problem
    wanted = judging.instructions({**upload.fields, "name": "suppressions"})

    def judge(connection: DuckDBPyConnection) -> Given:
        return given.of_file(connection, call.parts.creation.judge, upload, wanted)

    return carry_out(call, Change(kind, judge, wanted.dry_run), upload.folder, claim)


def carry_out(call: Call, change: Change, folder: Path, claim: Claim) -> Reply:
    """Changes the list, or says what that would do; the answer commits together with the change."""
    suppressions, kind = call.parts.suppressions, change.kind
    with call.parts.engine.connection() as connection:
        numbers = change.judge(connection)
        if change.dry_run:
            changed = suppressions.check(connection, call.account, kind)
            return answer.found("Suppressions checked", report(numbers, kind, changed))
        if not numbers.valid:
            raise NoValidRows(numbers.complaint(), report(numbers, kind, 0), field=numbers.field)

        def commit(catalog: Connection, changed: int) -> None:
            call.parts.repeats.keep(catalog, claim, done(numbers, kind, changed))
            details = {OUTCOMES[kind][0]: changed}
            call.parts.audit.note(catalog, call.account, call.actor, ACTIONS[kind], details=details)

        return done(numbers, kind, suppressions.change(connection, call.account, kind, folder, commit))


def done(numbers: Given, kind: Kind, changed: int) -> Reply:
    """The answer to a change that was made."""
    return answer.found("Operation successful", report(numbers, kind, changed))


def report(numbers: Given, kind: Kind, changed: int) -> dict[str, Any]:
    """What became of the rows; one that says a number again finds it changed already."""
    effect, none = OUTCOMES[kind]
    return {
        "rows": numbers.rows,
        effect: changed,
        none: numbers.valid - changed,
        "rejected": numbers.rejected,
        "rejected_by_reason": dict(numbers.by_reason),
        "sample_rejects": msgspec.Raw(numbers.samples),
    }


@contextmanager
def spool_folder(spool: Path) -> Iterator[Path]:
    """A folder in the spool, removed with all that is in it."""
    folder = spool / secrets.token_hex(16)
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
