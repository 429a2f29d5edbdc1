"""create_app(parts): the routes, what frames every request, and the lifespan that opens and closes the parts."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AbstractContextManager, asynccontextmanager, closing, nullcontext, suppress
from itertools import groupby
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route as Mounted
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from audiences import answer, browsers, coding, conditional, door, openapi, tracing
from audiences.answer import Reply
from audiences.console import front
from audiences.errors import MethodNotAllowed, Refusal, ServerError, UnknownPath
from audiences.inbox import ClientGone
from audiences.parts import Parts
from audiences.route_table import ROUTES
from audiences.routes import Call, Route
from audiences.watch import log, log_fault, request_id

if TYPE_CHECKING:
    from audiences.spans import RequestSpan, Traces

# Seconds without a byte taken after which a reader is given up: a stalled one holds one of the few exports.
STALL_S = 60.0

# What a log says of a request whose client went away; nothing was sent.
CLIENT_GONE = 499

# What logs and metrics say in place of a route that there is not, and of a method that no route takes.
UNKNOWN, OTHER = "unknown", "other"
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"})


def create_app(open_parts: Callable[[], AbstractContextManager[Parts]], traces: Traces | None = None) -> Starlette:
    """The application; `open_parts` opens what it works with when it starts, and closes it when it stops.

    So are `traces` closed, if there are any: after the last request, and while the process still lives.
    """

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        with open_parts() as parts, nullcontext() if traces is None else closing(traces):
            app.state.parts = parts
            sweeping = asyncio.create_task(parts.sweeper.run())
            yield
            sweeping.cancel()
            with suppress(asyncio.CancelledError):
                await sweeping
            await parts.throttle.aclose()

    by_path = groupby(sorted(ROUTES, key=lambda route: route.path), key=lambda route: route.path)
    mounted = [Mounted(path, Methods(list(routes))) for path, routes in by_path]
    app = Starlette(
        routes=[*mounted, *front.mounted()],
        lifespan=lifespan,
        middleware=[Middleware(Frame, traces=traces)],
        exception_handlers={HTTPException: answer_unknown_path},
    )
    app.router.redirect_slashes = False
    app.state.description = openapi.description(ROUTES)
    return app


async def answer_unknown_path(_request: Request, _error: Exception) -> Response:
    """What the framework would say in its own words: that no route matches."""
    return answer.refused(UnknownPath("There is no such route. /docs lists those that there are.")).response()


class Methods:
    """All methods of one path: the one place between the framework and the handlers."""

    def __init__(self, routes: list[Route]) -> None:
        self.routes = {route.method: route for route in routes}
        if "GET" in self.routes:
            self.routes["HEAD"] = self.routes["GET"]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Lets the request in, hands it to its handler, and sends what that returns."""
        request = Request(scope, receive, send)
        route = self.routes.get(request.method)
        if route is None:
            allowed = ", ".join(sorted(self.routes))
            message = f"This route does not take {request.method[:16]}. It takes {allowed}."
            raise MethodNotAllowed(message, headers={"Allow": allowed})
        scope["state"]["route"] = route.path
        parts: Parts = scope["app"].state.parts
        caller = await door.admit(request, parts, route)
        if route.method == "GET":
            coding.refuse_unacceptable(request.headers)
        reply = await route.handler(Call(request, parts, caller))
        try:
            await respond(request, route, reply)(scope, receive, send)
        finally:
            await close(reply)


def respond(request: Request, route: Route, reply: Reply | Response) -> Response:
    """What a handler returned, as it is sent. The account's data has a tag, and is not sent to who has it already."""
    keyed = route.method == "GET" and route.scope is not None
    if isinstance(reply, Reply):
        reply = (reply.tagged() if keyed else reply).response()
    return conditional.as_asked(request.headers, reply) if keyed else reply


async def close(reply: Reply | Response) -> None:
    """Ends a stream that nobody reads (on): left between two pieces, it would wait for the garbage collector."""
    stream = getattr(reply, "body_iterator", None)
    if isinstance(stream, AsyncGenerator):
        await stream.aclose()


