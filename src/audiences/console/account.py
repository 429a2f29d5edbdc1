"""The screen of one's own account: password, codes of an authenticator app, time zone, sessions.

A session that was left open must not be enough to take the account over: what changes how somebody signs in, or ends
sessions, asks for the password once more, and tries are counted as those to sign in are.
"""

from __future__ import annotations

import zoneinfo
from functools import cache, partial
from typing import Any

import anyio.to_thread
from starlette.responses import Response

from audiences import users
from audiences.console import door
from audiences.console.routes import Page, Visit
from audiences.console.sign_in import enter
from audiences.passwords import MIN_LENGTH

HOME = "/console/account"
CODES = f"{HOME}/codes"
UNPROCESSABLE = 422

# What a form says that means all sessions.
EVERY = "every"

# Zones named after a place; the rest of the database are old names and offsets.
CONTINENTS = (
    "Africa", "America", "Antarctica", "Arctic", "Asia", "Atlantic", "Australia", "Europe", "Indian", "Pacific",
)  # fmt: skip


async def show(visit: Visit) -> Response:
    """Who is signed in, and what they may set."""
    return await page(visit, 200, {})


async def page(visit: Visit, status: int, errors: dict[str, str]) -> Response:
    """The same with what was wrong, by field."""
    zones = zone_names()
    if visit.user.time_zone not in zones:
        zones = (visit.user.time_zone, *zones)
    own = "" if visit.session is None else visit.session.id
    sessions = await anyio.to_thread.run_sync(visit.parts.sessions.listed, visit.user.id)
    sessions.sort(key=lambda session: session.id != own)
    shown: dict[str, Any] = {"zones": zones, "least": MIN_LENGTH, "sessions": sessions, "own": own, "every": EVERY}
    return visit.render("account.html", status=status, errors=errors, chosen=visit.form.get("session"), **shown)


@cache
def zone_names() -> tuple[str, ...]:
    """The time zones to choose from."""
    known = zoneinfo.available_timezones()
    return ("UTC", *sorted(name for name in known if name.partition("/")[0] in CONTINENTS and "/" in name))


async def count_try(visit: Visit) -> None:
    """Counts one more try at the user's password. Raises TooManyRequests."""
    await visit.parts.throttle.admit_sign_in(door.address(visit), f"user {visit.user.id}")


async def change_password(visit: Visit) -> Response:
    """Another password; all other sessions end."""
    form = visit.form
    if form.get("password", "") != form.get("again", ""):
        return await page(visit, UNPROCESSABLE, {"again": "The two passwords are not the same."})
    await count_try(visit)
    change = partial(visit.parts.users.change_password, visit.user, form.get("old", ""), form.get("password", ""))
    try:
        await enter(visit, change)
    except users.WrongPassword as refusal:
        return await page(visit, UNPROCESSABLE, {"old": str(refusal)})
    except users.WeakPassword as refusal:
        return await page(visit, UNPROCESSABLE, {"password": str(refusal)})
    visit.notice("Your password is changed. You are signed out everywhere else.")
    return visit.redirect(HOME)


async def change_zone(visit: Visit) -> Response:
    """Another zone for the times that pages show."""
    try:
        zone = visit.form.get("zone", "")
        await anyio.to_thread.run_sync(visit.parts.users.change_time_zone, visit.user.id, zone)
    except users.UnknownTimeZone as refusal:
        return await page(visit, UNPROCESSABLE, {"zone": str(refusal)})
    visit.notice(f"Times are shown as they are in {zone}.")
    return visit.redirect(HOME)


