"""Content-Digest (RFC 9530)."""

from __future__ import annotations

import base64
import hashlib

import pytest

from audiences.digest import expected_digests
from audiences.errors import InvalidParameter
from support import Client


def body_of(client: Client) -> tuple[bytes, str]:
    """An upload's body and content type."""
    files = {"name": (None, "x"), "audience_file": ("a.csv", "phone1\n442079832100\n")}
    request = client.http.build_request("POST", "/audiences", files=files)
    return request.read(), request.headers["content-type"]


@pytest.mark.parametrize("algorithm", ["sha-256", "sha-512"])
def test_a_digest_that_matches_is_let_through_and_one_that_does_not_is_refused(client: Client, algorithm: str) -> None:
    body, kind = body_of(client)
    digest = base64.b64encode(hashlib.new(algorithm.replace("-", ""), body).digest()).decode()
    headers = {"Content-Type": kind, "Content-Digest": f"md5=:AAAA:, {algorithm}=:{digest}:"}
    assert client.http.post("/audiences", content=body, headers=headers).status_code == 201

    spoiled = body.replace(b"442079832100", b"442079832101")
    response = client.http.post("/audiences", content=spoiled, headers=headers)
    assert (response.status_code, response.json()["errors"][0]["code"]) == (400, "digest_mismatch")
    assert len(client.get("/audiences")["data"]) == 1


@pytest.mark.parametrize("field", ["sha-256", "sha-256=abc", "sha-256=:!:", "sha-256=:AAAA:", "=:AAAA:"])
def test_a_digest_that_cannot_be_read_is_refused(field: str) -> None:
    with pytest.raises(InvalidParameter):
        expected_digests([field])


def test_unknown_algorithms_are_left_out() -> None:
    assert expected_digests(["md5=:AAAA:", "crc32c=:AAAA:"]) == {}
