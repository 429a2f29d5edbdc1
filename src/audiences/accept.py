"""Content negotiation: which of a route's formats the `Accept` field asks for (RFC 9110, section 12.5.1)."""

from __future__ import annotations

from collections.abc import Sequence

from audiences.errors import NotAcceptable

JSON, CSV, NDJSON = "application/json", "text/csv", "application/x-ndjson"
PARQUET = "application/vnd.apache.parquet"
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"

# The formats of a whole list, and how the name of a file in each ends.
WHOLE = {CSV: "csv", NDJSON: "ndjson", PARQUET: "parquet", XLSX: "xlsx"}


def choose(accept: str | None, offers: Sequence[str]) -> str:
    """The offer with the highest quality, the earlier one of equals. Raises NotAcceptable if none has any."""
    if accept is None or not accept.strip():
        return offers[0]
    ranges = [parse(part) for part in accept.split(",") if part.strip()]
    best = max(offers, key=lambda offer: quality(offer, ranges))
    if quality(best, ranges) <= 0:
        raise NotAcceptable(f"This route answers with {', '.join(offers)}. Send one of them in Accept.", field="Accept")
    return best


def parse(part: str) -> tuple[str, float]:
    """A media range and its quality; a quality that cannot be read is none."""
    kind, *parameters = (piece.strip().lower() for piece in part.split(";"))
    for parameter in parameters:
        if parameter.startswith("q="):
            try:
                return kind, min(max(float(parameter[2:]), 0.0), 1.0)
            except ValueError:
                return kind, 0.0
    return kind, 1.0


def quality(offer: str, ranges: Sequence[tuple[str, float]]) -> float:
    """The quality of `offer`: that of the most specific range that covers it."""
    family = offer.partition("/")[0] + "/*"
    for kind in (offer, family, "*/*"):
        found = [q for name, q in ranges if name == kind]
        if found:
            return max(found)
    return 0.0
