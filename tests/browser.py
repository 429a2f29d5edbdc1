"""A real Chromium: found on the machine, driven by Playwright."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome")
Scheme = Literal["light", "dark"]


def executable() -> str:
    """Where Chromium is. Skips the test on a machine that has none; fails where CI runs."""
    found = next((path for name in NAMES if (path := shutil.which(name))), None)
    if found is None:
        if "CI" in os.environ:
            pytest.fail("Chromium is missing; .ci/run installs it.")
        pytest.skip("there is no Chromium on this machine")
    return found


@contextmanager
def opened() -> Iterator[Browser]:
    """A browser, closed at the end of the block."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable(), args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def visiting(
    browser: Browser, cookie: tuple[str, str] | None = None, *, scheme: Scheme = "light", width: int = 1280
) -> Iterator[Page]:
    """A page of a window of its own, with a session's cookie (address, text) if one is given.

    What the page writes to the console as an error, and what its policy forbids, fails the test.
    """
    context = browser.new_context(
        color_scheme=scheme, viewport={"width": width, "height": 900}, accept_downloads=True, reduced_motion="reduce"
    )
    complaints: list[str] = []
    try:
        if cookie is not None:
            context.add_cookies([{"name": "session", "value": cookie[1], "url": cookie[0]}])
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        yield page
        faults = [text for text in complaints if "Failed to load resource" not in text]
        assert not faults, faults
    finally:
        context.close()


def violations(page: Page) -> list[str]:
    """What axe finds on the page: rule and place."""
    found = Axe().run(page).response["violations"]
    return [f"{rule['id']}: {node['target']}" for rule in found for node in rule["nodes"]]


def overflows(page: Page) -> bool:
    """Whether the page is wider than its window."""
    return bool(page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"))
