"""The addresses that people sign in with. Nothing is sent to them: they are names, and compared as such."""

from __future__ import annotations

import unicodedata

# The column's width; RFC 5321 ends at 254.
MAX_EMAIL = 255


class InvalidEmail(Exception):
    """It does not look like an email address; the message says why."""


def folded(text: str) -> str:
    """`text` without outer blanks, in lower case and in one Unicode form: equal for what a person would call equal."""
    return unicodedata.normalize("NFC", text.strip().casefold())


def checked(text: str | None) -> str:
    """The address as it is kept. Raises InvalidEmail."""
    email = folded(text or "")
    if not email:
        raise InvalidEmail("Enter an email address.")
    if len(email) > MAX_EMAIL:
        raise InvalidEmail(f"An email address has at most {MAX_EMAIL} characters; this one has {len(email)}.")
    # Blanks and separators (Z), control, invisible and unassigned characters (C): nobody sees what they typed.
    if any(unicodedata.category(character)[0] in "ZC" for character in email):
        raise InvalidEmail("An email address has no blanks and no invisible characters in it.")
    name, _, domain = email.partition("@")
    if not name or not domain or "@" in domain or domain[0] == "." or domain[-1] == ".":
        raise InvalidEmail("An email address looks like ann@example.com.")
    return email
