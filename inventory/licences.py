"""Licences: each library's as it says itself, and whether the service may be given to others together with it."""

from __future__ import annotations

import re
from importlib.metadata import PackageNotFoundError, metadata

from inventory.locked import Locked, libraries

# What may be used, changed and passed on for a notice. As libraries write them, in any of the ways there are.
ALLOWED = {
    "0BSD": r"0bsd",
    "Apache-2.0": r"apache-2\.0|apache software license|apache license,? (version )?2\.0",
    "BSD-2-Clause": r"bsd-2-clause",
    "BSD-3-Clause": r"bsd-3-clause|bsd license|bsd",
    "ISC": r"isc|isc license( \(iscl\))?",
    "MIT": r"mit|mit license",
    "MIT-0": r"mit-0",
    "PSF-2.0": r"psf-2\.0|python software foundation license",
}

# Known by their names, and allowed for those below alone.
NAMED = {"MPL-2.0": r"mpl-2\.0|mozilla public license 2\.0 \(mpl 2\.0\)", "LGPL-3.0-only": r"lgpl-3\.0-only"}

# Others, each with why it is fine for us: none is changed, and each is a package of its own that can be exchanged.
EXCEPTIONS = {
    "certifi": ("MPL-2.0", "a list of certificates, passed on as it is"),
    "psycopg": ("LGPL-3.0-only", "used by import, replaceable by its user"),
    "psycopg-binary": ("LGPL-3.0-only", "used by import, replaceable by its user"),
}

# What their files of metadata do not say, as it stands in the licence that they bring along.
READ_BY_US = {"chardetng-py": "MIT"}


def licence_of(name: str) -> str | None:
    """The licence that an installed library names, as SPDX where we know it; None for one that names none."""
    if name in READ_BY_US:
        return READ_BY_US[name]
    found = metadata(name)
    if "License-Expression" in found:
        return found["License-Expression"]
    classifiers = found.get_all("Classifier") or []
    named = [text.rpartition(" :: ")[2] for text in classifiers if text.startswith("License ::")]
    texts = named or [found["License"].strip() if "License" in found else ""]
    return " OR ".join(spdx(text) for text in texts) if texts != [""] else None


def spdx(text: str) -> str:
    """The text's SPDX name where we know it, else the text."""
    name = text.strip().lower()
    return next((known for known, pattern in (ALLOWED | NAMED).items() if re.fullmatch(pattern, name)), text.strip())


def is_allowed(expression: str) -> bool:
    """Whether all parts of an `AND`, or one of an `OR`, are allowed; nothing nested is."""
    if "(" in expression:
        return False
    parts = [part.strip() for part in re.split(r" AND ", expression)]
    return all(any(spdx(one) in ALLOWED for one in re.split(r" OR ", part)) for part in parts)


def complaints() -> list[str]:
    """A sentence for each library that runs here whose licence is unknown, or not one that we may use."""
    return [said for library in libraries() if library.here and (said := complaint(library)) is not None]


def complaint(library: Locked) -> str | None:
    """What is wrong with a library's licence, or None."""
    try:
        licence = licence_of(library.name)
    except PackageNotFoundError:
        return f"{library.name} is locked and not installed, so its licence is not known."
    if licence is None:
        return f"{library.name} {library.version} names no licence."
    if licence == EXCEPTIONS.get(library.name, ("", ""))[0] or is_allowed(licence):
        return None
    return f"{library.name} {library.version}: {licence} is not on the list."
