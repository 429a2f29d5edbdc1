"""The screen of usage: what the account did in the last 30 days, the limits in force, and what is stored."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import anyio.to_thread
from starlette.responses import Response

from audiences.console.routes import Page, Visit
from audiences.settings import RateLimit
from audiences.store import accounts
from audiences.store import audiences as stored
from audiences.usage import Day

DAYS = 30


async def show(visit: Visit) -> Response:
    """The figures. Days are those of UTC, as they are counted."""
    days = await anyio.to_thread.run_sync(visit.parts.usage.days, visit.account, DAYS)
    used, retention = await anyio.to_thread.run_sync(kept, visit)
    settings = visit.parts.settings
    limits = [
        ("Uploads", written(settings.rate_limit), "for each key, and for each user of the console"),
        ("Other requests", written(settings.read_rate_limit), "for each key"),
        ("Failed authentications", written(settings.failed_auth_limit), "for each address that they come from"),
        ("Tries to sign in", written(settings.sign_in_limit), "for each address and each email"),
    ]
    context: dict[str, Any] = {
        "days": [(named(day), day) for day in days],
        "total": {name: sum(getattr(day, name) for day in days) for name in ("uploads", "rows", "throttled")},
        "most": max(day.rows for day in days),
        "used": used,
        "retention": retention,
        "quota": settings.account_bytes,
        "max_upload": settings.max_upload_bytes,
        "limits": limits,
    }
    return visit.render("usage.html", **context)


def kept(visit: Visit) -> tuple[int, int | None]:
    """Bytes that are stored for the account, which its quota counts; and how many days its audiences are kept."""
    with visit.parts.database.read() as connection:
        return stored.stored_bytes(connection, visit.account), accounts.retention(connection, visit.account)


def named(day: Day) -> str:
    """`Mon 23 Nov`."""
    return datetime.fromtimestamp(day.begin / 1000, UTC).strftime("%a %-d %b")


def written(limit: RateLimit | None) -> str:
    """`100 in a minute`."""
    if limit is None:
        return "no limit"
    units = {1: "a second", 60: "a minute", 3600: "an hour", 86400: "a day"}
    return f"{limit.amount:,} in {units.get(limit.seconds, f'{limit.seconds:,} seconds')}"


PAGES: tuple[Page, ...] = (Page("GET", "/console/usage", show, nav="Usage", icon="chart", order=4),)