async def end_sessions(visit: Visit) -> Response:
    """Ends one session of the user, or all of them, this one, too. Another user's is none."""
    chosen = visit.form.get("session", "")
    if not chosen:
        return await page(visit, UNPROCESSABLE, {"session": "Choose what to end."})
    await count_try(visit)
    prove = partial(visit.parts.users.proven, visit.user.id, visit.form.get("password", ""))
    try:
        await anyio.to_thread.run_sync(prove, limiter=door.password_places(visit))
    except users.WrongPassword as refusal:
        return await page(visit, UNPROCESSABLE, {"end": str(refusal)})
    if chosen == EVERY:
        await anyio.to_thread.run_sync(visit.parts.sessions.end_all, visit.user.id)
        visit.leave()
        return visit.redirect(f"{door.SIGN_IN}?out=1")
    if await anyio.to_thread.run_sync(visit.parts.sessions.end_one, visit.user.id, chosen):
        visit.notice("The session is ended. Whoever used it has to sign in again.")
    else:
        visit.notice("There is no such session any more.", "info")
    return visit.redirect(HOME)


async def show_codes(visit: Visit) -> Response:
    """A new secret for an authenticator app; nothing is kept of it until a code proves that the app has it."""
    if visit.user.has_totp:
        return visit.redirect(HOME)
    return codes_form(visit, visit.parts.users.new_totp_secret(), 200, {})


def codes_form(visit: Visit, secret: str, status: int, errors: dict[str, str]) -> Response:
    """The secret as a QR code and as text, and where its first code is entered."""
    import segno  # a megabyte, for a page that hardly anybody asks for

    drawn: str = segno.make(visit.parts.users.totp_uri(visit.user, secret), error="m").svg_data_uri(
        scale=5, border=4, dark="#000", light="#fff"
    )
    spaced = " ".join(secret[at : at + 4] for at in range(0, len(secret), 4))
    context: dict[str, Any] = {"secret": secret, "spaced": spaced, "drawn": drawn, "errors": errors}
    return visit.render("account_codes.html", status=status, **context)


async def turn_on_codes(visit: Visit) -> Response:
    """From now on a code is asked for, once one of the new secret and the password were given; other sessions end."""
    form = visit.form
    secret = form.get("secret", "")
    await count_try(visit)
    turn_on = partial(visit.parts.users.enable_totp, visit.user.id, form.get("password", ""), secret)
    try:
        await enter(visit, partial(turn_on, form.get("code", "")))
    except users.TotpIsOn:
        return visit.redirect(HOME)
    except users.WrongPassword as refusal:
        return codes_form(visit, usable(visit, secret), UNPROCESSABLE, {"password": str(refusal)})
    except users.WrongCode as refusal:
        return codes_form(visit, usable(visit, secret), UNPROCESSABLE, {"code": str(refusal)})
    visit.notice("From now on you sign in with a code, too. You are signed out everywhere else.")
    return visit.redirect(HOME)


def usable(visit: Visit, secret: str) -> str:
    """The secret that the form brought back, or a new one where somebody wrote something else into it."""
    known = len(secret) == len(visit.parts.users.new_totp_secret()) and secret.isascii() and secret.isalnum()
    return secret if known else visit.parts.users.new_totp_secret()


async def turn_off_codes(visit: Visit) -> Response:
    """The password is enough again; other sessions end."""
    await count_try(visit)
    try:
        await enter(visit, partial(visit.parts.users.disable_totp, visit.user.id, visit.form.get("password", "")))
    except users.WrongPassword as refusal:
        return await page(visit, UNPROCESSABLE, {"off": str(refusal)})
    told = "No code is asked for any more: the password is enough. You are signed out everywhere else."
    visit.notice(told, "info")
    return visit.redirect(HOME)


PAGES: tuple[Page, ...] = (
    Page("GET", HOME, show, nav="Account", icon="person", order=5),
    Page("POST", f"{HOME}/password", change_password),
    Page("POST", f"{HOME}/zone", change_zone),
    Page("POST", f"{HOME}/sessions", end_sessions),
    Page("GET", CODES, show_codes),
    Page("POST", CODES, turn_on_codes),
    Page("POST", f"{CODES}/off", turn_off_codes),
)
