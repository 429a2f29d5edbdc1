"""The page of every refusal and every fault: what happened, and what to do next."""

from __future__ import annotations

from starlette.responses import Response

from audiences.console.routes import Visit
from audiences.errors import NotFound, Refusal, ServerError
from audiences.users import UnknownUser, UserRefusal

# Title and next step by status; what happened is the refusal's own message.
PAGES: dict[int, tuple[str, str]] = {
    400: ("That did not work", "Go back, mend it, and send it again."),
    401: ("Please sign in", "Sign in, and try again."),
    403: ("This is not open to you", "Ask an admin of your account to do it, or to make you one."),
    404: ("There is no such page", "It may have been deleted, or the address has a slip in it."),
    405: ("That did not work", "Go back and reload the page."),
    408: ("That took too long", "Check your connection and send it again."),
    409: ("Something else is under way", "Wait a moment, then reload the page."),
    413: ("That is too large", "Send less at a time."),
    422: ("That did not work", "Go back, mend it, and send it again."),
    429: ("Too much in a short time", "Wait a little, then go on."),
    500: ("This is our fault", "Try again. If it happens once more, give the operator the request id."),
    503: ("Not just now", "Try again in a moment."),
    507: ("There is no room", "Delete what you no longer need, or ask the operator for room."),
}

# A stranger's id and one that nobody has must read alike, so no message of a 404 is shown.
NOWHERE = "Nothing of your account is at this address."


def refused(visit: Visit, refusal: Refusal) -> Response:
    """The page of a refusal, or for a script the notice that it shows in the page that is open."""
    title, step = PAGES.get(refusal.status, PAGES[400])
    message = NOWHERE if isinstance(refusal, NotFound) else refusal.message
    # Some know better what to do next.
    step = getattr(refusal, "step", step)
    return page(visit, refusal.status, title, message, step, refusal.headers)


def refused_user(visit: Visit, refusal: UserRefusal) -> Response:
    """The same for what cannot be done to a user; one of another account is nowhere."""
    if isinstance(refusal, UnknownUser):
        return refused(visit, NotFound(str(refusal)))
    title, step = PAGES[422]
    return page(visit, 422, title, str(refusal), step, {})


def failed(visit: Visit, request_id: str) -> Response:
    """The page of a fault of ours. It says nothing of the fault, and asks no store for anything."""
    visit.session = None
    title, step = PAGES[ServerError.status]
    message = f"The server failed to carry this out. Its log knows it as request {request_id}."
    return page(visit, ServerError.status, title, message, step, {})


def page(visit: Visit, status: int, title: str, message: str, step: str, headers: dict[str, str]) -> Response:
    """A page with a sentence, or the sentence alone for a script, which puts it where notices are."""
    shown = {"title": title, "message": message, "step": step}
    response = visit.render("trouble.html", status=status, block="notice" if visit.is_htmx else None, **shown)
    if visit.is_htmx:
        headers = headers | {"HX-Retarget": "#notices", "HX-Reswap": "innerHTML"}
    response.headers.update(headers)
    return response