class Frame:
    """What frames every request: its id, its line in the log, its counters, and an answer whatever was raised."""

    def __init__(self, app: ASGIApp, traces: Traces | None = None) -> None:
        self.app = app
        self.traces = traces

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request; the lifespan's messages pass through."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        scope["path"] = scope["path"].lower()  # path segments match in any case (contract, siblings)
        exchange = Exchange(scope, send)
        scope["state"] = exchange.state
        with tracing.request(self.traces, exchange.method, scope) as exchange.span:
            await self.carry_out(exchange, scope, receive)

    async def carry_out(self, exchange: Exchange, scope: Scope, receive: Receive) -> None:
        """Answers the request, and notes how."""
        coded = coding.Coded(scope, exchange.send)
        try:
            await self.app(scope, receive, coded.send)
        except ClientGone:
            exchange.status = CLIENT_GONE
        except Refusal as refusal:
            await answer.refused(refusal).response()(scope, receive, coded.send)
        except Exception as error:  # noqa: BLE001 - nothing leaves without the envelope (invariant 8)
            await exchange.fail(error, receive)
        finally:
            exchange.note()


class Exchange:
    """One request and its answer, as far as it got."""

    def __init__(self, scope: Scope, send: Send) -> None:
        given = next((value.decode("latin-1") for name, value in scope["headers"] if name == b"x-request-id"), None)
        self.scope = scope
        self.plain_send = send
        self.id = request_id(given)
        self.state: dict[str, object] = {"headers": {}, "route": UNKNOWN, "id": self.id, "who": {}}
        self.method = scope["method"] if scope["method"] in METHODS else OTHER
        self.span: RequestSpan | None = None
        self.begun = time.perf_counter()
        self.status = 0
        self.sent = 0

    async def send(self, message: Message) -> None:
        """Sends a part of the answer; its head with the request's id and the `RateLimit` fields."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message["headers"] = [*message["headers"], *self.headers(message["headers"])]
        else:
            self.sent += len(message.get("body", b""))
        async with asyncio.timeout(STALL_S):
            await self.plain_send(message)

    def headers(self, present: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
        """What every answer carries, but for what this one has already."""
        names = {name.lower() for name, _ in present}
        ours = dict(self.state["headers"]) | {"x-request-id": self.id}  # type: ignore[call-overload]
        ours |= browsers.headers(self.scope["app"].state.parts.settings)
        pairs = [(name.lower().encode(), value.encode()) for name, value in ours.items()]
        return [pair for pair in pairs if pair[0] not in names]

    async def fail(self, error: Exception, receive: Receive) -> None:
        """Answers a fault of ours, unless an answer is under way: then breaking it off is all that is left."""
        log_fault("fault", error, request=self.id, route=self.state["route"])
        if self.status:
            raise error
        message = f"The server failed to carry this out. Its log knows it as request {self.id}."
        await answer.refused(ServerError(message)).response()(self.scope, receive, self.send)

    def note(self) -> None:
        """Writes the line and counts."""
        seconds = time.perf_counter() - self.begun
        route = str(self.state["route"])
        metrics = self.scope["app"].state.parts.metrics
        metrics.requests.labels(self.method, route, str(self.status)).inc()
        metrics.seconds.labels(route).observe(seconds)
        log(
            "request",
            request=self.id,
            method=self.method,
            route=route,
            status=self.status,
            milliseconds=round(seconds * 1000, 1),
            sent_bytes=self.sent,
            **dict(self.state["who"]),  # type: ignore[call-overload]
            **self.traced(route),
        )

    def traced(self, route: str) -> dict[str, str]:
        """Ends the request's span, if it has one; the id of its trace, as a field of the log."""
        if self.span is None:
            return {}
        self.span.answered(None if route == UNKNOWN else route, self.status)
        return {"trace": self.span.trace}
