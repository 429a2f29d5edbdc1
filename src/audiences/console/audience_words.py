"""The words for what happened to rows, and for kinds of lines, as a person would say them."""

from __future__ import annotations

from collections.abc import Mapping

from audiences.errors import Reason

REASONS: Mapping[str, str] = {
    Reason.EMPTY: "No number in the cell",
    Reason.NOT_A_NUMBER: "Not a phone number",
    Reason.UNKNOWN_COUNTRY: "No such country code",
    Reason.TOO_SHORT: "Too few digits",
    Reason.TOO_LONG: "Too many digits",
    Reason.INVALID_NUMBER: "No such number in its country",
    Reason.SCIENTIFIC_NOTATION: "Rounded by a spreadsheet",
    Reason.MALFORMED_ROW: "Row cannot be read",
    Reason.DUPLICATE: "Duplicate",
    Reason.SUPPRESSED: "On the do-not-contact list",
}


def line_type(name: str) -> str:
    """`Fixed line or mobile` for `fixed_line_or_mobile`."""
    return name.replace("voip", "VoIP").replace("_", " ").capitalize() if name != "voip" else "VoIP"


def rows(count: int) -> str:
    """`1 row`, `1,234 rows`."""
    return counted(count, "row")


def counted(count: int, noun: str) -> str:
    """The number and its noun."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
