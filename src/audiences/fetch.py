"""Fetch: the file at an https URL that a caller sent in place of the file, if the operator allows its host.

The host is resolved once, every address that comes back must be public, and the connection goes to such an address;
each redirect is judged afresh. Where the URL leads is never told: one message for every host that may not be asked.
"""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import unquote_to_bytes, urljoin

import anyio.to_thread
from python_multipart.multipart import parse_options_header

from audiences import fetch_guard
from audiences.errors import Refusal, UrlNotAllowed
from audiences.fetch_guard import Link
from audiences.settings import Settings

if TYPE_CHECKING:
    import httpcore

# Redirects that are followed: file services use one or two.
MAX_REDIRECTS = 5

OK = 200
REDIRECTS = frozenset({301, 302, 303, 307, 308})

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]


@dataclass
class Found:
    """A file that is there, under `file_name` as it was sent; `length` in bytes where the server announced it."""

    file_name: bytes
    length: int | None
    chunks: AsyncGenerator[bytes, None]

    async def next_chunk(self) -> tuple[bytes, bool]:
        """Bytes of the file, and whether there may be more to come."""
        chunk = await anext(self.chunks, None)
        return chunk or b"", chunk is not None


class Fetcher:
    """Fetches under the settings' limits.

    What resolves names and what judges addresses are parameters, so that a test can have a net of its own.
    """

    def __init__(
        self,
        settings: Settings,
        resolve: Resolve = fetch_guard.resolve,
        is_public: Callable[[str], bool] = fetch_guard.is_public,
    ) -> None:
        self.settings = settings
        self.resolve = resolve
        self.is_public = is_public
        self.tls: ssl.SSLContext | None = None

    @property
    def allows_any(self) -> bool:
        """Whether files by URL are taken at all."""
        return bool(self.settings.url_hosts)

    @asynccontextmanager
    async def fetch(self, url: str) -> AsyncIterator[Found]:
        """The file at `url`, to be read inside the block. Raises UrlNotAllowed or UrlUnreachable, also later."""
        from audiences.fetch_request import unreachable

        try:
            async with asyncio.timeout(self.settings.receive_timeout_s):
                link = self.allowed_link(url)
                for _ in range(1 + MAX_REDIRECTS):
                    async with self.answer(link) as response:
                        headers = joined(response.headers)
                        if response.status not in REDIRECTS or b"location" not in headers:
                            refuse_all_but_a_file(response.status, headers)
                            async with aclosing(body(response)) as chunks:
                                yield Found(file_name(link, headers), length(headers), chunks)
                            return
                    link = self.next_link(link, headers[b"location"])
        except TimeoutError:
            raise unreachable(f"it took longer than {self.settings.receive_timeout_s:g} seconds") from None
        raise unreachable(f"it redirects more than {MAX_REDIRECTS} times")

    def allowed_link(self, text: str) -> Link:
        """The URL that `text` is, of a host that is allowed. Raises UrlNotAllowed."""
        try:
            link = fetch_guard.read_link(text)
        except ValueError:
            raise not_allowed() from None
        if not fetch_guard.is_allowed(link, self.settings.url_hosts):
            raise not_allowed()
        return link

    def next_link(self, link: Link, location: bytes) -> Link:
        """Where the link's host redirects to, judged as the first one was. Raises UrlNotAllowed."""
        try:
            text = urljoin(link.text, location.decode("utf-8", "replace"))
        except ValueError:
            raise not_allowed() from None
        return self.allowed_link(text)

    @asynccontextmanager
    async def answer(self, link: Link) -> AsyncIterator[httpcore.Response]:
        """What the link's host answers. Raises UrlNotAllowed or UrlUnreachable."""
        from audiences.fetch_request import answered

        addresses = await self.public_addresses(link)
        if self.tls is None:
            self.tls = await anyio.to_thread.run_sync(verifying_tls)
        async with answered(link, addresses, self.tls, self.settings.receive_idle_timeout_s) as response:
            yield response

    async def public_addresses(self, link: Link) -> Sequence[str]:
        """All addresses of the link's host. Raises UrlNotAllowed unless there are any and each one is public."""
        from audiences.fetch_request import CONNECT_TIMEOUT_S, unreachable

        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                addresses = await self.resolve(link.host, link.port)
        except TimeoutError:
            raise unreachable("its host could not be looked up in time") from None
        except socket.gaierror as error:
            if error.errno == socket.EAI_AGAIN:
                raise unreachable("its host could not be looked up just now") from None
            raise not_allowed() from None
        # One private address among public ones is a trap, or a network's own affair: either way it is not for callers.
        if not addresses or not all(self.is_public(address) for address in addresses):
            raise not_allowed()
        return addresses


def verifying_tls() -> ssl.SSLContext:
    """Trust in the system's certificate authorities, or in those of SSL_CERT_FILE."""
    context = ssl.create_default_context()
    context.minimum_version = max(context.minimum_version, ssl.TLSVersion.TLSv1_2)
    return context


def joined(pairs: Sequence[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """Headers by name; values of one that was sent more than once are a list (RFC 9110, 5.3)."""
    headers: dict[bytes, bytes] = {}
    for name, value in pairs:
        key = name.lower()
        headers[key] = headers[key] + b", " + value if key in headers else value
    return headers


async def body(response: httpcore.Response) -> AsyncGenerator[bytes, None]:
    """The answer's body in pieces."""
    async for chunk in response.aiter_stream():
        yield chunk


def refuse_all_but_a_file(status: int, headers: Mapping[bytes, bytes]) -> None:
    """Raises UrlUnreachable if the answer's body is not the file, or could be a part of it without our noticing."""
    from audiences.fetch_request import unreachable

    if status != OK:
        raise unreachable(f"its server answered with status {status}")
    if headers.get(b"content-encoding", b"identity").strip().lower() not in {b"", b"identity"}:
        raise unreachable("its server sends it with a Content-Encoding, though none was asked for")
    if b"content-length" not in headers and b"transfer-encoding" not in headers:
        # Such a body ends where the connection does, and one that was cut short looks like a whole one.
        raise unreachable("its server does not say where it ends (Content-Length)")


def length(headers: Mapping[bytes, bytes]) -> int | None:
    """The announced bytes of the body; h11 has seen to it that they are a number."""
    text = headers.get(b"content-length")
    return None if text is None or b"transfer-encoding" in headers else int(text)


def file_name(link: Link, headers: Mapping[bytes, bytes]) -> bytes:
    """The name that the server gives (RFC 6266), or else the last segment of the URL's path."""
    disposition = headers.get(b"content-disposition", b"").decode("latin-1")
    extended = re.search(r"filename\*\s*=\s*utf-8'[^']*'([^;\s]+)", disposition, re.IGNORECASE)
    if extended is not None:
        return unquote_to_bytes(extended[1])
    given = parse_options_header(disposition)[1].get(b"filename")
    return given or unquote_to_bytes(link.path.rpartition("/")[2])


def not_allowed() -> Refusal:
    """The refusal of a URL that may not be asked, the same for every reason: which one it is tells of our network."""
    return UrlNotAllowed(
        "This server does not fetch from the URL in audience_file, or from where it redirects to. It takes https URLs "
        "without a user name, of hosts that its operator allows and that have public addresses only. "
        "Attach the file itself, or ask the operator: curl -F name=NE_USA-above50 -F audience_file=@customers.csv",
        field="audience_file",
    )
