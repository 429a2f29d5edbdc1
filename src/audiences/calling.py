"""When a contact may be called: the hours of the day, now, in every time zone that its number may be in."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from audiences.errors import InvalidParameter
from audiences.layout import ZONE_SEPARATOR

HOURS = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])-([01][0-9]|2[0-4]):([0-5][0-9])")
MINUTES_OF_A_DAY = 24 * 60


@dataclass(frozen=True)
class Hours:
    """From `begin` until before `end`, in minutes since midnight; over midnight where `begin` is the later one."""

    begin: int
    end: int

    def have(self, minute: int) -> bool:
        """Whether the minute of the day is within them."""
        if self.begin < self.end:
            return self.begin <= minute < self.end
        return minute >= self.begin or minute < self.end


@dataclass(frozen=True)
class Zones:
    """Of the values that a column of time zones can have: those within the hours now, and those nobody knows."""

    within: list[str]
    unknown: list[str]


def read_hours(text: str) -> Hours:
    """The hours of `09:00-20:00`. Raises InvalidParameter."""
    match = HOURS.fullmatch(text)
    hours = [int(part) for part in match.groups()] if match else [0, 0, 0, 0]
    begin, end = hours[0] * 60 + hours[1], hours[2] * 60 + hours[3]
    if match is None or begin == end or end > MINUTES_OF_A_DAY:
        raise InvalidParameter("callable takes two times of the day, such as 09:00-20:00.", field="callable")
    return Hours(begin, end)


def zones(values: Sequence[str], hours: Hours, now: int) -> Zones:
    """Sorts the column's `values`, lists of zones each, by the time that it is at `now` (milliseconds)."""
    moment = datetime.fromtimestamp(now / 1000, UTC)
    found = Zones([], [])
    for value in values:
        minutes = [minute_in(name, moment) for name in value.split(ZONE_SEPARATOR)]
        known = [minute for minute in minutes if minute is not None]
        if len(known) < len(minutes):
            found.unknown.append(value)
        elif all(hours.have(minute) for minute in known):
            found.within.append(value)
    return found


def minute_in(name: str, moment: datetime) -> int | None:
    """The minute of the day in a zone, or None for one that is not known, such as the library's `Etc/Unknown`."""
    zone = zone_of(name)
    if zone is None:
        return None
    local = moment.astimezone(zone)
    return local.hour * 60 + local.minute


@lru_cache(maxsize=1024)
def zone_of(name: str) -> ZoneInfo | None:
    """The zone of that name, or None."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None
