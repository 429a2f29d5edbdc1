"""What every answer tells a browser, whoever made it and whether or not a browser asked: what it may do with it.

An answer that says otherwise for itself is not overruled: pages load what is ours, and pages of a list may be kept.
"""

from __future__ import annotations

from audiences.settings import Settings

# Of data nothing is run, shown in a frame, guessed at, or loaded by another site's page; and nobody keeps it.
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}

# Two years, as browsers' own lists ask for. Hosts below ours are meant, too: nobody else's can be there.
ONLY_ENCRYPTED = {"Strict-Transport-Security": "max-age=63072000; includeSubDomains"}


def is_public_https(settings: Settings) -> bool:
    """Whether the operator says that the service is reached over https."""
    return (settings.public_url or "").lower().startswith("https:")


def headers(settings: Settings) -> dict[str, str]:
    """What each answer of this server carries unless it has a field of that name."""
    return HEADERS | ONLY_ENCRYPTED if is_public_https(settings) else HEADERS
