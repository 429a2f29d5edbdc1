"""The simulation of growth: it agrees with the formulas where there are some, and with what is plain without them."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
from bench.growth import MIX, SCENARIOS, Design, Size, erlang_c, hit_rate, line, mean, simulate

# Only the cores of one node take time, exponentially distributed and in one piece: M/M/c, with the cores as servers.
SERVICE_MS = 10.0
ONLY_CORES = Design(
    places=10**6,
    waiting=10**6,
    reads=0,
    writes=0,
    slice_ms=math.inf,
    is_random=True,
    mix=[Size("any", 1, SERVICE_MS, 0)],
)

# The same with the places: a place is held while the object is stored, and nothing else takes time.
ONLY_PLACES = replace(ONLY_CORES, mix=[Size("any", 1, 0, SERVICE_MS)])


@pytest.mark.parametrize(("servers", "load"), [(1, 0.5), (1, 0.8), (4, 2.0), (4, 3.2), (8, 7.0)])
def test_the_mean_answer_is_that_of_the_formula_for_queues(servers: int, load: float) -> None:
    """Erlang C: the mean wait is the share that waits, by the spare capacity. Held against both kinds of station."""
    formula = SERVICE_MS + erlang_c(servers, load) * SERVICE_MS / (servers - load)
    rate = load / SERVICE_MS * 1000
    cores = simulate(replace(ONLY_CORES, cores=servers, rate=rate), uploads=60_000)
    places = simulate(replace(ONLY_PLACES, places=servers, rate=rate), uploads=60_000)
    assert mean(cores.answers) == pytest.approx(formula, rel=0.08)
    assert mean(places.answers) == pytest.approx(formula, rel=0.08)
    assert mean(places.waits) == pytest.approx(formula - SERVICE_MS, rel=0.3, abs=0.3)


def test_the_formula_is_the_one_of_the_textbooks() -> None:
    """With one server the share that waits is the load; the other figure is from a published table."""
    assert erlang_c(1, 0.7) == pytest.approx(0.7)
    assert erlang_c(2, 1.0) == pytest.approx(1 / 3)


def test_stations_are_used_as_much_as_the_load_says() -> None:
    outcome = simulate(replace(ONLY_CORES, cores=4, rate=200), uploads=40_000)
    assert outcome.use["cores of nodes"] == pytest.approx(0.5, abs=0.02)
    assert outcome.throughput == pytest.approx(200, rel=0.03)


def test_nothing_is_faster_than_its_fullest_part() -> None:
    """Two cores and 100 ms each: 20 a second, however many callers send and however many nodes share the cores."""
    one = Design(cores=2, callers=16, reads=0, writes=0, mix=[Size("any", 1, 100, 0)])
    assert simulate(one).throughput == pytest.approx(20, rel=0.02)
    assert simulate(replace(one, nodes=3, one_machine=True)).throughput == pytest.approx(20, rel=0.02)
    assert simulate(replace(one, nodes=3, callers=48)).throughput == pytest.approx(60, rel=0.03)


def test_an_account_gets_no_more_than_its_turns() -> None:
    """Three writes of 2.12 ms, one after the other, are 157 uploads a second; the turns are what is full then."""
    alone = Design(rate=400, nodes=20, accounts=1, waiting=10**6, mix=[replace(MIX[0], share=1)])
    outcome = simulate(alone)
    assert outcome.throughput == pytest.approx(1000 / (3 * 2.12), rel=0.05)
    assert outcome.use["turns of the largest account"] == pytest.approx(1, abs=0.01)
    assert simulate(replace(alone, has_turns=False)).throughput == pytest.approx(400, rel=0.05)


def test_what_finds_no_room_in_the_queue_is_refused() -> None:
    crowded = Design(rate=100, cores=1, places=1, waiting=4, mix=[replace(MIX[0], share=1)])
    outcome = simulate(crowded)
    sent = len(outcome.answers) + outcome.refused
    assert 0.7 < outcome.refused / sent < 0.9
    assert max(outcome.waits) < 6 * 90


def test_an_object_that_is_always_read_on_one_node_is_found_more_often() -> None:
    anywhere, affine = (hit_rate(30, 100, 10_000, has_affinity=has, reads=20_000) for has in (False, True))
    assert affine > anywhere + 0.1
    assert hit_rate(1, 100, 100, has_affinity=False) > 0.99


def test_the_shares_of_the_mix_make_a_whole() -> None:
    assert sum(size.share for size in MIX) == pytest.approx(1)
    assert len({one.name for one in SCENARIOS}) == len(SCENARIOS)


def test_the_page_shows_what_the_simulation_says() -> None:
    """The first lines stand for all: a run is the same each time."""
    page = (Path(__file__).parent.parent / "docs" / "growing.md").read_text(encoding="utf-8")
    for design in SCENARIOS[:3]:
        assert line(simulate(design)) in page, design.name
    assert all(f"| {design.name} |" in page for design in SCENARIOS)
