"""Where requests are counted: in this process, or in Redis (or Valkey) together with the other nodes.

The counting itself is the `limits` library's sliding window: two counters a key, however high the limit; in Redis a
hit is one script, so nodes that count at the same time agree. While Redis is away a node counts by itself, under the
same limits, so that an outage refuses nobody and opens no door (docs/decisions/0051-counting-without-redis.md).
"""

from __future__ import annotations

import asyncio
import math
import re
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple, Protocol
from urllib.parse import urlsplit

from limits import RateLimitItem, RateLimitItemPerSecond
from limits.aio.storage import MemoryStorage, RedisStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter

from audiences.errors import CannotOpen
from audiences.watch import Metrics, log, log_fault

if TYPE_CHECKING:
    from redis.asyncio import BlockingConnectionPool

# What all our keys in Redis begin with: others may use the same one.
KEY_PREFIX = "audiences"

# Seconds to connect, and to wait for one answer: it takes a millisecond, or something is wrong.
SOCKET_S = 0.5

# Seconds that a request waits for Redis in all, be it a connection's handshake or a place in the pool.
WAIT_S = 1.0

# Seconds without asking after Redis has failed: an outage delays one request in as many, not every request.
PAUSE_S = 5.0

# Connections of a node at most; each does some thousand hits a second.
CONNECTIONS = 16

VARIABLE = "AUDIENCES_REDIS_URL"


class Count(NamedTuple):
    """What came of counting a request; `reset_s` seconds on there is room for more."""

    admitted: bool
    remaining: int
    reset_s: int


class Counters(Protocol):
    """Somewhere to count."""

    async def hit(self, item: RateLimitItem, *who: str) -> Count:
        """Counts one request of `who` if the limit admits it."""

    async def aclose(self) -> None:
        """Ends the connections of the running event loop; they are made anew if need be."""


class LocalCounters:
    """Counters in the memory of this process."""

    def __init__(self) -> None:
        self.limiter = SlidingWindowCounterRateLimiter(MemoryStorage())

    async def hit(self, item: RateLimitItem, *who: str) -> Count:
        """Counts one request of `who` if the limit admits it."""
        return await hit(self.limiter, item, *who)

    async def aclose(self) -> None:
        """There is nothing to end."""


class SharedCounters:
    """Counters in Redis, and in the memory of this process while Redis is away."""

    def __init__(self, url: str, metrics: Metrics) -> None:
        """Asks Redis once. Raises CannotOpen where it refuses; where it is away, this node counts by itself for now."""
        self.url = checked(url)
        self.local = LocalCounters()
        self.metrics = metrics
        self.outage = Outage(metrics)
        self.connected: dict[asyncio.AbstractEventLoop, Connected] = {}
        with ThreadPoolExecutor(1) as thread:  # whoever opens may be in an event loop, which cannot run another
            thread.submit(asyncio.run, self.ask_first()).result()

    async def hit(self, item: RateLimitItem, *who: str) -> Count:
        """Counts one request of `who` if the limit admits it, within about a second and whatever Redis does."""
        ticket = self.outage.ticket()
        if ticket is not None:
            try:
                count = await self.hit_shared(item, *who)
            except Exception as error:  # noqa: BLE001 - whatever it was, no request may fail for want of a counter
                self.outage.begin(error)
            else:
                self.outage.end(ticket)
                return count
        self.metrics.throttle_local_decisions.inc()
        return await self.local.hit(item, *who)

    async def hit_shared(self, item: RateLimitItem, *who: str) -> Count:
        """Counts in Redis, or raises whatever its client does."""
        limiter = self.limiter()  # loads the client the first time, which is no fault of Redis
        async with asyncio.timeout(WAIT_S):
            return await hit(limiter, item, *who)

    async def ask_first(self) -> None:
        """Counts a request of nobody's. Raises CannotOpen where only the operator can mend what is wrong."""
        try:
            await self.hit_shared(RateLimitItemPerSecond(1), "start")
        except Exception as error:  # noqa: BLE001 - whatever it was, it is told or refused
            sentence = mistake(error)
            if sentence is not None:
                raise CannotOpen(sentence) from None  # the client's own words may hold the password
            self.outage.begin(error)
        finally:
            await self.aclose()

    def limiter(self) -> SlidingWindowCounterRateLimiter:
        """The limiter of the running event loop: a connection belongs to the loop that made it."""
        loop = asyncio.get_running_loop()
        if loop not in self.connected:
            self.connected[loop] = connect(self.url)
        return self.connected[loop].limiter

    async def aclose(self) -> None:
        """Ends the connections of the running event loop; they are made anew if need be."""
        connected = self.connected.pop(asyncio.get_running_loop(), None)
        if connected is not None:
            with suppress(Exception):  # one that does not end in time is dropped; nothing waits for its answer
                await connected.pool.aclose()


