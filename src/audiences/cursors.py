"""Cursors: where a list goes on, as a text that callers hand back and do not read."""

from __future__ import annotations

import base64
import binascii
from typing import Any

import msgspec

from audiences.errors import InvalidCursor


def encode(position: object) -> str:
    """The cursor of a position."""
    return base64.urlsafe_b64encode(msgspec.json.encode(position)).decode().rstrip("=")


def decode(text: str, kind: Any) -> Any:  # noqa: ANN401 - whatever `kind` describes
    """The position that `encode` wrote. Raises InvalidCursor for any other text."""
    try:
        position = msgspec.json.decode(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)), type=kind)
        return without_nul(position)
    except (binascii.Error, ValueError, msgspec.MsgspecError):
        raise InvalidCursor(
            "This cursor is not one of this list. Take next_cursor from the page before, or begin without a cursor.",
            field="cursor",
        ) from None


def without_nul(position: object) -> object:
    """The position. Raises ValueError if a text of it has a NUL, which no catalog's text has and PostgreSQL refuses."""
    for part in position if isinstance(position, tuple) else ():
        if isinstance(part, str) and "\0" in part:
            raise ValueError
    return position
