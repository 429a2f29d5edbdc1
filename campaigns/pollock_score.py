"""Pollock's simple score: whether a file loads, and precision, recall and F1 of its header, its records, its cells."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

MEASURES = (
    "success",
    *(f"{what} {how}" for what in ("header", "record", "cell") for how in ("precision", "recall", "F1")),
)

NOTHING = (0.0,) * len(MEASURES)


def measures(clean: Sequence[Sequence[str]], loaded: Sequence[Sequence[str]]) -> tuple[float, ...]:
    """The ten measures of a file that did load, as Pollock takes them, its first row being the header in both.

    It compares cells by what they mean (dates, prices, in lower case); here they are compared to the letter.
    """
    if not clean:
        return (1.0,) * len(MEASURES)
    records = [["".join(row) for row in rows[1:]] for rows in (clean, loaded)]
    cells = [[cell for row in rows for cell in row] for rows in (clean, loaded)]
    return (1.0, *agreement(clean[0], loaded[0]), *agreement(*records), *agreement(*cells))


def agreement(clean: Sequence[str], loaded: Sequence[str]) -> tuple[float, float, float]:
    """Of two bags: the share of the first that is in both, that of the second, and the harmonic mean."""
    if not clean:
        return 1.0, 1.0, 1.0
    both = (Counter(clean) & Counter(loaded)).total()
    if not both:
        return 0.0, 0.0, 0.0
    precision, recall = both / len(clean), both / len(loaded)
    return precision, recall, 2 * precision * recall / (precision + recall)
