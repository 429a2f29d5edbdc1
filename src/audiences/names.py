"""The rule for names of audiences, accounts and keys (contract, what a file may be)."""

from __future__ import annotations

import unicodedata

from audiences.errors import InvalidField

MAX_NAME = 255


def check_name(text: str) -> str:
    """A name without outer blanks: 1 to 255 characters after trimming, any script, no control characters."""
    name = text.strip()
    if not 1 <= len(name) <= MAX_NAME:
        raise InvalidField(f"The name must have 1 to {MAX_NAME} characters; this one has {len(name)}.", field="name")
    if any(unicodedata.category(character) == "Cc" for character in name):
        raise InvalidField("The name must not hold control characters such as tabs or line breaks.", field="name")
    return name
