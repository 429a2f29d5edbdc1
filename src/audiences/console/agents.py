"""What a browser calls itself, in plain words: enough for its user to know it again, too little to tell people apart.

It is what the browser says, and anybody can say anything: it is shown to the session's own user, and nothing is decided
by it. An iPad says that it is a Mac.
"""

from __future__ import annotations

# What stands in the header, and the name. Most browsers name older ones, too, so the first that is found counts.
BROWSERS = (
    ("Edg", "Edge"),
    ("OPR/", "Opera"),
    ("SamsungBrowser/", "Samsung Internet"),
    ("Firefox/", "Firefox"),
    ("FxiOS/", "Firefox"),
    ("Chrome/", "Chrome"),
    ("CriOS/", "Chrome"),
    ("Safari/", "Safari"),
)
SYSTEMS = (
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("CrOS", "ChromeOS"),
    ("Windows", "Windows"),
    ("Mac OS X", "macOS"),
    ("Linux", "Linux"),
)


def named(header: str | None) -> str | None:
    """`Firefox on Linux` of a `User-Agent`, as much of it as is known, or None."""
    browser, system = first(BROWSERS, header or ""), first(SYSTEMS, header or "")
    if system is None:
        return browser
    return f"{browser or 'A browser'} on {system}"


def first(names: tuple[tuple[str, str], ...], header: str) -> str | None:
    """The name of the first text that stands in the header, or None."""
    return next((name for text, name in names if text in header), None)
