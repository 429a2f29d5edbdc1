"""Every page of the console: what the server serves, the navigation shows, and the tests walk."""

from __future__ import annotations

from audiences.console import account, audience_screens, keys, log, new, sign_in, suppressions, usage, users
from audiences.console.routes import Page

# A screen is a module; it is served once its PAGES stand here.
PAGES: tuple[Page, ...] = (
    *sign_in.PAGES,
    *audience_screens.PAGES,
    *new.PAGES,
    *keys.PAGES,
    *suppressions.PAGES,
    *usage.PAGES,
    *account.PAGES,
    *users.PAGES,
    *log.PAGES,
)

# The navigation, in its order.
NAV: tuple[Page, ...] = tuple(sorted((page for page in PAGES if page.nav), key=lambda page: page.order))
