"""What pages load, from the package: each asked for with its content's hash, so that browsers may keep it for good."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.resources import files

KINDS = {
    "style.css": "text/css",
    "console.js": "text/javascript",
    "htmx.min.js": "text/javascript",
    "icon.svg": "image/svg+xml",
}

FOR_GOOD = "public, max-age=31536000, immutable"


@cache
def content(name: str) -> bytes:
    """A file's bytes."""
    return (files("audiences") / "static" / "console" / name).read_bytes()


@cache
def version(name: str) -> str:
    """What changes where the file does."""
    return hashlib.sha256(content(name)).hexdigest()[:12]


def url(name: str) -> str:
    """Where pages load it from."""
    return f"/console/static/{name}?v={version(name)}"


def find(name: str, asked: str | None) -> tuple[bytes, str, str] | None:
    """Content, media type and how long it may be kept; None for a file that is not there.

    Asked for by another version's hash (a page from before an update), it is not kept.
    """
    kind = KINDS.get(name)
    if kind is None:
        return None
    return content(name), kind, FOR_GOOD if asked == version(name) else "no-cache"
