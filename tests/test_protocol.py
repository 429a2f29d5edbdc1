"""HTTP as it comes in: what is no request is refused, nobody gets out of step, and there are never too many."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from audiences import framing
from audiences.crowd import MOST_TURNED_AWAY, Crowd
from audiences.protocol import MOST_PIPELINED
from support import Client, Service
from test_http import WHOLE, envelope, request, talk

HEALTH = b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Request-ID: %s\r\n"
LAST = HEALTH % b"last" + b"Connection: close\r\n\r\n"
OFFER = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n"


def kept(head: bytes) -> bytes:
    """The same request, which does not ask for the connection's end."""
    return head.replace(b"Connection: close\r\n", b"")


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("pause", [0.0, 0.05])
def test_an_upload_that_offers_an_upgrade_is_taken_and_so_is_what_follows(
    service: Service, client: Client, pause: float, *, chunked: bool
) -> None:
    """Java's HttpClient and curl --http2 offer h2c with every request."""
    head, body = kept(request(client.key, len(WHOLE), extra=OFFER)), WHOLE
    if chunked:
        head = head.replace(b"Content-Length: %d" % len(WHOLE), b"Transfer-Encoding: chunked")
        body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(WHOLE), WHOLE)
    answer = talk(
        service, head, pause, body[:30], pause, body[30:] + HEALTH % b"next" + OFFER.encode() + b"\r\n" + LAST
    )
    assert answer.startswith(b"HTTP/1.1 201")
    assert answer.index(b"x-request-id: next") < answer.index(b"x-request-id: last")


@pytest.mark.parametrize("method", [b"CONNECT", b"OPTIONS", b"TRACE"])
def test_a_request_behind_a_method_that_no_route_takes_is_answered(service: Service, method: bytes) -> None:
    answer = talk(service, method + HEALTH[3:] % b"first" + b"\r\n" + LAST)
    assert answer.startswith(b"HTTP/1.1 405")
    assert b"x-request-id: last" in answer


@pytest.mark.parametrize(
    "head",
    [
        b"GET /healthz HTTP/1.1\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: x/y\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: x, y\r\n\r\n",
        b"GET /healthz HTTP/0.9\r\nHost: x\r\n\r\n",
        b"GET /healthz HTTP/2.0\r\nHost: x\r\n\r\n",
        b"POST /audiences HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        *(
            b"POST /audiences HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: %s\r\n\r\n0\r\n\r\n" % coding
            for coding in (
                b"xchunked",
                b"identity",
                b"gzip, chunked",
                b"identity, chunked",
                b'"chunked"',
                b"chunked;q=1",
            )
        ),
        b"GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Type: a/b\r\nContent-Type: a/b\r\n\r\n",
    ],
)
def test_a_request_that_two_servers_could_read_in_two_ways_is_refused(service: Service, head: bytes) -> None:
    status, body = envelope(talk(service, head + LAST))
    assert (status, body["errors"][0]["code"]) == (400, "malformed_request")


@pytest.mark.parametrize("host", [b"x", b"x:80", b"[::1]:8000", b"127.0.0.1", b"", b"xn--bcher-kva.example", b"a_b.c"])
def test_a_host_is_a_name_or_an_address_with_or_without_a_port(host: bytes) -> None:
    assert framing.fault_in("1.1", [(b"host", host)]) is None


def test_an_http_1_0_client_gets_no_chunks_and_no_100(service: Service, client: Client) -> None:
    made = client.create("phone1\n442079832100\n")
    ask = (
        f"GET /audiences/{made.id}/contacts HTTP/1.0\r\nAuthorization: Bearer {client.key}\r\nAccept: text/csv\r\n\r\n"
    )
    head, _, body = talk(service, ask.encode()).partition(b"\r\n\r\n")
    assert b"chunked" not in head
    assert body == b"phone1\n442079832100\n"
    sent = request(client.key, len(WHOLE), extra="Expect: 100-continue\r\n").replace(b"HTTP/1.1", b"HTTP/1.0")
    assert talk(service, sent + WHOLE).startswith(b"HTTP/1.1 201")


