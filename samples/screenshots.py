"""Makes the pictures of the console in docs/console: `./dev screenshots`. Needs Chromium."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

ROOT = Path(__file__).parent.parent
TARGET = ROOT / "docs" / "console"
PASSWORD = "the books balance"  # for a server that lives for some seconds


def main() -> None:
    """A new server, a first sign-in, a messy file; then a picture of every screen."""
    chromium = next((path for name in ("chromium", "google-chrome") if (path := shutil.which(name))), None)
    if chromium is None:
        sys.exit("There is no Chromium on this machine.")
    TARGET.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, serving(Path(folder)) as link, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for scheme, width in (("light", 1200), ("dark", 1200), ("light", 360)):
            context = browser.new_context(
                color_scheme="dark" if scheme == "dark" else "light", viewport={"width": width, "height": 800}
            )
            page = context.new_page()
            if scheme == "light" and width > 1000:  # noqa: PLR2004 - the first window signs in and uploads
                begin(page, link)
                kept = context.storage_state()
                made = page.url
            else:
                context.add_cookies(kept["cookies"])  # type: ignore[arg-type]
            pictures(page, made, f"-{scheme}" if width > 1000 else "-narrow")  # noqa: PLR2004
        browser.close()


def begin(page: Page, link: str) -> None:
    """From the link to the page of a new audience."""
    page.goto(link)
    shot(page, "welcome")
    page.get_by_label("Email").fill("ann@example.com")
    for field in page.locator("input[type=password]").all():
        field.fill(PASSWORD)
    page.locator("main button[type=submit]").click()
    page.wait_for_url("**/console/audiences")
    shot(page, "empty")
    page.goto(f"{page.url.removesuffix('/audiences')}/new")
    page.set_input_files("input[type=file]", ROOT / "samples" / "customers.csv")
    page.get_by_role("button", name="Upload and check").click()
    page.wait_for_url("**/console/new/*")
    page.get_by_text("Nothing is stored yet.").wait_for()
    shot(page, "check")
    page.get_by_label("Name of the audience").fill("NE_USA-above50")
    page.get_by_role("button", name="Create").click()
    page.wait_for_url("**/console/audiences/*")


def pictures(page: Page, made: str, suffix: str) -> None:
    """Every screen that a signed-in person has."""
    home = made.rpartition("/audiences/")[0]
    screens = {
        "audience": made,
        "contacts": f"{made}/contacts",
        "rejects": f"{made}/rejects",
        "audiences": f"{home}/audiences",
        "keys": f"{home}/keys",
        "suppressions": f"{home}/suppressions",
        "usage": f"{home}/usage",
        "account": f"{home}/account",
    }
    for name, address in screens.items():
        page.goto(address)
        shot(page, name + suffix)


def shot(page: Page, name: str) -> None:
    """One picture, small."""
    page.screenshot(path=TARGET / f"{name}.jpeg", type="jpeg", quality=70, animations="disabled")


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """The one-time link of a new server, which ends with the block."""
    command = [sys.executable, "-m", "audiences.cli", "serve", "--data", str(folder / "data"), "--port", "0"]
    log = folder / "log"
    with log.open("wb") as stream:
        server = subprocess.Popen(command, stderr=stream)
    try:
        while (link := re.search(r"http\S+welcome\?link=\w+", log.read_text())) is None:
            time.sleep(0.05)
        yield link[0]
    finally:
        server.terminate()
        server.wait(30)


if __name__ == "__main__":
    main()
