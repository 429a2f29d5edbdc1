"""The tables and sentences of a run, as text: what is shown on the screen and stands in the documentation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Result = Mapping[str, Any]

MB = 1e6
OURS = "Audiences"

# Who was measured, by the names in the record; what is ours begins with "ours".
NAMES = {
    "duckdb-csv": "DuckDB, bare",
    "polars-csv": "Polars, bare",
    "fastexcel-xlsx": "fastexcel, bare",
    "duckdb-export": "DuckDB, bare",
    "duckdb-export-given": "DuckDB, bare, without our columns",
    "tutorial": "the tutorial way",
    "COPY": "PostgreSQL COPY",
}

# The steps of an upload in their order, and the cells whose profiles are told.
STEPS = ("receive", "sniff", "read", "judge", "deduplicate", "write", "sync", "commit")
WITHIN_READ = "judge"
PROFILED = ("small", "csv-2m", "messy-2m", "xlsx-200k")


@dataclass(frozen=True)
class Table:
    """Headings and rows; the columns of `numeric` are set to the right."""

    headings: Sequence[str]
    rows: Sequence[Sequence[str]]
    numeric: frozenset[str]

    def markdown(self) -> str:
        """As it stands in a page."""
        rules = ("---:" if heading in self.numeric else "---" for heading in self.headings)
        return "\n".join("| " + " | ".join(cells) + " |" for cells in (self.headings, [*rules], *self.rows))


def measured(result: Result) -> Table:
    """What was measured of each upload, export and page: time, rows a second, CPU, memory, bytes stored."""
    headings = ("cell", "who", "runs", "time", "rows/s", "CPU", "peak memory", "stored", "a row", "ours / it")
    return Table(headings, list(_measured(result)), frozenset(headings[2:]))


def _measured(result: Result) -> Iterator[list[str]]:
    for name, cell in result["cells"].items():
        ours = next((who for who in cell["figures"] if who.startswith("ours")), "")
        for who, figures in cell["figures"].items():
            if "rows" in figures:
                ratio = "" if who.startswith("ours") else cell["figures"][ours]["seconds"] / figures["seconds"]
                yield [name, name_of(who), f"{figures['runs']:,.0f}", *_figures(figures), figure(ratio)]


def _figures(figures: Mapping[str, float]) -> list[str]:
    rows, stored = figures["rows"], figures.get("stored_bytes")
    return [
        duration(figures["seconds"]),
        figure(rows / figures["seconds"]),
        duration(figures.get("cpu_seconds")),
        sized(figures.get("peak_bytes")),
        sized(stored),
        "" if stored is None else f"{figure(stored / rows)} B",
    ]


def name_of(who: str) -> str:
    """What somebody is called in the tables."""
    return NAMES.get(who, OURS + who.removeprefix("ours") if who.startswith("ours") else who)


def goals(result: Result) -> Table:
    """Every line that has a target."""
    return _of_lines([line for line in _lines(result) if line["target"]])


def others(result: Result) -> Table:
    """Every line that has none."""
    return _of_lines([line for line in _lines(result) if not line["target"]])


def _of_lines(lines: Sequence[Mapping[str, Any]]) -> Table:
    headings = ("cell", "measure", "ours", "other", "ratio", "target", "met", "remark")
    return Table(headings, [_line(line) for line in lines], frozenset({"ours", "other", "ratio", "target"}))


def _lines(result: Result) -> list[dict[str, Any]]:
    return [line for cell in result["cells"].values() for line in cell["lines"]]


def _line(line: Mapping[str, Any]) -> list[str]:
    """A line as text, a cell a heading."""
    other = "" if line["other"] is None else f"{name_of(line['other_name'])} {figure(line['other'])} {line['unit']}"
    met = "" if line["met"] is None else ("yes" if line["met"] else "NO")
    ours = f"{figure(line['ours'])} {line['unit']}"
    ratio = figure("" if line["ratio"] is None else line["ratio"])
    return [line["cell"], line["measure"], ours, other, ratio, line["target"], met, line["remark"]]


def profile(result: Result) -> Table:
    """The steps of an upload in their order, in milliseconds and percent of the time of all of it, a column a cell."""
    found = {name: result["cells"][name]["profile"] for name in PROFILED if name in result["cells"]}
    told = {name: profile for name, profile in found.items() if profile}
    rows = [[step, *(step_text(step, one) for one in told.values())] for step in STEPS]
    rows.append(["between the steps", *(share_text(rest(one), one["seconds"]) for one in told.values())])
    rows.append(["all of it", *(f"{figure(one['seconds'] * 1000)} ms" for one in told.values())])
    return Table(["step", *told], rows, frozenset(told))


def step_text(step: str, one: Mapping[str, Any]) -> str:
    """A step's time and share; what runs beside another step has no share."""
    seconds = one["steps"].get(step)
    if step == WITHIN_READ:
        return "in read" if seconds is None else f"in read: {figure(seconds * 1000)} ms of threads"
    return "0 ms" if seconds is None else share_text(seconds, one["seconds"])


