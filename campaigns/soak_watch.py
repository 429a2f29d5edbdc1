"""What a soak measures while it runs, and the verdict on it."""

from __future__ import annotations

import math
import os
import threading
import time
import urllib.request
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean

from campaigns.outcome import Outcome
from campaigns.serving import Server

# Seconds between two samples.
SAMPLE_S = 2.0

# Memory is flat if in the last quarter it is at most so much larger than in the second: what the allocator keeps of a
# large upload comes and goes.
GROWTH, GROWTH_BYTES = 1.10, 32 * 1024**2

# The 99th percentile is steady if in the last quarter it is at most so many times that of the second, and so many
# seconds; of kinds of which there are enough.
SLOWER, SLOWER_S, ENOUGH = 2.0, 0.25, 100

# Descriptors and threads that may be more at one time than at another: of requests under way.
MORE_DESCRIPTORS, MORE_THREADS = 40, 45


@dataclass(frozen=True)
class Sample:
    """The server at a moment."""

    when: float
    resident_bytes: int
    descriptors: int
    threads: int
    spool_bytes: int
    wal_bytes: int
    stored_bytes: int


@dataclass
class Watch:
    """Samples, and how long each kind of request took, by when it was due."""

    server: Server
    metrics: str
    samples: list[Sample] = field(default_factory=list)
    taken: dict[str, list[tuple[float, float]]] = field(default_factory=lambda: defaultdict(list))

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Takes samples during the block."""
        over = threading.Event()

        def go_on() -> None:
            while not over.wait(SAMPLE_S):
                self.samples.append(self.sample())

        thread = threading.Thread(target=go_on)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def sample(self) -> Sample:
        """The server now; its metrics are fetched as well, as a monitor would."""
        urllib.request.urlopen(self.metrics, timeout=60).read()
        holdings, data = self.server.holdings(), self.server.data
        return Sample(
            time.monotonic(),
            holdings.resident_bytes,
            holdings.descriptors,
            holdings.threads,
            size_of(data / "spool"),
            size_of(data / "catalog.sqlite-wal"),
            size_of(data / "files"),
        )

    def quarter(self, number: int) -> tuple[float, float]:
        """Begin and end of a quarter of the time, 0 to 3."""
        begin, end = self.samples[0].when, self.samples[-1].when
        length = (end - begin) / 4
        return begin + number * length, begin + (number + 1) * length

    def within(self, span: tuple[float, float]) -> list[Sample]:
        """The samples of that time."""
        return [sample for sample in self.samples if span[0] <= sample.when <= span[1]]

    def times(self, kind: str, span: tuple[float, float]) -> list[float]:
        """The seconds that requests of a kind took, of those that were due in that time."""
        return [seconds for due, seconds in self.taken[kind] if span[0] <= due <= span[1]]


def size_of(path: Path) -> int:
    """Bytes of a file, or of all files in a folder; what goes away meanwhile is left out."""
    if path.is_file():
        return path.stat().st_size
    total = 0
    for folder, _, names in os.walk(path):
        for name in names:
            with suppress(FileNotFoundError):
                total += (Path(folder) / name).stat().st_size
    return total


def quantile(seconds: Sequence[float], share: float) -> float:
    """The seconds within which that share was done."""
    ordered = sorted(seconds)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def minutes(watch: Watch, outcome: Outcome) -> None:
    """A line of figures a minute."""
    begin, end = watch.samples[0].when, watch.samples[-1].when
    for number in range(math.ceil((end - begin) / 60)):
        span = (begin + number * 60, begin + (number + 1) * 60)
        some = watch.within(span)
        if not some:
            continue
        resident = fmean(sample.resident_bytes for sample in some) / 1024**2
        parts = [f"{resident:.0f} MiB", f"{max(sample.descriptors for sample in some)} descriptors"]
        parts += [f"{max(sample.threads for sample in some)} threads", f"WAL {some[-1].wal_bytes / 1024**2:.1f} MiB"]
        parts += [f"stored {some[-1].stored_bytes / 1024**2:.0f} MiB"]
        for kind in ("upload", "read_page", "export"):
            seconds = watch.times(kind, span)
            if seconds:
                both = "/".join(f"{quantile(seconds, share) * 1000:.0f}" for share in (0.5, 0.99))
                parts.append(f"{kind} {both} ms")
        outcome.figures[f"minute {number + 1}"] = ", ".join(parts)


def percentiles(watch: Watch, outcome: Outcome) -> None:
    """The two percentiles of every kind, over the whole time."""
    for kind in sorted(watch.taken):
        seconds = [taken for _, taken in watch.taken[kind]]
        both = " / ".join(f"{quantile(seconds, share) * 1000:.0f}" for share in (0.5, 0.99))
        outcome.figures[f"{kind}: count, p50 / p99 (ms)"] = f"{len(seconds)}, {both}"


def verdict(watch: Watch, outcome: Outcome) -> None:
    """Memory flat, no descriptor more, the 99th percentile steady: the last quarter of the time beside the second."""
    second, last = watch.quarter(1), watch.quarter(3)
    before, behind = watch.within(second), watch.within(last)
    sizes = [fmean(sample.resident_bytes for sample in some) for some in (before, behind)]
    outcome.figures["memory, second and last quarter (MiB)"] = " / ".join(f"{size / 1024**2:.0f}" for size in sizes)
    if sizes[1] > sizes[0] * GROWTH + GROWTH_BYTES:
        outcome.losses.append(f"memory grew from {sizes[0] / 1024**2:.0f} to {sizes[1] / 1024**2:.0f} MiB")
    for name, more in (("descriptors", MORE_DESCRIPTORS), ("threads", MORE_THREADS)):
        most = [max(getattr(sample, name) for sample in some) for some in (before, behind)]
        outcome.figures[f"most {name}, second and last quarter"] = f"{most[0]} / {most[1]}"
        if most[1] > most[0] + more:
            outcome.losses.append(f"{name} grew from {most[0]} to {most[1]}")
    for kind in watch.taken:
        seconds = [watch.times(kind, span) for span in (second, last)]
        if min(len(some) for some in seconds) >= ENOUGH:
            slow = [quantile(some, 0.99) for some in seconds]
            if slow[1] > slow[0] * SLOWER + SLOWER_S:
                outcome.losses.append(f"the p99 of {kind} grew from {slow[0]:.3f} to {slow[1]:.3f} s")
