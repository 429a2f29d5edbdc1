"""A person by their number: what is held on it, and its erasure; a line a step."""

from __future__ import annotations

import re
from functools import partial

from sqlalchemy import Connection

from audiences import answer
from audiences.answer import Reply
from audiences.api.steps import Said, once, read_key
from audiences.errors import InvalidParameter
from audiences.models import Erased
from audiences.repeats import Claim
from audiences.routes import Call

# The least digits that a number has with its country code, and the most that libphonenumber reads. A shorter one would
# stand in the cells of many people.
PHONE = re.compile(r"(?:\+|00)?([1-9][0-9]{6,16})")


async def get_contact(call: Call) -> Reply:
    """All that the account holds on a number."""
    phone, people = read_phone(call), call.parts.people
    async with call.parts.leases.held(partial(people.kept, account=call.account)) as files:
        held = await call.parts.engine.run(people.held, call.account, phone, files)
    return answer.found("Contact retrieved", held)


async def erase_contact(call: Call) -> Reply:
    """A number is erased from everything that the account holds."""
    phone, key = read_phone(call), read_key(call)
    async with call.parts.people.turn:
        return await once(call, key, Said(), partial(carry_out_erasure, call, phone), in_engine=True)


def carry_out_erasure(call: Call, phone: int, claim: Claim) -> Reply:
    """Erases the number; the answer and the record of who did it commit together with the erasure."""

    def commit(connection: Connection, erased: Erased) -> None:
        counts = {name: int(getattr(erased, name)) for name in erased.__struct_fields__}
        call.parts.audit.note(connection, call.account, call.actor, "erase", details=counts)
        call.parts.repeats.keep(connection, claim, done(erased))

    return done(call.parts.people.erase(call.account, phone, commit))


def done(erased: Erased) -> Reply:
    """What an erasure is answered with."""
    return answer.found("Operation successful", erased)


def read_phone(call: Call) -> int:
    """The number in the path. Raises InvalidParameter, which does not repeat it."""
    found = PHONE.fullmatch(call.request.path_params["phone"])
    if found is None:
        raise InvalidParameter(
            "The path takes a number's digits with its country code, such as /contacts/442079832100.", field="phone"
        )
    return int(found[1])
