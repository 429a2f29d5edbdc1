"""Repeated numbers: told alike in memory and by the engine, which takes over where there are too many of them."""

from __future__ import annotations

from pathlib import Path

import duckdb
import polars as pl

from audiences import duplicates, phones
from audiences.parquet import Extent
from audiences.room import Room
from audiences.set_aside import Against, Aside, in_engine, relate, set_aside, told
from audiences.verdicts import Verdicts

ROWS = 20_000


def of_few_numbers(folder: Path, room: int = 1 << 24) -> Verdicts:
    """Verdicts on rows that have each of a thousand numbers again and again."""
    verdicts = Verdicts(folder, Room(room), Extent(1))
    for first in range(0, ROWS, ROWS // 4):
        rows = pl.int_range(first, first + ROWS // 4, eager=True)
        said = pl.DataFrame({"phone": 442079832100 + rows % 1000, "place": 7, "reason": None}, schema=phones.VERDICT)
        verdicts.add(rows, said)
    return verdicts


def test_too_many_repeated_numbers_are_not_held_in_memory(tmp_path: Path) -> None:
    verdicts = of_few_numbers(tmp_path)
    later = duplicates.later_ones(verdicts, ROWS - 1000)
    assert later is not None
    assert later.height == ROWS - 1000
    assert duplicates.later_ones(verdicts, ROWS - 1001) is None


def test_the_engine_tells_the_same_of_them(tmp_path: Path) -> None:
    verdicts = of_few_numbers(tmp_path)
    later = duplicates.later_ones(verdicts)
    assert later is not None
    with duckdb.connect() as connection:
        relate(connection, verdicts)
        in_engine(connection, Against())
        found = Aside(connection, tmp_path).between(pl.int_range(0, ROWS, eager=True))
    assert found.rows() == told(later, 1).select(found.columns).rows()


def test_verdicts_that_are_put_down_are_the_same_and_take_no_room(tmp_path: Path) -> None:
    verdicts = of_few_numbers(tmp_path, 1 << 20)
    before, taken = pl.concat(verdicts), verdicts.taken
    verdicts.put_down()
    assert pl.concat(verdicts).equals(before)
    assert (taken > 0, verdicts.taken, verdicts.room.free, verdicts.are_in_memory) == (True, 0, 1 << 20, False)
    verdicts.forget()
    assert verdicts.room.free == 1 << 20


def test_verdicts_leave_the_engine_its_memory_also_where_some_are_in_files_already(tmp_path: Path) -> None:
    """300 MB of one number took 1.2 GB: a fifth of the limit was held beside all that the engine may have."""
    verdicts = of_few_numbers(tmp_path, 1 << 17)
    assert verdicts.taken > 0
    assert not verdicts.are_in_memory
    with duckdb.connect() as connection:
        set_aside(connection, verdicts, Against(), most_beside=0)
    assert (verdicts.taken, verdicts.room.free) == (0, 1 << 17)
