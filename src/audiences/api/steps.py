"""The steps that handlers of changes share: carry a request out once, and note who changed what."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import anyio.to_thread
from sqlalchemy import Connection

from audiences import answer, repeats
from audiences.answer import Reply
from audiences.repeats import Claim
from audiences.routes import Call

Commit = Callable[[Connection, int], None]


@dataclass(frozen=True)
class Said:
    """What a request said beside its method and path: its recognised fields, and the SHA-256 of its file or body.

    Of a body it is that of what it says, not of its bytes.
    """

    fields: Mapping[str, str] = field(default_factory=dict)
    sha256: bytes = b""


def read_key(call: Call) -> str | None:
    """The request's Idempotency-Key, if it has one. Raises InvalidParameter."""
    return repeats.check_key(call.request.headers.get("idempotency-key"))


async def once(call: Call, key: str | None, said: Said, work: Callable[[Claim], Reply], *, in_engine: bool) -> Reply:
    """What `work` answers in a thread, or what it answered when the same request was sent before."""
    same = call.parts.repeats.fingerprint(call.request.method, call.request.url.path, said.fields, said.sha256)
    run: Callable[..., Awaitable[Any]] = call.parts.engine.run if in_engine else anyio.to_thread.run_sync

    async def carry_out(claim: Claim) -> Reply:
        reply: Reply = await run(work, claim)
        return reply

    return await call.parts.repeats.once(call.account, key, same, carry_out)


def committing(call: Call, claim: Claim, action: str, reply: Callable[[int], Reply] = answer.changed) -> Commit:
    """What a change of an audience adds to its transaction: the answer, for repetitions, and a record of who did it."""

    def commit(connection: Connection, audience_id: int) -> None:
        call.parts.repeats.keep(connection, claim, reply(audience_id))
        call.parts.audit.note(connection, call.account, call.actor, action, subject=str(audience_id))

    return commit
