"""Known weaknesses of all that is locked, as PyPI's service of advisories tells them.

A library that the service could not be asked about is none that is known to be sound: then the verdict is UNKNOWN.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from inventory.locked import LIST

NONE, FOUND, UNKNOWN = 0, 1, 3

# Seconds to wait for the service, each time.
TIMEOUT_S = 20


def ask() -> tuple[str, str]:
    """What pip-audit prints, as JSON, and what it complains of."""
    command = [sys.executable, "-m", "pip_audit", "--require-hashes", "--disable-pip", "--progress-spinner", "off"]
    command += ["--timeout", str(TIMEOUT_S), "--format", "json", "-r", str(LIST)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout, done.stderr


def verdict(printed: str, complaint: str) -> tuple[int, list[str]]:
    """NONE, FOUND or UNKNOWN, and the lines that say so."""
    try:
        libraries: list[dict[str, Any]] = json.loads(printed)["dependencies"]
    except (ValueError, KeyError, TypeError):
        reason = (complaint.strip().splitlines() or ["no reason was given"])[-1]
        return UNKNOWN, [f"weaknesses: NOT KNOWN, the service cannot be asked from here: {reason}"]
    lines = [
        f"{library['name']} {library['version']}: {one['id']}, mended in {', '.join(one['fix_versions']) or 'none yet'}"
        for library in libraries
        for one in library.get("vulns", [])
    ]
    skipped = [library["name"] for library in libraries if "skip_reason" in library]
    if skipped or not libraries:
        lines.append(f"weaknesses: NOT KNOWN of {len(skipped)} of {len(libraries)}, which the service did not tell of")
        return (FOUND if len(lines) > 1 else UNKNOWN), lines
    return (FOUND, lines) if lines else (NONE, [f"weaknesses: none is known of {len(libraries)} libraries"])
