"""The screen of the audit log, for admins: who did what, and when, in plain words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import anyio.to_thread
from sqlalchemy.engine import RowMapping
from starlette.responses import Response

from audiences.console import shapes
from audiences.console.routes import ADMIN, ID_DIGITS, Page, Visit
from audiences.store import audit

HOME = "/console/account/log"
PAGE = 50

# What each action is called; {} is what it was done to. An action that is new here reads as it is written.
WORDS = {
    "create": "created audience {}",
    "replace": "replaced the contacts of audience {}",
    "append": "added a file to audience {}",
    "rename": "renamed audience {}",
    "delete": "deleted audience {}",
    "restore": "restored audience {}",
    "set_retention": "set how long audiences are kept after their last upload",
    "end_retention": "let audiences be kept without end",
    "suppress": "added to the do-not-contact list",
    "unsuppress": "removed from the do-not-contact list",
    "erase": "erased a person",
    "create_key": "created the key {}",
    "rotate_key": "rotated the key {}",
    "revoke_key": "revoked the key {}",
    "create_user": "invited {}",
    "make_link": "made a sign-in link for {}",
    "make_admin": "made {} an admin",
    "make_member": "made {} a member",
    "disable_user": "disabled {}",
    "enable_user": "enabled {}",
    "set_password": "set a password by a link",
    "change_password": "changed their password",
    "sign_in": "signed in",
    "fail_sign_in": "failed to sign in as {}",
    "end_session": "ended a session of {}",
    "sign_out_everywhere": "signed out {} everywhere",
    "turn_on_totp": "turned codes on",
    "turn_off_totp": "turned codes off for {}",
    "lock_codes": "entered so many wrong codes for {} that none is taken any more",
}

# Who is neither a user nor a key.
WHO = {"operator": "the operator", "retention": "the account's retention", "unknown": "somebody"}


@dataclass(frozen=True)
class Names:
    """What ids of users and keys are called: email addresses, names."""

    users: Mapping[str, str]
    keys: Mapping[str, str]

    def actor(self, text: str) -> str:
        """Who did something."""
        kind, _, name = text.partition(" ")
        if kind == "user":
            return self.users.get(name, "a former user")
        if kind == "key":
            return f"key {self.keys.get(name, name)}"
        return {"operator": "the operator", "retention": "the account's retention", "unknown": "somebody"}.get(
            text, text
        )

    def subject(self, text: str | None) -> str:
        """What it was done to."""
        if text is None:
            return "the first admin"
        return self.users.get(text) or self.keys.get(text) or text


@dataclass(frozen=True)
class Line:
    """One record, in words."""

    time: int
    who: str
    what: str
    counts: str


async def show(visit: Visit) -> Response:
    """A page of the log, newest first."""
    text = visit.request.query_params.get("before", "")
    before = int(text) if text.isascii() and text.isdigit() and len(text) <= ID_DIGITS else None
    rows, names = await anyio.to_thread.run_sync(partial(read, visit, before))
    lines = [line(row, names) for row in rows[:PAGE]]
    older = rows[PAGE - 1]["id"] if len(rows) > PAGE else None
    return visit.render("account_log.html", lines=lines, older=older, is_first=before is None)


def read(visit: Visit, before: int | None) -> tuple[list[RowMapping], Names]:
    """A page and one record more, and what stands for the ids in it."""
    users = {user.id: user.email for user in visit.parts.users.every(visit.account)}
    keys = {key["id"]: key["name"] for key in visit.parts.keys.of_account(visit.account)}
    with visit.parts.database.read() as connection:
        return audit.page(connection, visit.account, before, PAGE + 1), Names(users, keys)


def line(row: RowMapping, names: Names) -> Line:
    """The record in words."""
    words = WORDS.get(row["action"], row["action"].replace("_", " ") + (" {}" if row["subject"] else ""))
    what = words.format(names.subject(row["subject"]))
    counts = ", ".join(f"{shapes.number(count)} {name.replace('_', ' ')}" for name, count in row["details"].items())
    return Line(row["created_time"], names.actor(row["actor"]), what, counts)


PAGES: tuple[Page, ...] = (Page("GET", HOME, show, ADMIN),)
