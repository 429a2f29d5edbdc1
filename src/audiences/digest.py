"""The `Content-Digest` field (RFC 9530): what a client says its content hashes to."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence

from audiences.errors import DigestMismatch, InvalidParameter

# The algorithms that RFC 9530 calls active, by their name in hashlib.
ALGORITHMS = {"sha-256": "sha256", "sha-512": "sha512"}

MEMBER = re.compile(r"([a-z*][a-z0-9_.*-]*)=:([A-Za-z0-9+/=]*):")


def expected_digests(values: Sequence[str]) -> dict[str, bytes]:
    """Digests by hashlib's name of the algorithm; unknown algorithms are left out, as the RFC wants.

    Raises InvalidParameter for a field that cannot be read.
    """
    found: dict[str, bytes] = {}
    for member in filter(None, (part.strip() for part in ",".join(values).split(","))):
        match = MEMBER.fullmatch(member)
        if match is None:
            raise unreadable()
        name = ALGORITHMS.get(match[1])
        if name is not None:
            found[name] = decoded(match[2], hashlib.new(name).digest_size)
    return found


def check(expected: Mapping[str, bytes], found: Mapping[str, hashlib._Hash]) -> None:
    """Raises DigestMismatch unless what was `found` of the content is what was `expected`."""
    for name, digest in expected.items():
        if not hmac.compare_digest(found[name].digest(), digest):
            raise DigestMismatch(
                "Content-Digest does not match the content that arrived. Nothing was stored; send it again.",
                field="Content-Digest",
            )


def decoded(text: str, size: int) -> bytes:
    """The bytes of base 64, which must be `size` many."""
    try:
        digest = base64.b64decode(text, validate=True)
    except binascii.Error:
        raise unreadable() from None
    if len(digest) != size:
        raise unreadable()
    return digest


def unreadable() -> InvalidParameter:
    """The refusal of a field that is no digest."""
    return InvalidParameter(
        "Content-Digest cannot be read. It takes sha-256=:BASE64: with the digest of the body (RFC 9530).",
        field="Content-Digest",
    )
