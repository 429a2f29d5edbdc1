"""The regions that national numbers can be read for."""

from __future__ import annotations

import difflib

from phonenumbers import SUPPORTED_REGIONS

from audiences.errors import InvalidField


def is_region(code: str) -> bool:
    """Whether `code`, in any case, is a region that national numbers can be read for."""
    return code.upper() in SUPPORTED_REGIONS


def check_region(code: str) -> str:
    """`code` in upper case. Raises InvalidField, saying what to send, when it is no region."""
    if is_region(code):
        return code.upper()
    known = sorted(SUPPORTED_REGIONS)
    near = difflib.get_close_matches(code.strip().upper()[:2], known, n=3, cutoff=0.5)
    hint = f" Near it: {', '.join(near)}." if near else ""
    raise InvalidField(
        "default_region must be a two-letter region code (ISO 3166), for example US, GB or BR, or be left out."
        f"{hint} The regions are: {', '.join(known)}.",
        field="default_region",
    )
