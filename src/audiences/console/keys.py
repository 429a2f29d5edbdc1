"""The screen of API keys: made, rotated, revoked, tested. A new key's text stands in the one answer that made it.

Members may make keys, too. A key that reaches people's data, never ends, or works for longer than a year is an admin's
to hand out, and so to rotate and to revoke: what a member may end, they can also replace.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import anyio.to_thread
from sqlalchemy import Connection
from sqlalchemy.engine import RowMapping
from starlette.responses import Response

from audiences import keys
from audiences.clock import DAY
from audiences.console.key_shapes import SCOPES, ending_keys, shown
from audiences.console.routes import Page, Visit
from audiences.errors import InvalidField, NotFound
from audiences.keys import UnknownKey
from audiences.names import check_name

HOME = "/console/keys"
FORBIDDEN, UNPROCESSABLE = 403, 422

# Ended keys that are shown; older ones are still in the audit log.
MAX_ENDED = 50

# The longest that a member's key works, in milliseconds.
MEMBERS_LIFE = 365 * DAY

# Which keys are an admin's, behind "keys that".
ADMINS_KEYS = "reach people's data, never end, or work for longer than a year"

LIVES = {"30": "30 days", "90": "90 days", "365": "A year", "never": "Never (admins only)"}


async def show(visit: Visit) -> Response:
    """The account's keys."""
    return await listed(visit, 200)


async def listed(visit: Visit, status: int, **context: Any) -> Response:  # noqa: ANN401
    """The page, with what was found of a tested key if one was."""
    rows = await anyio.to_thread.run_sync(visit.parts.keys.of_account, visit.account)
    every = [shown(row) for row in rows]
    told: dict[str, Any] = {"tested": None, "has_tested": False} | context
    live, ended = [key for key in every if key.is_live], [key for key in every if not key.is_live]
    ending = await ending_keys(visit)
    return visit.render(
        "keys.html",
        status=status,
        live=live,
        ended=ended[:MAX_ENDED],
        more=len(ended) > MAX_ENDED,
        ending=ending,
        **told,
    )


async def show_new(visit: Visit) -> Response:
    """The form of a new key."""
    return new_form(visit, 200, list(keys.DEFAULT_SCOPES), {})


def new_form(visit: Visit, status: int, chosen: Sequence[str], errors: dict[str, str]) -> Response:
    """The same with what was typed, and what was wrong with it."""
    is_admin = visit.user.is_admin
    scopes = {scope: text for scope, text in SCOPES.items() if is_admin or scope != keys.PEOPLE}
    lives = [(life, text) for life, text in LIVES.items() if is_admin or life != "never"]
    given = {"name": visit.form.get("name", ""), "life": visit.form.get("life", "365")}
    return visit.render(
        "keys_new.html", status=status, scopes=scopes, lives=lives, chosen=chosen, errors=errors, **given
    )


async def create(visit: Visit) -> Response:
    """A new key, shown in this answer and never again; or the form with what was wrong."""
    chosen, life = [scope for scope in SCOPES if scope in visit.form.getlist("scopes")], visit.form.get("life", "")
    errors = {}
    try:
        name = check_name(visit.form.get("name", ""))
    except InvalidField as refusal:
        errors["name"] = refusal.message
    if not chosen:
        errors["scopes"] = "Choose at least one thing that the key may do."
    if life not in LIVES:
        errors["life"] = "Choose when the key ends."
    days = int(life) if life in LIVES and life != "never" else None
    if not errors and not may_hand_out(visit, chosen, None if days is None else days * DAY):
        errors["scopes"] = f"Only admins of your account make keys that {ADMINS_KEYS}."
    if errors:
        return new_form(visit, UNPROCESSABLE, chosen, errors)
    make = partial(visit.parts.keys.create, visit.account, name, scopes=chosen, days=days)
    key_id, text = await anyio.to_thread.run_sync(partial(make, commit=noting(visit, "create_key")))
    return await made(visit, key_id, text, None)


def may_hand_out(visit: Visit, scopes: Sequence[str], life: int | None) -> bool:
    """Whether the user may get a key with those scopes that works for so many milliseconds, or with None for ever."""
    return visit.user.is_admin or (life is not None and life <= MEMBERS_LIFE and keys.PEOPLE not in scopes)


def may_change(visit: Visit, row: RowMapping) -> bool:
    """Whether the user may rotate and revoke the key: one like it would be theirs to hand out."""
    ends = row["expires_time"]
    return may_hand_out(visit, row["scopes"].split(), None if ends is None else ends - row["created_time"])


