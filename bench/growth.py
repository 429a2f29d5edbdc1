"""What happens at ten, a hundred and a thousand times as many uploads: a simulation, and which part is full first.

    python -m bench.growth                       the scenarios of docs/growing.md, some ten seconds
    python -m bench.growth --nodes 3 --rate 40   one installation; --help names every figure that may be put in

Uploads arrive at random (Poisson), or as fast as a number of callers can send them, in sizes of a mix. Each waits for a
place of its node, computes on one core in slices, stores its objects, and runs its transactions, each on a connection
of the node, in its account's turn and on a core of the catalog's machine. What that takes was measured or is assumed:
docs/growing.md says which. Lines to callers, reads, memory and disks are left out. A test holds the model against the
formulas of queueing theory.
"""

from __future__ import annotations

import argparse
import heapq
import itertools
import math
import random
from collections import deque
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field, fields, replace


@dataclass(frozen=True)
class Size:
    """A size of uploads: its share of all, its work on a node's cores, and the time to store its objects."""

    name: str
    share: float
    cpu_ms: float
    put_ms: float


# Files of 1,000, 50,000 and a million rows. Work and time as measured; the mix is assumed.
MIX = (Size("1,000 rows", 0.90, 48, 15), Size("50,000 rows", 0.09, 150, 30), Size("1,000,000 rows", 0.01, 1900, 140))


@dataclass(frozen=True)
class Design:
    """An installation and what comes in. Times are milliseconds of the mean.

    `rate` is uploads a second of all; with `callers`, each of them sends its next upload when it has an answer.
    """

    name: str = "this installation"
    rate: float = 10.0
    callers: int = 0
    nodes: int = 1
    cores: int = 4
    places: int = 4
    waiting: int = 32
    connections: int = 10
    catalogs: int = 1
    catalog_cores: int = 8
    reads: int = 2
    writes: int = 3
    catalog_cpu_ms: float = 0.42
    commit_ms: float = 1.7
    accounts: int = 1000
    largest: float = 0.05
    has_turns: bool = True
    slice_ms: float = 20.0
    one_machine: bool = False
    is_random: bool = False
    mix: Sequence[Size] = MIX


# What a process asks of the clock: to go on after some milliseconds, or once it has a unit of a station.
Process = Generator["float | Station", None, None]


class Clock:
    """Time in milliseconds, and the processes that go on at some later one."""

    def __init__(self) -> None:
        self.now = 0.0
        self.order = itertools.count()
        self.later: list[tuple[float, int, Process]] = []

    def start(self, process: Process, in_ms: float = 0.0) -> None:
        """Has it go on in so many milliseconds."""
        heapq.heappush(self.later, (self.now + in_ms, next(self.order), process))

    def run(self) -> None:
        """Until nothing is left to happen."""
        while self.later:
            self.now, _, process = heapq.heappop(self.later)
            self.go_on(process)

    def go_on(self, process: Process) -> None:
        """Runs a process until it has to wait for a time or for a station."""
        for step in process:
            if isinstance(step, float):
                self.start(process, step)
                return
            if not step.take(process):
                return


class Station:
    """Something of which there are so many units, handed out in the order of asking: cores, places, connections."""

    def __init__(self, clock: Clock, units: int) -> None:
        self.clock, self.units = clock, units
        self.used = 0
        self.queue: deque[Process] = deque()
        self.busy_ms, self.since, self.seen_from = 0.0, 0.0, 0.0

    def take(self, process: Process) -> bool:
        """Whether the process has a unit at once; otherwise it goes on when it is its turn."""
        if self.used < self.units:
            self.count(1)
            return True
        self.queue.append(process)
        return False

    def free(self) -> None:
        """Gives a unit back, or on to whoever is next."""
        if self.queue:
            self.clock.start(self.queue.popleft())
        else:
            self.count(-1)

    def count(self, change: int) -> None:
        """Notes how long how many were in use."""
        self.busy_ms += self.used * (self.clock.now - self.since)
        self.used, self.since = self.used + change, self.clock.now

    def look(self) -> None:
        """Begins to look at its use."""
        self.busy_ms, self.since, self.seen_from = 0.0, self.clock.now, self.clock.now

    def use(self) -> float:
        """The share of its units that was in use since one began to look."""
        self.count(0)
        seen = self.clock.now - self.seen_from
        return self.busy_ms / self.units / seen if seen else 0.0


