"""How the machine speaks to the service: one client for all keys, and answers as they are compared."""

from __future__ import annotations

from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import httpx


@dataclass
class Answer:
    """An answer; `body` is without the time that each has of its own."""

    status: int
    body: dict[str, Any]
    replayed: bool

    @property
    def code(self) -> str | None:
        """The code of its first error."""
        errors = self.body.get("errors")
        return str(errors[0]["code"]) if errors else None


@dataclass(frozen=True)
class Asking:
    """A request, to be sent again if need be."""

    method: str
    path: str
    fields: tuple[tuple[str, str], ...] = ()
    file: bytes | None = None
    json: Any = None

    def send(self, http: httpx.Client, key: str, once: str | None = None) -> Answer:
        """Sends it, with an `Idempotency-Key` if there is one."""
        headers = {"Authorization": f"Bearer {key}"} | ({} if once is None else {"Idempotency-Key": once})
        parts: list[Any] = [(name, (None, text)) for name, text in self.fields]
        if self.file is not None:
            parts.append(("audience_file", ("list.csv", self.file)))
        response = http.request(self.method, self.path, headers=headers, files=parts or None, json=self.json)
        body = response.json()
        assert body["status"] == response.status_code, body
        assert body.pop("response_time").endswith("Z")
        assert ("errors" in body) == (response.status_code >= HTTPStatus.BAD_REQUEST), body
        return Answer(response.status_code, body, response.headers.get("Idempotency-Replayed") == "true")


@dataclass
class Kept:
    """A request with an `Idempotency-Key`, and its answer. `bare`: the answer may have lost its rows."""

    once: str
    asking: Asking
    answer: Answer
    bare: bool = False


@dataclass
class Side:
    """One account's side of the talk: its keys, and what is kept of its requests."""

    key: str
    read_only_key: str
    kept: list[Kept] = field(default_factory=list)
