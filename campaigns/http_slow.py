"""A thousand slow connections while others are served, and more connections than there may be."""

from __future__ import annotations

import itertools
import math
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

import httpx

from campaigns.http_judge import Attack, fault_in
from campaigns.http_requests import DELIMITER, MULTIPART, NAME, Caller, get, head
from campaigns.wire import answers_in

# Seconds between two bytes of a slow client.
DRIP_S = 0.5

# Settings of the server under attack: its own limits on bodies are half a minute and an hour.
LIMITS = {"AUDIENCES_RECEIVE_IDLE_TIMEOUT_S": "15", "AUDIENCES_RECEIVE_TIMEOUT_S": "30"}

# Seconds within which the server gives up any of them: the body's limit is the longest, and a client may send its
# headers for 20 before it.
GIVEN_UP_S = 60.0

# Uploads in a full house that are ended and looked at.
SAMPLE = 20

# Clients that are not slow, and the rows of their uploads.
CLIENTS, UPLOADED_ROWS = 2, 100


@dataclass
class Slow:
    """A slow client's connection: what it still drips, whether it was ended, and what it was told."""

    kind: str
    connection: socket.socket
    drips: bytes
    received: bytearray = field(default_factory=bytearray)
    ended: bool = False

    def drip(self) -> None:
        """Sends a byte, reads what there is, and notes the end."""
        with suppress(BlockingIOError):
            try:
                chunk = self.connection.recv(65536)
                self.received += chunk
                self.ended = not chunk
            except ConnectionError:
                self.ended = True
        with suppress(OSError):
            self.connection.send(self.drips)


def beginnings(caller: Caller) -> dict[str, tuple[bytes, bytes]]:
    """What each kind sends at once, and what it drips from then on."""
    file = DELIMITER + b'\r\nContent-Disposition: form-data; name="audience_file"; filename="a.csv"\r\n\r\nphone1\n'
    large = (b"Host: x", MULTIPART, b"Content-Length: 100000000")
    upload = head(b"POST /audiences HTTP/1.1", *large, caller.authorization) + NAME + file
    stranger = head(b"POST /audiences HTTP/1.1", *large, Caller("aud_stranger").authorization)
    coded = (b"Host: x", MULTIPART, b"Transfer-Encoding: chunked", caller.authorization)
    return {
        "silent": (b"", b""),
        "headers": (b"GET /healthz HTTP/1.1\r\nHost: x\r\nX: ", b"a"),
        "line": (b"GET /", b"a"),
        "body": (upload, b"4"),
        "stalled body": (upload, b""),
        "bulky body": (upload + b"442079832100\n" * 75_000, b"4"),
        "extension": (head(b"POST /audiences HTTP/1.1", *coded) + b"5;", b"a"),
        "JSON": (
            head(b"POST /suppressions HTTP/1.1", b"Host: x", caller.authorization, b"Content-Length: 99999") + b'{"',
            b"a",
        ),
        "stranger": (stranger, b"4"),
        "form": (
            head(
                b"POST /console/sign-in HTTP/1.1",
                b"Host: x",
                b"Content-Type: application/x-www-form-urlencoded",
                b"Content-Length: 999",
            )
            + b"a=",
            b"a",
        ),
        "kept open": (get(), b""),
    }


@contextmanager
def slow_clients(attack: Attack, count: int) -> Iterator[list[Slow]]:
    """So many slow clients of every kind in turn, dripping until the end of the block."""
    over, clients = threading.Event(), []
    kinds = itertools.cycle(beginnings(attack.caller).items())
    for (kind, (begin, drips)), _ in zip(kinds, range(count), strict=False):
        connection = socket.create_connection(attack.server.address, 30)
        with suppress(OSError):
            connection.sendall(begin)
        connection.setblocking(False)  # noqa: FBT003 - its only way
        clients.append(Slow(kind, connection, drips))

    def drip_on() -> None:
        while not over.wait(DRIP_S):
            for client in clients:
                if not client.ended:
                    client.drip()

    dripping = threading.Thread(target=drip_on)
    dripping.start()
    try:
        yield clients
    finally:
        over.set()
        dripping.join()
        for client in clients:
            client.connection.close()


@dataclass
class Times:
    """Seconds that requests of one kind took."""

    taken: list[float] = field(default_factory=list)

    def quantile(self, share: float) -> float:
        """The milliseconds within which that share of them was answered."""
        ordered = sorted(self.taken)
        return round(ordered[min(len(ordered) - 1, math.ceil(share * len(ordered)) - 1)] * 1000, 1)


