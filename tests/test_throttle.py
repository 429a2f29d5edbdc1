"""Throttling: who is counted and where, what the answers tell, and who is never refused."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from audiences import counters
from audiences.errors import CannotOpen, TooManyRequests
from audiences.settings import RateLimit, Settings
from audiences.throttle import UPLOADS, Throttle
from audiences.watch import JsonLines, Metrics, logger
from redis_server import RedisServer, redis_server
from support import Service, until

ONE = "phone1\n442079832100\n"
PASSWORD = "pa55-of-redis"

T = TypeVar("T")


@pytest.fixture(scope="session")
def server() -> Iterator[RedisServer]:
    """One Valkey for all tests here."""
    with redis_server(PASSWORD) as running:
        yield running


@pytest.fixture
def valkey(server: RedisServer) -> RedisServer:
    """Valkey, with nothing in it, and running again whatever the test before has done to it."""
    server.stop()
    server.start()
    return server


@pytest.fixture
def logged() -> Iterator[list[str]]:
    """The lines of the log so far: kept as they are written, since a server's thread may be writing one just now."""
    lines: list[str] = []

    def keep(record: logging.LogRecord) -> bool:
        lines.append(JsonLines().format(record))
        return True

    logger.addFilter(keep)
    yield lines
    logger.removeFilter(keep)


@pytest.fixture(params=["memory", "valkey"])
def redis_url(request: pytest.FixtureRequest) -> str | None:
    """Where a server counts: by itself, or in Valkey."""
    return None if request.param == "memory" else str(request.getfixturevalue("valkey").url)


def test_uploads_over_the_limit_are_a_429_as_published(start: Callable[..., Service], redis_url: str | None) -> None:
    service = start(rate_limit=RateLimit(3, 60), redis_url=redis_url)
    with service.client() as client, service.client(client.account) as other:
        answers = [client.post(ONE) for _ in range(4)]
        assert [answer.status_code for answer in answers] == [201, 201, 201, 429]
        body = answers[3].json()
        assert body["description"] == "Too Many Requests – Rate limit exceeded"
        assert body["errors"][0]["code"] == "rate_limited"
        assert 1 <= int(answers[3].headers["retry-after"]) <= 60
        assert answers[0].headers["ratelimit-policy"] == '"uploads";q=3;w=60'
        assert answers[0].headers["ratelimit"].startswith('"uploads";r=2;t=')
        assert answers[3].headers["ratelimit"].startswith('"uploads";r=0;t=')
        assert other.post(ONE).status_code == 201  # another key has a count of its own
        assert client.http.get("/audiences").status_code == 200  # and so have reads


def test_a_throttled_upload_is_refused_before_its_body(start: Callable[..., Service], redis_url: str | None) -> None:
    service = start(rate_limit=RateLimit(1, 60), redis_url=redis_url)
    with service.client() as client:
        assert client.http.post("/audiences", content=b"no form").status_code == 400
        assert client.http.post("/audiences", content=b"no form").status_code == 429


def test_reads_have_a_limit_of_their_own(start: Callable[..., Service], redis_url: str | None) -> None:
    service = start(read_rate_limit=RateLimit(2, 60), redis_url=redis_url)
    with service.client() as client:
        assert [client.http.get("/audiences").status_code for _ in range(3)] == [200, 200, 429]
        assert client.post(ONE).status_code == 201


def test_guessing_keys_is_throttled_and_a_valid_key_is_not(
    start: Callable[..., Service], redis_url: str | None
) -> None:
    service = start(failed_auth_limit=RateLimit(2, 60), redis_url=redis_url)
    with service.client() as client:
        wrong = {"Authorization": "Bearer wrong"}
        assert [client.http.get("/audiences", headers=wrong).status_code for _ in range(4)] == [401, 401, 429, 429]
        assert client.http.get("/audiences").status_code == 200


def test_health_and_docs_are_not_throttled(start: Callable[..., Service]) -> None:
    service = start(read_rate_limit=RateLimit(1, 60), failed_auth_limit=RateLimit(1, 60))
    with service.client() as client:
        for path in ("/healthz", "/readyz", "/docs", "/openapi.json"):
            responses = [client.http.get(path) for _ in range(3)]
            assert {response.status_code for response in responses} == {200}
            assert "ratelimit" not in responses[0].headers


