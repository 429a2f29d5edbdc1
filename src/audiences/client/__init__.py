"""The Python client: the whole API in typed calls.

    from audiences.client import Client

    with Client("http://127.0.0.1:8000", key) as client:
        made = client.create("customers.csv", name="NE_USA-above50")
        print(client.audience(made.id).accepted)

A call returns what the API's `data` holds, as the structs of `audiences.models`, or raises one of the tree in `errors`.
Every request may be repeated, so the client repeats what may pass: a broken connection, a timeout, a 429, a 502, 503 or
504, and the 409 of a request that is still being carried out. A POST, PUT or DELETE carries an `Idempotency-Key`, so
that it is carried out once, however often it is sent.

`audiences` and `people` are the calls, on top of `calls`; `transport` is HTTP, `answers` what came back, `patience` the
tries, `sending` and `saving` the two ends of a file, `shapes` the decoding. Nothing of the server imports this
package: httpx takes time to load.
"""

from __future__ import annotations

from audiences.client.audiences import Audiences, Filters, Format
from audiences.client.calls import Reading
from audiences.client.errors import (
    ClientError,
    FileChanged,
    Forbidden,
    NotConfigured,
    NotFound,
    NoValidRows,
    RateLimited,
    Refused,
    ServerError,
    TooLarge,
    Unauthorized,
    UnexpectedAnswer,
    Unreachable,
)
from audiences.client.people import People

__all__ = [
    "Client",
    "ClientError",
    "FileChanged",
    "Filters",
    "Forbidden",
    "Format",
    "NoValidRows",
    "NotConfigured",
    "NotFound",
    "RateLimited",
    "Reading",
    "Refused",
    "ServerError",
    "TooLarge",
    "Unauthorized",
    "UnexpectedAnswer",
    "Unreachable",
]


class Client(Audiences, People):
    """One server, one key, and every call. Use it in a `with` block, or call `close`; `Calls` says what it takes."""
