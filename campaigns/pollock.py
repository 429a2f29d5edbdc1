"""Polluted CSV: the 2,290 files of the Pollock benchmark, its score, and whether every row of each is accounted for."""

from __future__ import annotations

import argparse
import re
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from audiences import layout
from audiences.engine import Engine
from audiences.errors import Refusal
from audiences.inbox import Upload
from audiences.judging import Instructions, Judge, Judged
from audiences.set_aside import Against
from audiences.settings import Settings
from audiences.watch import Metrics
from campaigns.outcome import Outcome
from campaigns.pollock_files import PHONE, File, Row, made, ways
from campaigns.pollock_score import MEASURES, NOTHING, measures

# What may go when the cells of a row are told apart: all else has to be in one of them.
_MARKS = dict.fromkeys(map(ord, " \t,;|\"'\\"))

# What may become of a row.
KNOWN = (
    "verbatim",
    "verbatim, under a polluted header",
    "polluted, told with all their cells",
    "malformed, told with their text",
)

_PLACE = re.compile(r"_row\d+_col\d+$|(?<=quote)\d+_col\d+$|(?<=delimiter)_\d+")
_BETWEEN = re.compile(r"\s*[,;|\t]\s*")


@dataclass(frozen=True)
class Loaded:
    """What became of a file: its columns, and each row by its number: cells, or the raw text of a malformed one."""

    columns: tuple[str, ...]
    phone: int
    cells: dict[int, list[str]]
    raw: dict[int, str]
    accepted: frozenset[int]
    blank_rows: int

    def rows(self) -> list[list[str]]:
        """Header and rows in their order; a malformed row is one cell."""
        numbers = sorted([*self.cells, *self.raw])
        return [list(self.columns), *(self.cells.get(at) or [self.raw[at]] for at in numbers)]


class Loader:
    """Reads files as an upload is read, on one engine, up to what would be published."""

    def __init__(self, folder: Path) -> None:
        settings = Settings(data=folder)
        self.engine = Engine(settings, folder)
        self.judge = Judge(settings, self.engine, Metrics())
        self.spool = folder / "spool"
        self.spool.mkdir()

    def load(self, file: File) -> Loaded | Refusal:
        """What became of the file."""
        content = file.content()
        with tempfile.TemporaryDirectory(dir=self.spool) as name:
            folder = Path(name)
            path = folder / "upload"
            path.write_bytes(content)
            upload = Upload(folder, path, file.name, len(content), b"", {})
            try:
                with self.engine.connection() as connection:
                    judged = self.judge.judge_on(connection, upload, Instructions("list"), Against())
            except Refusal as refusal:
                return refusal
            return loaded(judged)


def loaded(judged: Judged) -> Loaded:
    """The rows that were written."""
    plan, kept = judged.layout, judged.kept
    cells: dict[int, list[str]] = {}
    raw: dict[int, str] = {}
    accepted: frozenset[int] = frozenset()
    for path in (kept.contacts, kept.rejects):
        if path is None:
            continue
        frame = pl.read_parquet(path)
        rows = frame[layout.ROW].to_list()
        texts = frame.select(pl.col(list(plan.stored)).cast(pl.String).fill_null("")).rows()
        cells |= {row: list(text) for row, text in zip(rows, texts, strict=True)}
        if path is kept.contacts:
            accepted = frozenset(rows)
        else:
            malformed = zip(rows, frame[layout.RAW].to_list(), strict=True)
            raw |= {row: text for row, text in malformed if text is not None}
    cells = {row: text for row, text in cells.items() if row not in raw}
    return Loaded(plan.names, plan.phone, cells, raw, accepted, kept.blank_rows)


def run(outcome: Outcome, files: Iterable[File]) -> None:
    """Loads the files, takes the measures, and holds each against what it is known to hold."""
    kinds: defaultdict[str, list[tuple[float, ...]]] = defaultdict(list)
    with tempfile.TemporaryDirectory(prefix="pollock-") as name:
        loader = Loader(Path(name))
        with closing(loader.engine):
            for file in files:
                found = loader.load(file)
                taken = NOTHING if isinstance(found, Refusal) else measures(file.clean(), found.rows())
                if file.published:
                    kinds[kind_of(file.name)].append(taken)
                outcome.count("files")
                outcome.losses += [f"{file.name}: {loss}" for loss in wrong(outcome, file, found)]
    tell(outcome, kinds)


