"""Builds the numbering plan's cache, so that the first start of a server need not: `python -m audiences.prepare`."""

from __future__ import annotations

from pathlib import Path

import duckdb

from audiences.engine import cache_folder
from audiences.numbering import load

if __name__ == "__main__":
    load(duckdb.connect(), cache_folder(Path()))
