"""The door: authenticate, then throttle, then the scope; all before the first byte of a body is read."""

from __future__ import annotations

import anyio.to_thread
from starlette.requests import Request

from audiences.errors import TooManyRequests, Unauthorized
from audiences.keys import Caller
from audiences.parts import Parts
from audiences.routes import Route
from audiences.throttle import FAILED_AUTHENTICATIONS


async def admit(request: Request, parts: Parts, route: Route) -> Caller | None:
    """The caller of a route that asks for a key, or None for one that does not.

    Leaves the answer's `RateLimit` fields in `request.state.headers`. Raises Unauthorized, TooManyRequests, Forbidden.
    """
    if route.scope is None or route.policy is None:
        return None
    try:
        caller = await anyio.to_thread.run_sync(parts.keys.authenticate, request.headers.get("authorization"))
    except Unauthorized:
        await count_failure(request, parts)
        raise
    request.state.who = {"key": caller.key_id}
    try:
        request.state.headers = await parts.throttle.admit(route.policy, caller.key_id)
    except TooManyRequests:
        parts.usage.count_throttled(caller.account)
        raise
    caller.require(route.scope)
    return caller


async def count_failure(request: Request, parts: Parts) -> None:
    """Counts a failed authentication for its address. Raises TooManyRequests once there were too many."""
    peer = request.client.host if request.client else None
    address = parts.throttle.address(peer, request.headers.getlist("x-forwarded-for"))
    await parts.throttle.admit(FAILED_AUTHENTICATIONS, address)
