"""One request of the server's own, to addresses that were judged before. Loaded by the first fetch, not by the start.

Nothing of a caller's request goes out with it, and no proxy of the environment is asked: httpcore knows of none.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager

import httpcore

from audiences.errors import UrlUnreachable
from audiences.fetch_guard import Link

# Seconds to connect to one address, and again for its TLS handshake.
CONNECT_TIMEOUT_S = 10.0

# Addresses of a host that are tried: one of each family, and a spare.
MAX_TRIES = 3


class Judged(httpcore.AsyncNetworkBackend):
    """Connects to the addresses that it was made with, whatever the name would resolve to by now (DNS rebinding)."""

    def __init__(self, addresses: Sequence[str]) -> None:
        self.addresses = addresses[:MAX_TRIES]
        self.plain = httpcore.AnyIOBackend()
        self.stream: httpcore.AsyncNetworkStream | None = None

    async def connect_tcp(
        self,
        host: str,  # noqa: ARG002 - the name stays with TLS and the header Host
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's own
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """A connection to the first address that takes one."""
        failed: Exception = httpcore.ConnectError()
        for address in self.addresses:
            try:
                self.stream = await self.plain.connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failed = error
            else:
                return self.stream
        raise failed

    async def close(self) -> None:
        """Closes the connection, also one that was broken off in the midst of its handshake."""
        if self.stream is not None:
            await self.stream.aclose()


@asynccontextmanager
async def answered(
    link: Link, addresses: Sequence[str], tls: ssl.SSLContext, idle_s: float
) -> AsyncIterator[httpcore.Response]:
    """The answer to GET `link`, its body still to be read. Raises UrlUnreachable, also while the body is read."""
    network = Judged(addresses)
    host = link.host.encode()
    connection = httpcore.AsyncHTTPConnection(
        httpcore.Origin(b"https", host, link.port), ssl_context=tls, network_backend=network
    )
    request = httpcore.Request(
        "GET",
        httpcore.URL(scheme=b"https", host=host, port=link.port, target=link.target.encode()),
        headers={
            "Host": link.authority,
            "User-Agent": "audiences",
            "Accept": "*/*",
            "Accept-Encoding": "identity",
        },
        extensions={"timeout": {"connect": CONNECT_TIMEOUT_S, "read": idle_s, "write": idle_s}},
    )
    try:
        with failures_refused():
            yield await connection.handle_async_request(request)
    finally:
        await network.close()


@contextmanager
def failures_refused() -> Iterator[None]:
    """Turns what the network does wrong inside the block into UrlUnreachable; every other error passes."""
    try:
        yield
    except (httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError, ssl.SSLError) as error:
        raise unreachable(reason(error)) from None


def reason(error: Exception) -> str:
    """What went wrong, in words that hold nothing of what the other side or the system said."""
    causes = (error, error.__cause__)
    if isinstance(error, httpcore.TimeoutException):
        return "its server did not answer in time"
    if any(isinstance(each, ssl.SSLCertVerificationError) for each in causes):
        return "its server's certificate is not valid for this host"
    if any(isinstance(each, ssl.SSLError) for each in causes):
        return "no TLS connection could be made"
    if isinstance(error, httpcore.ConnectError):
        return "its server could not be connected to"
    return "its server's answer broke off or is not HTTP"


def unreachable(why: str) -> UrlUnreachable:
    """The refusal of a URL whose file could not be had."""
    return UrlUnreachable(
        f"The file at the URL in audience_file could not be fetched: {why}. "
        "Check that the URL downloads the file without a login, or attach the file itself.",
        field="audience_file",
    )