@pytest.mark.parametrize(
    ("peer", "forwarded", "counted"),
    [
        ("203.0.113.9", [], "203.0.113.9"),
        ("203.0.113.9", ["198.51.100.1"], "203.0.113.9"),  # not a proxy of ours: anybody could write this
        ("10.0.0.1", ["198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", ["1.1.1.1, 198.51.100.1"], "198.51.100.1"),  # the first one was written by the client
        ("10.0.0.1", ["1.1.1.1", "198.51.100.1, 10.0.0.7"], "198.51.100.1"),
        ("10.0.0.1", ["nonsense"], "10.0.0.1"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("::ffff:10.0.0.1", ["198.51.100.1"], "198.51.100.1"),
        ("2001:db8:1:2:3:4:5:6", [], "2001:db8:1:2::/64"),
        (None, [], "None"),
    ],
)
def test_the_address_behind_a_trusted_proxy_is_the_forwarded_one(
    peer: str | None, forwarded: list[str], counted: str
) -> None:
    throttle = Throttle(Settings(trusted_proxies=("10.0.0.0/8",)))
    assert throttle.address(peer, forwarded) == counted


def node(url: str | None, amount: int = 3, metrics: Metrics | None = None) -> Throttle:
    """The throttle of one node."""
    return Throttle(Settings(rate_limit=RateLimit(amount, 60), sign_in_limit=RateLimit(2, 60), redis_url=url), metrics)


async def admits(throttle: Throttle) -> bool:
    """Whether an upload is admitted."""
    try:
        await throttle.admit(UPLOADS, "key")
    except TooManyRequests:
        return False
    return True


async def admits_sign_in(throttle: Throttle, address: str, email: str) -> bool:
    """Whether a try to sign in is admitted."""
    try:
        await throttle.admit_sign_in(address, email)
    except TooManyRequests:
        return False
    return True


def on(*nodes: Throttle, work: Callable[[], Awaitable[T]]) -> T:
    """What comes of `work` in an event loop of its own, at whose end the nodes' connections are closed."""

    async def working() -> T:
        try:
            return await work()
        finally:
            for each in nodes:
                await each.aclose()

    return asyncio.run(working())


def local(metrics: Metrics) -> float | None:
    """What the metric says: whether the node counts by itself."""
    return metrics.registry.get_sample_value("audiences_throttle_local")


def test_nodes_count_together_and_agree_when_asked_at_once(valkey: RedisServer) -> None:
    one, two = node(valkey.url, 10), node(valkey.url, 10)

    async def at_once() -> list[bool]:
        return await asyncio.gather(*[admits(each) for each in (one, two) for _ in range(50)])

    assert sum(on(one, two, work=at_once)) == 10


def test_what_is_left_counts_the_requests_of_other_nodes(valkey: RedisServer) -> None:
    one, two = node(valkey.url), node(valkey.url)

    async def in_turn() -> list[str]:
        return [(await each.admit(UPLOADS, "key"))["RateLimit"] for each in (one, two, one)]

    assert on(one, two, work=in_turn) == ['"uploads";r=2;t=60', '"uploads";r=1;t=60', '"uploads";r=0;t=60']


def test_a_window_that_began_this_millisecond_has_all_its_seconds_left(valkey: RedisServer) -> None:
    throttle = node(valkey.url)

    async def first_of_many() -> set[str]:
        return {(await throttle.admit(UPLOADS, f"key {number}"))["RateLimit"] for number in range(50)}

    assert on(throttle, work=first_of_many) == {'"uploads";r=2;t=60'}


def test_a_node_counts_on_in_another_event_loop(valkey: RedisServer) -> None:
    throttle = node(valkey.url)
    assert [on(throttle, work=lambda: admits(throttle)) for _ in range(4)] == [True, True, True, False]


def test_a_node_that_stops_leaves_no_connection_behind(valkey: RedisServer) -> None:
    throttle = node(valkey.url)
    on(throttle, work=lambda: asyncio.gather(*[admits(throttle) for _ in range(50)]))
    with valkey.client as client:
        assert until(lambda: len(client.client_list()) == 1), client.client_list()


def test_counters_hold_no_email_address_and_end_by_themselves(valkey: RedisServer) -> None:
    alone, shared = node(None), node(valkey.url)
    on(work=lambda: alone.admit_sign_in("203.0.113.1", "ann@example.com"))
    assert isinstance(alone.counters, counters.LocalCounters)
    assert "ann@" not in repr(vars(alone.counters.limiter.storage))

    on(shared, work=lambda: shared.admit_sign_in("203.0.113.1", "ann@example.com"))
    with valkey.client as client:
        keys = [key.decode() for key in client.scan_iter()]
        assert len([key for key in keys if "sign-ins" in key]) == 2
        assert "ann@" not in "".join(keys)
        assert all(key.startswith("audiences:") and 0 < client.ttl(key) <= 120 for key in keys)


@pytest.mark.embedded
def test_while_redis_is_away_each_node_counts_by_itself_and_then_together_again(
    valkey: RedisServer, logged: list[str], start: Callable[..., Service], monkeypatch: pytest.MonkeyPatch
) -> None:
    for bound in ("SOCKET_S", "WAIT_S"):  # so that a busy machine is not taken for an outage
        monkeypatch.setattr(counters, bound, 10.0)
    monkeypatch.setattr(counters, "PAUSE_S", 1.5)
    service = start(rate_limit=RateLimit(3, 3600), redis_url=valkey.url)
    metrics = service.parts.metrics
    with service.client() as client:
        assert client.post(ONE).headers["ratelimit"].startswith('"uploads";r=2;')
        assert local(metrics) == 0
        valkey.stop()
        answers = [client.post(ONE) for _ in range(5)]
        assert [answer.status_code for answer in answers] == [201, 201, 201, 429, 429]
        assert 1 <= int(answers[4].headers["retry-after"]) <= 3600
        assert client.http.get("/readyz").status_code == 200
        assert local(metrics) == 1
        assert metrics.registry.get_sample_value("audiences_throttle_local_decisions_total") == 5

        valkey.start()
        begun = time.monotonic()
        assert until(lambda: client.post(ONE).status_code == 201)
        assert time.monotonic() - begun < counters.PAUSE_S + 5
        assert local(metrics) == 0
        with valkey.client as other:
            assert other.keys("audiences:*uploads*")
    events = [line for line in logged if '"counters_' in line]
    assert ["out_of_reach" in events[0], "counters_back" in events[1], len(events)] == [True, True, 2]


@pytest.mark.parametrize(
    ("breaking", "mending"),
    [
        ("CONFIG SET maxmemory 1", "CONFIG SET maxmemory 0"),
        ("REPLICAOF 127.0.0.1 1", "REPLICAOF NO ONE"),
        ("CONFIG SET requirepass another", f"CONFIG SET requirepass {PASSWORD}"),
    ],
    ids=["out of memory", "a replica now", "another password"],
)
def test_a_redis_that_refuses_is_as_good_as_away(valkey: RedisServer, breaking: str, mending: str) -> None:
    metrics = Metrics()
    throttle = node(valkey.url, metrics=metrics)

    async def through_it() -> list[bool]:
        with valkey.client as client:
            await admits(throttle)
            client.execute_command(*breaking.split())
            await throttle.aclose()  # a password is asked for by new connections alone
            during = [await admits(throttle) for _ in range(4)]
            assert local(metrics) == 1
            client.execute_command(*mending.split())
            return during

    assert on(throttle, work=through_it) == [True, True, True, False]


def test_signing_in_is_throttled_while_redis_is_away(valkey: RedisServer) -> None:
    throttle = node(valkey.url)
    valkey.stop()

    async def trying() -> list[bool]:
        return [await admits_sign_in(throttle, "203.0.113.1", "ann@example.com") for _ in range(3)]

    assert on(throttle, work=trying) == [True, True, False]


def test_a_restart_of_redis_between_two_requests_is_no_outage(valkey: RedisServer) -> None:
    metrics = Metrics()
    throttle = node(valkey.url, metrics=metrics)

    async def across() -> float | None:
        assert await admits(throttle)
        await asyncio.to_thread(valkey.stop)
        await asyncio.to_thread(valkey.start)
        assert await admits(throttle)
        return metrics.registry.get_sample_value("audiences_throttle_local_decisions_total")

    assert on(throttle, work=across) == 0


def test_a_redis_that_does_not_answer_delays_a_request_by_a_second_and_the_next_ones_not_at_all(
    valkey: RedisServer,
) -> None:
    throttle = node(valkey.url, 1000)

    async def seconds_of(requests: int) -> float:
        begun = time.monotonic()
        assert all(await asyncio.gather(*[admits(throttle) for _ in range(requests)]))
        return time.monotonic() - begun

    async def in_turn() -> tuple[float, float]:
        await admits(throttle)
        with valkey.frozen():
            return await seconds_of(50), sum([await seconds_of(1) for _ in range(50)])

    at_once, later = on(throttle, work=in_turn)
    assert at_once < counters.WAIT_S + 0.5
    assert later < 1


@pytest.mark.embedded
def test_a_server_starts_while_redis_is_away_or_silent(logged: list[str], start: Callable[..., Service]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        begun = time.monotonic()
        url = f"redis://:{PASSWORD}@127.0.0.1:{silent.getsockname()[1]}"
        service = start(rate_limit=RateLimit(1, 60), redis_url=url)
        with service.client() as client:
            assert [client.post(ONE).status_code for _ in range(2)] == [201, 429]
        assert time.monotonic() - begun < 5
        assert local(service.parts.metrics) == 1
    log = "".join(logged)
    assert log.count("counters_out_of_reach") == 1
    assert PASSWORD not in log


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda url: url.replace(PASSWORD, "wr0ng"), "does not take its user and password"),
        (lambda url: url.replace(f":{PASSWORD}@", ""), "does not take its user and password"),
        (lambda url: f"{url}/99", "has no database of the number"),
        (lambda url: f"{url}/counters", "takes an address such as"),
        (lambda url: f"{url}?nonsense={PASSWORD}", "takes an address such as"),
        (lambda url: url.replace(PASSWORD, "pa/55"), "%2F for /"),
        (lambda url: url.replace(PASSWORD, "1/5"), "%2F for /"),
        (lambda url: url.replace(PASSWORD, "1#5"), "%23 for #"),
        (lambda _url: f"redis://:{PASSWORD}@", "takes an address such as"),
    ],
)
def test_an_address_that_cannot_be_right_refuses_to_start_and_is_not_repeated(
    valkey: RedisServer, change: Callable[[str], str], said: str
) -> None:
    with pytest.raises(CannotOpen, match=said) as refused:
        node(change(valkey.url))
    assert "AUDIENCES_REDIS_URL" in str(refused.value)
    assert not any(word in str(refused.value) for word in (PASSWORD, "wr0ng", "pa/55", "1/5", "1#5", "127.0.0.1"))


