"""The service itself: health, and the description of its routes."""

from __future__ import annotations

import anyio.to_thread
from starlette.responses import Response

from audiences import answer, docs_page, models
from audiences import errors as refuse
from audiences.accept import JSON
from audiences.answer import Reply
from audiences.routes import Call


async def healthz(_call: Call) -> Reply:
    """Liveness: the process answers."""
    return answer.found("Alive", models.Health("ok"))


async def readyz(call: Call) -> Reply:
    """Readiness: every store is within reach."""
    stores = await anyio.to_thread.run_sync(call.parts.reachable)
    missing = [name for name, reachable in stores.items() if not reachable]
    if missing:
        raise refuse.NotReady(f"Out of reach: {', '.join(missing)}. Try again soon.", headers={"Retry-After": "5"})
    return answer.found("Ready", models.Health("ok", dict.fromkeys(stores, "ok")))


async def openapi_json(call: Call) -> Response:
    """The description of all routes (OpenAPI 3.1)."""
    return Response(call.request.app.state.description, media_type=JSON)


async def docs(_call: Call) -> Response:
    """The description as a page for people; all it loads is served from here."""
    return Response(docs_page.index(), media_type="text/html", headers=docs_page.HEADERS)


async def docs_asset(call: Call) -> Response:
    """A file of that page."""
    found = docs_page.asset(call.request.path_params["name"])
    if found is None:
        raise refuse.UnknownPath("There is no such file. The page is at /docs.")
    content, kind = found
    return Response(content, media_type=kind, headers=docs_page.HEADERS)
