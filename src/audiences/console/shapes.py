"""How pages write numbers, bytes, countries and times; and what charts are drawn from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from functools import cache
from importlib.resources import files
from urllib.parse import urlencode
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from markupsafe import Markup
from phonenumbers import SUPPORTED_REGIONS

UNITS = ("bytes", "kB", "MB", "GB", "TB")


def number(value: int | None) -> str:
    """`1,234,567`, or a dash for a number that there is not."""
    return "–" if value is None else f"{value:,}"  # noqa: RUF001


def percent(part: int, whole: int) -> str:
    """`37 %`; what is there never reads as none, and what is missing never as all."""
    if not whole or not part:
        return "0 %"
    share = 100 * part / whole
    if share < 1:
        return "< 1 %"
    return "> 99 %" if part < whole and share > 99 else f"{share:.0f} %"  # noqa: PLR2004


def size(count: int) -> str:
    """`1.4 MB`, by thousands as file managers show it."""
    value, unit = float(count), 0
    while value >= 999.5 and unit < len(UNITS) - 1:  # noqa: PLR2004 - 999.5 would be written as 1000
        value, unit = value / 1000, unit + 1
    written = f"{value:.1f}" if unit and value < 9.95 else f"{value:.0f}"  # noqa: PLR2004
    return f"{written.removesuffix('.0')} {UNITS[unit]}"


def country(region: str) -> str:
    """The region's English name, or its code where it has none: `001` is the numbers of no one country."""
    return countries().get(region, region)


@cache
def countries() -> Mapping[str, str]:
    """Names by region code: the short ones of ISO 3166, as the time zone database ships them."""
    text = (files("tzdata") / "zoneinfo" / "iso3166.tab").read_text(encoding="utf-8")
    lines = [line.split("\t") for line in text.splitlines() if line and not line.startswith("#")]
    # What that list abbreviates, and two that it does not have.
    ours = {"GB": "United Kingdom", "001": "International", "XK": "Kosovo"}
    return dict(lines) | ours


@cache
def regions() -> list[tuple[str, str]]:
    """Codes and names of the countries that national numbers can be read for, by name."""
    return sorted(((code, country(code)) for code in SUPPORTED_REGIONS), key=lambda pair: pair[1])


@cache
def zone_of(name: str) -> tzinfo:
    """The time zone, or UTC where this machine does not know it."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return UTC


def time_of(moment: int, zone: str) -> Markup:
    """Date and time in the zone; UTC when pointed at. `moment` is in milliseconds since 1970."""
    return stamped(moment, zone, "%-d %b %Y, %H:%M")


def day_of(moment: int, zone: str) -> Markup:
    """The date in the zone; its UTC time when pointed at."""
    return stamped(moment, zone, "%-d %b %Y")


def stamped(moment: int, zone: str, form: str) -> Markup:
    """A `<time>` element."""
    there = datetime.fromtimestamp(moment / 1000, UTC)
    local = there.astimezone(zone_of(zone)).strftime(form)
    return Markup('<time datetime="{}" title="{}">{}</time>').format(
        there.strftime("%Y-%m-%dT%H:%M:%SZ"), there.strftime("%Y-%m-%d %H:%M:%S UTC"), local
    )


@dataclass(frozen=True)
class Share:
    """One piece of a bar 100 wide: where it begins, and how wide it is."""

    start: float
    width: float


def shares(counts: Sequence[int], whole: int | None = None) -> list[Share]:
    """The pieces of a bar, one behind the other; what is there is at least half a unit wide, so that it is seen."""
    total = max(sum(counts) if whole is None else whole, 1)
    found, start = [], 0.0
    for count in counts:
        width = max(100 * count / total, 0.5) if count else 0.0
        found.append(Share(round(start, 2), round(min(width, 100 - start), 2)))
        start = min(start + width, 100.0)
    return found


def query(**values: object) -> str:
    """`?name=value&…` of the values that are there, or nothing."""
    given = {name: value for name, value in values.items() if value not in {None, ""}}
    return f"?{urlencode(given)}" if given else ""
