"""Every run that was made, and the figures and lines of the table that come of them."""

from __future__ import annotations

import random
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, Protocol

from bench.tables import figure

Direction = Literal["at most", "at least"]

# How many times runs are drawn anew for an interval, and the share of the ratios that it holds (percent).
DRAWS, SHARE = 1000, 95


class Goal(Protocol):
    """What a ratio or a figure has to be; as text, with a sign of comparison."""

    def met(self, measured: float) -> bool:
        """Whether it is."""


@dataclass(frozen=True)
class Target:
    """A bound."""

    direction: Direction
    value: float

    def met(self, measured: float) -> bool:
        """Whether it is kept."""
        return measured <= self.value if self.direction == "at most" else measured >= self.value

    def __str__(self) -> str:
        return f"{'≤' if self.direction == 'at most' else '≥'} {self.value:,.10g}"


@dataclass(frozen=True)
class Between:
    """Two bounds."""

    low: float
    high: float

    def met(self, measured: float) -> bool:
        """Whether both are kept."""
        return self.low <= measured <= self.high

    def __str__(self) -> str:
        return f"{self.low:,.10g} to {self.high:,.10g}"


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
class Profile:
    """Seconds of so many uploads, and of each of their steps, as the server's own metrics have them."""

    uploads: int = 0
    seconds: float = 0.0
    steps: Counter[str] = field(default_factory=Counter)

    def add(self, uploads: int, seconds: float, steps: Mapping[str, float]) -> None:
        """Takes in further uploads."""
        self.uploads += uploads
        self.seconds += seconds
        self.steps.update(steps)

    def means(self) -> dict[str, Any]:
        """Seconds of one upload."""
        steps = {name: seconds / self.uploads for name, seconds in self.steps.items() if seconds}
        return {"uploads": self.uploads, "seconds": self.seconds / self.uploads, "steps": steps}


@dataclass
class Record:
    """What was measured so far in one cell."""

    cell: str
    runs: list[dict[str, Any]] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)
    profile: Profile = field(default_factory=Profile)

    def add(self, who: str, **measured: float) -> None:
        """Takes down one run."""
        self.runs.append({"cell": self.cell, "who": who, **measured})

    def values(self, who: str, measure: str = "seconds") -> list[float]:
        """One measure of all runs of `who`, in their order."""
        return [run[measure] for run in self.runs if run["who"] == who]

    def median(self, who: str, measure: str = "seconds") -> float:
        """The median of these."""
        return statistics.median(self.values(who, measure))

    def highest(self, who: str, measure: str) -> float:
        """The highest of these."""
        return max(self.values(who, measure))

    def compare(self, measure: str, other: str, target: Goal | None = None, remark: str = "", **rest: Any) -> None:  # noqa: ANN401
        """A line: `ours`, or `who`, beside `other`, in seconds, and ours to theirs; if `faster`, theirs to ours.

        `field` names another measure, `unit` and `size` what it is told in, `called` who the other is. The remark
        says how sure the ratio is.
        """
        who, unit, size = rest.get("who", "ours"), rest.get("unit", "s"), rest.get("size", 1.0)
        both = [[value / size for value in self.values(name, rest.get("field", "seconds"))] for name in (who, other)]
        ours, theirs = map(statistics.median, both)
        ratio, sure = ours / theirs, interval(*both)
        if rest.get("faster"):
            ratio, sure = 1 / ratio, (1 / sure[1], 1 / sure[0])
        told = f"{SHARE} %: {figure(sure[0])} to {figure(sure[1])}"
        remark = "; ".join(filter(None, [remark, told]))
        called = rest.get("called", other)
        self.line(measure, unit, ours, other_name=called, other=theirs, ratio=ratio, target=target, remark=remark)

    def line(self, measure: str, unit: str, ours: float, *, target: Goal | None = None, **rest: Any) -> None:  # noqa: ANN401
        """A line of the table."""
        judged = rest.get("ratio")
        judged = ours if judged is None else judged
        met = None if target is None else target.met(judged)
        told = "" if target is None else str(target)
        self.lines.append(Line(self.cell, measure, unit, ours, target=told, met=met, **rest))

    def as_json(self) -> dict[str, Any]:
        """All of it."""
        profile = self.profile.means() if self.profile.uploads else None
        figures = {who: figures_of([run for run in self.runs if run["who"] == who]) for who in self.who()}
        lines = [asdict(line) for line in self.lines]
        return {"lines": lines, "figures": figures, "profile": profile, "runs": self.runs}

    def who(self) -> Sequence[str]:
        """Who was measured, in the order of their first runs."""
        return list(dict.fromkeys(run["who"] for run in self.runs))


def figures_of(runs: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """How many runs there were, and the median of each measure; of peaks of memory the highest."""
    names = dict.fromkeys(name for run in runs for name in run if name not in {"cell", "who"})
    found: dict[str, float] = {"runs": len(runs)}
    for name in names:
        values = [run[name] for run in runs if name in run]
        found[name] = max(values) if name.endswith("peak_bytes") else statistics.median(values)
    return found


def interval(ours: Sequence[float], theirs: Sequence[float]) -> tuple[float, float]:
    """Between what the ratio of the medians lies with a probability of `SHARE` percent.

    Found by drawing runs anew (bootstrap), both sides' together where they took turns, so that what slowed down a round
    as a whole does not count. The same runs give the same answer.
    """
    chance, ratios = random.Random(1), []
    for _ in range(DRAWS):
        rounds = chance.choices(range(len(ours)), k=len(ours))
        paired = rounds if len(theirs) == len(ours) else chance.choices(range(len(theirs)), k=len(theirs))
        ratios.append(statistics.median(ours[i] for i in rounds) / statistics.median(theirs[i] for i in paired))
    ratios.sort()
    left_out = (100 - SHARE) * DRAWS // 200
    return ratios[left_out], ratios[-1 - left_out]


def quantile(values: Sequence[float], percent: int) -> float:
    """The value that `percent` of them do not exceed."""
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]