@dataclass
class Node:
    """One node's stations."""

    places: Station
    cores: Station
    connections: Station


@dataclass
class Outcome:
    """What came of a run while it was looked at; times are milliseconds."""

    design: Design
    refused: int = 0
    seen_s: float = 0.0
    waits: list[float] = field(default_factory=list)
    answers: list[float] = field(default_factory=list)
    use: dict[str, float] = field(default_factory=dict)

    @property
    def throughput(self) -> float:
        """Uploads a second that were answered with 201."""
        return len(self.answers) / self.seen_s

    @property
    def fullest(self) -> str:
        """The part that is full first as more comes in; of several the last, for which the others are held."""
        return max(reversed(self.use), key=lambda part: round(self.use[part], 2))


class Installation:
    """The stations of a design, and the uploads that pass through them."""

    def __init__(self, design: Design, uploads: int, seed: int) -> None:
        self.design, self.uploads = design, uploads
        self.chance = random.Random(seed)
        self.clock = Clock()
        self.cores = Station(self.clock, design.cores)
        self.nodes = [self.node() for _ in range(design.nodes)]
        self.catalogs = [Station(self.clock, design.catalog_cores) for _ in range(design.catalogs)]
        self.turns = [Station(self.clock, 1) for _ in range(design.accounts)]
        self.outcome = Outcome(design)
        self.sent = 0
        self.is_seen = False
        self.seen_from = 0.0

    def node(self) -> Node:
        """A new node."""
        cores = self.cores if self.design.one_machine else Station(self.clock, self.design.cores)
        places, connections = (Station(self.clock, units) for units in (self.design.places, self.design.connections))
        return Node(places, cores, connections)

    def stations(self) -> dict[str, list[Station]]:
        """Those whose use is told, by what they are."""
        return {
            "places": [node.places for node in self.nodes],
            "cores of nodes": [node.cores for node in self.nodes],
            "connections": [node.connections for node in self.nodes],
            "turns of the largest account": self.turns[:1],
            "catalog": self.catalogs,
        }

    def run(self) -> Outcome:
        """Sends the uploads. Neither the first fifth, which find it empty, nor what is left at the end is looked at."""
        if self.design.callers:
            for _ in range(self.design.callers):
                self.clock.start(self.caller())
        else:
            self.clock.start(self.arrivals())
        self.clock.run()
        return self.outcome

    def arrivals(self) -> Process:
        """Lets uploads in at random."""
        while self.sent < self.uploads:
            yield self.chance.expovariate(self.design.rate / 1000)
            self.clock.start(self.upload())

    def caller(self) -> Process:
        """Sends one upload after the other."""
        while self.sent < self.uploads:
            yield from self.upload()

    def note_sent(self) -> None:
        """Counts one more; begins and ends to look."""
        self.sent += 1
        if self.sent == self.uploads // 5:
            self.is_seen, self.seen_from = True, self.clock.now
            for station in itertools.chain(*self.stations().values()):
                station.look()
        if self.sent == self.uploads:
            self.is_seen = False
            self.outcome.seen_s = (self.clock.now - self.seen_from) / 1000
            self.outcome.use = {name: mean([one.use() for one in ones]) for name, ones in self.stations().items()}

    def upload(self) -> Process:
        """One upload, from its place to its answer."""
        self.note_sent()
        begun = self.clock.now
        size = self.chance.choices(self.design.mix, [size.share for size in self.design.mix])[0]
        # The load balancer knows how much each node has to do.
        node = min(self.nodes, key=lambda node: node.places.used + len(node.places.queue))
        if len(node.places.queue) >= self.design.waiting:
            self.outcome.refused += self.is_seen
            return
        yield node.places
        waited = self.clock.now - begun
        yield from self.compute(node, size)
        yield self.milliseconds(size.put_ms)
        yield from self.commit(node)
        node.places.free()
        if self.is_seen:
            self.outcome.waits.append(waited)
            self.outcome.answers.append(self.clock.now - begun)

    def compute(self, node: Node, size: Size) -> Process:
        """The work, in slices, so that a large upload and a small one share the cores."""
        left = self.milliseconds(size.cpu_ms)
        while left > 0:
            yield node.cores
            yield min(left, self.design.slice_ms)
            node.cores.free()
            left -= self.design.slice_ms

    def commit(self, node: Node) -> Process:
        """The transactions: those that write hold their account's turn until they are on the disk."""
        account = self.account()
        catalog = self.catalogs[account % len(self.catalogs)]
        for number in range(self.design.reads + self.design.writes):
            is_write = number >= self.design.reads
            turn = self.turns[account] if is_write and self.design.has_turns else None
            yield node.connections
            if turn is not None:
                yield turn
            yield catalog
            yield self.milliseconds(self.design.catalog_cpu_ms)
            catalog.free()
            if is_write:
                yield self.milliseconds(self.design.commit_ms)
            if turn is not None:
                turn.free()
            node.connections.free()

    def account(self) -> int:
        """Whose upload it is: the largest account's, or that of any other."""
        if self.design.accounts == 1 or self.chance.random() < self.design.largest:
            return 0
        return self.chance.randrange(1, self.design.accounts)

    def milliseconds(self, mean_ms: float) -> float:
        """A time of that mean: as it is, or for a comparison with the formulas exponentially distributed."""
        return self.chance.expovariate(1 / mean_ms) if self.design.is_random and mean_ms else float(mean_ms)


