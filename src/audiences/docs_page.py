"""The API's description as a page for people: Swagger UI, from the package, so that it works with no internet."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

KINDS = {
    "swagger-ui-bundle.js": "text/javascript",
    "start.js": "text/javascript",
    "swagger-ui.css": "text/css",
    "favicon-32x32.png": "image/png",
}

# Swagger UI writes styles into elements and pictures into its stylesheet; scripts come from here alone.
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; connect-src 'self'; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "max-age=3600",
}


@cache
def content(name: str) -> bytes:
    """A file of the page."""
    return (files("audiences") / "static" / "docs" / name).read_bytes()


def index() -> bytes:
    """The page itself."""
    return content("index.html")


def asset(name: str) -> tuple[bytes, str] | None:
    """What the page loads, and its media type; None for any other name."""
    kind = KINDS.get(name)
    return None if kind is None else (content(name), kind)
