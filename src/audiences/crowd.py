"""The connections of a server: how many there may be, and which of them has to go when one more comes.

A connection that sends no request costs its client nothing, so there may be thousands of them, and each holds a
descriptor of which a process has few: without any left, uploads of others would fail. So their number is bounded, and
where one more comes, the one goes that has waited longest for a request: a client that means to be served sends its
request at once, and has nothing to fear. Where none waits, one goes whose request is still coming, from the address
that has most of them; but never for that same address, which is told to come back.
"""

from __future__ import annotations

import math
import resource
from collections import Counter
from collections.abc import Iterable
from typing import Protocol

# A node with two cores serves far fewer at once. An idle connection costs some 20 KB of memory.
MOST_CONNECTIONS = 4096

# Connections beyond them that are told so, and may linger to read it.
MOST_TURNED_AWAY = 50

# Descriptors that are not for those: the catalog's, the log, the libraries', the engine's while it works.
OWN_DESCRIPTORS = 200 + MOST_TURNED_AWAY

# Of a connection: its own, and that of the file that comes over it.
DESCRIPTORS = 2


class Connection(Protocol):
    """What there may be too many of."""

    @property
    def address(self) -> str:
        """Where it comes from."""

    @property
    def is_receiving(self) -> bool:
        """Whether the body of its request is still coming."""

    def give_way(self) -> None:
        """Ends at once."""


class Crowd:
    """The connections that have a place, those of them that wait for a request, and those that were turned away."""

    def __init__(self, most: int = MOST_CONNECTIONS) -> None:
        self.most = most
        self.placed: dict[Connection, None] = {}  # in the order in which they came
        self.waiting: dict[Connection, None] = {}  # in the order in which they began to
        self.turned_away: dict[Connection, None] = {}

    def enter(self, connection: Connection) -> bool:
        """Whether it gets a place: a free one, or that of one that has to give way."""
        if len(self.placed) >= self.most:
            self.end_first(self.waiting or self.receiving_of_most(connection.address))
        if len(self.placed) < self.most:
            self.placed[connection] = self.waiting[connection] = None
            return True
        if len(self.turned_away) >= MOST_TURNED_AWAY:
            self.end_first(self.turned_away)
        self.turned_away[connection] = None
        return False

    def receiving_of_most(self, newcomer: str) -> list[Connection]:
        """Those whose request is still coming, of the address that has most places, unless it is the newcomer's."""
        [(most, _)] = Counter(placed.address for placed in self.placed).most_common(1)
        return [placed for placed in self.placed if placed.address == most != newcomer and placed.is_receiving]

    def end_first(self, some: Iterable[Connection]) -> None:
        """Ends the first of them, if there is one."""
        first = next(iter(some), None)
        if first is not None:
            self.leave(first)
            first.give_way()

    def wait(self, connection: Connection) -> None:
        """It was answered, and waits for the next request from now on."""
        if connection in self.placed:
            self.waiting.pop(connection, None)
            self.waiting[connection] = None

    def serve(self, connection: Connection) -> None:
        """Its request came: it is not asked to give way."""
        self.waiting.pop(connection, None)

    def leave(self, connection: Connection) -> None:
        """It has ended."""
        self.placed.pop(connection, None)
        self.waiting.pop(connection, None)
        self.turned_away.pop(connection, None)


def most_connections() -> int:
    """As many as this process has descriptors for, once it has asked for as many as it needs and may have."""
    soft, hard = (math.inf if limit == resource.RLIM_INFINITY else limit for limit in limits())
    have = max(soft, min(hard, OWN_DESCRIPTORS + DESCRIPTORS * MOST_CONNECTIONS))
    if have > soft:
        resource.setrlimit(resource.RLIMIT_NOFILE, (int(have), limits()[1]))
    return max(1, int(min(MOST_CONNECTIONS, (have - OWN_DESCRIPTORS) // DESCRIPTORS)))


def limits() -> tuple[int, int]:
    """Descriptors that this process may open now, and as many as it may ask for."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)
