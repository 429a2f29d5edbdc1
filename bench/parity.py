"""Compares the fast path with the reference function on many numbers, and tells every kind of difference.

    python bench/parity.py --numbers 2000000 --seed 1

Every bound of every table is tried whatever the count; the rest are random numbers near valid ones, half of them read
with a default region. Exits with 1 when anything differs.
"""

from __future__ import annotations

import argparse
import itertools
import random
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import cache
from multiprocessing import Pool
from pathlib import Path

import duckdb
import phonenumbers

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

import phone_cases as cases
from audiences import numbering
from audiences.numbering.frames import Plan

BATCH = 50_000
OWN_SHARE = 0.7
"""Of the numbers dialled in a region, how many are of its own calling code."""
Job = tuple[str, str | None, list[str], Path]


def main() -> int:
    """0 when nothing differs, else 1."""
    arguments = _arguments()
    numbering.load(duckdb.connect(), arguments.cache)
    began = time.perf_counter()
    tried: Counter[str] = Counter()
    found: list[cases.Difference] = []
    with Pool(arguments.processes) as pool:
        for name, count, different in pool.imap_unordered(_compare, _jobs(arguments)):
            tried[name] += count
            found += different
    for name, count in tried.items():
        print(f"{count:>10,}  {name}")
    seconds = time.perf_counter() - began
    print(f"{tried.total():>10,}  in all, phonenumbers {phonenumbers.__version__}, {seconds:.0f} s")
    _tell(found)
    return 1 if found else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--numbers", type=int, default=2_000_000, help="how many random numbers to try")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--cache", type=Path, default=Path("build/numbering"), help="folder of the compiled plan")
    return parser.parse_args()


def _jobs(arguments: argparse.Namespace) -> Iterator[Job]:
    """Batches of texts, each to be read with one default region or none."""
    chance = random.Random(arguments.seed)
    with duckdb.connect() as connection:
        numbering.load(connection, arguments.cache)
        for name, region, texts in _kinds(connection, chance, arguments.numbers):
            for batch in _batches(texts):
                yield name, region, batch, arguments.cache


def _kinds(
    connection: duckdb.DuckDBPyConnection, chance: random.Random, numbers: int
) -> Iterator[tuple[str, str | None, Iterable[str]]]:
    edges = cases.edges(connection)
    yield "both sides of every bound of the plan", None, edges
    prefixed = (text for number in edges for text in cases.with_prefixes(number, chance, 3))
    yield "the same with national prefixes and carrier codes put in", None, prefixed
    yield "the same with mobile tokens", None, (text for number in edges for text in cases.mobile_tokens(number))
    yield "every bound of the routes", None, cases.route_edges(connection, cases.INTERNATIONAL, chance)
    examples = [text for number in cases.examples() for text in cases.spellings(number)]
    yield "every example number, in every spelling", None, examples
    yield "random numbers near valid ones", None, cases.near(connection, chance, numbers // 2)
    regions = sorted(phonenumbers.SUPPORTED_REGIONS)
    each = numbers // 2 // len(regions)
    for region in regions:
        yield "every bound of the routes of a region", region, cases.route_edges(connection, region, chance)
        yield "every example number, with a region", region, chance.sample(examples, 1000)
        dialled = (cases.dialled_in(region, number, chance) for number in _of(region, edges, chance, each))
        yield "random numbers dialled in a region", region, dialled


def _of(region: str, edges: list[str], chance: random.Random, count: int) -> Iterator[str]:
    """Bounds of the plan, mostly of the calling code of `region`."""
    code = str(phonenumbers.country_code_for_region(region))
    own = [number for number in edges if cases.calling_code_of(number) == code]
    for _ in range(count):
        yield chance.choice(own if chance.random() < OWN_SHARE else edges)


def _batches(texts: Iterable[str]) -> Iterator[list[str]]:
    remaining = iter(texts)
    while batch := list(itertools.islice(remaining, BATCH)):
        yield batch


def _compare(job: Job) -> tuple[str, int, list[cases.Difference]]:
    name, region, texts, folder = job
    return name, len(texts), cases.differences(_plan(folder), texts, region=region)


@cache
def _plan(folder: Path) -> Plan:
    """The plan of this process."""
    with duckdb.connect(config={"threads": 1}) as connection:
        numbering.load(connection, folder)
        return cases.plan_of(connection)


def _tell(found: list[cases.Difference]) -> None:
    print(f"{len(found):>10,}  differences")
    for kind, count in Counter(difference.kind for difference in found).most_common():
        print(f"{count:>10,}  {kind}")
        for difference in list(dict.fromkeys(each for each in found if each.kind == kind))[:10]:
            print(
                f"            {difference.text!r} in {difference.region}: {difference.expected}, not {difference.found}"
            )


if __name__ == "__main__":
    sys.exit(main())