# Uploads, and seconds of them, that a run has at least: enough for the hundredth that is slowest.
UPLOADS, SECONDS = 5000, 8


def simulate(design: Design, uploads: int = 0, seed: int = 1) -> Outcome:
    """So many uploads through a design, or as many as are enough."""
    enough = UPLOADS if design.callers else max(UPLOADS, int(design.rate * SECONDS))
    return Installation(design, uploads or enough, seed).run()


def mean(values: Sequence[float]) -> float:
    """Their mean, or 0 of none."""
    return sum(values) / len(values) if values else 0.0


def quantile(values: Sequence[float], share: float) -> float:
    """The value that so large a share does not exceed, or 0 of none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, math.ceil(share * len(ordered)) - 1)] if ordered else 0.0


def erlang_c(servers: int, load: float) -> float:
    """The share that has to wait in M/M/c, for a load in Erlang below the number of servers."""
    terms = [load**k / math.factorial(k) for k in range(servers)]
    last = load**servers / math.factorial(servers) * servers / (servers - load)
    return last / (sum(terms) + last)


def hit_rate(nodes: int, copies: int, objects: int, *, has_affinity: bool, reads: int = 60_000, seed: int = 1) -> float:
    """The share of reads that find a copy on their node, each of which keeps so many of them (LRU).

    An object's popularity falls as 1 / rank. With affinity it is always read on the same node, otherwise on any.
    """
    chance = random.Random(seed)
    ranks = chance.choices(range(objects), [1 / rank for rank in range(1, objects + 1)], k=reads)
    kept: list[dict[int, None]] = [{} for _ in range(nodes)]
    hits = 0
    for number, rank in enumerate(ranks):
        copy = kept[rank % nodes if has_affinity else chance.randrange(nodes)]
        is_hit = rank in copy
        hits += is_hit and number >= reads // 2  # the first half fills the caches
        copy.pop(rank, None)
        copy[rank] = None
        if len(copy) > copies:
            del copy[next(iter(copy))]
    return hits / (reads - reads // 2)


TODAY = Design()
THOUSAND = replace(TODAY, name="1,000/s, 60 nodes", rate=1000, nodes=60)
SCENARIOS = (
    replace(TODAY, name="1 node, 20/s", rate=20),
    replace(TODAY, name="3 nodes, 60/s", rate=60, nodes=3),
    replace(TODAY, name="30 nodes, 600/s", rate=600, nodes=30),
    replace(TODAY, name="100 nodes, 2,000/s", rate=2000, nodes=100),
    THOUSAND,
    replace(THOUSAND, name="… one account sends a third", largest=0.33),
    replace(THOUSAND, name="… and turns by audience", largest=0.33, has_turns=False),
    replace(THOUSAND, name="… catalog on 2 cores", catalog_cores=2),
    replace(THOUSAND, name="… and divided among 4", catalog_cores=2, catalogs=4),
    replace(THOUSAND, name="… and two transactions fewer", catalog_cores=2, reads=1, writes=2),
    replace(THOUSAND, name="… 30 nodes of 8 cores", nodes=30, cores=8, places=8),
    replace(THOUSAND, name="… 15 nodes: too few", nodes=15),
    replace(THOUSAND, name="… with 8 places each", nodes=15, places=8),
    replace(THOUSAND, name="… with a queue of 2,000 each", nodes=15, waiting=2000),
)


# Below half of its units in use, a part is far from full.
HALF = 0.5


def line(outcome: Outcome) -> str:
    """A line of the table."""
    sent = len(outcome.answers) + outcome.refused
    full = outcome.fullest
    cells = [
        outcome.design.name,
        f"{outcome.throughput:,.0f}",
        f"{outcome.refused / sent:.0%}",
        f"{quantile(outcome.waits, 0.5):,.0f} / {quantile(outcome.waits, 0.99):,.0f}",
        f"{quantile(outcome.answers, 0.5):,.0f} / {quantile(outcome.answers, 0.99):,.0f}",
        *(f"{share:.0%}" for share in outcome.use.values()),
        full if outcome.use[full] > HALF else "nothing yet",
    ]
    return f"| {' | '.join(cells)} |"


COLUMNS = ["installation", "201s a second", "503", "wait p50 / p99, ms", "answer p50 / p99, ms"]
COLUMNS += ["places", "cores", "connections", "largest account's turn", "catalog", "full first"]
HEAD = f"| {' | '.join(COLUMNS)} |\n| --- |{' ---: |' * (len(COLUMNS) - 2)} --- |"


# What of the mix may be put in, a figure for each size.
MIX_OPTIONS = {"share": "shares", "cpu_ms": "work on a core", "put_ms": "time to store objects"}


def given(options: argparse.Namespace) -> Design:
    """A design out of the command's options."""
    put_in = {name: getattr(options, name) for name in MIX_OPTIONS if getattr(options, name) is not None}
    mix = tuple(replace(size, **{name: put_in[name][at] for name in put_in}) for at, size in enumerate(MIX))
    chosen = {item.name: value for item in fields(Design) if (value := getattr(options, item.name, None)) is not None}
    return replace(TODAY, **chosen, mix=mix)