def plain_load(attack: Attack, seconds: float) -> dict[str, Times]:
    """Uploads of a hundred rows and lists, by clients that are not slow, for so long; every one has to succeed."""
    end, times = time.monotonic() + seconds, {"upload": Times(), "list": Times()}
    rows = "phone1\n" + "".join(f"4479{row:08d}\n" for row in range(UPLOADED_ROWS))

    def work() -> None:
        with httpx.Client(base_url=attack.server.url, headers={"Authorization": f"Bearer {attack.caller.key}"}) as http:
            asked: dict[str, Callable[[], httpx.Response]] = {
                "upload": lambda: http.post(
                    "/audiences", files={"name": (None, "x"), "audience_file": ("a.csv", rows)}
                ),
                "list": lambda: http.get("/audiences", params={"limit": 20}),
            }
            while time.monotonic() < end:
                for kind, ask in asked.items():
                    measure(attack, kind, ask, times[kind])

    threads = [threading.Thread(target=work) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return times


def measure(attack: Attack, kind: str, ask: Callable[[], httpx.Response], times: Times) -> None:
    """One request of somebody who is not slow."""
    begun = time.perf_counter()
    try:
        status = ask().status_code
    except httpx.TransportError as error:
        attack.lose(f"{kind} beside slow clients", type(error).__name__)
        return
    times.taken.append(time.perf_counter() - begun)
    if status >= 300:  # noqa: PLR2004
        attack.lose(f"{kind} beside slow clients", status)


def run(attack: Attack, count: int, seconds: float, *, patient: bool) -> None:
    """The load without and with slow clients; where `patient`, all of them are given up within their limits."""
    figures = attack.outcome.figures
    alone = plain_load(attack, seconds)
    before = attack.server.holdings()
    with slow_clients(attack, count) as clients:
        begun = time.monotonic()
        beside = plain_load(attack, seconds)
        during = attack.server.holdings()
        figures["slow connections"] = count
        figures["memory of each (KB)"] = max(0, during.resident_bytes - before.resident_bytes) // count // 1024
        figures["descriptors meanwhile"] = during.descriptors
        for kind, times in beside.items():
            for share, name in ((0.5, "p50"), (0.99, "p99")):
                figures[f"{kind} {name} alone (ms)"] = alone[kind].quantile(share)
                figures[f"{kind} {name} beside them (ms)"] = times.quantile(share)
        if patient:
            await_all_given_up(attack, clients, begun)
    told(attack, clients)


def await_all_given_up(attack: Attack, clients: Sequence[Slow], begun: float) -> None:
    """Waits until the server has ended all of them."""
    while (left := [client for client in clients if not client.ended]) and time.monotonic() < begun + GIVEN_UP_S:
        time.sleep(DRIP_S)
    attack.outcome.figures["given up after (s)"] = round(time.monotonic() - begun, 1)
    if left:
        attack.lose("slow clients were not given up", len(left), sorted({client.kind for client in left}))


def told(attack: Attack, clients: Sequence[Slow]) -> None:
    """Those who were ended were told why, each in the envelope, or on a page where it was the console."""
    for kind, some in itertools.groupby(sorted(clients, key=lambda client: client.kind), lambda client: client.kind):
        wrong = [client for client in some if client.ended and not is_told(client)]
        if wrong:
            attack.lose(f"{len(wrong)} slow clients ({kind}) were not told why", bytes(wrong[0].received[:200]))


def is_told(client: Slow) -> bool:
    """Whether all that it got are answers as they should be."""
    answers = list(answers_in(bytes(client.received)))
    known = all(answer.status in {200, 401, 408} for answer in answers)
    return known and bool(answers) and all(fault_in(answer) is None for answer in answers)


def run_crowded(attack: Attack, count: int, tries: int) -> None:
    """More connections than the server may have: who sends a request is served, and who finds no place is told so."""
    plain = attack.caller.get(b"/audiences?limit=1", b"Connection: close")
    upload = attack.caller.upload()
    waiting = [socket.create_connection(attack.server.address, 30) for _ in range(count)]
    for connection in waiting[::2]:
        with suppress(OSError):
            connection.sendall(b"GET / HTTP/1.1\r\nX: ")
    for request, status in ((plain, 200), (upload, 201)) * tries:
        exchange = attack.talk(request, None)
        attack.outcome.count("requests in a crowd")
        if exchange.statuses != [status]:
            attack.lose("a request in a crowd", exchange.statuses, exchange.ending, exchange.broken)
    attack.outcome.figures["descriptors in a crowd"] = attack.server.holdings().descriptors
    for connection in waiting:
        connection.close()


def run_full(attack: Attack, count: int) -> None:
    """Every place is taken by an upload under way: one more is told to come back, and those there are end well."""
    body, begun = attack.caller.upload(), []
    for _ in range(count):
        connection = socket.create_connection(attack.server.address, 30)
        with suppress(OSError):
            connection.sendall(body[:-10])
        begun.append(connection)
    exchange = attack.talk(get(), None)
    if exchange.statuses != [503] or exchange.answers[0].codes != ["too_many_connections"]:
        attack.lose("one too many", exchange.statuses, exchange.ending)
    elif "retry-after" not in exchange.answers[0].headers:
        attack.lose("one too many was not told when to come back")
    kept = begun[:SAMPLE]
    attack.outcome.count("uploads that kept their place", len(kept))
    for number, connection in enumerate(kept):
        if not ends_well(connection, body[-10:]):
            attack.lose("an upload lost its place", number)
    for connection in begun:
        connection.close()


def ends_well(connection: socket.socket, rest: bytes) -> bool:
    """Sends the rest of an upload; whether it was stored, rather than turned away."""
    with connection, suppress(OSError):
        connection.sendall(rest)
        connection.shutdown(socket.SHUT_WR)
        return connection.recv(65536).startswith(b"HTTP/1.1 201")
    return False
