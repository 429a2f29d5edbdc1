"""What the browser keeps: its session, and for a moment the notice that the next page shows."""

from __future__ import annotations

import base64
import hashlib
import hmac
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

SESSION, NOTICE = "session", "notice"

# A notice that no page came to show within this time is old news.
NOTICE_S = 60

# Browsers keep about 4,096 bytes of a cookie; base64 takes a third more.
MAX_NOTICE = 2000


@dataclass(frozen=True)
class Cookie:
    """A value, and for how many seconds it is kept; None is until the browser closes, 0 takes it away."""

    value: str
    seconds: int | None = None


GONE = Cookie("", 0)


def full_name(name: str, *, is_https: bool) -> str:
    """The cookie's name. With `__Host-` no other host and no unencrypted page can have set it (RFC 6265bis)."""
    return f"__Host-{name}" if is_https else name


def value(request: Request, name: str, *, is_https: bool) -> str | None:
    """What the browser sent under the name, if anything."""
    return request.cookies.get(full_name(name, is_https=is_https)) or None


def put(response: Response, jar: dict[str, Cookie], *, is_https: bool) -> None:
    """Has the browser keep what is in the jar."""
    for name, cookie in jar.items():
        response.set_cookie(
            full_name(name, is_https=is_https),
            cookie.value,
            max_age=cookie.seconds,
            path="/",
            secure=is_https,
            httponly=True,
            samesite="lax",
        )


def notice(key: str, kind: str, text: str) -> Cookie:
    """A notice, signed with the session's own secret, so that no other site can put words into our pages."""
    content = base64.urlsafe_b64encode(f"{kind} {text[:MAX_NOTICE]}".encode()).decode()
    return Cookie(f"{content}.{signature(key, content)}", NOTICE_S)


def read_notice(key: str, given: str) -> tuple[str, str] | None:
    """Kind and text of a notice, or None where it was not made for this session."""
    content, _, signed = given.partition(".")
    if not hmac.compare_digest(signature(key, content).encode(), signed.encode()):
        return None
    kind, _, text = base64.urlsafe_b64decode(content).decode().partition(" ")
    return kind, text


def signature(key: str, content: str) -> str:
    """The signature of a notice."""
    return hmac.new(key.encode(), f"notice {content}".encode(), hashlib.sha256).hexdigest()
