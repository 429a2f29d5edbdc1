"""Random texts that let their holder in, once or for a while: links to set a password, cookies of sessions.

They are hex, since an address may be lower-cased on its way. As with keys, 256 random bits need no slow hash.
"""

from __future__ import annotations

import hashlib
import secrets

RANDOM_BYTES = 32


def mint() -> str:
    """A new one: 64 characters."""
    return secrets.token_hex(RANDOM_BYTES)


def hash_of(text: str) -> bytes:
    """What the catalog keeps of one."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
