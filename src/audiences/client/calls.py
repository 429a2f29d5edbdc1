"""One server and one key, and the two kinds of call: one that changes something, and one that reads a list."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Self, TypedDict, TypeVar
from uuid import uuid4

import msgspec

from audiences.client.patience import Patience, Waiting
from audiences.client.sending import Form
from audiences.client.shapes import Answer
from audiences.client.transport import Call, Transport

T = TypeVar("T")

DEFAULT_URL = "http://127.0.0.1:8000"

# The most that the API puts on a page.
PAGE = 1000


class Reading(TypedDict, total=False):
    """How a file is to be read, where it is not to be found out."""

    phone_column: str | None
    default_region: str | None
    sheet: str | None


class Calls:
    """One server, one key. Use it in a `with` block, or call `close`.

    `url` is AUDIENCES_URL or http://127.0.0.1:8000 where none is given, `key` AUDIENCES_API_KEY. An answer may take
    `timeout_s` seconds: it comes when the whole file has been worked through. What fails for a reason that may pass is
    tried `tries` times, and no longer than `patience_s` seconds after it first failed; before each further try
    `waiting` is called with the error and the seconds to come. Raises NotConfigured.
    """

    def __init__(
        self,
        url: str | None = None,
        key: str | None = None,
        *,
        timeout_s: float = 300.0,
        tries: int = 6,
        patience_s: float = 120.0,
        waiting: Waiting | None = None,
    ) -> None:
        self.url = url or os.environ.get("AUDIENCES_URL") or DEFAULT_URL
        key = os.environ.get("AUDIENCES_API_KEY", "") if key is None else key
        self._transport = Transport(self.url, key, timeout_s, Patience(tries, patience_s, waiting))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.url!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connections."""
        self._transport.close()

    def _change(
        self,
        method: str,
        path: str,
        decoder: msgspec.json.Decoder[Answer[T]],
        idempotency_key: str | None = None,
        *,
        json: object = None,
        form: Form | None = None,
    ) -> T:
        """What a request that changes something is answered with; its key makes all its tries one request."""
        headers = {"Idempotency-Key": idempotency_key or str(uuid4())}
        call = Call(method=method, path=path, headers=headers, json=json, form=form)
        return self._transport.ask(call, decoder).data

    def _pages(self, path: str, decoder: msgspec.json.Decoder[Answer[list[T]]], query: dict[str, str]) -> Iterator[T]:
        """All items of a list; the next page is asked for when it is needed."""
        cursor: str | None = None
        while True:
            page = given(limit=str(PAGE), cursor=cursor, **query)
            answer = self._transport.ask(Call(method="GET", path=path, query=page), decoder)
            yield from answer.data
            cursor = answer.next_cursor
            if cursor is None:
                return


def given(**values: str | None) -> dict[str, str]:
    """The values that there are."""
    return {name: value for name, value in values.items() if value is not None}