def share_text(seconds: float, whole: float) -> str:
    """Milliseconds, and what part of the whole they are."""
    return f"{figure(seconds * 1000)} ms, {seconds / whole:.0%}"


def rest(one: Mapping[str, Any]) -> float:
    """Seconds that are in no step: HTTP, waiting for a place, the answer; below 0 where steps overlap."""
    within = one["steps"].get(WITHIN_READ, 0.0)
    return float(one["seconds"] - sum(one["steps"].values()) + within)


def sentence(result: Result) -> str:
    """How ours compares, in words, for the README. The cells of all who are named must have been measured."""
    cells = {name: cell["figures"] for name, cell in result["cells"].items()}

    def ratio(cell: str, who: str) -> float:
        return float(cells[cell]["ours"]["seconds"] / cells[cell][who]["seconds"])

    def rows(cell: str) -> str:
        return f"{cells[cell]['ours']['rows']:,.0f} rows"

    return (
        f"A CSV file of {rows('csv-2m')} is stored {duration(cells['csv-2m']['ours']['seconds'])} after its first byte "
        f"was sent: {figure(ratio('csv-2m', 'duckdb-csv'))} times as long as bare DuckDB takes to convert it to "
        f"Parquet, and {figure(ratio('csv-2m', 'polars-csv'))} times as long as bare Polars, neither of which checks "
        f"anything. An upload takes {figure(ratio('postgres-1m', 'COPY'))} times as long as PostgreSQL's `COPY` into "
        f"columns of text ({rows('postgres-1m')}), is {figure(1 / ratio('tutorial-200k', 'tutorial'))} times as fast "
        f"as the tutorial way with FastAPI, pandas, phonenumbers and SQLite ({rows('tutorial-200k')}), and "
        f"{figure(1 / ratio('datasette-100k', 'datasette-upload-csvs'))} times as fast as `datasette-upload-csvs` "
        f"({rows('datasette-100k')})."
    )


def machine_sentence(result: Result) -> str:
    """One sentence on machine and versions."""
    on = result["machine"]
    versions = ", ".join(f"{name} {on['libraries'][name]}" for name in ("duckdb", "polars", "fastexcel", "fastapi"))
    changes = " with uncommitted changes" if on["uncommitted_changes"] else ""
    took = f"; {result['seconds'] / 60:.0f} minutes in all" if "seconds" in result else ""
    return (
        f"{on['time'][:10]}, commit {on['commit'][:10]}{changes}: {on['cores']} cores of {on['processor']}, "
        f"{on['memory_gib']:g} GiB, {on['file_system']}, Python {on['python']}, {versions}; "
        f"load before the first run {on['load_before']:g}{took}."
    )


def duration(seconds: float | None) -> str:
    """Seconds, or milliseconds where they are less than a tenth of one."""
    if seconds is None:
        return ""
    return f"{figure(seconds)} s" if seconds >= 0.1 else f"{figure(seconds * 1000)} ms"  # noqa: PLR2004


def sized(bytes_: float | None) -> str:
    """Megabytes."""
    return "" if bytes_ is None else f"{figure(bytes_ / MB)} MB"


def figure(value: float | str) -> str:
    """Three digits that count, or four of a whole number; a text as it is."""
    if isinstance(value, str):
        return value
    if abs(value) >= 10_000:  # noqa: PLR2004
        return f"{float(f'{value:.3g}'):,.0f}"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:#.3g}".removesuffix(".")  # noqa: PLR2004
