"""A person by their number: what is held on it, and its erasure; a line a step."""

from __future__ import annotations

import re
from functools import partial

import anyio.to_thread
from sqlalchemy import Connection

from audiences import answer, json_body
from audiences.answer import Reply
from audiences.api.steps import read_key
from audiences.errors import InvalidParameter
from audiences.inbox import disk_errors_refused
from audiences.leases import Hold
from audiences.models import Erased
from audiences.repeats import Claim
from audiences.routes import Call
from audiences.turns import LARGE_BYTES, Turn

# Of so many digits any number is looked for, whether it is valid or not; of fewer or more, those that the plan has.
USUAL_DIGITS = range(7, 18)

# What these look through has no bound but the account's quota, so they leave the last place to others.
ALL_FILES = LARGE_BYTES + 1

PHONE = re.compile(r"(?:\+|00)?([1-9][0-9]{0,18})")


async def get_contact(call: Call) -> Reply:
    """All that the account holds on a number."""
    people = call.parts.people
    phone = await anyio.to_thread.run_sync(read_phone, call)
    everything = partial(people.everything, account=call.account)
    async with people.turn(call.account, "disclosure"), call.parts.leases.held(call.account, everything) as there:
        held = await call.parts.engine.run(Turn(call.account, ALL_FILES), people.held, call.account, phone, there)
    return answer.found("Contact retrieved", held)


async def erase_contact(call: Call) -> Reply:
    """A number is erased from everything that the account holds."""
    parts, key = call.parts, read_key(call)
    phone = await anyio.to_thread.run_sync(read_phone, call)
    await json_body.read_unused(parts.inbox, call.request)
    same = parts.repeats.fingerprint(call.request.method, f"/contacts/{phone}", {}, b"")

    async def in_turn(claim: Claim) -> Reply:
        async with parts.people.turn(call.account, "erasure"), parts.leases.growing(call.account) as hold:
            return await parts.engine.run(Turn(call.account, ALL_FILES), carry_out_erasure, call, phone, hold, claim)

    return await parts.repeats.once(call.account, key, same, in_turn)


def carry_out_erasure(call: Call, phone: int, hold: Hold, claim: Claim) -> Reply:
    """Erases the number; the answer and the record of who did it commit together with the erasure."""

    def commit(connection: Connection, erased: Erased) -> None:
        counts = {name: int(getattr(erased, name)) for name in erased.__struct_fields__}
        call.parts.audit.note(connection, call.account, call.actor, "erase", details=counts)
        call.parts.repeats.keep(connection, claim, done(erased))

    with disk_errors_refused("erased the number"):
        return done(call.parts.people.erase(call.account, phone, hold, commit))


def done(erased: Erased) -> Reply:
    """What an erasure is answered with."""
    return answer.found("Operation successful", erased)


def read_phone(call: Call) -> int:
    """The number in the path. Raises InvalidParameter, which does not repeat it."""
    found = PHONE.fullmatch(call.request.path_params["phone"])
    if found is None or not (len(found[1]) in USUAL_DIGITS or call.parts.people.is_valid(int(found[1]))):
        raise InvalidParameter(
            "The path takes a number's digits with its country code, such as /contacts/442079832100.", field="phone"
        )
    return int(found[1])
