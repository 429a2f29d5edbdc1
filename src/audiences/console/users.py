"""The screen of an account's users, for its admins: invite, change the role, disable, make a new link.

Nothing is sent by email. A link is shown in the one answer that made it, and the admin hands it over.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import anyio.to_thread
from starlette.responses import Response

from audiences import addresses, users
from audiences.console.routes import ADMIN, Page, Visit
from audiences.users import UnknownUser, User, UserRefusal

HOME = "/console/account/users"
UNPROCESSABLE = 422

ROLES = {users.MEMBER: "Member: audiences, lists, keys", users.ADMIN: "Admin: also users and the audit log"}


async def show(visit: Visit) -> Response:
    """The users, and the form that invites one."""
    return await listed(visit, 200, {})


async def listed(visit: Visit, status: int, errors: dict[str, str]) -> Response:
    """The same with what was typed, and what was wrong with it."""
    every = await anyio.to_thread.run_sync(visit.parts.users.every, visit.account)
    given = {"email": visit.form.get("email", ""), "role": visit.form.get("role", users.MEMBER)}
    return visit.render("users.html", status=status, people=every, roles=list(ROLES.items()), errors=errors, **given)


async def invite(visit: Visit) -> Response:
    """A new user, and the link to hand over to them."""
    role = visit.form.get("role", "")
    if role not in ROLES:
        return await listed(visit, UNPROCESSABLE, {"role": "Choose a role."})
    create = partial(visit.parts.users.create, visit.account, visit.form.get("email", ""), role, visit.actor)
    try:
        user, link = await anyio.to_thread.run_sync(create)
    except (users.InvalidEmail, users.EmailTaken) as refusal:
        return await listed(visit, UNPROCESSABLE, {"email": str(refusal)})
    return linked(visit, user, link)


def linked(visit: Visit, user: User, token: str) -> Response:
    """The one page that shows a link."""
    return visit.render("users_link.html", person=user, link=addresses.welcome(visit.service, token))


async def find(visit: Visit) -> User:
    """The user of the path. Raises UnknownUser, also for one of another account."""
    find_it = partial(visit.parts.users.find, visit.request.path_params["id"], account=visit.account)
    return await anyio.to_thread.run_sync(find_it)


async def show_one(visit: Visit) -> Response:
    """One user, and what can be done to them."""
    return one(visit, await find(visit), 200, None)


def one(visit: Visit, user: User, status: int, error: str | None) -> Response:
    """The same with why something was not done."""
    return visit.render("users_one.html", status=status, person=user, roles=list(ROLES.items()), error=error)


async def carry_out(visit: Visit, change: Callable[..., object], said: str) -> Response:
    """Changes the user of the path and goes back to them, or says why not."""
    user = await find(visit)
    try:
        await anyio.to_thread.run_sync(partial(change, account=visit.account))
    except UnknownUser:
        raise
    except UserRefusal as refusal:
        return one(visit, user, UNPROCESSABLE, str(refusal))
    visit.notice(f"{user.email} {said}.")
    # Who takes it from themselves may not come back here.
    return visit.redirect("/console/account" if user.id == visit.user.id else f"{HOME}/{user.id}")


async def change_role(visit: Visit) -> Response:
    """Makes the user an admin or a member."""
    role, user_id = visit.form.get("role", ""), visit.request.path_params["id"]
    if role not in ROLES:
        return one(visit, await find(visit), UNPROCESSABLE, "Choose a role.")
    change = partial(visit.parts.users.change_role, user_id, role, visit.actor)
    return await carry_out(visit, change, "is an admin now" if role == users.ADMIN else "is a member now")


async def disable(visit: Visit) -> Response:
    """Keeps the user out, at once."""
    change = partial(visit.parts.users.disable, visit.request.path_params["id"], visit.actor)
    return await carry_out(visit, change, "is disabled and signed out everywhere")


async def enable(visit: Visit) -> Response:
    """Lets the user in again."""
    change = partial(visit.parts.users.enable, visit.request.path_params["id"], visit.actor)
    return await carry_out(visit, change, "can sign in again")


async def reset_codes(visit: Visit) -> Response:
    """Lets a user who lost the device in by the password alone."""
    user = await find(visit)
    if user.id == visit.user.id:
        return one(visit, user, UNPROCESSABLE, OWN)
    change = partial(visit.parts.users.reset_totp, user.id, visit.actor)
    return await carry_out(visit, change, "signs in without a code now")


async def make_link(visit: Visit) -> Response:
    """A new link for a user who has no password yet, or forgot it; the one before ends."""
    user = await find(visit)
    if user.id == visit.user.id:
        return one(visit, user, UNPROCESSABLE, OWN)
    make = partial(visit.parts.users.link, user.id, visit.actor, account=visit.account)
    try:
        token = await anyio.to_thread.run_sync(make)
    except users.UserDisabled as refusal:
        return one(visit, user, UNPROCESSABLE, str(refusal))
    return linked(visit, user, token)


# An open browser must not be enough to take over the account of whoever left it.
OWN = "Change your own password and codes on your account page, which asks for the password."

PAGES: tuple[Page, ...] = (
    Page("GET", HOME, show, ADMIN),
    Page("POST", HOME, invite, ADMIN),
    Page("GET", f"{HOME}/{{id}}", show_one, ADMIN),
    Page("POST", f"{HOME}/{{id}}/role", change_role, ADMIN),
    Page("POST", f"{HOME}/{{id}}/disable", disable, ADMIN),
    Page("POST", f"{HOME}/{{id}}/enable", enable, ADMIN),
    Page("POST", f"{HOME}/{{id}}/codes-off", reset_codes, ADMIN),
    Page("POST", f"{HOME}/{{id}}/link", make_link, ADMIN),
)
