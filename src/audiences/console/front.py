"""All methods of one path of the console: between the framework and the handlers, and what every answer carries."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Sequence
from itertools import groupby

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route as Mounted
from starlette.types import Receive, Scope, Send

from audiences.console import assets, cookies, door, trouble
from audiences.console.routes import Page, Visit
from audiences.console.table import NAV, PAGES
from audiences.errors import MethodNotAllowed, Refusal, UnknownPath
from audiences.inbox import ClientGone
from audiences.parts import Parts
from audiences.users import UserRefusal
from audiences.watch import log_fault

# Everything comes from here, and no script or style stands in a page.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'; manifest-src 'self'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}


def mounted(pages: Iterable[Page] = PAGES) -> list[Mounted]:
    """The routes of the console: its pages, what they load, and a page for every other path below it."""
    by_path = groupby(sorted(pages, key=lambda page: page.path), key=lambda page: page.path)
    # A path without parameters goes before one that would match it, too: `{` sorts behind every letter.
    return [
        *(Mounted(path, Front(path, tuple(some))) for path, some in by_path),
        Mounted("/console/static/{name}", Assets()),
        Mounted("/console/{rest:path}", Front("/console/*", ())),
    ]


class Front:
    """One path: its pages by their methods; without any, a page that says so."""

    def __init__(self, path: str, pages: Sequence[Page]) -> None:
        self.path = path
        self.pages: dict[str, Page] = {page.method: page for page in pages}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request, whatever was raised."""
        request = Request(scope, receive, send)
        parts: Parts = scope["app"].state.parts
        scope["state"]["route"] = self.path
        visit = Visit(request, parts, door.is_https(request, parts), NAV)
        response = await self.answer(visit)
        cookies.put(response, visit.jar, is_https=visit.is_https)
        dress(response)
        try:
            await response(scope, receive, send)
        finally:
            stream = getattr(response, "body_iterator", None)
            if isinstance(stream, AsyncGenerator):
                await stream.aclose()

    async def answer(self, visit: Visit) -> Response:
        """What the handler returns, or the page of what was raised."""
        try:
            return await self.carried_out(visit)
        except ClientGone:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it was, a person gets a page
            request_id = str(visit.request.state.id)
            log_fault("fault", error, request=request_id, route=self.path)
            return trouble.failed(visit, request_id)

    async def carried_out(self, visit: Visit) -> Response:
        """The same, but for faults of ours."""
        try:
            await door.recognise(visit)
            page = self.page_of(visit.request)
            await door.admit(visit, page)
            return await page.handler(visit)
        except door.SignInNeeded as needed:
            return visit.redirect(needed.to)
        except Refusal as refusal:
            return trouble.refused(visit, refusal)
        except UserRefusal as refusal:
            return trouble.refused_user(visit, refusal)

    def page_of(self, request: Request) -> Page:
        """The page of the request's method. Raises UnknownPath or MethodNotAllowed."""
        page = self.pages.get("GET" if request.method == "HEAD" else request.method)
        if page is None and self.pages:
            allowed = ", ".join(sorted(self.pages))
            raise MethodNotAllowed(f"This page does not take {request.method[:16]}.", headers={"Allow": allowed})
        # No id has a NUL in it, and PostgreSQL takes none.
        if page is None or "\0" in request.scope["path"]:
            raise UnknownPath("There is no such page.")
        return page


def dress(response: Response) -> None:
    """Puts on what every answer carries; who says otherwise for one answer is not overruled."""
    for name, value in (HEADERS | {"Cache-Control": "no-store"}).items():
        response.headers.setdefault(name, value)


class Assets:
    """The files that pages load, for anybody; a class, as the framework would call a function with a request."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends one."""
        request = Request(scope, receive, send)
        scope["state"]["route"] = "/console/static/{name}"
        found = assets.find(request.path_params["name"], request.query_params.get("v"))
        if found is None:
            raise UnknownPath("There is no such file.")
        content, kind, keep = found
        response = Response(content, media_type=kind, headers={"Cache-Control": keep})
        dress(response)
        await response(scope, receive, send)