def test_a_pipeline_is_answered_in_order_up_to_a_bound_then_closed(service: Service) -> None:
    """Each request that waits costs memory, and a client could send them faster than any server answers."""
    answer = talk(service, b"".join(HEALTH % b"%d" % number + b"\r\n" for number in range(1000)))
    ids = [line.removeprefix(b"x-request-id: ") for line in answer.split(b"\r\n") if line.startswith(b"x-request-id")]
    assert ids == [b"%d" % number for number in range(MOST_PIPELINED + 1)]
    assert answer.count(b"connection: close") == 1


def test_a_body_behind_the_last_request_of_a_pipeline_is_not_taken_for_its_body(
    service: Service, client: Client
) -> None:
    upload = kept(request(client.key, len(WHOLE))) + WHOLE
    answer = talk(service, upload + HEALTH % b"a" + b"\r\n" + b"\x00" + upload)
    assert answer.startswith(b"HTTP/1.1 201")
    assert answer.count(b"HTTP/1.1") == 2


@pytest.mark.parametrize(
    "end", [b"XX\r\n0\r\n\r\n", b"\r\n0\r\nX: " + b"a" * 10**6, b"\r\n0\r\nContent-Length: 5\r\n\r\n"]
)
def test_a_whole_form_in_a_body_that_goes_wrong_behind_it_is_not_taken(
    service: Service, client: Client, end: bytes
) -> None:
    head = request(client.key, 0).replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")
    status, body = envelope(talk(service, head + b"%x\r\n" % len(WHOLE) + WHOLE + end))
    assert (status, body["errors"][0]["code"]) == (400, "truncated_body")
    assert client.get("/audiences")["data"] == []


@dataclass(eq=False)
class Stub:
    """A connection that only notes that it had to give way."""

    address: str = "a"
    is_receiving: bool = False
    gone: bool = False

    def give_way(self) -> None:
        self.gone = True


def test_one_more_takes_the_place_of_whoever_has_waited_longest_for_a_request() -> None:
    crowd, connections = Crowd(most=3), [Stub() for _ in range(3)]
    assert all(crowd.enter(connection) for connection in connections)
    crowd.serve(connections[0])
    crowd.serve(connections[1])
    crowd.wait(connections[1])
    assert crowd.enter(Stub())
    assert [connection.gone for connection in connections] == [False, False, True]
    crowd.leave(connections[1])
    assert crowd.enter(Stub())
    assert not connections[0].gone


def test_where_none_waits_who_sends_most_gives_way_but_never_to_its_own_address() -> None:
    crowd = Crowd(most=3)
    crowded = [Stub("many", is_receiving=receiving) for receiving in (False, True)]
    for connection in (*crowded, Stub("one", is_receiving=True)):
        assert crowd.enter(connection)
        crowd.serve(connection)
    assert not crowd.enter(Stub("many"))
    newcomer = Stub("other")
    assert crowd.enter(newcomer)
    assert [connection.gone for connection in crowded] == [False, True]
    crowd.serve(newcomer)
    assert not crowd.enter(Stub("other"))  # what is left is being carried out


def test_those_who_were_turned_away_are_bounded_too() -> None:
    crowd, served, away = Crowd(most=1), Stub(), [Stub() for _ in range(MOST_TURNED_AWAY + 1)]
    assert crowd.enter(served)
    crowd.serve(served)
    assert not any(crowd.enter(connection) for connection in away)
    assert [connection.gone for connection in away].count(True) == 1


def test_large_bodies_that_are_read_whole_have_a_bound_together_and_small_ones_have_none(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("audiences.inbox.HELD_BYTES", 100_000)
    many = {"phones": [f"44207983{number:04}" for number in range(8000)]}
    refused = client.http.post("/suppressions", json=many)
    assert (refused.status_code, refused.json()["errors"][0]["code"]) == (503, "engine_full")
    assert client.http.post("/suppressions", json={"phones": ["442079832100"]}).status_code == 200


def test_many_slow_uploads_hold_less_each(start: Callable[..., Service]) -> None:
    inbox = start().parts.inbox
    alone = inbox.batch_bytes()
    inbox.gathering = 1000
    assert inbox.batch_bytes() * 1000 < 100 * 1024**2
    assert alone == 1024**2
