"""The phone normaliser: of any text, in any region, the fast path says what the reference function says."""

from __future__ import annotations

import random
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import duckdb
from phonenumbers import SUPPORTED_REGIONS

from audiences import numbering, reference
from audiences.engine import cache_folder
from audiences.phones import FEW_ROWS

sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))

import phone_cases as cases

# A search for one text takes as long as for hundreds: so many are judged at once. Of few and of many the fast path
# goes two ways.
BATCHES = (250, FEW_ROWS + 200)
LONGEST = 400

WORDS = tuple(
    text.encode()
    for text in (
        "+", "00", "0", "44", "442079460958", "2079460958", "+1", "212", "5552368", "54", "15", "9", "011", "810", " ",
        "-", ".", "/", "(", ")", "(0)", "'", "tel:", "TEL:", ".0", "E+11", "4.42", ",", "\u200b", "\u00a0", "\u202f",
        "\u2028", "\u202a", "\ufeff", "\x00", "\t", "\n", "\x7f", "\x85", "\u0664", "\u096a", "\uff14", "\U0001d7d2",
        "²", "Ⅳ", "x", "e", "é", "\u2013", "\u2212", "\uff0b", "㉈", "\\", "%", "\U000e0001", "\u3000", "\u180e",
        "\u0301", "7", "3906", "800", "80012345678",
    )
)  # fmt: skip


class Target:
    """See `target.Target`. The texts of an input are judged with those before them, in one region at a time."""

    words = WORDS

    def __init__(self) -> None:
        self.figures = dict.fromkeys(("texts", "valid", "batches", "batches in a region"), 0)
        self.folder = tempfile.TemporaryDirectory(prefix="fuzz-phones-")
        with duckdb.connect(config={"threads": 1}) as connection:
            numbering.load(connection, cache_folder(Path(self.folder.name)))
            self.plan = cases.plan_of(connection)
        self.chance = random.Random(1)
        self.regions: tuple[str | None, ...] = (None, *sorted(SUPPORTED_REGIONS), *cases.TELLING_REGIONS)
        self.texts: list[str] = []
        self.expected: list[reference.Judgement] = []
        self.next_batch()
        self.seeds = [b"\0" + text.encode() for text in seeds()]

    def next_batch(self) -> None:
        """Chooses how the next texts are judged."""
        self.texts, self.expected = [], []
        self.region = None if self.chance.random() < 0.3 else self.chance.choice(self.regions)  # noqa: PLR2004
        self.exact = self.chance.random() < 0.1  # noqa: PLR2004 - a tenth of them
        self.size = self.chance.choice(BATCHES)

    def try_one(self, data: bytes) -> None:
        """An input is texts with a line feed between them, as bytes or as words."""
        if data[:1] < b"\x80":
            texts = data[1:].decode("utf-8", "replace").split("\n")
        else:
            texts = [b"".join(WORDS[each % len(WORDS)] for each in data[1:]).decode()]
        for text in texts:
            short = text[:LONGEST]
            self.texts.append(short)
            self.expected.append(reference.judge(short, default_region=self.region, exact=self.exact))
        if len(self.texts) >= self.size:
            self.judge()

    def end(self) -> None:
        """Judges the texts that are left."""
        self.judge()
        self.folder.cleanup()

    def judge(self) -> None:
        """The fast path says of all texts what the reference said."""
        texts, expected, region, exact = self.texts, self.expected, self.region, self.exact
        self.next_batch()
        self.figures["texts"] += len(texts)
        self.figures["valid"] += sum(each.phone is not None for each in expected)
        self.figures["batches"] += 1
        self.figures["batches in a region"] += region is not None
        found = cases.fast(self.plan, texts, region=region, exact=exact)
        for text, judged, judgement in zip(texts, found, expected, strict=True):
            assert judged == judgement, f"{text!r} in {region}, exact {exact}: {judged}, expected {judgement}"


def seeds() -> Iterator[str]:
    """The spellings of the tests, and an example of every region."""
    from test_phones import NATIONAL, SPELLINGS

    yield from (text[:LONGEST] for text, _ in SPELLINGS if text)
    yield from (text for text, _, _ in NATIONAL)
    yield from (f"+{number.country_code}{number.national_number}" for number in list(cases.examples())[::9])