def test_serve_says_in_one_line_that_redis_refuses_the_password(valkey: RedisServer, tmp_path: Path) -> None:
    """In a process of its own: there the first question to Redis waits for its client to be loaded."""
    environment = {**os.environ, "AUDIENCES_REDIS_URL": valkey.url.replace(PASSWORD, "wr0ng")}
    command = [str(Path(sys.executable).parent / "audiences"), "serve", "--port", "0", "--data", str(tmp_path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "audiences: AUDIENCES_REDIS_URL cannot be used: Redis does not take its user and password.\n"


def test_a_user_of_redis_needs_no_more_than_the_refusal_asks_for(valkey: RedisServer) -> None:
    with valkey.client as client:
        client.execute_command("ACL", "SETUSER", "counting", "on", ">secret", "~audiences:*")
        url = valkey.url.replace(f":{PASSWORD}@", "counting:secret@")
        with pytest.raises(CannotOpen, match="does not let its user count") as refused:
            node(url)
        rules = str(refused.value).partition("It needs ")[2].rstrip(".").split()
        client.execute_command("ACL", "SETUSER", "counting", *rules)
        metrics = Metrics()
        throttle = node(url.replace("redis://", "REDIS://") + "/1", 2, metrics)
        admitted = on(throttle, work=lambda: asyncio.gather(*[admits(throttle) for _ in range(3)]))
        assert sorted(admitted) == [False, True, True]  # whichever of them came first
        assert local(metrics) == 0


def test_a_slow_redis_is_not_taken_for_back_by_an_answer_from_before_it_failed() -> None:
    now = [0.0]
    outage = counters.Outage(Metrics(), lambda: now[0])
    before = outage.ticket()
    assert before is not None
    outage.begin(TimeoutError())
    outage.end(before)
    assert outage.ticket() is None

    now[0] += counters.PAUSE_S
    probe = outage.ticket()
    assert probe is not None
    assert outage.ticket() is None  # one request a pause is enough to find out
    outage.end(probe)
    assert outage.ticket() is not None
