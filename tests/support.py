"""The server and the client that tests work with."""

from __future__ import annotations

import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import httpx
import uvicorn

from audiences import clock, watch
from audiences.app import create_app
from audiences.creation import Creation
from audiences.keys import DEFAULT_SCOPES
from audiences.parts import Parts, opened_parts
from audiences.protocol import BoundedHttp
from audiences.server import listening
from audiences.settings import Settings
from audiences.store import accounts


@dataclass(frozen=True)
class Service:
    """A running server: its address, and its parts to look into."""

    url: str
    parts: Parts

    def account(self) -> int:
        """A new account."""
        with self.parts.database.write() as connection:
            return accounts.add(connection, f"account {secrets.token_hex(4)}", clock.now())

    @contextmanager
    def client(
        self, account: int | None = None, scopes: Sequence[str] = DEFAULT_SCOPES, days: int | None = 1
    ) -> Iterator[Client]:
        """A client with a new key, of a new account if none is given."""
        owner = self.account() if account is None else account
        _, key = self.parts.keys.create(owner, "test", scopes=scopes, days=days)
        with httpx.Client(base_url=self.url, headers={"Authorization": f"Bearer {key}"}, timeout=60) as http:
            yield Client(http, key, owner)


class Client:
    """Speaks to the API as a caller does."""

    def __init__(self, http: httpx.Client, key: str, account: int) -> None:
        self.http = http
        self.key = key
        self.account = account

    def post(
        self,
        file: bytes | str | None,
        *,
        name: str | None = "list",
        file_name: str = "list.csv",
        headers: Mapping[str, str] | None = None,
        **fields: str,
    ) -> httpx.Response:
        """POST /audiences."""
        content = file.encode() if isinstance(file, str) else file
        files = {} if content is None else {"audience_file": (file_name, content)}
        given = fields if name is None else {"name": name, **fields}
        parts = [(field, (None, value)) for field, value in given.items()]
        return self.http.post("/audiences", files=[*parts, *files.items()], headers=headers)

    def send(
        self,
        method: str,
        path: str,
        file: bytes | str,
        *,
        file_name: str = "list.csv",
        headers: Mapping[str, str] | None = None,
        **fields: str,
    ) -> httpx.Response:
        """A form with a file, to any route."""
        content = file.encode() if isinstance(file, str) else file
        parts: list[Any] = [(field, (None, value)) for field, value in fields.items()]
        parts.append(("audience_file", (file_name, content)))
        return self.http.request(method, path, files=parts, headers=headers)

    def create(self, file: bytes | str, **given: Any) -> Made:
        """A new audience."""
        response = self.post(file, **given)
        assert response.status_code == 201, response.text
        return Made(self, response.json()["data"]["id"])

    def get(self, path: str, **query: str | int) -> Any:
        """A page's or report's envelope."""
        response = self.http.get(path, params=query)
        assert response.status_code == 200, response.text
        return response.json()


@dataclass(frozen=True)
class Made:
    """An audience that was created."""

    client: Client
    id: str

    @property
    def report(self) -> dict[str, Any]:
        """Its report."""
        found: dict[str, Any] = self.client.get(f"/audiences/{self.id}")["data"]
        return found

    @property
    def counts(self) -> dict[str, int]:
        """Its counts."""
        return {name: self.report[name] for name in ("rows", "accepted", "duplicates", "rejected")}

    def replace(self, file: bytes | str, **given: Any) -> httpx.Response:
        """PUT: another file in place of all that is there."""
        return self.client.send("PUT", f"/audiences/{self.id}", file, **given)

    def append(self, file: bytes | str, **given: Any) -> httpx.Response:
        """POST: a further file."""
        return self.client.send("POST", f"/audiences/{self.id}/contacts", file, **given)

    def restore(self) -> httpx.Response:
        """Undoes the last change."""
        return self.client.http.post(f"/audiences/{self.id}/restore")

    def phones(self) -> list[str]:
        """The numbers of all contacts, in order."""
        return [contact["phone1"] for contact in self.contacts()]

    def contacts(self, **query: str | int) -> list[dict[str, Any]]:
        """All its contacts, page by page."""
        return list(self.rows("contacts", query))

    def rejects(self) -> list[tuple[int, str]]:
        """Row and reason of all its rejects."""
        return [(item["row"], item["reason"]) for item in self.rows("rejects", {})]

    def rows(self, kind: str, query: Mapping[str, str | int]) -> Iterator[dict[str, Any]]:
        """All items of a list."""
        page = self.client.get(f"/audiences/{self.id}/{kind}", **query)
        yield from page["data"]
        while "next_cursor" in page:
            page = self.client.get(f"/audiences/{self.id}/{kind}", **{**query, "cursor": page["next_cursor"]})
            yield from page["data"]

    def csv(self, kind: str = "contacts", **query: str) -> str:
        """The whole list as CSV."""
        path = f"/audiences/{self.id}/{kind}"
        response = self.client.http.get(path, params=query, headers={"Accept": "text/csv"})
        assert response.status_code == 200, response.text
        return response.content.decode()


def remade(parts: Parts, kind: type[Creation]) -> Creation:
    """The use case as `kind` carries it out, on the same parts."""
    return kind(parts.settings, clock.now, parts.creation.judge, parts.library, parts.suppressions)


@contextmanager
def started(settings: Settings, change: Callable[[Parts], Parts] = lambda parts: parts) -> Iterator[Service]:
    """A server on a free port, stopped at the end of the block; `change` may replace parts."""
    watch.configure_logging()
    listener = listening("127.0.0.1", 0)
    with opened_parts(settings) as opened:
        parts = change(opened)
        app = create_app(lambda: nullcontext(parts))
        config = uvicorn.Config(
            app,
            http=BoundedHttp,
            ws="none",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        while not server.started and thread.is_alive():
            threading.Event().wait(0.005)
        try:
            yield Service(f"http://127.0.0.1:{listener.getsockname()[1]}", parts)
        finally:
            server.should_exit = True
            thread.join(30)
            listener.close()


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def until(holds: Callable[[], bool], seconds: float = 20) -> bool:
    """Whether it comes to hold within so many seconds."""
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True