def kind_of(name: str) -> str:
    """The pollution, without its place."""
    return _PLACE.sub("", name.removesuffix(".csv")) if name.startswith("row_") else name.removesuffix(".csv")


def wrong(outcome: Outcome, file: File, found: Loaded | Refusal) -> list[str]:
    """What is lost of the file, or not as it was."""
    if isinstance(found, Refusal):
        outcome.count("refused")
        return [] if may_be_refused(file) else [f"refused with {found.code}"]
    first = len(file.above) + 1
    losses, blank = [], 0
    for at, row in list(enumerate(file.rows))[first:]:
        line = file.line(row)
        if not line.translate(_MARKS):
            blank += 1
            continue
        outcome.count("rows")
        said = verdict(file, at, row, found)
        outcome.count(said if said in KNOWN else "rows lost")
        losses += [] if said in KNOWN else [f"row {at + 1} {said}: {line[:200]}"]
    extra = {*found.cells, *found.raw} - set(range(first + 1, len(file.rows) + 1))
    return (
        losses
        + [f"row {row} is made up" for row in extra]
        + (["blank rows are lost"] if found.blank_rows < blank else [])
    )


def may_be_refused(file: File) -> bool:
    """Whether the contract has no reading of the file: no cell of its first rows says phone1."""
    heads = [*file.above, *file.header]
    return not any("phone1" in _BETWEEN.split(file.line(row)) for row in heads)


def verdict(file: File, at: int, row: Row, found: Loaded) -> str:
    """What became of a row: one of `KNOWN`, or what is wrong about it."""
    number, line = at + 1, file.line(row)
    if number in found.raw:
        whole = found.raw[number] == line
        is_due = at in file.touched or not file.is_clear(row) or is_wider(row, found)
        return "malformed, told with their text" if whole and is_due else f"is malformed: {found.raw[number][:80]}"
    if number not in found.cells:
        return "vanished"
    cells = found.cells[number]
    if at in file.touched or not file.is_clear(row):
        is_whole = sorted(line.translate(_MARKS)) == sorted("".join(cells).translate(_MARKS))
        return "polluted, told with all their cells" if is_whole else f"lost some of its text: {cells}"
    due = [*expected(row), *[""] * len(found.columns)][: len(found.columns)]
    if number in found.accepted:
        due[found.phone] = due[found.phone].strip()
    if cells != due:
        return f"has other cells: {cells}"
    if number in found.accepted or not is_contact(file, row):
        return "verbatim"
    return "verbatim, under a polluted header" if file.touched else "is not accepted"


def expected(row: Row) -> list[str]:
    """The cells by the rules: a blank behind a delimiter belongs to a cell without quotes."""
    return [(gap[1:] if not cell.quoted else "") + cell.value for gap, cell in zip(row.gaps, row.cells, strict=True)]


def is_wider(row: Row, found: Loaded) -> bool:
    """Whether there is text beyond the header's columns."""
    return any(cell.value.strip() for cell in row.cells[len(found.columns) :])


def is_contact(file: File, row: Row) -> bool:
    """Whether the row has a number that no row above it has."""
    phone = row.cells[PHONE].value if len(row.cells) > PHONE else ""
    if not phone.isdigit():
        return False
    return row is next(found for found in file.data if len(found.cells) > PHONE and found.cells[PHONE].value == phone)


def tell(outcome: Outcome, kinds: Mapping[str, Sequence[tuple[float, ...]]]) -> None:
    """The score: the mean of each measure over all files, added up."""
    every = [taken for group in kinds.values() for taken in group]
    for measure, values in zip(MEASURES, zip(*every, strict=True), strict=True):
        outcome.figures[measure] = round(sum(values) / len(values), 4)
    outcome.figures["Pollock score (simple, of 10)"] = round(sum(map(sum, every)) / len(every), 3)
    for kind, group in kinds.items():
        score = sum(map(sum, group)) / len(group)
        if score < len(MEASURES):
            outcome.figures[f"{kind}: score of {len(group)}"] = round(score, 3)


def main(arguments: list[str]) -> int:
    """1 when a row of some file was lost."""
    parser = argparse.ArgumentParser(prog="campaign pollock", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seed", type=int, default=1, help="nothing is random here")
    outcome = Outcome("pollock", parser.parse_args(arguments).seed)
    run(outcome, (made(*way) for way in ways()))
    return outcome.ended()
