"""What the benchmark says is what it measured, and the files it measures with are what it says."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from bench import customers, plot, report, tables
from bench.__main__ import cells_in_words
from bench.named import CELLS, FULL_SHEET, QUICK
from bench.record import Between, Record, Target, figures_of, interval

from support import Service

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def kept() -> dict[str, Any]:
    """The run whose figures are published."""
    result: dict[str, Any] = json.loads(report.KEPT.read_text(encoding="utf-8"))
    return result


@pytest.mark.parametrize("page", [report.PAGE, report.README], ids=lambda page: page.name)
def test_published_figures_are_those_of_the_run_that_is_kept(page: Path, kept: dict[str, Any]) -> None:
    found = report.MARKED.findall(page.read_text(encoding="utf-8"))

    assert found == [report.sections(kept)[page]]


def test_the_picture_is_that_of_the_run_that_is_kept(kept: dict[str, Any]) -> None:
    assert report.PICTURE.read_text(encoding="utf-8") == plot.drawn(kept)


def test_the_run_that_is_kept_was_a_whole_one_of_committed_code(kept: dict[str, Any]) -> None:
    assert kept["whole"]
    assert not kept["machine"]["uncommitted_changes"]


def test_each_bar_of_the_picture_says_how_many_rows_it_is_about(kept: dict[str, Any]) -> None:
    """And each is within the paper."""
    picture = ET.fromstring(plot.drawn(kept))
    texts = ["".join(text.itertext()) for text in picture.iter(f"{SVG}text")]
    bars = [bar for bar in picture.iter(f"{SVG}rect") if bar.get("class") in {"ours", "theirs"}]

    assert sum(bool(re.search(r"\d [Mk] rows$", text)) for text in texts) == len(plot.BARS) == len(bars)
    assert all(float(bar.attrib["x"]) + float(bar.attrib["width"]) <= plot.WIDTH - plot.EDGE for bar in bars)


def test_the_picture_is_legible_on_light_and_dark(kept: dict[str, Any]) -> None:
    """It brings its own paper, whose colour follows the reader's, as that of the letters does."""
    light, dark = plot.STYLE.split("@media (prefers-color-scheme: dark)")

    for style in (light, dark):
        colours = dict(re.findall(r"\.(\w+) \{ fill: (#\w{6})", style))
        assert contrast(colours["paper"], colours["ink"]) > 7
        assert contrast(colours["paper"], colours["faint"]) > 4.5
        assert contrast(colours["paper"], colours["ours"]) > 3
        assert contrast(colours["paper"], colours["theirs"]) > 3
    assert plot.STYLE in plot.drawn(kept)


def contrast(one: str, other: str) -> float:
    """The ratio of two colours' luminances, as WCAG defines it."""

    def luminance(colour: str) -> float:
        shares = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
        linear = [share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4 for share in shares]
        return sum(weight * share for weight, share in zip((0.2126, 0.7152, 0.0722), linear, strict=True))

    low, high = sorted(map(luminance, (one, other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("cell", CELLS)
def test_every_cell_is_documented_and_in_the_help(cell: str) -> None:
    assert f"`{cell}`" in report.PAGE.read_text(encoding="utf-8")
    assert f"  {cell} " in cells_in_words()


def test_a_quick_run_profiles_what_the_profile_is_about() -> None:
    assert set(tables.PROFILED) <= set(QUICK) <= set(CELLS)


def test_the_full_sheet_has_no_room_for_another_row() -> None:
    assert FULL_SHEET + 1 == 1024 * 1024
    assert sum(customers.File(Path(), FULL_SHEET).counts.values()) == 2 * FULL_SHEET


@pytest.mark.parametrize("rows", [100, 175, 8_123])
def test_the_rows_of_a_list_are_known_beforehand(rows: int, service: Service, tmp_path: Path) -> None:
    """Also where the last hundred is not a whole one."""
    file = customers.File(tmp_path / "customers.csv", rows)
    customers.write_csv(file.path, 0, rows)

    assert report_of(service, file.path).items() >= file.counts.items()


def test_the_messy_list_is_a_valid_upload_whose_rows_are_known_beforehand(service: Service, tmp_path: Path) -> None:
    """One row in a thousand is odd, in eight ways."""
    path = tmp_path / "messy.csv"
    customers.write_messy(path, 17_000)
    file, said = customers.messy(path, 17_000), report_of(service, path)

    assert said.items() >= file.counts.items()
    assert said["blank_rows"] == file.blank_rows == 4
    assert said["rejected_by_reason"]["malformed_row"] == file.malformed == 3
    assert said["files"][0]["encoding"] == "cp1252"
    assert len(said["columns"]) == 6


def test_the_messy_list_has_what_the_page_says_it_has(tmp_path: Path) -> None:
    path = tmp_path / "messy.csv"
    customers.write_messy(path, 20_000)
    content = path.read_bytes()

    assert content.count(b"\r\n") == 10_000 + 3
    assert b",O\x92" in content
    assert b"Chlo\xe9" in content
    assert b"\n2nd floor" in content
    assert content.count(b"moved house") == 3
    assert b"\n\n" in content
    assert b"\n,,,,,\n" in content


def report_of(service: Service, path: Path) -> dict[str, Any]:
    """The report of an upload of the file."""
    with service.client() as client:
        return client.create(path.read_bytes()).report


def test_a_goal_with_two_bounds_holds_between_them() -> None:
    goal = Between(0.85, 1.15)

    assert [goal.met(ratio) for ratio in (0.84, 0.85, 1.0, 1.15, 1.16)] == [False, True, True, True, False]
    assert (str(goal), str(Target("at most", 1.4))) == ("0.85 to 1.15", "≤ 1.4")


def test_what_slows_down_a_whole_round_does_not_make_a_ratio_unsure() -> None:
    rounds = [1.0, 1.1, 3.0, 1.2, 1.05, 2.0, 1.0, 1.4]

    low, high = interval([1.5 * seconds for seconds in rounds], rounds)
    assert low == pytest.approx(1.5)
    assert high == pytest.approx(1.5)


def test_noise_makes_a_ratio_unsure() -> None:
    low, high = interval([1.0, 1.2, 0.9, 1.1], [1.0, 0.9, 1.2, 1.1])

    assert low < 0.95
    assert high > 1.05


def test_of_peaks_of_memory_the_highest_counts_and_of_times_the_median() -> None:
    runs = [{"cell": "a", "who": "ours", "seconds": s, "peak_bytes": p} for s, p in ((1.0, 5), (9.0, 7), (2.0, 6))]

    assert figures_of(runs) == {"runs": 3, "seconds": 2.0, "peak_bytes": 7}


def test_the_profile_has_all_steps_in_the_order_of_an_upload_and_their_shares() -> None:
    """Judging is within reading: the share of the former would be counted twice."""
    record = Record("small")
    record.profile.add(2, 0.040, {"read": 0.010, "judge": 0.006, "receive": 0.004, "commit": 0.002, "sync": 0.0})

    table = tables.profile({"cells": {"small": record.as_json()}})
    assert [tuple(row) for row in table.rows] == [
        ("receive", "2.00 ms, 10%"),
        ("sniff", "0 ms"),
        ("read", "5.00 ms, 25%"),
        ("judge", "in read: 3.00 ms of threads"),
        ("deduplicate", "0 ms"),
        ("write", "0 ms"),
        ("sync", "0 ms"),
        ("commit", "1.00 ms, 5%"),
        ("between the steps", "12.0 ms, 60%"),
        ("all of it", "20.0 ms"),
    ]
