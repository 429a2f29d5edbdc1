"""The parser of requests: httptools' own, for a server that never leaves HTTP/1.

httptools takes everything behind a request that asks for an upgrade, its body included, for the other protocol, and
drops it. Clients ask so in good faith: Java's HttpClient and `curl --http2` offer h2c with every request, uploads among
them. A server may ignore the offer (RFC 9110, section 7.8), and then the body is a body, and what follows a request.
"""

from __future__ import annotations

from httptools import HttpParserUpgrade, HttpRequestParser
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

# The headers that say where a request ends.
FRAMING = frozenset({b"content-length", b"transfer-encoding"})


class Parser:
    """What uvicorn's protocol expects of its parser."""

    def __init__(self, protocol: HttpToolsProtocol) -> None:
        self.protocol = protocol
        self.parser = opened(protocol)

    def feed_data(self, data: bytes) -> None:
        """Takes bytes. Raises HttpParserError."""
        left = memoryview(data)
        while left:
            try:
                self.parser.feed_data(left)
            except HttpParserUpgrade as asked:
                left = left[asked.args[0] :]
                self.go_on()
            else:
                return

    def go_on(self) -> None:
        """Goes on behind the headers of a request that asked for an upgrade, as if it had not."""
        framing = [b"%s: %s\r\n" % pair for pair in self.protocol.headers if pair[0] in FRAMING]
        self.parser = opened(BehindHeaders(self.protocol))
        self.parser.feed_data(b"".join([b"POST / HTTP/1.1\r\n", *framing, b"\r\n"]))

    def get_method(self) -> bytes:
        """The method of the request."""
        return self.parser.get_method()

    def get_http_version(self) -> str:
        """Its version: `1.1`."""
        return self.parser.get_http_version()

    def should_keep_alive(self) -> bool:
        """Whether it lets the connection be kept."""
        return self.parser.should_keep_alive()

    def should_upgrade(self) -> bool:
        """Whether it asks for an upgrade; then its end, which httptools tells at once, is none."""
        return self.parser.should_upgrade()


def opened(protocol: object) -> HttpRequestParser:
    """A parser at the beginning of a request."""
    parser = HttpRequestParser(protocol)
    parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn: requests may come in a pipeline
    return parser


class BehindHeaders:
    """Passes on what a parser tells, but for the headers that are known already."""

    def __init__(self, protocol: HttpToolsProtocol) -> None:
        self.protocol = protocol
        self.known = False
        self.on_body = protocol.on_body
        self.on_message_complete = protocol.on_message_complete

    def on_message_begin(self) -> None:
        """A request begins: the one whose headers are known, or one behind it."""
        if self.known:
            self.protocol.on_message_begin()

    def on_url(self, url: bytes) -> None:
        """A piece of its target."""
        if self.known:
            self.protocol.on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """One of its headers."""
        if self.known:
            self.protocol.on_header(name, value)

    def on_headers_complete(self) -> None:
        """All of them."""
        if self.known:
            self.protocol.on_headers_complete()
        self.known = True
