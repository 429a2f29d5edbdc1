"""A signed-in browser for tests of the console, as far as HTTP goes."""

from __future__ import annotations

import html
import itertools
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import httpx

from audiences.user import ADMIN
from support import Service

NUMBERS = itertools.count(1)
PASSWORD = "eight tame otters"

TOKEN = re.compile(r'data-csrf="([^"]*)"')
TAG = re.compile(r"<[^>]*>")


@contextmanager
def signed_in(service: Service, account: int | None = None, role: str = ADMIN) -> Iterator[httpx.Client]:
    """A browser with the session of a new user, of a new account if none is given; it follows no redirects."""
    owner = service.account() if account is None else account
    with stranger(service) as browser:
        cookie = service.parts.sessions.start(new_user(service, owner, role))
        browser.cookies.set("session", cookie)
        yield browser


@contextmanager
def stranger(service: Service) -> Iterator[httpx.Client]:
    """A browser without a session."""
    with httpx.Client(base_url=service.url, timeout=60) as browser:
        yield browser


def new_user(service: Service, account: int, role: str = ADMIN) -> str:
    """The id of a new user, who has no password."""
    email = f"user{next(NUMBERS)}@example.com"
    user, _ = service.parts.users.create(account, email, role, "operator")
    return user.id


def token(browser: httpx.Client, path: str = "/console/no-such-page") -> str:
    """The token that the page at `path` holds for its forms."""
    found = TOKEN.search(browser.get(path).text)
    assert found is not None, f"{path} has no token"
    return html.unescape(found[1])


def post(
    browser: httpx.Client, path: str, fields: Mapping[str, Any] | None = None, *, htmx: bool = False
) -> httpx.Response:
    """Sends a form with the session's token, as the page's own form or (`htmx`) its script would."""
    headers = {"Origin": str(browser.base_url).rstrip("/")} | ({"HX-Request": "true"} if htmx else {})
    return browser.post(path, data={"csrf": token(browser), **(fields or {})}, headers=headers)


def text(response: httpx.Response) -> str:
    """What a page says, without its tags, on one line."""
    return " ".join(html.unescape(TAG.sub(" ", response.text)).split())
