"""Serve: the application on uvicorn, with the metrics beside it on an address of their own."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, nullcontext, suppress
from functools import partial

import uvicorn
from prometheus_client import start_http_server

from audiences import allocator, tracing
from audiences.app import create_app
from audiences.crowd import Crowd, most_connections
from audiences.errors import CannotOpen, DiskFull
from audiences.parts import Parts, opened_parts
from audiences.protocol import BoundedHttp
from audiences.settings import Settings

# Connections that the system holds for us before we accept them; uvicorn's own figure.
BACKLOG = 2048

# Seconds after the start in which it does what can wait.
SETTLED_S = 1.0

# Seconds that requests under way have to end after SIGTERM.
DRAIN_S = 60

# Seconds after SIGTERM in which connections that there are may still send a request.
LAST_REQUESTS_S = 1


def serve(settings: Settings, host: str, port: int, announce: Callable[[str, str | None], None]) -> None:
    """Serves until a signal ends it. Once requests are taken, `announce` is called with the address.

    While nobody can sign in to the console yet, its second argument is the token that makes the first admin.

    Raises CannotOpen if the address cannot be had or traces cannot be sent, and what `opened_parts` raises.
    """
    allocator.keep_few_arenas()
    traces = tracing.opened(os.environ)
    # uvicorn raises the signal that ended it once more. Without this the process would be gone before it has closed.
    signal.signal(signal.SIGTERM, exit_by)
    with closing(listening(host, port)) as listener, opened_parts(settings) as parts, metrics_served(parts):
        address = f"http://{f'[{host}]' if ':' in host else host}:{listener.getsockname()[1]}"
        config = uvicorn.Config(
            create_app(lambda: nullcontext(parts), traces),
            http=partial(BoundedHttp, crowd=Crowd(most_connections())),  # type: ignore[arg-type]
            ws="none",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=30,
            timeout_graceful_shutdown=DRAIN_S,
        )
        token = first_token(parts)
        server = Announcing(config, lambda: announce(address, token), parts.engine.turns.hand_back)
        server.run(sockets=[listener])


def settle() -> None:
    """Has Python look for rubbish again, but not among what was loaded, which stays; what its loading left goes."""
    gc.collect()
    gc.freeze()
    gc.enable()
    allocator.give_back()


def exit_by(number: int, _frame: object) -> None:
    """Ends the process in order, with the exit status that a shell gives to a signal."""
    raise SystemExit(128 + number)


def first_token(parts: Parts) -> str | None:
    """The token of the first admin's link, while there is need of one."""
    with suppress(DiskFull):  # a full disk must not keep anybody from reading
        return parts.users.first_link()
    return None


class Announcing(uvicorn.Server):
    """A server that says when it has started, and when it begins to stop."""

    def __init__(self, config: uvicorn.Config, announce: Callable[[], None], stopping: Callable[[], None]) -> None:
        super().__init__(config)
        self.announce = announce
        self.stopping = stopping

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Starts, then says so."""
        await super().startup(sockets)
        if self.started:
            self.announce()
            asyncio.get_running_loop().call_later(SETTLED_S, settle)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Says so, then lets requests under way end, and those that are on their way come and be answered.

        Otherwise a connection whose request has not come yet would be reset, and one that is kept for further requests
        be closed between two of them, perhaps with the next one on its way: now an answer says that it is the last.
        """
        self.stopping()
        self.server_state.default_headers.append((b"connection", b"close"))
        waiting = [connection for listener in sockets or [] for connection in accepted(listener)]
        for server in self.servers:
            server.close()
        for connection in waiting:
            await asyncio.get_running_loop().connect_accepted_socket(self.protocol, connection)
        for _ in range(LAST_REQUESTS_S * 10):
            await asyncio.sleep(0.1)
            if not self.server_state.connections:
                break
        await super().shutdown(sockets)

    def protocol(self) -> asyncio.Protocol:
        """What serves a connection."""
        return self.config.http_protocol_class(  # type: ignore[call-arg]
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )


def accepted(listener: socket.socket) -> Iterator[socket.socket]:
    """The connections that the system holds for us: they were told that they are connected."""
    listener.settimeout(0)
    with suppress(OSError):
        while True:
            yield listener.accept()[0]


def listening(host: str, port: int) -> socket.socket:
    """A socket that takes connections; port 0 takes any that is free."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise CannotOpen(
            f"Cannot listen on {host}:{port}: {error.strerror}. Choose another with --host and --port."
        ) from None
    listener.listen(BACKLOG)
    return listener


@contextmanager
def metrics_served(parts: Parts) -> Iterator[None]:
    """Serves /metrics at its own address, if one is set."""
    if parts.settings.metrics_address is None:
        yield
        return
    host, port = parts.settings.metrics_address
    server, thread = start_http_server(port, host, parts.metrics.registry)
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
