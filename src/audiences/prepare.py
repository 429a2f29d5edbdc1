"""Builds the numbering plan's cache, so that the first start of a server need not: `python -m audiences.prepare`."""

from __future__ import annotations

from pathlib import Path

from audiences.engine import cache_folder
from audiences.numbering import prepared

if __name__ == "__main__":
    prepared(cache_folder(Path()))