async def made(visit: Visit, key_id: str, text: str, old: RowMapping | None) -> Response:
    """The one page that shows the text of a new key; `old` is the key that it replaces."""
    row = await find(visit, key_id)
    return visit.render("keys_made.html", key=shown(row), text=text, old=None if old is None else shown(old))


async def find(visit: Visit, key_id: str) -> RowMapping:
    """The account's key of that id. Raises NotFound."""
    try:
        return await anyio.to_thread.run_sync(partial(visit.parts.keys.find, key_id, account=visit.account))
    except UnknownKey:
        raise NotFound("There is no such key.") from None


async def show_one(visit: Visit) -> Response:
    """One key: what it may do, and how to replace or end it."""
    return one(visit, await find(visit, visit.request.path_params["id"]), 200, {})


def one(visit: Visit, row: RowMapping, status: int, errors: dict[str, str]) -> Response:
    """The same with what was wrong."""
    context: dict[str, Any] = {
        "key": shown(row),
        "may_change": may_change(visit, row),
        "admins_keys": ADMINS_KEYS,
        "grace": visit.form.get("grace", str(keys.DEFAULT_GRACE_DAYS)),
        "most": keys.MAX_GRACE_DAYS,
    }
    return visit.render("keys_one.html", status=status, errors=errors, **context)


async def rotate(visit: Visit) -> Response:
    """A successor, shown in this answer; the old key works on for as long as was asked for."""
    row = await find(visit, visit.request.path_params["id"])
    grace = visit.form.get("grace", "")
    if not may_change(visit, row):
        return one(visit, row, FORBIDDEN, {})
    if not (grace.isascii() and grace.isdigit() and len(grace) <= 3 and int(grace) <= keys.MAX_GRACE_DAYS):  # noqa: PLR2004
        return one(visit, row, UNPROCESSABLE, {"grace": f"Enter 0 to {keys.MAX_GRACE_DAYS} days."})
    change = partial(visit.parts.keys.rotate, row["id"], account=visit.account, commit=noting(visit, "rotate_key"))
    try:
        key_id, text = await anyio.to_thread.run_sync(partial(change, grace_days=int(grace)))
    except UnknownKey:
        return one(visit, row, UNPROCESSABLE, {"rotate": "This key has ended already. Create a new one."})
    return await made(visit, key_id, text, await find(visit, row["id"]))


async def revoke(visit: Visit) -> Response:
    """Ends a key at once, if its name was typed."""
    row = await find(visit, visit.request.path_params["id"])
    if not may_change(visit, row):
        return one(visit, row, FORBIDDEN, {})
    if visit.form.get("typed", "").strip() != row["name"].strip():
        return one(visit, row, UNPROCESSABLE, {"revoke": "The name was not typed as it is, so the key still works."})
    end = partial(visit.parts.keys.revoke, row["id"], account=visit.account, commit=noting(visit, "revoke_key"))
    await anyio.to_thread.run_sync(end)
    visit.notice(f"The key {row['name']} is revoked. Requests with it are refused from now on.")
    return visit.redirect(HOME)


async def test(visit: Visit) -> Response:
    """What a pasted key is; it is not repeated. A key of another account is as unknown as one that never was."""
    text = visit.form.get("key", "").strip().removeprefix("Bearer ").strip()
    row = await anyio.to_thread.run_sync(partial(visit.parts.keys.known, text, account=visit.account))
    found = None if row is None else shown(row)
    if visit.is_htmx:
        return visit.render("keys.html", block="test", tested=found, has_tested=True)
    return await listed(visit, 200, tested=found, has_tested=True)


def noting(visit: Visit, action: str) -> keys.Commit:
    """What adds the record of the change to its transaction."""

    def commit(connection: Connection, key_id: str) -> None:
        visit.parts.audit.note(connection, visit.account, visit.actor, action, subject=key_id)

    return commit


PAGES: tuple[Page, ...] = (
    Page("GET", HOME, show, nav="API keys", icon="key", order=3),
    Page("POST", HOME, create),
    Page("GET", f"{HOME}/new", show_new),
    Page("POST", f"{HOME}/test", test),
    Page("GET", f"{HOME}/{{id}}", show_one),
    Page("POST", f"{HOME}/{{id}}/rotate", rotate),
    Page("POST", f"{HOME}/{{id}}/revoke", revoke),
)
