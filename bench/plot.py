"""The picture of a whole run: rows a second of ours beside the bare libraries and the peers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from html import escape
from typing import Any

from bench.tables import figure

BARS = (
    ("csv-2m", "polars-csv", "Polars, CSV to Parquet, no checks"),
    ("csv-2m", "duckdb-csv", "DuckDB, CSV to Parquet, no checks"),
    ("csv-2m", "ours", "Audiences"),
    ("csv-10m", "ours", "Audiences"),
    ("messy-2m", "ours", "Audiences, messy"),
    ("xlsx-200k", "ours", "Audiences, a workbook"),
    ("postgres-1m", "COPY", "PostgreSQL COPY, no checks"),
    ("tutorial-200k", "tutorial", "FastAPI, pandas, phonenumbers"),
    ("datasette-100k", "datasette-upload-csvs", "datasette-upload-csvs"),
)

# Pixels. Labels stand above their bars, so that the picture is narrow enough for a telephone.
WIDTH, EDGE, BAR, STEP, HEAD, FOOT = 460, 16, 12, 38, 56, 34
FIRST_DECADE = 3

STYLE = """
  .paper { fill: #ffffff; stroke: #d0d7de; } .ink { fill: #1f2328; } .faint { fill: #59636e; }
  .line { stroke: #d0d7de; } .ours { fill: #1a7f5a; } .theirs { fill: #8c959f; }
  text { font: 13px system-ui, sans-serif; paint-order: stroke; stroke: #ffffff; stroke-width: 3px; }
  .title { font-weight: 600; } .value { text-anchor: end; }
  .axis { font-size: 11px; text-anchor: middle; }
  @media (prefers-color-scheme: dark) {
    .paper { fill: #0d1117; stroke: #30363d; } .ink { fill: #f0f6fc; } .faint { fill: #9198a1; }
    text { stroke: #0d1117; } .line { stroke: #30363d; } .ours { fill: #3fb68b; } .theirs { fill: #656c76; }
  }
"""


def drawn(result: Mapping[str, Any]) -> str:
    """An SVG on a paper of its own, light or dark as the reader's screen is; its widths are logarithms."""
    bars = [(label, *speed(result, cell, who), who == "ours") for cell, who, label in BARS if cell in result["cells"]]
    fastest = max(value for _, _, value, _ in bars)
    last = math.ceil(math.log10(fastest))
    height = HEAD + STEP * len(bars) + FOOT
    return "\n".join(
        [
            (
                f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" '
                f'viewBox="0 0 {WIDTH} {height}" role="img" aria-labelledby="title">'
            ),
            (
                '<title id="title">Rows a second of Audiences, of bare libraries, and of what a user would pick '
                "instead</title>"
            ),
            f"<style>{STYLE}</style>",
            f'<rect class="paper" x="0.5" y="0.5" width="{WIDTH - 1}" height="{height - 1}" rx="6"/>',
            f'<text class="ink title" x="{EDGE}" y="26">Rows a second, files of 6 columns</text>',
            f'<text class="faint" x="{EDGE}" y="44">each line is ten times the one before</text>',
            *axis(last, height),
            *(
                line
                for place, bar in enumerate(sorted(bars, key=lambda bar: -bar[2]))
                for line in bar_lines(place, *bar, last)
            ),
            "</svg>\n",
        ]
    )


def axis(last: int, height: int) -> list[str]:
    """A line a decade, and its number below."""
    lines = []
    for decade in range(FIRST_DECADE, last + 1):
        x = place_of(10.0**decade, last)
        lines.append(f'<line class="line" x1="{x}" x2="{x}" y1="{HEAD}" y2="{height - FOOT + 4}"/>')
        name = f"{10**decade // 1000:,} k" if decade < 6 else f"{10**decade // 1_000_000} M"  # noqa: PLR2004
        lines.append(f'<text class="faint axis" x="{x}" y="{height - FOOT + 20}">{name}</text>')
    return lines


def bar_lines(place: int, label: str, rows: float, value: float, is_ours: bool, last: int) -> list[str]:  # noqa: FBT001
    """The label with the rows of the file and the speed, and below them the bar."""
    y = HEAD + STEP * place
    width = max(2.0, place_of(value, last) - EDGE)
    weight = " title" if is_ours else ""
    return [
        (
            f'<text class="ink{weight}" x="{EDGE}" y="{y + 14}">{escape(label)}'
            f'<tspan class="faint" font-weight="400"> {rows_in_words(rows)}</tspan></text>'
        ),
        f'<text class="ink value" x="{WIDTH - EDGE}" y="{y + 14}">{figure(value)}</text>',
        (
            f'<rect class="{"ours" if is_ours else "theirs"}" x="{EDGE}" y="{y + 19}" width="{width:.1f}" '
            f'height="{BAR}" rx="2"/>'
        ),
    ]


def place_of(value: float, last: int) -> float:
    """Where a number of rows a second is, in pixels from the left."""
    share = (math.log10(value) - FIRST_DECADE) / (last - FIRST_DECADE)
    return round(EDGE + max(0.0, share) * (WIDTH - 2 * EDGE), 1)


def rows_in_words(rows: float) -> str:
    """How many rows the file has."""
    return f"{rows / 1e6:g} M rows" if rows >= 1e6 else f"{rows / 1e3:g} k rows"  # noqa: PLR2004


def speed(result: Mapping[str, Any], cell: str, who: str) -> tuple[float, float]:
    """The rows of a file, and rows a second, by the median of the runs."""
    figures = result["cells"][cell]["figures"][who]
    return float(figures["rows"]), float(figures["rows"] / figures["seconds"])
