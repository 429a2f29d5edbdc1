"""Every run that was made, and the lines of the table that come of them."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Direction = Literal["at most", "at least"]


@dataclass(frozen=True)
class Target:
    """What a ratio or a figure has to be."""

    direction: Direction
    value: float

    def met(self, measured: float) -> bool:
        """Whether it is."""
        return measured <= self.value if self.direction == "at most" else measured >= self.value

    def __str__(self) -> str:
        return f"{'≤' if self.direction == 'at most' else '≥'} {self.value:,.10g}"


@dataclass(frozen=True)
class Line:
    """One line of the table. A target is about the ratio where there is one, else about `ours`."""

    cell: str
    measure: str
    unit: str
    ours: float
    other_name: str = ""
    other: float | None = None
    ratio: float | None = None
    target: str = ""
    met: bool | None = None
    remark: str = ""


@dataclass
class Record:
    """What was measured so far in one cell."""

    cell: str
    runs: list[dict[str, Any]] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)
    steps: dict[str, float] = field(default_factory=dict)

    def add(self, who: str, **measured: float) -> None:
        """Takes down one run."""
        self.runs.append({"cell": self.cell, "who": who, **measured})

    def values(self, who: str, measure: str = "seconds") -> list[float]:
        """One measure of all runs of `who`, in their order."""
        return [run[measure] for run in self.runs if run["who"] == who]

    def median(self, who: str, measure: str = "seconds") -> float:
        """The median of these."""
        return statistics.median(self.values(who, measure))

    def compare(
        self, measure: str, other: str, target: Target | None = None, remark: str = "", *, faster: bool = False
    ) -> None:
        """A line: ours beside `other`, in seconds, and ours to theirs; where we are `faster`, theirs to ours."""
        ours, theirs = self.median("ours"), self.median(other)
        ratio = theirs / ours if faster else ours / theirs
        self.line(measure, "s", ours, other_name=other, other=theirs, ratio=ratio, target=target, remark=remark)

    def line(self, measure: str, unit: str, ours: float, *, target: Target | None = None, **rest: Any) -> None:  # noqa: ANN401
        """A line of the table."""
        judged = rest.get("ratio")
        judged = ours if judged is None else judged
        met = None if target is None else target.met(judged)
        told = "" if target is None else str(target)
        self.lines.append(Line(self.cell, measure, unit, ours, target=told, met=met, **rest))

    def as_json(self) -> dict[str, Any]:
        """All of it."""
        return {"lines": [asdict(line) for line in self.lines], "runs": self.runs, "steps": self.steps}


def quantile(values: Sequence[float], percent: int) -> float:
    """The value that `percent` of them do not exceed."""
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]
