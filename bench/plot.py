"""The picture of a whole run: rows a second of ours beside the floors and the peers."""

from __future__ import annotations

import io
import re
from typing import Any

BARS = (
    ("csv-2m", "polars-csv", "Polars, CSV to Parquet, no checks"),
    ("csv-2m", "duckdb-csv", "DuckDB, CSV to Parquet, no checks"),
    ("csv-2m", "ours", "Audiences, 2 million rows"),
    ("csv-10m", "ours", "Audiences, 10 million rows"),
    ("messy-2m", "ours", "Audiences, 2 million messy rows"),
    ("postgres-1m", "COPY", "PostgreSQL COPY, text columns, no checks"),
    ("tutorial-200k", "tutorial", "FastAPI + pandas + phonenumbers"),
    ("datasette-100k", "datasette-upload-csvs", "datasette-upload-csvs"),
)
OURS, THEIRS, INK = "#2a7f62", "#8a94a6", "#7d8590"


def drawn(result: dict[str, Any]) -> str:
    """An SVG, legible on light and on dark, whose widths are logarithms."""
    import matplotlib as mpl

    mpl.use("svg")
    from matplotlib import pyplot as plt

    mpl.rcParams.update({"svg.fonttype": "none", "font.size": 11, "svg.hashsalt": "bench"})
    figures = [(label, speed(result, cell, who), who == "ours") for cell, who, label in BARS if cell in result["cells"]]
    figures.reverse()
    figure, axes = plt.subplots(figsize=(8, 0.55 * len(figures) + 0.7))
    colours = [OURS if is_ours else THEIRS for _, _, is_ours in figures]
    bars = axes.barh([label for label, _, _ in figures], [value for _, value, _ in figures], color=colours, height=0.62)
    axes.set_xscale("log")
    axes.bar_label(bars, [f"{value:,.0f}" for _, value, _ in figures], padding=4, color=INK)
    axes.set_xlabel("rows a second, each ten times the one before", color=INK)
    axes.tick_params(colors=INK, which="both")
    axes.set_xlim(right=max(value for _, value, _ in figures) * 4)
    for side in axes.spines.values():
        side.set_visible(False)
    figure.tight_layout()
    out = io.StringIO()
    figure.savefig(out, format="svg", transparent=True, metadata={"Date": None})
    plt.close(figure)
    return re.sub(r"[ \t]+$", "", out.getvalue(), flags=re.MULTILINE)


def speed(result: dict[str, Any], cell: str, who: str) -> float:
    """Rows a second, by the median of the runs."""
    runs = result["cells"][cell]["runs"]
    rows = next(run["rows"] for run in runs if "rows" in run)
    seconds = sorted(run["seconds"] for run in runs if run["who"] == who)
    return float(rows / seconds[len(seconds) // 2])
