"""The compiled numbering plan: what its tables say, and how they are kept."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import duckdb
import phonenumbers
import pytest

from audiences import numbering
from audiences.numbering import dialling, metadata, patterns
from audiences.numbering.automata import Automata
from audiences.numbering.matching import Match, UndeterminedError, match_start
from audiences.numbering.tables import Row


@pytest.fixture
def connection(cache: Path) -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect()
    numbering.load(connection, cache)
    return connection


def rows_of(connection: duckdb.DuckDBPyConnection) -> dict[str, list[Row]]:
    return {table.name: connection.execute(f"FROM {table.name}").fetchall() for table in numbering.TABLES}


def counts(connection: duckdb.DuckDBPyConnection) -> list[int]:
    return [connection.execute(f"SELECT count(*) FROM {table.name}").fetchall()[0][0] for table in numbering.TABLES]


@pytest.mark.parametrize(
    ("pattern", "matching", "other"),
    [
        (r"[2-9]\d{2}", ["200", "999"], ["100", "20", "2000"]),
        (r"1(?:2|3[45])?", ["1", "12", "134", "135"], ["13", "123", "2"]),
        (r"12{1,3}", ["12", "1222"], ["1", "12222"]),
        (r"\d{2,3}|7", ["7", "12", "123"], ["1", "1234"]),
    ],
)
def test_an_automaton_accepts_what_its_pattern_matches(pattern: str, matching: list[str], other: list[str]) -> None:
    automata = Automata()
    for text in matching + other:
        state = automata.whole(pattern)
        for digit in text:
            state = automata.row(state)[int(digit)]
        assert automata.accepts(state) is (text in matching)


@pytest.mark.parametrize("pattern", ["[2-9]+", ".*", r"\w", "a", "(?=1)", "1*", "[^1]", r"^1"])
def test_syntax_outside_the_subset_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match="syntax"):
        patterns.parse(pattern)


def test_a_half_known_number_is_matched_as_far_as_it_is_known() -> None:
    assert match_start(r"0(\d{2})?", "0", 2) == Match(1, (None,))
    assert match_start(r"0(\d{2})?", "0", 9) == Match(3, ((1, 3),))
    assert match_start(r"([25]\d)$|0", "25", 3) is None
    with pytest.raises(UndeterminedError):
        match_start("0(?:11)?", "01", 9)


def test_the_plan_has_no_two_equal_neighbours_and_ends_with_a_gap(connection: duckdb.DuckDBPyConnection) -> None:
    rows = connection.execute("FROM numbering_plan").fetchall()
    assert [row[0] for row in rows] == sorted({row[0] for row in rows})
    assert all(one[1:] != other[1:] for one, other in pairwise(rows))
    assert rows[0] == (0, None, None)
    assert rows[-1][1:] == (None, None)


def test_every_calling_code_and_region_has_places(connection: duckdb.DuckDBPyConnection) -> None:
    countries = {row[0] for row in connection.execute("SELECT DISTINCT country FROM numbering_places").fetchall()}
    # Numbers of Western Sahara count as Moroccan: the leading digits of MA cover all of +212.
    assert countries == {*phonenumbers.SUPPORTED_REGIONS, "001"} - {"EH"}


def test_every_region_has_routes(connection: duckdb.DuckDBPyConnection) -> None:
    regions = {row[0] for row in connection.execute("SELECT DISTINCT region FROM numbering_routes").fetchall()}
    assert regions == {*phonenumbers.SUPPORTED_REGIONS, "001"}


def test_a_valid_number_that_would_lose_a_prefix_has_no_direct_place(connection: duckdb.DuckDBPyConnection) -> None:
    """It is valid as it stands, as the result of a prefix gone; but written after `+` it is read as another number."""
    rows = connection.execute(
        "SELECT count(*) FROM numbering_plan WHERE place IS NOT NULL AND direct IS NULL"
    ).fetchall()
    assert rows[0][0] > 0


def test_the_lengths_are_those_of_the_library() -> None:
    """Every national number fits the stored type, and the rules that are copied here are still the library's."""
    for code in metadata.calling_codes():
        longest = max(metadata.general(metadata.main_rules(code)).possible_length)
        assert longest <= metadata.LONGEST_NATIONAL_NUMBER
        assert len(str(code)) + longest < len(str(2**64))


def test_a_route_says_what_becomes_of_the_digits() -> None:
    routes = list(dialling.national_routes(Automata(), "GB"))
    trunk = next(leaf for leaf in routes if leaf.length == 11 and leaf.known.startswith("0"))
    assert (trunk.route.head, trunk.route.dropped) == ("44", 1)


def test_loading_twice_replaces_the_tables(connection: duckdb.DuckDBPyConnection, cache: Path) -> None:
    before = counts(connection)
    numbering.load(connection, cache)
    assert counts(connection) == before


def test_loading_without_a_folder_makes_the_same_tables(connection: duckdb.DuckDBPyConnection) -> None:
    rows = rows_of(connection)
    built = duckdb.connect()
    numbering.load(built, None, build=lambda: rows)
    assert rows_of(built) == rows


def test_loading_from_the_file_is_quick_and_leaves_it_alone(cache: Path) -> None:
    file = cache / numbering.cache_name()
    written = file.stat().st_mtime_ns
    connection = duckdb.connect()
    took = []
    for _ in range(5):
        began = time.perf_counter()
        numbering.load(connection, cache)
        took.append(time.perf_counter() - began)
    assert min(took) < 0.2, "a tenth of it is usual"
    assert file.stat().st_mtime_ns == written


@pytest.mark.parametrize("content", [b"", b"PAR1 but not really", b"PAR1" + b"\0" * 100 + b"PAR1"])
def test_a_damaged_file_is_made_anew(connection: duckdb.DuckDBPyConnection, tmp_path: Path, content: bytes) -> None:
    rows = rows_of(connection)
    (tmp_path / numbering.cache_name()).write_bytes(content)
    repaired = duckdb.connect()
    numbering.load(repaired, tmp_path, build=lambda: rows)
    assert rows_of(repaired) == rows
    assert len(list(tmp_path.iterdir())) == 1


def test_many_may_build_at_once(connection: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    """None sees half a file of another, and nothing unfinished stays."""
    rows = rows_of(connection)

    def start(_: int) -> list[int]:
        started = duckdb.connect()
        numbering.load(started, tmp_path, build=lambda: rows)
        return counts(started)

    with ThreadPoolExecutor(4) as pool:
        assert set(map(tuple, pool.map(start, range(8)))) == {tuple(counts(connection))}
    assert len(list(tmp_path.iterdir())) == 1
