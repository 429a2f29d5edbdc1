"""Connections that are used in unusual ways: pipelines, a wait for 100 Continue, hang-ups at every place."""

from __future__ import annotations

import json
import random
import socket

from campaigns.http_judge import Attack
from campaigns.http_requests import FORM, MULTIPART, Caller, get, head
from campaigns.http_single import in_pieces
from campaigns.wire import answers_in, hang_up, talk

# Requests in a pipeline; the server takes 21.
MOST_IN_PIPELINE = 15

# Of an export that is hung up on: rows, and bytes after which its reader goes away.
EXPORT_ROWS, GOES_AFTER = 20_000, (1, 1000, 100_000)

FORMATS = (
    b"application/json",
    b"text/csv",
    b"application/x-ndjson",
    b"application/vnd.apache.parquet",
    b"application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
)


def mixture(caller: Caller, number: int, chance: random.Random) -> tuple[bytes, int, str]:
    """A request with that number as its id, the status that it gets, and its method."""
    name = b"X-Request-ID: %d" % number
    stranger = Caller("aud_stranger")
    broken = caller.upload(FORM[:-30], name)
    return chance.choice(
        [
            (get(b"/healthz", name), 200, "GET"),
            (caller.get(b"/audiences?limit=3", name), 200, "GET"),
            (get(b"/nowhere", name), 404, "GET"),
            (caller.get(b"/audiences/123456/contacts", name), 404, "GET"),
            (head(b"PATCH /audiences HTTP/1.1", b"Host: x", name), 405, "PATCH"),
            (head(b"HEAD /audiences HTTP/1.1", b"Host: x", caller.authorization, name), 200, "HEAD"),
            (stranger.upload(FORM, name), 401, "POST"),
            (stranger.upload_in_chunks(FORM, name), 401, "POST"),
            (caller.upload(FORM, name), 201, "POST"),
            (caller.upload_in_chunks(FORM, name), 201, "POST"),
            (broken, 400, "POST"),
            (caller.send(b"POST /suppressions HTTP/1.1", b"{", b"Content-Type: application/json", name), 400, "POST"),
            (caller.send(b"POST /nowhere HTTP/1.1", FORM, MULTIPART, name), 404, "POST"),
        ]
    )


def run_pipelines(attack: Attack, count: int, chance: random.Random) -> None:
    """Random pipelines: each request gets its own answer, in order, whatever became of those in front of it."""
    for _ in range(count):
        length = chance.randint(2, MOST_IN_PIPELINE)
        requests = [mixture(attack.caller, number, chance) for number in range(length)]
        last = get(b"/healthz", b"X-Request-ID: %d" % length, b"Connection: close")
        sent = b"".join(request for request, _, _ in requests) + last
        pieces = in_pieces(sent, chance) if chance.random() < 0.5 else [sent]  # noqa: PLR2004
        exchange = attack.talk(*pieces, methods=tuple(method for _, _, method in requests))
        attack.outcome.count("requests in pipelines", length + 1)
        attack.judge("a pipeline", exchange)
        found = [(answer.headers.get("x-request-id"), answer.status) for answer in exchange.answers]
        wanted = [(str(number), status) for number, (_, status, _) in enumerate(requests)] + [(str(length), 200)]
        if found != wanted:
            attack.lose("a pipeline got out of step", found, wanted)


def run_expectations(attack: Attack) -> None:
    """Who waits for 100 Continue gets it, or is refused before a byte of the body is sent."""
    length = b"Content-Length: %d" % len(FORM)
    for caller, wanted in ((attack.caller, [100, 201]), (Caller("aud_stranger"), [401])):
        fields = (b"Host: x", caller.authorization, MULTIPART, length, b"Expect: 100-continue")
        with socket.create_connection(attack.server.address, 30) as connection:
            connection.sendall(head(b"POST /audiences HTTP/1.1", *fields, b"Connection: close"))
            received = connection.recv(65536)
            if received.startswith(b"HTTP/1.1 100"):
                connection.sendall(FORM)
            while chunk := connection.recv(65536):
                received += chunk
        found = [answer.status for answer in answers_in(received)]
        attack.outcome.count("waits for 100 Continue")
        if found != wanted:
            attack.lose("a wait for 100 Continue", found, wanted)


def run_hang_ups(attack: Attack, step: int) -> None:
    """Uploads whose client goes away behind every so many-th byte; nothing of them is stored but what came whole."""
    before = len(attack.ask("/audiences"))
    whole = 0
    for request in (attack.caller.upload(), attack.caller.upload_in_chunks()):
        for offset in [*range(0, len(request), step), len(request)]:
            for reset in (False, True):
                hang_up(attack.server.address, request[:offset], reset=reset)
                attack.outcome.count("hang-ups")
            # What closes the form may be there before what closes the body.
            whole += 2 if offset == len(request) else 0
    stored = len(attack.ask("/audiences")) - before
    if stored > whole:
        attack.lose("hang-ups", f"{stored} audiences were stored of {whole} uploads that came whole")


def run_deserted_exports(attack: Attack) -> None:
    """Exports whose reader goes away, at once or in their midst."""
    rows = b"phone1,note\n" + b"".join(b"4479%08d,%d\n" % (row, row * 7919) for row in range(EXPORT_ROWS))
    form = FORM.replace(b"phone1,note\n442079832100,a\n442079832101,b\n", rows)
    made = talk(attack.server.address, [attack.caller.upload(form, b"Connection: close")]).answers[0]
    path = b"/audiences/%s/contacts" % json.loads(made.body)["data"]["id"].encode()
    for kind in FORMATS:
        for size in GOES_AFTER:
            with socket.create_connection(attack.server.address, 30) as connection:
                connection.sendall(attack.caller.get(path, b"Accept: " + kind, b"Connection: close"))
                got = 0
                while got < size and (chunk := connection.recv(size - got)):
                    got += len(chunk)
            attack.outcome.count("deserted exports")
