"""What all pages of one audience share: the audience, looked up; its head and tabs; the record of who changed it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

from sqlalchemy import Connection
from sqlalchemy.engine import RowMapping

from audiences import reports
from audiences.api.rows import TRIES
from audiences.console.audiences import LIST
from audiences.console.routes import Visit
from audiences.engine import MovedAway
from audiences.models import AudienceReport

AUDIENCE = f"{LIST}/{{id}}"

Found = TypeVar("Found")
Commit = Callable[[Connection, int], None]


@dataclass(frozen=True)
class Seen:
    """An audience and the files that it is made of now."""

    row: RowMapping
    files: list[RowMapping]

    @property
    def id(self) -> str:
        """Its id, as paths have it."""
        return str(self.row["id"])

    @cached_property
    def report(self) -> AudienceReport:
        """Its counts."""
        return reports.of_audience(self.row, self.files)


def find(visit: Visit) -> Seen:
    """The audience of the path. Raises NotFound."""
    row, files = visit.parts.library.find(visit.account, audience_id(visit))
    return Seen(row, files)


def audience_id(visit: Visit) -> str:
    """The id in the path. Raises NotFound for what cannot be one."""
    return str(visit.number())


def address(seen: Seen, rest: str = "") -> str:
    """Where a page of the audience is."""
    return f"{LIST}/{seen.id}{rest}"


def framed(visit: Visit, seen: Seen, tab: str) -> dict[str, Any]:
    """What the frame of the page shows: head, tabs, and which of them this is."""
    report = seen.report
    return {
        "audience": seen.row,
        "report": report,
        "at": address(seen),
        "tab": tab,
        "takes_files": seen.row["type"] == reports.STATIC,
        "set_aside": report.rows - report.accepted - (report.erased or 0),
        "is_part": visit.is_htmx,
    }


def noting(visit: Visit, action: str) -> Commit:
    """What a change of an audience adds to its transaction: who did it."""

    def commit(connection: Connection, changed_id: int) -> None:
        visit.parts.audit.note(connection, visit.account, visit.actor, action, subject=str(changed_id))

    return commit


def looked_up(look: Callable[[], Found]) -> Found:
    """What `look` finds, looked up again where files of a moment ago are gone: somebody was erased from them."""
    for _ in range(TRIES - 1):
        try:
            return look()
        except MovedAway:
            continue
    return look()
