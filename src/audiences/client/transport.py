"""Requests over HTTP: the key goes along and nowhere else; what is refused is raised."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import IO, Any, TypeVar, cast

import httpx
import msgspec

from audiences import __version__
from audiences.client.answers import decoded, refusal, unreachable
from audiences.client.errors import NotConfigured
from audiences.client.patience import Patience
from audiences.client.sending import Form, Sending
from audiences.client.shapes import Answer

T = TypeVar("T")

CONNECT_TIMEOUT_S = 10.0
# Seconds in which the server takes none of the bytes that are sent.
WRITE_TIMEOUT_S = 60.0


@dataclass(frozen=True, kw_only=True)
class Call:
    """A request, as often as it may have to be sent. It has a JSON body, a form, or neither."""

    method: str
    path: str
    query: Mapping[str, str | int] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    json: object = None
    form: Form | None = None


class Transport:
    """The connections to one server.

    A form goes over a connection of its own, never a kept one: only then is it known which one to watch for an answer
    (`sending`), and none is lost to a server that closes an idle connection just then.
    """

    def __init__(self, url: str, key: str, timeout_s: float, patience: Patience) -> None:
        self.patience = patience
        given = {
            "base_url": checked_url(url),
            "headers": {"Authorization": f"Bearer {checked_key(key)}", "User-Agent": f"audiences/{__version__}"},
            "timeout": httpx.Timeout(timeout_s, connect=CONNECT_TIMEOUT_S, write=WRITE_TIMEOUT_S, pool=None),
            "verify": httpx.create_ssl_context(),
            "follow_redirects": False,
        }
        self.kept = httpx.Client(**given)  # type: ignore[arg-type]
        self.single = httpx.Client(**given, limits=httpx.Limits(max_keepalive_connections=0))  # type: ignore[arg-type]

    def close(self) -> None:
        """Closes the connections."""
        self.kept.close()
        self.single.close()

    def ask(self, call: Call, decoder: msgspec.json.Decoder[Answer[T]]) -> Answer[T]:
        """The answer to a call; its file is read anew for each try. Raises ClientError, or OSError for the file."""

        def attempt() -> Answer[T]:
            if call.form is None:
                with self.answered(self.kept, call) as response:
                    return decoded(response, decoder)
            with call.form.opened() as file, self.answered(self.single, call, **in_form(call.form, file)) as response:
                return decoded(response, decoder)

        return self.patience.repeat(attempt)

    @contextmanager
    def answered(self, http: httpx.Client, call: Call, **body: Any) -> Iterator[httpx.Response]:  # noqa: ANN401
        """A success, its body still to be read. Raises ClientError, also for a body that breaks off in the block."""
        if call.json is not None:
            body["json"] = call.json
        request = http.build_request(call.method, call.path, params=call.query, headers=call.headers, **body)
        try:
            response = http.send(request, stream=True)
            try:
                if not response.is_success:
                    response.read()
                    raise refusal(response)
                yield response
            finally:
                response.close()
        except httpx.HTTPError as error:
            raise unreachable(request.url, error) from error


def in_form(form: Form, file: Sending) -> dict[str, Any]:
    """The body of one try, as httpx takes it."""
    content = (file.name, cast("IO[bytes]", file), "application/octet-stream")
    return {"data": form.fields, "files": {"audience_file": content}, "extensions": {"trace": file.watch}}


def checked_url(text: str) -> httpx.URL:
    """The server's address. Raises NotConfigured.

    A user and password in it would be sent in place of the key, so they are refused.
    """
    try:
        url = httpx.URL(text.strip())
    except httpx.InvalidURL:
        url = httpx.URL("")
    if url.scheme not in {"http", "https"} or not url.host or url.userinfo or url.query or url.fragment:
        raise NotConfigured("The server's address has to look like http://127.0.0.1:8000 or https://audiences.example.")
    return url


def checked_key(text: str) -> str:
    """The key. Raises NotConfigured for one that cannot stand in a header: httpx's own error would show it."""
    key = text.strip()
    if not key:
        raise NotConfigured(
            "There is no API key. Set AUDIENCES_API_KEY; `audiences keys create NAME` prints a new one."
        )
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise NotConfigured("The API key holds blanks or characters that no key has. Copy it again.")
    return key
