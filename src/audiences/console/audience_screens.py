"""Every page of the list of audiences and of one audience, for the table."""

from __future__ import annotations

from audiences.console import audience, audience_download, audience_file, audience_rows, audiences
from audiences.console.routes import Page

PAGES: tuple[Page, ...] = (
    *audiences.PAGES,
    *audience.PAGES,
    *audience_rows.PAGES,
    *audience_download.PAGES,
    *audience_file.PAGES,
)
