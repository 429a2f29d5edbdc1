"""Where in the day the contacts of an audience can be called: their own hours, seen from the user's clock."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta

from audiences import calling
from audiences.calling import Hours
from audiences.console.shapes import zone_of
from audiences.layout import ZONE_SEPARATOR

# The hours in which one may call, wherever the number is.
FROM_TO = "09:00-20:00"
HOURS_OF_A_DAY = 24


@dataclass(frozen=True)
class Day:
    """How many contacts can be called at the full hours of the coming day, from 0 to 23 by the user's clock.

    `now` is the hour that it is, `callable` how many can be called this minute, `unknown` those whose zone nobody
    knows.
    """

    counts: list[int]
    now: int
    callable: int
    unknown: int


def day(zone_counts: Mapping[str, int], zone: str, now: int) -> Day:
    """The coming 24 hours of contacts, of whom so many are in each list of zones; `now` is in milliseconds."""
    hours, values = calling.read_hours(FROM_TO), list(zone_counts)
    here = datetime.fromtimestamp(now / 1000, UTC).astimezone(zone_of(zone))
    within = calling.zones(values, hours, now)
    return Day(
        [total(zone_counts, hours, at) for at in full_hours(here)],
        here.hour,
        sum(zone_counts[value] for value in within.within),
        sum(zone_counts[value] for value in within.unknown),
    )


def full_hours(here: datetime) -> list[int]:
    """The moments of the coming day's full hours, from 0 to 23; the hour under way is the first that comes."""
    tomorrow = here.date() + timedelta(days=1)
    days = [here.date() if hour >= here.hour else tomorrow for hour in range(HOURS_OF_A_DAY)]
    moments = [datetime.combine(date, time(hour), here.tzinfo) for hour, date in enumerate(days)]
    return [int(moment.timestamp() * 1000) for moment in moments]


def total(zone_counts: Mapping[str, int], hours: Hours, at: int) -> int:
    """How many can be called at that moment: it must be within the hours in every zone that a number may be in."""
    moment = datetime.fromtimestamp(at / 1000, UTC)
    names = {name for value in zone_counts for name in value.split(ZONE_SEPARATOR)}
    minutes = {name: calling.minute_in(name, moment) for name in names}
    open_ = {name for name, minute in minutes.items() if minute is not None and hours.have(minute)}
    return sum(count for value, count in zone_counts.items() if open_.issuperset(value.split(ZONE_SEPARATOR)))


def local_times(zones: list[str], now: int) -> str:
    """What time it is in the zones, as `14:05 in London` or `14:05 to 17:05 in 4 zones`."""
    moment = datetime.fromtimestamp(now / 1000, UTC)
    known = [zone for zone in map(calling.zone_of, zones) if zone is not None]
    if not known:
        return "Unknown"
    times = sorted(moment.astimezone(zone).replace(tzinfo=None) for zone in known)
    first, last = times[0].strftime("%H:%M"), times[-1].strftime("%H:%M")
    if len(zones) == 1:
        return f"{first} in {zones[0].rpartition('/')[2].replace('_', ' ')}"
    return f"{first} in {len(zones)} zones" if first == last else f"{first} to {last} in {len(zones)} zones"
