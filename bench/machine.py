"""What the figures were measured on, and where the benchmark keeps its files."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
# On the disk of the repository: a temporary folder may be memory, where making a file durable costs nothing.
CACHE = ROOT / ".cache" / "bench"
LIBRARIES = (
    "audiences",
    "duckdb",
    "fastapi",
    "fastexcel",
    "pandas",
    "phonenumbers",
    "polars",
    "python-multipart",
    "starlette",
    "uvicorn",
    "xlsxwriter",
)
GIB = 1024**3

# What is measured, and with what; not what came of it.
MEASURED = ("src", "bench", ":!bench/results.json")


def described() -> dict[str, Any]:
    """The machine, the versions, the commit and the load before the first run."""
    return {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "processor": _found(r"model name\s*: (.+)", "/proc/cpuinfo") or platform.processor(),
        "cores": os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / GIB, 1),
        "system": platform.platform(),
        "file_system": _output("stat", "-f", "-c", "%T", str(ROOT)),
        "python": platform.python_version(),
        "libraries": {name: _version(name) for name in LIBRARIES},
        "commit": _output("git", "-C", str(ROOT), "rev-parse", "HEAD"),
        "uncommitted_changes": bool(_output("git", "-C", str(ROOT), "status", "--porcelain", "--", *MEASURED)),
        "load_before": round(os.getloadavg()[0], 2),
    }


def _found(pattern: str, path: str) -> str:
    match = re.search(pattern, Path(path).read_text()) if Path(path).exists() else None
    return match[1] if match else ""


def _output(*command: str) -> str:
    """What the command prints, or nothing where it is not to be had."""
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    except OSError:
        return ""


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed"
