"""The pages before there is a session: sign in, the first password of a new user, sign out; and the way home."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import anyio.to_thread
from starlette.responses import Response

from audiences import tokens, users
from audiences.console import agents, door, trouble
from audiences.console.door import HOME, SIGN_IN
from audiences.console.routes import NOBODY, USER, Page, Visit
from audiences.errors import TooManyRequests
from audiences.passwords import MIN_LENGTH

UNPROCESSABLE, TOO_MANY = 422, 429


@dataclass(frozen=True)
class Told:
    """What the form says again: what was typed (never a password) and what was wrong with it."""

    email: str = ""
    to: str = HOME
    error: str = ""
    code_error: str = ""
    needs_code: bool = False
    is_out: bool = False


async def root(visit: Visit) -> Response:
    """The bare address of the server leads to the console."""
    return visit.redirect(HOME)


async def home(visit: Visit) -> Response:
    """The console itself is its first screen."""
    entry = next((page for page in visit.nav if page.open_to(visit.user)), None)
    if entry is not None:
        return visit.redirect(entry.path)
    return trouble.page(visit, 200, "You are signed in", "There is nothing to show here.", "", {})


async def show_sign_in(visit: Visit) -> Response:
    """The form; who is signed in already goes on."""
    asked = visit.request.query_params
    to = door.local(asked.get("next", ""))
    return visit.redirect(to) if visit.session else form(visit, Told(to=to, is_out="out" in asked), 200)


async def sign_in(visit: Visit) -> Response:
    """On to where the visitor was going, or the form again with what was wrong."""
    email, code = visit.form.get("email", "").strip(), visit.form.get("code", "").strip()
    to = door.local(visit.form.get("next", ""))
    try:
        await visit.parts.throttle.admit_sign_in(door.address(visit), email)
        await enter(visit, partial(visit.parts.users.authenticate, email, visit.form.get("password", ""), code or None))
    except users.CodeNeeded:
        return form(visit, Told(email, to, needs_code=True), 200)
    except users.WrongCode:
        wrong = "This code is not right, or was used already. Wait for the next one."
        return form(visit, Told(email, to, code_error=wrong, needs_code=True), UNPROCESSABLE)
    except users.CodesLocked as refusal:
        return form(visit, Told(email, to, error=str(refusal)), UNPROCESSABLE)
    except users.WrongCredentials:
        wrong = "Email and password do not go together. Check both; capital letters count in the password."
        return form(visit, Told(email, to, error=wrong), UNPROCESSABLE)
    except TooManyRequests as refusal:
        response = form(visit, Told(email, to, error=refusal.message), TOO_MANY)
        response.headers.update(refusal.headers)
        return response
    return visit.redirect(to)


def form(visit: Visit, told: Told, status: int) -> Response:
    """The form. A script gets the part that changed: the second step alone leaves the typed password in its field."""
    if not visit.is_htmx:
        return visit.render("sign_in.html", status=status, told=told)
    block = "second" if told.needs_code else "form"
    response = visit.render("sign_in.html", status=status, block=block, told=told)
    response.headers["HX-Retarget"] = "#second" if told.needs_code else "#sign-in"
    return response


async def enter(visit: Visit, prove: Callable[..., object]) -> None:
    """Goes on in the session that `prove` begins, in place of the one that the browser may have held.

    `prove` hashes a password, and begins the session in the very transaction that lets the user in. Raises what that
    does, and SignInNeeded where no session began (a code is needed as well) or it has ended already.
    """
    sessions, cookie = visit.parts.sessions, tokens.mint()
    browser = agents.named(visit.request.headers.get("user-agent"))
    begin = partial(sessions.begin, cookie=cookie, browser=browser, instead_of=visit.session_cookie)
    await anyio.to_thread.run_sync(partial(prove, begin=begin), limiter=door.password_places(visit))
    session = await anyio.to_thread.run_sync(sessions.find, cookie)
    if session is None:
        raise door.SignInNeeded(SIGN_IN)
    visit.enter(cookie, session)


async def sign_out(visit: Visit) -> Response:
    """Ends the session, here and in the catalog."""
    if visit.session_cookie is not None:
        await anyio.to_thread.run_sync(visit.parts.sessions.end, visit.session_cookie)
    visit.leave()
    response = visit.redirect(f"{SIGN_IN}?out=1")
    # Pages are kept nowhere; this is for what a browser kept all the same, as it does for its button "Back".
    response.headers["Clear-Site-Data"] = '"cache", "storage"'
    return response


async def show_welcome(visit: Visit) -> Response:
    """The form of a one-time link: choose a password, and on the first start an email address, too."""
    token = visit.request.query_params.get("link", "")
    return await welcome_form(visit, token, 200, {})


async def welcome(visit: Visit) -> Response:
    """Signed in and on to the console, or the form again with what was wrong beside its field."""
    token, password = visit.form.get("link", ""), visit.form.get("password", "")
    email = visit.form.get("email", "").strip() or None
    if password != visit.form.get("again", ""):
        return await welcome_form(visit, token, UNPROCESSABLE, {"again": "The two passwords are not the same."})
    try:
        # By the link, never by the email: that is whatever the visitor says, and is somebody else's to sign in with.
        await visit.parts.throttle.admit_sign_in(door.address(visit), token)
        await enter(visit, partial(visit.parts.users.use_link, token, password, email))
    except users.LinkGone:
        return gone(visit)
    except users.WeakPassword as refusal:
        return await welcome_form(visit, token, UNPROCESSABLE, {"password": str(refusal)})
    except (users.InvalidEmail, users.EmailTaken) as refusal:
        return await welcome_form(visit, token, UNPROCESSABLE, {"email": str(refusal)})
    return visit.redirect(HOME)


async def welcome_form(visit: Visit, token: str, status: int, errors: dict[str, str]) -> Response:
    """The form, or the page that says that its link is used up."""
    link = await anyio.to_thread.run_sync(visit.parts.users.find_link, token)
    if link is None:
        return gone(visit)
    email = visit.form.get("email", "")
    shown: dict[str, Any] = {"link": link, "token": token, "email": email, "errors": errors, "least": MIN_LENGTH}
    return visit.render("welcome.html", status=status, **shown)


def gone(visit: Visit) -> Response:
    """The page of a link that leads nowhere any more, or never did."""
    title, message = "This link is used up", "It worked once, or its time is over."
    step = "If you have a password already, sign in. If not, ask an admin of your account for a new link."
    return trouble.page(visit, 404, title, message, step, {})


PAGES: tuple[Page, ...] = (
    Page("GET", "/", root, NOBODY),
    Page("GET", HOME, home, USER),
    Page("GET", SIGN_IN, show_sign_in, NOBODY),
    Page("POST", SIGN_IN, sign_in, NOBODY),
    Page("POST", "/console/sign-out", sign_out, USER),
    Page("GET", "/console/welcome", show_welcome, NOBODY),
    Page("POST", "/console/welcome", welcome, NOBODY),
)
