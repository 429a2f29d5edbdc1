"""Who may be called now: within the hours in every time zone that the number may be in."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import phonenumbers
import pytest
from hypothesis import given
from hypothesis import strategies as st
from phonenumbers import timezone

from audiences import calling, clock
from audiences.calling import Hours, read_hours, zones
from audiences.errors import InvalidParameter
from support import Client

LONDON, TOKYO, NEW_YORK, UNKNOWN = "442079832100", "81312345678", "12125550123", "870773111632"
NOON = int(datetime(2026, 7, 1, 12, 0, tzinfo=UTC).timestamp() * 1000)


@pytest.mark.parametrize(
    "text", ["", "9-20", "09:00", "09:00-09:00", "24:00-25:00", "08:00-24:01", "09:60-10:00", "9:00-20:00"]
)
def test_hours_that_are_none_are_refused_with_an_example(text: str) -> None:
    with pytest.raises(InvalidParameter, match="09:00-20:00"):
        read_hours(text)


def test_hours_begin_with_their_first_minute_and_end_before_their_last() -> None:
    assert [zones(["UTC"], Hours(12 * 60, 13 * 60), NOON + minute * 60_000).within for minute in (-1, 0, 59, 60)] == [
        [],
        ["UTC"],
        ["UTC"],
        [],
    ]


def test_hours_may_go_over_midnight_and_end_at_it() -> None:
    assert zones(["UTC", "Asia/Tokyo"], read_hours("20:00-06:00"), NOON).within == ["Asia/Tokyo"]
    assert zones(["UTC", "Asia/Tokyo"], read_hours("21:00-24:00"), NOON).within == ["Asia/Tokyo"]


def test_every_zone_of_a_number_must_be_within_the_hours_and_an_unknown_one_never_is() -> None:
    values = ["Europe/London,Asia/Tokyo", "Europe/London", "Etc/Unknown", "Europe/London,Etc/Unknown", "Mars/Olympus"]
    found = zones(values, read_hours("09:00-20:00"), NOON)
    assert found.within == ["Europe/London"]
    assert found.unknown == ["Etc/Unknown", "Europe/London,Etc/Unknown", "Mars/Olympus"]


@given(
    st.lists(
        st.sampled_from(["Europe/London", "Asia/Kolkata", "America/New_York", "Pacific/Apia"]), min_size=1, max_size=3
    ),
    st.integers(0, 1439),
    st.integers(0, 1439),
    st.integers(1_577_836_800, 2_208_988_800),
)
def test_hours_mean_the_clock_on_the_wall(names: list[str], begin: int, end: int, when: int) -> None:
    moment = datetime.fromtimestamp(when, UTC)
    if begin == end:
        return
    allowed = {minute % 1440 for minute in range(begin, end if end > begin else end + 1440)}
    wall = [moment.astimezone(ZoneInfo(name)) for name in names]
    expected = all(at.hour * 60 + at.minute in allowed for at in wall)
    found = zones([",".join(names)], Hours(begin, end), int(moment.timestamp() * 1000))
    assert bool(found.within) == expected


def test_every_zone_that_the_library_knows_is_known_here() -> None:
    names = {name for number in ("GB", "US", "AU", "BR", "RU") for name in zones_of_region(number)}
    assert names
    assert [name for name in names if calling.zone_of(name) is None] == []


def zones_of_region(region: str) -> list[str]:
    """Zones of a region's example number."""
    number = phonenumbers.example_number(region)
    assert number is not None
    return list(timezone.time_zones_for_number(number))


def test_a_list_of_who_may_be_called_leaves_out_the_rest_and_counts_unknown_zones(client: Client) -> None:
    made = client.create("phone1,name\n" + "".join(f"{phone},x\n" for phone in (LONDON, TOKYO, UNKNOWN)))
    assert len(made.contacts()) == 3
    local = datetime.fromtimestamp(clock.now() / 1000, UTC).astimezone(ZoneInfo("Europe/London"))
    hour = local.hour
    hours = f"{hour:02}:00-{(hour + 1) % 24:02}:59"
    page = client.get(f"/audiences/{made.id}/contacts", callable=hours)
    assert [contact["phone1"] for contact in page["data"]] == [LONDON]
    assert page["excluded"] == {"unknown_time_zone": 1}
    response = client.http.get(
        f"/audiences/{made.id}/contacts", params={"callable": hours}, headers={"Accept": "text/csv"}
    )
    assert response.text == f"phone1,name\n{LONDON},x\n"
    assert response.headers["excluded-unknown-time-zone"] == "1"


def test_callable_is_not_for_rejects_and_refuses_what_is_no_time(client: Client) -> None:
    made = client.create(f"phone1\n{LONDON}\nbad\n")
    for path in ("rejects?callable=09:00-20:00", "contacts?callable=always"):
        response = client.http.get(f"/audiences/{made.id}/{path}")
        assert (response.status_code, response.json()["errors"][0]["field"]) == (400, "callable")
