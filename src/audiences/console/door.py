"""The door of the console: whose session it is, whether they may, and whether a form was sent from a page of ours.

What changes something has to come from our own pages. The browser says where a request comes from (`Sec-Fetch-Site`,
`Origin`), and cannot be talked out of it by another site; all of them have done so with every POST since 2020. That is
all there is before somebody has signed in: a request with neither field comes from no browser, so it carries no one
else's cookies. After that, the form also has to hold the session's token, which no other site can read.
"""

from __future__ import annotations

from urllib.parse import SplitResult, parse_qsl, urlencode, urlsplit

import anyio
import anyio.to_thread
from starlette.datastructures import ImmutableMultiDict
from starlette.requests import Request

from audiences.browsers import is_public_https
from audiences.console.routes import NOBODY, Page, Visit
from audiences.errors import Forbidden, MalformedRequest
from audiences.parts import Parts
from audiences.passwords import AT_ONCE
from audiences.throttle import as_address

SAFE = frozenset({"GET", "HEAD"})
HOME, SIGN_IN = "/console", "/console/sign-in"
URLENCODED = "application/x-www-form-urlencoded"

# Fields of a form; the largest of ours is a list of scopes.
MAX_FIELDS = 200


class SignInNeeded(Exception):
    """The page needs a user and there is no session; `to` is where to sign in."""

    def __init__(self, to: str) -> None:
        super().__init__(to)
        self.to = to


class AdminsOnly(Forbidden):
    """The page is for admins of the account."""


class ForeignForm(Forbidden):
    """The form was not sent from a page of ours, or its page is from an earlier session."""

    step = "Go back, reload the page, and send it again."


async def admit(visit: Visit, page: Page) -> None:
    """Lets the visit in, with its form read.

    Raises SignInNeeded, AdminsOnly, ForeignForm, and what reading a form raises.
    """
    request = visit.request
    changes = request.method not in SAFE
    if changes and not is_from_here(request):
        raise ForeignForm("This form was sent from another site, so nothing was done.")
    if page.needs != NOBODY and visit.session is None:
        raise SignInNeeded(sign_in_for(request))
    if not page.open_to(visit.session.user if visit.session else None):
        raise AdminsOnly("Only admins of your account can open this page.")
    if changes:
        visit.form = await read_form(visit, page.form_bytes)
    if changes and page.needs != NOBODY:
        check_token(visit)


async def recognise(visit: Visit) -> None:
    """Finds the visit's session, if it has one."""
    cookie = visit.session_cookie
    if cookie is not None:
        visit.session = await anyio.to_thread.run_sync(visit.parts.sessions.find, cookie)
        if visit.session is not None:
            visit.request.state.who = {"user": visit.session.user.id}


def is_from_here(request: Request) -> bool:
    """Whether the browser says that one of our own pages sent this; without a word of it, no browser did."""
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    if site is not None:
        return site in {"same-origin", "none"}
    # The host alone is compared: behind a proxy that ends TLS, the scheme is not the one that we see.
    return origin is None or split(origin).netloc.lower() == request.headers.get("host", "").lower()


def split(address: str) -> SplitResult:
    """The parts of an address that a header tells; none of one that is no address."""
    try:
        return urlsplit(address)
    except ValueError:
        return urlsplit("")


def password_places(visit: Visit) -> anyio.CapacityLimiter:
    """Who may have a password hashed at once: those who wait hold no thread that other visits need."""
    state = visit.request.app.state
    if not hasattr(state, "password_places"):
        state.password_places = anyio.CapacityLimiter(AT_ONCE)
    places: anyio.CapacityLimiter = state.password_places
    return places


def check_token(visit: Visit) -> None:
    """Raises ForeignForm unless the form, or the header that scripts send, holds the session's token."""
    given = visit.request.headers.get("x-csrf-token") or visit.form.get("csrf", "")
    if visit.session is None or not visit.parts.sessions.check_csrf(visit.session, given):
        raise ForeignForm("This page is from an earlier session, so nothing was done.")


async def read_form(visit: Visit, limit: int) -> ImmutableMultiDict[str, str]:
    """The fields of an urlencoded body of at most `limit` bytes; none, and nothing read, where it is anything else.

    Raises BodyTooLarge, MalformedRequest, RequestTimeout, or ClientGone.
    """
    request = visit.request
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != URLENCODED:
        return ImmutableMultiDict()
    large = f"The form holds more than {limit:,} bytes. Send less at a time."
    content = await visit.parts.inbox.whole_body(request, limit, "The form took longer than", large)
    try:
        pairs = parse_qsl(content.decode("ascii"), keep_blank_values=True, max_num_fields=MAX_FIELDS)
    except ValueError:
        raise MalformedRequest("The form cannot be read. Reload the page and send it again.") from None
    return ImmutableMultiDict(pairs)


def is_https(request: Request, parts: Parts) -> bool:
    """Whether the browser's own connection is encrypted, by the operator's word, or that of a trusted proxy."""
    if is_public_https(parts.settings):
        return True
    peer = as_address(request.client.host if request.client else None)
    if peer is not None and any(peer in network for network in parts.throttle.proxies):
        said = request.headers.getlist("x-forwarded-proto")
        if said:
            return said[-1].rpartition(",")[2].strip().lower() == "https"
    return request.url.scheme == "https"


def address(visit: Visit) -> str:
    """The address that the visit counts for, as failed sign-ins are counted."""
    request = visit.request
    peer = request.client.host if request.client else None
    return visit.parts.throttle.address(peer, request.headers.getlist("x-forwarded-for"))


def sign_in_for(request: Request) -> str:
    """The sign-in page that leads back to where this request was made."""
    if request.headers.get("hx-request") == "true":
        asked = split(request.headers.get("hx-current-url", ""))
    else:
        asked = urlsplit(str(request.url)) if request.method in SAFE else urlsplit("")
    back = local(asked.path + (f"?{asked.query}" if asked.query else ""))
    return SIGN_IN if back == HOME else f"{SIGN_IN}?{urlencode({'next': back})}"


def local(to: str) -> str:
    """`to` if it is a page of the console, else the console's own: no link to us leads on to another site."""
    path = to.partition("?")[0]
    plain = to.isascii() and to.isprintable() and "\\" not in to and " " not in to
    inside = path == HOME or path.startswith(HOME + "/")
    return to if plain and inside and ".." not in path and "//" not in path else HOME
