"""A client on one kept connection that costs little itself, since it shares its processors with the server."""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from campaigns.http_requests import BOUNDARY, END, part

KIND = f"multipart/form-data; boundary={BOUNDARY.decode()}"


@dataclass(frozen=True)
class Answered:
    """What came back."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def envelope(self) -> Any:  # noqa: ANN401 - JSON
        """The body, as JSON."""
        return json.loads(self.body)

    @property
    def data(self) -> Any:  # noqa: ANN401 - JSON
        """What the envelope holds."""
        return self.envelope["data"]


class Client:
    """Requests one after the other, with a key."""

    def __init__(self, address: tuple[str, int], key: str) -> None:
        self.connection = http.client.HTTPConnection(*address, timeout=120)
        self.key = key

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.close()

    def ask(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Answered:
        """One request. Raises OSError or HTTPException where the connection breaks."""
        sent = {"Authorization": f"Bearer {self.key}", **(headers or {})}
        try:
            self.connection.request(method, path, body, sent)
            answer = self.connection.getresponse()
            return Answered(answer.status, answer.headers, answer.read())
        except Exception:
            self.connection.close()
            raise

    def upload(
        self,
        method: str,
        path: str,
        content: bytes,
        headers: Mapping[str, str] | None = None,
        **fields: str,
    ) -> Answered:
        """A form with a file and text fields."""
        texts = b"".join(part(name.encode(), text.encode()) for name, text in fields.items())
        file = part(b"audience_file", content, b'; filename="list"')
        return self.ask(method, path, texts + file + END, {"Content-Type": KIND, **(headers or {})})
