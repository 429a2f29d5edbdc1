"""Valid requests, mutated at random: each is answered or hung up on, and nobody gets out of step.

h11, another reader of HTTP, says how many requests there are in the bytes: the server may refuse what h11 takes, but
where it takes more requests than h11 finds, somebody could smuggle one past a proxy.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import h11

from campaigns.http_judge import Attack
from campaigns.http_requests import FORM, Caller, get, head
from campaigns.http_single import in_pieces

THREADS = 4

TOKENS = (
    *(
        b"\r\n",
        b"\n",
        b"\r",
        b"\0",
        b" ",
        b"\t",
        b":",
        b",",
        b";",
        b"%",
        b"--",
        b"0",
        b"\xff",
        b"\r\n\r\n",
        b"0\r\n\r\n",
    ),
    *(
        b"Content-Length: 5\r\n",
        b"Content-Length: 0\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: x\r\n",
    ),
    *(
        b"Connection: close\r\n",
        b"Connection: upgrade\r\nUpgrade: h2c\r\n",
        b"Expect: 100-continue\r\n",
        b"Host: y\r\n",
    ),
    *(
        b"HTTP/1.0",
        b"HTTP/1.1",
        b"GET ",
        b"POST ",
        b"HEAD ",
        b"CONNECT ",
        b"/audiences",
        b"//",
        b"?",
        b"#",
        b"ffffffff",
    ),
    get(b"/healthz", b"X-Request-ID: smuggled"),
)
NUMBERS = (b"0", b"1", b"-1", b"+1", b"00", b"65536", b"2147483648", b"18446744073709551616", b"1e9", b"0x10", b"")

# RFC 9112 (sections 2.2 and 3) lets a server pass over line ends between requests, and read a request line by its
# words, whatever blanks are between them; h11 does not.
BLANKS = re.compile(rb"\A([!-~]+) +(.*?) +HTTP/")


def seeds(caller: Caller) -> list[bytes]:
    """The valid requests."""
    body = b'{"phones": ["442079832100"]}'
    return [
        get(b"/healthz", b"Accept: */*"),
        caller.get(b"/audiences?limit=5&name=x"),
        caller.get(b"/audiences/123456/contacts", b"Accept: text/csv", b"Accept-Encoding: gzip"),
        caller.upload(FORM),
        caller.upload(FORM, b"Idempotency-Key: k", b"Content-Digest: sha-256=:AAAA:"),
        caller.upload_in_chunks(FORM),
        caller.send(b"POST /suppressions HTTP/1.1", body, b"Content-Type: application/json"),
        caller.send(b"PATCH /audiences/123456 HTTP/1.1", b'{"name": "x"}', b"Content-Type: application/json"),
        head(b"POST /console/sign-in HTTP/1.1", b"Host: x", b"Content-Length: 3", b"Cookie: a=b") + b"a=b",
    ]


def flip(sent: bytes, chance: random.Random) -> bytes:
    """Another byte in place of one."""
    at = chance.randrange(len(sent))
    return sent[:at] + bytes([chance.randrange(256)]) + sent[at + 1 :]


def drop(sent: bytes, chance: random.Random) -> bytes:
    """Without some bytes."""
    at = chance.randrange(len(sent))
    return sent[:at] + sent[at + chance.choice((1, 2, 5, 40)) :]


def repeat(sent: bytes, chance: random.Random) -> bytes:
    """Some bytes twice."""
    at = chance.randrange(len(sent))
    end = at + chance.choice((1, 2, 20, 100))
    return sent[:end] + sent[at:end] + sent[end:]


def insert(sent: bytes, chance: random.Random) -> bytes:
    """A token in its midst, more often where a line begins."""
    starts = [at + 2 for at in range(len(sent)) if sent.startswith(b"\r\n", at)]
    at = chance.choice(starts) if starts and chance.random() < 0.6 else chance.randrange(len(sent))  # noqa: PLR2004
    return sent[:at] + chance.choice(TOKENS) + sent[at:]


def renumber(sent: bytes, chance: random.Random) -> bytes:
    """Another length."""
    begin, found, rest = sent.partition(b"Content-Length: ")
    return begin + found + chance.choice(NUMBERS) + rest[rest.find(b"\r\n") :] if found else flip(sent, chance)


def swap(sent: bytes, chance: random.Random) -> bytes:
    """Two lines in each other's place."""
    lines = sent.split(b"\r\n")
    first, second = chance.randrange(len(lines)), chance.randrange(len(lines))
    lines[first], lines[second] = lines[second], lines[first]
    return b"\r\n".join(lines)


WAYS: tuple[Callable[[bytes, random.Random], bytes], ...] = (flip, drop, repeat, insert, insert, renumber, swap)


def mutated(caller: Caller, chance: random.Random) -> bytes:
    """One to three requests in a row, with one to four mutations."""
    sent = b"".join(chance.choice(seeds(caller)) for _ in range(chance.choice((1, 1, 2, 3))))
    for _ in range(chance.randint(1, 4)):
        sent = chance.choice(WAYS)(sent, chance) or b"\r\n"
    return sent


def run(attack: Attack, count: int, chance: random.Random) -> None:
    """So many mutated requests, several at once."""
    before = len(attack.ask("/audiences"))
    numbers = [chance.random() for _ in range(count)]
    with ThreadPoolExecutor(THREADS) as threads:
        created = sum(threads.map(lambda number: attempt(attack, random.Random(number)), numbers))
    attack.outcome.count("mutated requests", count)
    stored = len(attack.ask("/audiences")) - before
    if stored != created:
        attack.lose("mutations", f"{stored} audiences were stored and {created} acknowledged")


def attempt(attack: Attack, chance: random.Random) -> int:
    """Sends one, and judges what comes back; how many audiences it was told were created."""
    sent = mutated(attack.caller, chance)
    pieces = in_pieces(sent, chance, 4) if chance.random() < 0.3 else [sent]  # noqa: PLR2004
    methods = methods_in(sent)
    exchange = attack.talk(*pieces, None, methods=methods)
    what = f"mutated request {sent[:2000]!r}"
    attack.judge(what, exchange)
    taken = [answer for answer in exchange.answers if answer.status != 100 and "malformed_request" not in answer.codes]  # noqa: PLR2004
    if len(taken) > len(methods):
        attack.lose(f"{len(taken)} requests were taken where h11 finds {len(methods)}", what)
    replayed = (answer for answer in exchange.answers if "idempotency-replayed" not in answer.headers)
    return sum(answer.status == 201 for answer in replayed)  # noqa: PLR2004


def methods_in(sent: bytes) -> tuple[str, ...]:
    """The methods of the requests that h11 reads in it, until it meets what is none."""
    found = []
    rest: bytes | None = sent
    while rest:
        method, rest = read(rest)
        found += [method] if method else []
    return tuple(found)


def read(sent: bytes) -> tuple[str, bytes | None]:
    """The method of the first request, or an empty text, and what comes behind it if it is whole."""
    connection, method = h11.Connection(h11.SERVER, max_incomplete_event_size=10**6), ""
    try:
        connection.receive_data(BLANKS.sub(rb"\1 \2 HTTP/", sent.lstrip(b"\r\n"), 1))
        while True:
            event = connection.next_event()
            if isinstance(event, h11.Request):
                method = event.method.decode()
            elif isinstance(event, h11.EndOfMessage):
                return method, None if connection.their_state is h11.MUST_CLOSE else connection.trailing_data[0]
            elif not isinstance(event, h11.Data):
                return method, None
    except h11.ProtocolError:
        return method, None
