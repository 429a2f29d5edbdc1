"""The rows of one audience as a file: the same stream that the API sends, for a session in place of a key."""

from __future__ import annotations

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from audiences.accept import CSV, WHOLE
from audiences.api import rows
from audiences.api.rows import CONTACTS, REJECTS, Kind
from audiences.console import audience_rows, trouble
from audiences.console.audience_frame import AUDIENCE
from audiences.console.routes import Page, Visit
from audiences.errors import Refusal
from audiences.exports import Style

FORMATS = {ending: kind for kind, ending in WHOLE.items()}


class Told(Response):
    """A download, or the page that says why there is none: it is opened only when it is sent."""

    def __init__(self, visit: Visit, download: Response) -> None:
        super().__init__()
        self.visit = visit
        self.download = download

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends one or the other, with the headers that were put on this one."""
        try:
            await self.dressed(self.download)(scope, receive, send)
        except Refusal as refusal:
            await self.dressed(trouble.refused(self.visit, refusal))(scope, receive, send)

    def dressed(self, response: Response) -> Response:
        """The response, with those headers."""
        for name, value in self.headers.items():
            if name != "content-length":
                response.headers.setdefault(name, value)
        return response


async def contacts(visit: Visit) -> Response:
    """The contacts that pass the filters."""
    return await download(visit, CONTACTS)


async def rejects(visit: Visit) -> Response:
    """The rows that were set aside, to be mended and appended."""
    return await download(visit, REJECTS)


async def download(visit: Visit, kind: Kind) -> Response:
    """All rows that pass the filters, in the `format`; cells are made safe for spreadsheets unless told otherwise."""
    query = visit.request.query_params
    style = Style(enrich=query.get("enrich") == "true", safe=query.get("spreadsheet") != "verbatim")
    file_format = FORMATS.get(query.get("format", ""), CSV)
    asked, _ = audience_rows.read(visit, kind, file_format, style)
    answer = await rows.answer_rows(audience_rows.as_call(visit), asked)
    assert isinstance(answer, Response)  # noqa: S101 - only pages of JSON are replies
    return Told(visit, answer)


PAGES: tuple[Page, ...] = (
    Page("GET", f"{AUDIENCE}/contacts/download", contacts),
    Page("GET", f"{AUDIENCE}/rejects/download", rejects),
)
