"""Turns: whose work is next in the engine, how many wait for it, and who is told to come back.

Few uploads are worked on at once, and few wait. Places that come free go round: first to the line that had none for
longest, where a line is what one account has waiting of one size, large or small, in the order in which it came. So
nobody waits for the backlog of somebody else, and the last place is never a large upload's. Where the queue is full,
whoever has most waiting gives way. Nothing here knows threads; all of it belongs to one event loop at a time.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from audiences import tracing
from audiences.errors import EngineFull, NotReady, Refusal
from audiences.settings import MIB
from audiences.watch import Metrics

# Bytes above which an upload is a large one: about a million rows of a customer list, and a second of the engine to
# itself; what is below is done before anybody grows impatient.
LARGE_BYTES = 64 * MIB

# Works whose duration says how fast places come free: enough that one odd one does not decide.
LATELY = 16

# Seconds that a client is told to wait, at least and at most: longer, and it would be told of a queue that is gone.
SOONEST_S, LATEST_S = 1, 60

# Seconds after which a stopping server has a successor, or another node has taken its place.
STOPPING_S = 5

# An account, and whether it is its large uploads.
Line = tuple[int, bool]


@dataclass(frozen=True)
class Turn:
    """What asks for a place in the engine: somebody's work, on an upload of so many bytes; 0 if it has none."""

    account: int
    size: int = 0

    @property
    def is_large(self) -> bool:
        """Whether it leaves the last place to others."""
        return self.size > LARGE_BYTES

    @property
    def line(self) -> Line:
        """What it lines up with: the account's others of its size."""
        return self.account, self.is_large


@dataclass(eq=False)
class Held:
    """A place that is held, since `begun` on the monotonic clock."""

    turn: Turn
    begun: float


@dataclass(eq=False)
class Waiter:
    """One in the queue; when `told`, it has a place or a refusal."""

    turn: Turn
    told: asyncio.Event = field(default_factory=asyncio.Event)
    held: Held | None = None
    refusal: Refusal | None = None


