"""Keys as pages show them; and those in use that end soon, for every page that includes `keys_ending.html`."""

from __future__ import annotations

from dataclasses import dataclass

import anyio.to_thread
from sqlalchemy.engine import RowMapping

from audiences import clock, keys
from audiences.console.routes import Visit

SCOPES = {
    keys.READ: ("Read audiences", "List audiences, read their contacts, export them."),
    keys.WRITE: ("Change audiences", "Create, replace and delete audiences; change the do-not-contact list."),
    keys.PEOPLE: ("Look up and erase people", "Find everything that is held on a number, and erase it. Admins only."),
}


@dataclass(frozen=True)
class Shown:
    """A key as pages show it; `state` is a badge's text and kind."""

    row: RowMapping
    state: tuple[str, str]
    ends: str
    scopes: list[str]
    is_live: bool


async def ending_keys(visit: Visit) -> list[RowMapping]:
    """The account's keys in use that end within 30 days; a page gives them to its template as `ending`."""
    return keys.ending(await anyio.to_thread.run_sync(visit.parts.keys.of_account, visit.account), clock.now())


def remaining(ends: int | None, now: int) -> str:
    """`in 12 days`: how long it is until then, in whole days."""
    if ends is None:
        return "never"
    days = round((ends - now) / clock.DAY)
    if days < 1:
        return "in less than a day" if ends > now else "ended"
    return f"in {days:,} day{'s' if days > 1 else ''}"


def shown(row: RowMapping) -> Shown:
    """The key, described as of now."""
    now = clock.now()
    is_live, ends = keys.is_live(row, now), row["expires_time"]
    state = ("Active", "good")
    if row["revoked_time"] is not None:
        state = ("Revoked", "bad")
    elif not is_live:
        state = ("Expired", "dim")
    elif row["rotated_to"] is not None:
        state = ("Replaced", "info")
    scopes = [SCOPES[scope][0] for scope in row["scopes"].split()]
    return Shown(row, state, remaining(ends, now), scopes, is_live)
