"""What a page of the console is, and what its handler gets."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from starlette.datastructures import ImmutableMultiDict
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from audiences import addresses
from audiences.console import cookies, render
from audiences.errors import NotFound, TooManyRequests
from audiences.parts import Parts
from audiences.sessions import Session
from audiences.throttle import UPLOADS
from audiences.users import User

# Who may see a page.
Needs = Literal["nobody", "user", "admin"]
NOBODY: Needs = "nobody"
USER: Needs = "user"
ADMIN: Needs = "admin"

# A form of texts; a page that takes a pasted list says how much it takes.
FORM_BYTES = 64 * 1024

# How a notice looks.
Kind = Literal["good", "bad", "info"]

# Digits of an id in a path; more of them fit no column of the catalog.
ID_DIGITS = 18


@dataclass(frozen=True)
class Page:
    """One method on one path below /console.

    `nav` is its entry in the navigation, with an `icon` of `parts.html` and its place in the `order`; only pages that
    take GET and have no parameters in their paths can have one. `form_bytes` bounds the form that the door reads.
    """

    method: Literal["GET", "POST", "PUT", "DELETE"]
    path: str
    handler: Handler
    needs: Needs = USER
    nav: str | None = None
    icon: str = "dot"
    order: int = 0
    form_bytes: int = FORM_BYTES

    def open_to(self, user: User | None) -> bool:
        """Whether the user, or None for a stranger, may see it."""
        return self.needs == NOBODY or (user is not None and (self.needs == USER or user.is_admin))


@dataclass
class Visit:
    """A request of a browser that the door let in.

    `form` are the fields of an urlencoded form; empty for any other body, which is left unread for the handler.
    """

    request: Request
    parts: Parts
    is_https: bool
    nav: tuple[Page, ...] = ()
    session: Session | None = None
    form: ImmutableMultiDict[str, str] = field(default_factory=ImmutableMultiDict)
    jar: dict[str, cookies.Cookie] = field(default_factory=dict)

    @property
    def user(self) -> User:
        """Who is signed in; only for pages that need a user."""
        assert self.session is not None  # noqa: S101 - the door lets nobody else in
        return self.session.user

    @property
    def account(self) -> int:
        """The account of the user: every query is about this one."""
        return self.user.account

    @property
    def actor(self) -> str:
        """Who did it, as the audit log says: the user's id."""
        return f"user {self.user.id}"

    @property
    def service(self) -> str:
        """The service's address, for links and commands; without the setting, what the browser calls it."""
        host = self.request.headers.get("host", "")
        return addresses.of_service(self.parts.settings, f"{'https' if self.is_https else 'http'}://{host}")

    @property
    def is_htmx(self) -> bool:
        """Whether a script of the page asks, which wants a part of a page and not a whole one."""
        return self.request.headers.get("hx-request") == "true"

    async def admit_upload(self) -> None:
        """Counts an upload of the user, before its body is read. Raises TooManyRequests."""
        try:
            await self.parts.throttle.admit(UPLOADS, self.actor)
        except TooManyRequests:
            self.parts.usage.count_throttled(self.account)
            raise

    def number(self, name: str = "id") -> int:
        """The id in the path. Raises NotFound for what cannot be one."""
        text = str(self.request.path_params[name])
        if not (text.isascii() and text.isdigit() and len(text) <= ID_DIGITS):
            raise NotFound("There is no such thing.")
        return int(text)

    def render(self, template: str, *, status: int = 200, block: str | None = None, **context: Any) -> Response:  # noqa: ANN401
        """The template as an answer; with `block`, that block of it alone, which is what htmx swaps in."""
        return HTMLResponse(render.html(template, self.shown() | context, block), status)

    def shown(self) -> dict[str, Any]:
        """What every template knows."""
        user = None if self.session is None else self.session.user
        path = self.request.url.path
        entries = [page for page in self.nav if page.open_to(user)]
        here = max((page.path for page in entries if is_below(path, page.path)), key=len, default="")
        return {
            "user": user,
            "csrf": "" if self.session is None else self.session.csrf,
            "zone": "UTC" if user is None else user.time_zone,
            "path": path,
            "nav": entries,
            "here": here,
            "notices": self.taken_notice(),
        }

    def redirect(self, to: str) -> Response:
        """On to another page of the console; a script is told in a header, as it would follow a 303 unseen."""
        if self.is_htmx:
            return Response(status_code=204, headers={"HX-Redirect": to})
        return RedirectResponse(to, 303)

    def notice(self, text: str, kind: Kind = "good") -> None:
        """A sentence that the next page shows, once. It lies in the browser, signed for this session alone."""
        assert self.session is not None  # noqa: S101 - before there is a session, pages say it themselves
        self.jar[cookies.NOTICE] = cookies.notice(self.session.csrf, kind, text)

    def taken_notice(self) -> list[tuple[str, str]]:
        """The notice (kind and text) that the page before left, as a list of at most one; it is taken down."""
        given = cookies.value(self.request, cookies.NOTICE, is_https=self.is_https)
        if self.session is None or given is None or self.is_htmx:
            return []
        self.jar.setdefault(cookies.NOTICE, cookies.GONE)
        found = cookies.read_notice(self.session.csrf, given)
        return [] if found is None else [found]

    def enter(self, cookie: str, session: Session | None) -> None:
        """Keeps the cookie of a session that was started; this visit goes on in it."""
        self.jar[cookies.SESSION] = cookies.Cookie(cookie)
        self.session = session

    def leave(self) -> None:
        """Forgets the session in the browser; to end it in the catalog is the caller's."""
        self.jar |= {cookies.SESSION: cookies.GONE, cookies.NOTICE: cookies.GONE}

    @property
    def session_cookie(self) -> str | None:
        """What the browser holds as its session, valid or not."""
        return cookies.value(self.request, cookies.SESSION, is_https=self.is_https)


Handler = Callable[[Visit], Awaitable[Response]]


def is_below(path: str, page: str) -> bool:
    """Whether `path` is the page's or one below it."""
    return path == page or path.startswith(page + "/")