class Outage:
    """Whether Redis is away as far as this node knows, when it is asked again, and who is told."""

    def __init__(self, metrics: Metrics, now: Callable[[], float] = time.monotonic) -> None:
        self.metrics, self.now = metrics, now
        self.began: float | None = None
        self.ask_again = 0.0
        self.failures = 0

    def ticket(self) -> int | None:
        """A ticket for asking Redis, or None while that has to wait; of an outage's requests one a pause has one."""
        if self.began is not None:
            if self.now() < self.ask_again:
                return None
            self.ask_again = self.now() + PAUSE_S
        return self.failures

    def begin(self, error: Exception) -> None:
        """Redis has failed: it is left alone for a pause."""
        self.failures += 1
        self.ask_again = self.now() + PAUSE_S
        if self.began is None:
            self.began = self.now()
            self.metrics.throttle_local.set(1)
            log_fault("counters_out_of_reach", error)

    def end(self, ticket: int) -> None:
        """Redis has answered; what was asked before it last failed says nothing, or a slow one would come and go."""
        if self.began is not None and ticket == self.failures:
            log("counters_back", seconds=round(self.now() - self.began, 1))
            self.began = None
            self.metrics.throttle_local.set(0)


class SlidingWindows(RedisStorage):
    """The library's counters, but for one figure."""

    async def get_sliding_window(self, key: str, expiry: int) -> tuple[int, float, int, float]:
        """The window before and the current one, each with its count and its seconds left.

        A current window has twice its length at first. In the very millisecond in which it began the library would
        take that, a multiple of its length, for no time left at all.
        """
        before, before_ends, current, current_ends = await super().get_sliding_window(key, expiry)
        return before, before_ends, current, min(current_ends, 2 * expiry - 0.001)


class Connected(NamedTuple):
    """A limiter, and the connections that it works with."""

    limiter: SlidingWindowCounterRateLimiter
    pool: BlockingConnectionPool


def connect(url: str) -> Connected:
    """A limiter on Redis; connections are made as they are needed, and one that failed is not tried a second time."""
    from redis.asyncio import BlockingConnectionPool

    pool = BlockingConnectionPool.from_url(
        url,
        max_connections=CONNECTIONS,
        timeout=SOCKET_S,
        socket_timeout=SOCKET_S,
        socket_connect_timeout=SOCKET_S,
        socket_keepalive=True,
        protocol=2,  # with 3 it expects notices on an idle connection, and does not see that the server closed it
    )
    storage = SlidingWindows(
        "async+redis://",  # the pool knows the address, and its password
        implementation="redispy",
        key_prefix=KEY_PREFIX,
        connection_pool=pool,  # type: ignore[arg-type]  # taken, but not in the library's annotation
    )
    return Connected(SlidingWindowCounterRateLimiter(storage), pool)


async def hit(limiter: SlidingWindowCounterRateLimiter, item: RateLimitItem, *who: str) -> Count:
    """Counts one request of `who` if the limit admits it."""
    admitted = await limiter.hit(item, *who)
    window = await limiter.get_window_stats(item, *who)
    reset_s = max(1, math.ceil(window.reset_time - time.time()))
    return Count(admitted, window.remaining if admitted else 0, reset_s)


def checked(url: str) -> str:
    """The address as the client reads it. Raises CannotOpen where it would read another, or none."""
    scheme, _, rest = url.partition("://")
    address = f"{scheme.lower()}://{rest}"
    try:
        parts = urlsplit(address)
        readable = bool(parts.hostname) and parts.port != 0 and not parts.fragment
    except ValueError:
        readable = False
    if not readable or not re.fullmatch(r"/?\d*", parts.path):
        raise CannotOpen(NO_ADDRESS)
    return address


NO_ADDRESS = (
    f"{VARIABLE} cannot be used: it takes an address such as redis://:password@host:6379/0, whose last part is the "
    "number of a database. In a password, write %2F for /, %23 for #, %3F for ?, %40 for @ and %25 for %."
)


def mistake(error: Exception) -> str | None:
    """What the operator has to mend, or None where the error may be an outage, which no node may fail to start for."""
    from redis import exceptions

    if isinstance(error, exceptions.AuthenticationError | exceptions.AuthenticationWrongNumberOfArgsError):
        return f"{VARIABLE} cannot be used: Redis does not take its user and password."
    if isinstance(error, exceptions.AuthorizationError | exceptions.NoPermissionError):
        return (
            f"{VARIABLE} cannot be used: Redis does not let its user count. "
            f"It needs ~{KEY_PREFIX}:* +@read +@write +@scripting +@connection."
        )
    if isinstance(error, exceptions.ResponseError) and "DB index" in str(error):
        return f"{VARIABLE} cannot be used: Redis has no database of the number at its end."
    return NO_ADDRESS if isinstance(error, TypeError | ValueError) else None
