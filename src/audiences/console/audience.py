"""One audience: what became of its rows, who its contacts are and when they can be called, and its files.

Here are the page itself and the changes that need no file: another name, deletion, and undoing the last change.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import anyio.to_thread
from sqlalchemy import Connection
from sqlalchemy.engine import RowMapping
from starlette.responses import Response

from audiences.console import audience_frame, audience_hours, audience_words, shapes
from audiences.console.audience_frame import AUDIENCE, Seen, address, audience_id, framed, noting
from audiences.console.audience_hours import Day
from audiences.console.audiences import LIST
from audiences.console.routes import Page, Visit
from audiences.errors import Conflict, InvalidField, NothingToRestore
from audiences.library import RESTORABLE
from audiences.models import AudienceReport
from audiences.store import audiences as stored

MAX_BARS, MAX_FILES = 10, 20

# A bar: what it counts, how many, and where its rows are.
Bar = tuple[str, int, str | None]


class ChangedMeanwhile(Conflict):
    """The audience was changed since the page was loaded, so that another change would be undone than it said."""

    step = "Reload the page and look again."


@dataclass(frozen=True)
class Overview:
    """What the page shows beside the report."""

    seen: Seen
    change: RowMapping | None
    day: Day


async def show(visit: Visit) -> Response:
    """The page of an audience."""
    looked = await visit.parts.engine.reads.run(visit.account, audience_frame.looked_up, partial(look, visit))
    seen, at = looked.seen, address(looked.seen)
    shown: dict[str, Any] = {
        "parts": balance(seen.report, at),
        "countries": bars(seen.report.countries, shapes.country, f"{at}/contacts?country="),
        "line_types": bars(seen.report.line_types, audience_words.line_type, f"{at}/contacts?line_type="),
        "reasons": bars(seen.report.rejected_by_reason, audience_words.REASONS.__getitem__, f"{at}/rejects?reason="),
        "day": looked.day,
        "change": looked.change,
        "undoable_until": looked.change and looked.change["created_time"] + RESTORABLE,
        "files": seen.report.files[::-1][:MAX_FILES],
        "command": command(visit, seen),
    }
    return visit.render("audience.html", **framed(visit, seen, "overview"), **shown)


def look(visit: Visit) -> Overview:
    """What the page shows. Raises NotFound, or MovedAway."""
    library, seen = visit.parts.library, audience_frame.find(visit)
    zones = library.zone_counts(library.parts(seen.files, "contacts"))
    day = audience_hours.day(zones, visit.user.time_zone, library.clock())
    return Overview(seen, library.undoable(seen.row), day)


def balance(report: AudienceReport, at: str) -> list[tuple[str, int, str | None, str]]:
    """The parts that all rows are the sum of, each with where its rows are."""
    reasons = list(report.rejected_by_reason)
    # Rows of several reasons are no one list: the bars of the reasons lead on.
    rejected = f"{at}/rejects?reason={reasons[0]}" if len(reasons) == 1 else "#reasons"
    parts: list[tuple[str, int, str | None, str]] = [
        ("Contacts", report.accepted, f"{at}/contacts", "good"),
        ("Duplicates", report.duplicates, f"{at}/rejects?reason=duplicate", "dim"),
        ("On the do-not-contact list", report.suppressed, f"{at}/rejects?reason=suppressed", "info"),
        ("Rejected", report.rejected, rejected, "bad"),
    ]
    return [*parts, ("Erased", report.erased, None, "dim")] if report.erased else parts


def bars(counts: Mapping[str, int], name: Any, href: str) -> list[Bar]:  # noqa: ANN401 - a function of a key
    """The bars of the largest counts, and one for all others together."""
    ordered = sorted(counts.items(), key=lambda pair: -pair[1])
    shown = ordered[:MAX_BARS] if len(ordered) > MAX_BARS + 1 else ordered
    found: list[Bar] = [(name(key), count, href + key) for key, count in shown]
    rest = ordered[len(shown) :]
    return [*found, (f"{len(rest)} others", sum(count for _, count in rest), None)] if rest else found


def command(visit: Visit, seen: Seen) -> str:
    """The command that gets the contacts as a file."""
    url = f"{visit.service}/audiences/{seen.id}/contacts"
    return f'curl -H "Authorization: Bearer $KEY" -H "Accept: text/csv" -o contacts.csv {url}'


async def rename(visit: Visit) -> Response:
    """Another name, then back to the page."""
    found = audience_id(visit)
    name, commit = visit.form.get("name", ""), noting(visit, "rename")
    try:
        await anyio.to_thread.run_sync(visit.parts.changes.rename, visit.account, found, name, commit)
        visit.notice(f"The audience is called “{name.strip()}” now.")
    except InvalidField as refusal:
        visit.notice(f"{refusal.message} The old name stays.", "bad")
    return visit.redirect(f"{LIST}/{found}")


async def delete(visit: Visit) -> Response:
    """Takes the audience away, if its name was typed; then on to the list, where it can be restored."""
    seen = await anyio.to_thread.run_sync(audience_frame.find, visit)
    name = seen.row["name"]
    if visit.form.get("typed", "").strip() != name:
        visit.notice("Nothing was deleted: what was typed is not the audience's name.", "bad")
        return visit.redirect(address(seen))
    await anyio.to_thread.run_sync(visit.parts.changes.delete, visit.account, seen.id, noting(visit, "delete"))
    visit.notice(f"“{name}” was deleted. For 7 days it can be restored at the foot of this page.")
    return visit.redirect(LIST)


async def restore(visit: Visit) -> Response:
    """Undoes the last change, a deletion among them; then on to the audience.

    `back_to` is the version that the page promised to go back to: another one is not gone back to unseen.
    """
    found, wanted = audience_id(visit), visit.form.get("back_to", "")
    note = noting(visit, "restore")

    def commit(connection: Connection, audience: int) -> None:
        row = stored.find(connection, visit.account, audience)
        if wanted and (row is None or str(row["version"]) != wanted):
            raise ChangedMeanwhile("The audience was changed since you loaded the page, so nothing was undone.")
        note(connection, audience)

    try:
        await anyio.to_thread.run_sync(visit.parts.changes.restore, visit.account, found, commit)
        visit.notice("Restored: the audience is again as it was before the last change.")
    except NothingToRestore:
        visit.notice("There is nothing left to undo.", "info")
    return visit.redirect(f"{LIST}/{found}")


PAGES: tuple[Page, ...] = (
    Page("GET", AUDIENCE, show),
    Page("POST", f"{AUDIENCE}/rename", rename),
    Page("POST", f"{AUDIENCE}/delete", delete),
    Page("POST", f"{AUDIENCE}/restore", restore),
)