class Turns:
    """The places of one engine and the queue for them."""

    def __init__(
        self, places: int, queue_length: int, metrics: Metrics, seconds: Callable[[], float] = time.monotonic
    ) -> None:
        self.places = places
        self.places_of_large = max(1, places - 1)
        self.queue_length = queue_length
        self.refused = metrics.engine_refused
        self.seconds = seconds
        self.running: list[Held] = []
        self.waiting: list[Waiter] = []  # in the order in which they came
        self.lines: list[Line] = []  # those that wait, in the order in which they are next
        self.lately: deque[float] = deque(maxlen=LATELY)
        self.is_stopping = False
        metrics.engine_running.set_function(lambda: len(self.running))
        metrics.engine_waiting.set_function(lambda: len(self.waiting))

    @asynccontextmanager
    async def place(self, turn: Turn) -> AsyncIterator[None]:
        """A place in the engine for as long as the block lasts, once it is this one's turn.

        Raises EngineFull where there is no room in the queue or no longer, NotReady where the server stops.
        """
        held = await self.take(turn)
        try:
            yield
        finally:
            self.free(held)

    def refuse_if_full(self, turn: Turn) -> None:
        """Raises what `place` would raise now: for a client that has not sent its file yet."""
        if not self.is_free_for(turn.line):
            self.find_room(turn.account)

    def hand_back(self) -> None:
        """Refuses all that wait and all that would have to: the server stops. What has a place keeps it."""
        self.is_stopping = True
        for waiter in list(self.waiting):
            self.refuse(waiter, stopping())

    async def take(self, turn: Turn) -> Held:
        """A place, once there is one. Raises as `place`."""
        if self.is_free_for(turn.line):
            return self.hold(turn)
        waiter = self.line_up(turn)
        try:
            with tracing.span("wait"):
                await waiter.told.wait()
        except asyncio.CancelledError:
            self.give_up(waiter)
            raise
        if waiter.held is None:
            assert waiter.refusal is not None  # noqa: S101 - told is either
            raise waiter.refusal
        return waiter.held

    def is_free_for(self, line: Line) -> bool:
        """Whether there is a place that the next of that line may have."""
        _, is_large = line
        if is_large and sum(held.turn.is_large for held in self.running) >= self.places_of_large:
            return False
        return len(self.running) < self.places

    def hold(self, turn: Turn) -> Held:
        """Holds a place, which is known to be free."""
        held = Held(turn, self.seconds())
        self.running.append(held)
        return held

    def free(self, held: Held) -> None:
        """Gives a place back, and on to whoever is next."""
        self.running.remove(held)
        self.lately.append(self.seconds() - held.begun)
        self.hand_out()

    def hand_out(self) -> None:
        """Gives free places to those who wait and may have them; their lines go to the end of the round."""
        while (line := next((line for line in self.lines if self.is_free_for(line)), None)) is not None:
            waiter = next(waiter for waiter in self.waiting if waiter.turn.line == line)
            self.lines.remove(line)
            self.lines.append(line)
            self.leave(waiter)
            waiter.held = self.hold(waiter.turn)
            waiter.told.set()

    def line_up(self, turn: Turn) -> Waiter:
        """Joins the queue, perhaps in the place of another. Raises EngineFull, or NotReady."""
        other = self.find_room(turn.account)
        if other is not None:
            self.refuse(other, self.full())
        waiter = Waiter(turn)
        self.waiting.append(waiter)
        if turn.line not in self.lines:
            self.lines.append(turn.line)
        return waiter

    def find_room(self, account: int) -> Waiter | None:
        """Who has to give way to one more of that account, or None where there is room. Raises EngineFull, or NotReady.

        It is the last one of whoever has most waiting, and only where that one still has as many as the account then:
        otherwise two accounts would push each other out in turn.
        """
        if self.is_stopping:
            raise stopping()
        if len(self.waiting) < self.queue_length:
            return None
        counts = Counter(waiter.turn.account for waiter in self.waiting)
        most = max(counts.values())
        if counts[account] + 1 >= most:
            raise self.full()
        return next(waiter for waiter in reversed(self.waiting) if counts[waiter.turn.account] == most)

    def refuse(self, waiter: Waiter, refusal: Refusal) -> None:
        """Sends one of the queue away."""
        self.leave(waiter)
        waiter.refusal = refusal
        waiter.told.set()

    def give_up(self, waiter: Waiter) -> None:
        """Forgets one that was cancelled while it waited, or in the moment in which it was told."""
        if waiter.held is not None:
            self.free(waiter.held)
        elif waiter.refusal is None:
            self.leave(waiter)

    def leave(self, waiter: Waiter) -> None:
        """Takes one out of the queue, and its line where it was the last of it."""
        self.waiting.remove(waiter)
        line = waiter.turn.line
        if all(other.turn.line != line for other in self.waiting):
            self.lines.remove(line)

    def full(self) -> EngineFull:
        """The refusal of one for whom the queue has no room; counted."""
        self.refused.inc()
        seconds = self.seconds_to_empty()
        return EngineFull(
            "The server has as many uploads as it can work on, and as many wait as may. Nothing was stored. "
            f"Send the same request again in {seconds} seconds.",
            headers={"Retry-After": str(seconds)},
        )

    def seconds_to_empty(self) -> int:
        """Whole seconds until those who wait now will have had their turn, at the pace of late."""
        now = self.seconds()
        durations = [*self.lately, *self.ages(now)]
        mean = sum(durations) / len(durations) if durations else 0.0
        return min(max(math.ceil(mean / self.places * len(self.waiting)), SOONEST_S), LATEST_S)

    def ages(self, now: float) -> Iterator[float]:
        """How long places are held already: works that take longer than those before count while they run."""
        return (now - held.begun for held in self.running)


def stopping() -> NotReady:
    """The refusal of one that would have to wait for a place in a server that stops."""
    return NotReady(
        "The server is stopping before it was this request's turn. Nothing was stored. "
        "Send the same request again in a few seconds.",
        headers={"Retry-After": str(STOPPING_S)},
    )