def read_options() -> argparse.Namespace:
    """The command's options: every number of a design."""
    parser = argparse.ArgumentParser("bench.growth", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    kinds: dict[str, Callable[[str], float]] = {"int": int, "float": float}
    for item in fields(Design):
        option = f"--{item.name.replace('_', '-')}"
        if item.type in kinds:
            parser.add_argument(option, type=kinds[str(item.type)], help=f"by default {item.default}")
        elif item.type == "bool":
            parser.add_argument(option, action=argparse.BooleanOptionalAction, help=f"by default {item.default}")
    for option, shown in MIX_OPTIONS.items():
        default = " ".join(f"{getattr(size, option):g}" for size in MIX)
        help_text = f"{shown} of {', '.join(size.name for size in MIX)}; by default {default}"
        parser.add_argument(f"--{option.replace('_', '-')}", type=float, nargs=len(MIX), help=help_text)
    parser.add_argument("--uploads", type=int, default=0, help="how many are sent; by default as many as are enough")
    return parser.parse_args()


def main() -> None:
    """Prints a table of the scenarios, or of the one installation that the options describe."""
    options = read_options()
    design = given(options)
    print(HEAD)
    for one in (design,) if design != TODAY else SCENARIOS:
        print(line(simulate(one, options.uploads)), flush=True)
    if design == TODAY:
        print("\n| nodes | copies kept by each | any node | the same node each time |\n| ---: | ---: | ---: | ---: |")
        for nodes in (3, 30, 100):
            shares = [hit_rate(nodes, 1000, 100_000, has_affinity=has_affinity) for has_affinity in (False, True)]
            print(f"| {nodes} | 1,000 of 100,000 | {shares[0]:.0%} | {shares[1]:.0%} |", flush=True)


if __name__ == "__main__":
    main()
