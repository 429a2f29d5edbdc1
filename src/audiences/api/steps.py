"""The steps that handlers of changes share: carry a request out once, and note who changed what."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import anyio.to_thread
from sqlalchemy import Connection

from audiences import answer, repeats
from audiences.answer import Reply
from audiences.repeats import Claim
from audiences.routes import Call
from audiences.turns import Turn

Commit = Callable[[Connection, int], None]


@dataclass(frozen=True)
class Said:
    """What a request said beside its method and path: its recognised fields, and the SHA-256 of its file or body.

    Of a body it is that of what it says, not of its bytes. `size` is that of the file in bytes, 0 where there is none.
    """

    fields: Mapping[str, str] = field(default_factory=dict)
    sha256: bytes = b""
    size: int = 0


def read_key(call: Call) -> str | None:
    """The request's Idempotency-Key, if it has one. Raises InvalidParameter."""
    return repeats.check_key(call.request.headers.get("idempotency-key"))


async def refuse_early(call: Call) -> None:
    """Refuses, before a file is received, one that could not be stored or worked on.

    Raises QuotaExceeded, and what `refuse_if_busy` does.
    """
    if call.parts.settings.account_bytes is not None:
        await anyio.to_thread.run_sync(call.parts.creation.refuse_full_account, call.account)
    refuse_if_busy(call)


def refuse_if_busy(call: Call) -> None:
    """Refuses, before its body is received, a request for which the engine has no place and its queue no room.

    Raises EngineFull, or NotReady where the server stops. Both may change while the body is received.
    """
    announced = int(call.request.headers.get("content-length", "0"))
    call.parts.engine.turns.refuse_if_full(Turn(call.account, announced))


async def once(call: Call, key: str | None, said: Said, work: Callable[[Claim], Reply], *, in_engine: bool) -> Reply:
    """What `work` answers in a thread, or what it answered when the same request was sent before."""
    same = call.parts.repeats.fingerprint(call.request.method, call.request.url.path, said.fields, said.sha256)

    async def carry_out(claim: Claim) -> Reply:
        if in_engine:
            return await call.parts.engine.run(Turn(call.account, said.size), work, claim)
        return await anyio.to_thread.run_sync(work, claim)

    return await call.parts.repeats.once(call.account, key, same, carry_out)


def committing(call: Call, claim: Claim, action: str, reply: Callable[[int], Reply] = answer.changed) -> Commit:
    """What a change of an audience adds to its transaction: the answer, for repetitions, and a record of who did it."""

    def commit(connection: Connection, audience_id: int) -> None:
        call.parts.repeats.keep(connection, claim, reply(audience_id))
        call.parts.audit.note(connection, call.account, call.actor, action, subject=str(audience_id))

    return commit
