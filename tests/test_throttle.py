"""Throttling: who is counted, what the answers tell, and who is never refused."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from audiences.settings import RateLimit, Settings
from audiences.throttle import Throttle
from support import Service

ONE = "phone1\n442079832100\n"


def test_uploads_over_the_limit_are_a_429_as_published(start: Callable[..., Service]) -> None:
    service = start(rate_limit=RateLimit(3, 60))
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


def test_a_throttled_upload_is_refused_before_its_body(start: Callable[..., Service]) -> None:
    service = start(rate_limit=RateLimit(1, 60))
    with service.client() as client:
        assert client.http.post("/audiences", content=b"no form").status_code == 400
        assert client.http.post("/audiences", content=b"no form").status_code == 429


def test_reads_have_a_limit_of_their_own(start: Callable[..., Service]) -> None:
    service = start(read_rate_limit=RateLimit(2, 60))
    with service.client() as client:
        assert [client.http.get("/audiences").status_code for _ in range(3)] == [200, 200, 429]
        assert client.post(ONE).status_code == 201


def test_guessing_keys_is_throttled_and_a_valid_key_is_not(start: Callable[..., Service]) -> None:
    service = start(failed_auth_limit=RateLimit(2, 60))
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
