"""Pages: what is read nearby is to the letter what the engine finds, wherever a page begins and however a file lies."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from pathlib import Path

import duckdb
import polars as pl
import pytest

from audiences import layout, pages
from audiences.errors import Reason
from audiences.known import Known
from audiences.layout import Stored
from audiences.pages import Filters
from audiences.recent import Recent
from audiences.suppressed import MOST_OF_LIST, Numbers, Suppressed, keyed_hash

HOSTILE = ["", "plain", 'say "hi"', "a;b,c", "line\nbreak", "\t\\/\x01\x7f", "Zoë 😀 \u202e", "O'Hara", "NULL", "{}"]
PLAN = layout.plan(["phone1", "Name", "name", "a\tb"], 0)
PLACES = [("GB", "Europe/London"), ("US", "America/New_York,America/Chicago")]
REASONS = [Reason.DUPLICATE, Reason.TOO_SHORT, Reason.MALFORMED_ROW]
KEY = b"a key of the server's own"
FIRST_PHONE = 447900000000
ROWS = list(range(3, 3003))

Order = Callable[[list[int]], list[int]]


def contact(row: int) -> dict[str, object]:
    """What is stored of the contact at that row of the uploaded file."""
    country, zones = PLACES[row % 2]
    ours = {layout.ROW: row, layout.COUNTRY: country, layout.LINE_TYPE: "mobile", layout.TIME_ZONES: zones}
    cells = [FIRST_PHONE + row, HOSTILE[row % 10], None if row % 7 == 0 else str(row), HOSTILE[row % 3] or None]
    return ours | dict(zip(PLAN.stored, cells, strict=True))


def reject(row: int) -> dict[str, object]:
    """What is stored of the reject at that row."""
    reason, cells = REASONS[row % 3], dict.fromkeys(PLAN.stored, HOSTILE[row % 10])
    ours = dict.fromkeys((layout.FIRST_FILE, layout.FIRST_ROW, layout.RAW)) | {layout.ROW: row, layout.REASON: reason}
    if reason is Reason.DUPLICATE:
        return ours | {layout.FIRST_FILE: 1, layout.FIRST_ROW: row - 1} | cells
    return ours | (cells if reason is Reason.TOO_SHORT else {layout.RAW: HOSTILE[row % 10]})


def in_order(rows: list[int]) -> list[int]:
    """As files are written."""
    return rows


def out_of_order(rows: list[int]) -> list[int]:
    """As they were in earlier releases: row groups have changed places, and here rows in them, too."""
    changed = random.Random(1)
    groups = [rows[at : at + 100] for at in range(0, len(rows), 100)]
    for group in groups:
        changed.shuffle(group)
    changed.shuffle(groups)
    return [row for group in groups for row in group]


def few(rows: list[int]) -> list[int]:
    """Few rows, most of them in one place."""
    return [row for row in rows if row % 97 == 0 or 1500 < row < 1800]


def stored(folder: Path, rows: Sequence[dict[str, object]], file: int = 1) -> Stored:
    """A file of these rows in groups of 100."""
    path = folder / f"[{file}] a=b.parquet"
    names = (layout.COUNTRY, layout.LINE_TYPE, layout.TIME_ZONES, layout.REASON)
    frame = pl.DataFrame(rows, infer_schema_length=None)
    frame.cast({name: pl.Categorical for name in names if name in frame.columns}).write_parquet(
        path, row_group_size=100, compression="zstd"
    )
    return Stored.at(file, path, PLAN, len(rows), len(ROWS))


@pytest.mark.parametrize("order", [in_order, out_of_order, few])
@pytest.mark.parametrize(("read", "row"), [(pages.contacts, contact), (pages.rejects, reject)])
def test_a_page_is_the_same_wherever_it_begins_and_whoever_reads_it(
    tmp_path: Path, read: Callable[..., pages.Page], row: Callable[[int], dict[str, object]], order: Order
) -> None:
    """Of two files, one behind the other; of both ways the bytes are compared."""
    files = [stored(tmp_path, [row(number) for number in order(ROWS)], file) for file in (1, 2)]
    known = Known()
    with duckdb.connect() as connection:
        for place, limit in ((0, 40), (2, 1), (101, 40), (1497, 60), (1755, 1), (2961, 40), (3001, 1), (9000, 40)):
            for after in ((1, place), (2, place)):
                by_engine = read(connection, files, Filters(), limit, after)
                assert read(connection, files, Filters(), limit, after, known) == by_engine, after


@pytest.mark.parametrize("share", [0.1, 0.9])
@pytest.mark.parametrize("is_kept", [True, False])
@pytest.mark.parametrize("hashes", [0, 300])
def test_numbers_on_the_list_are_on_no_page_however_many_and_erased_or_not(
    tmp_path: Path, share: float, hashes: int, *, is_kept: bool
) -> None:
    """Whether the list is one that is kept in memory, or one that is too long for it."""
    file = stored(tmp_path, [contact(number) for number in ROWS])
    listed = random.Random(2).sample(ROWS, int(share * len(ROWS)))
    hashed = set(listed[:hashes])
    path = tmp_path / "list.parquet"
    pl.DataFrame(
        [
            {"phone": None, "hash": keyed_hash(FIRST_PHONE + row, KEY)}
            if row in hashed
            else {"phone": FIRST_PHONE + row, "hash": None}
            for row in sorted(listed)
        ],
        schema={"phone": pl.Int64, "hash": pl.String},
    ).write_parquet(path)
    suppressed = Suppressed("list", hashes, KEY, lambda _: path, len(listed) - hashes if is_kept else MOST_OF_LIST + 1)
    filters, known = Filters(suppressed=suppressed), Known()
    with duckdb.connect() as connection:
        for place in (0, 500, 2500, 2990):
            by_engine = pages.contacts(connection, [file], filters, 50, (1, place))
            assert pages.contacts(connection, [file], filters, 50, (1, place), known) == by_engine
    assert bool(known.numbers.kept) == is_kept


def test_a_list_of_nothing_but_erased_numbers_has_no_others() -> None:
    numbers = Numbers(pl.Series([], dtype=pl.Int64), frozenset([keyed_hash(7, KEY)]))
    assert numbers.among([5, 7, 7], KEY) == [7, 7]


def test_rows_too_large_to_be_held_are_read_within_the_engine_s_bound(tmp_path: Path) -> None:
    """Cells of a megabyte in one group, and an engine that has no memory for them: it says so."""
    rows = [contact(row) | {"Name": f"{row}" + "x" * 1024**2} for row in ROWS[:130]]
    with duckdb.connect(config={"memory_limit": "20MB", "threads": 1}) as connection:
        file, known = stored(tmp_path, rows), Known()
        with pytest.raises(duckdb.OutOfMemoryException):
            pages.contacts(connection, [file], Filters(), 80, (1, 0), known)
    assert known.room.free == Known().room.free


def test_what_is_kept_of_files_keeps_to_its_bound_and_the_files_used_last_stay() -> None:
    kept: Recent[str] = Recent(10)
    made: list[str] = []

    def make(name: str, length: int) -> str:
        return kept.of(name, lambda: made.append(name) or "x" * length)  # type: ignore[func-returns-value]

    for name in ("a", "b", "a", "c", "a", "b"):
        assert len(make(name, 4)) == 4
        assert kept.length == sum(map(len, kept.kept.values())) <= 10
    assert made == ["a", "b", "c", "b"]
    assert len(make("long", 11)) == 11
    kept.discard("long")
    kept.discard("a")
    assert (kept.length, list(kept.kept)) == (4, ["b"])
