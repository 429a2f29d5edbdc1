"""Audiences: create, change, list, read, export."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, TypedDict, Unpack
from urllib.parse import quote

from audiences.client import shapes
from audiences.client.calls import Calls, Reading, given
from audiences.client.saving import Target, download
from audiences.client.sending import Form, Progress, Source
from audiences.client.transport import Call
from audiences.models import AudienceItem, AudienceReport, CheckWithSamples, Contact, Created, Reject

Format = Literal["csv", "ndjson", "parquet", "xlsx"]

# What `Accept` asks for, by an export's format.
TYPES: dict[Format, str] = {
    "csv": "text/csv",
    "ndjson": "application/x-ndjson",
    "parquet": "application/vnd.apache.parquet",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}


class Filters(TypedDict, total=False):
    """What the rows must have: `reason` is for rejects, `search` for both, all others are for contacts."""

    country: str | None
    line_type: str | None
    phone: str | None
    search: str | None
    callable: str | None
    reason: str | None


class Audiences(Calls):
    """The calls that are about audiences."""

    def create(
        self,
        file: Source,
        name: str,
        *,
        progress: Progress | None = None,
        idempotency_key: str | None = None,
        **reading: Unpack[Reading],
    ) -> Created:
        """A new audience's id. Raises NoValidRows if no row is accepted, and OSError if the file cannot be read."""
        form = Form(file, given(name=name, **reading), progress)
        return self._change("POST", "/audiences", shapes.CREATED, idempotency_key, form=form)

    def check(
        self, file: Source, name: str = "check", *, progress: Progress | None = None, **reading: Unpack[Reading]
    ) -> CheckWithSamples:
        """The report that creating an audience from the file would have; nothing is stored."""
        form = Form(file, given(name=name, dry_run="true", **reading), progress)
        return self._change("POST", "/audiences", shapes.CHECKED, form=form)

    def replace(
        self,
        audience_id: str,
        file: Source,
        *,
        progress: Progress | None = None,
        idempotency_key: str | None = None,
        **reading: Unpack[Reading],
    ) -> Created:
        """The audience's id, once the file has taken the place of all its contacts."""
        form = Form(file, given(**reading), progress)
        return self._change("PUT", audience(audience_id), shapes.CREATED, idempotency_key, form=form)

    def append(
        self,
        audience_id: str,
        file: Source,
        *,
        progress: Progress | None = None,
        idempotency_key: str | None = None,
        **reading: Unpack[Reading],
    ) -> Created:
        """The audience's id, once it has the file's contacts, too."""
        form = Form(file, given(**reading), progress)
        return self._change("POST", audience(audience_id, "contacts"), shapes.CREATED, idempotency_key, form=form)

    def rename(self, audience_id: str, name: str) -> Created:
        """The audience's id, once it has the name."""
        return self._change("PATCH", audience(audience_id), shapes.CREATED, json={"name": name})

    def delete(self, audience_id: str, *, idempotency_key: str | None = None) -> Created:
        """The id of the audience that was deleted; for 7 days it can be restored."""
        return self._change("DELETE", audience(audience_id), shapes.CREATED, idempotency_key)

    def restore(self, audience_id: str, *, idempotency_key: str | None = None) -> Created:
        """The audience's id, once its last replacement, addition or deletion has been undone."""
        return self._change("POST", audience(audience_id, "restore"), shapes.CREATED, idempotency_key)

    def audiences(self, name: str | None = None) -> Iterator[AudienceItem]:
        """All audiences, newest first, or those whose name contains `name`."""
        return self._pages("/audiences", shapes.AUDIENCES, given(name=name))

    def audience(self, audience_id: str) -> AudienceReport:
        """The report of an audience. Raises NotFound."""
        call = Call(method="GET", path=audience(audience_id))
        return self._transport.ask(call, shapes.REPORT).data

    def contacts(self, audience_id: str, **filters: Unpack[Filters]) -> Iterator[Contact]:
        """The contacts that pass the filters, in the file's order."""
        return self._pages(audience(audience_id, "contacts"), shapes.CONTACTS, given(**filters))

    def rejects(self, audience_id: str, **filters: Unpack[Filters]) -> Iterator[Reject]:
        """The rows that were not accepted, in the file's order."""
        return self._pages(audience(audience_id, "rejects"), shapes.REJECTS, given(**filters))

    def export(
        self,
        audience_id: str,
        target: Target,
        *,
        format: Format = "csv",  # noqa: A002 - the word that everybody uses for it
        rejects: bool = False,
        enrich: bool = False,
        spreadsheet_safe: bool = False,
        progress: Progress | None = None,
        **filters: Unpack[Filters],
    ) -> int:
        """The bytes of all contacts, or rejects, written to `target`: a path or an open binary file.

        A path gets its content at once and whole, or is left as it was; a stream that breaks off is begun again. Into
        an open file, a device or a pipe bytes go as they come, and a break is raised. Raises OSError, too.
        """
        query = given(enrich="true" if enrich else None, spreadsheet="safe" if spreadsheet_safe else None, **filters)
        path = audience(audience_id, "rejects" if rejects else "contacts")
        call = Call(method="GET", path=path, query=query, headers={"Accept": TYPES[format]})
        return download(self._transport, call, target, progress)


def audience(audience_id: str, *under: str) -> str:
    """The path of an audience, or of what is under it; an id stays one segment whatever it holds."""
    return "/".join(("/audiences", quote(audience_id, safe=""), *under))
