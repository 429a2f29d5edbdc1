"""Why a call did not succeed: the tree of what the client raises.

::

    ClientError
    ├── NotConfigured       no key, or a key or an address that cannot be used
    ├── FileChanged         the file changed while it was being sent
    ├── Unreachable         no answer: no connection, a broken one, or one that timed out
    ├── UnexpectedAnswer    an answer that is not the service's: a proxy's page, a redirect
    └── Refused             the service's own refusal: status, code, message, field, errors, report, request_id
        ├── Unauthorized    401: the key is unknown, expired or revoked
        ├── Forbidden       403: the key lacks the scope
        ├── NotFound        404: there is no such audience, for this key
        ├── TooLarge        413: larger than a limit of the server
        ├── RateLimited     429: more requests than the limit allows
        ├── NoValidRows     400 `no_valid_rows`: no row was accepted; `report` says why
        └── ServerError     500 and above: the server cannot, now or at all

Any other refusal is a plain `Refused`; its `code` is one of `docs/errors.md`. What may be repeated has been repeated
before it is raised. A message never holds the key.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from audiences.models import CheckWithSamples, ErrorItem


class ClientError(Exception):
    """A call that did not succeed.

    `temporary`: the same request may succeed later. `retry_after_s`: seconds that the server asked to wait, if it did.
    """

    def __init__(self, message: str, *, temporary: bool = False, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.temporary = temporary
        self.retry_after_s = retry_after_s


class NotConfigured(ClientError):
    """There is no key, or the key or the address cannot be used."""


class FileChanged(ClientError):
    """The file changed while it was being sent."""


class Unreachable(ClientError):
    """There was no answer. Whether the request was carried out is not known."""


class UnexpectedAnswer(ClientError):
    """There was an answer of this HTTP status, but it is not the service's."""

    def __init__(self, message: str, status: int, *, temporary: bool, retry_after_s: float | None = None) -> None:
        super().__init__(message, temporary=temporary, retry_after_s=retry_after_s)
        self.status = status


class Refused(ClientError):
    """The service refused. `status` is the HTTP status, `request_id` what the operator finds it by in the log.

    `errors` is all that was wrong; `code`, `message` and `field` are those of the first. `report` comes with
    `no_valid_rows` alone.
    """

    statuses: ClassVar[frozenset[int]] = frozenset()

    def __init__(
        self,
        status: int,
        errors: Sequence[ErrorItem],
        *,
        request_id: str | None = None,
        report: CheckWithSamples | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        first = errors[0]
        temporary = status in TEMPORARY_STATUSES or first.code == IN_PROGRESS
        super().__init__(" ".join(item.message for item in errors), temporary=temporary, retry_after_s=retry_after_s)
        self.status = status
        self.code = first.code
        self.field = first.field if isinstance(first.field, str) else None
        self.errors = errors
        self.report = report
        self.request_id = request_id


class Unauthorized(Refused):
    """The key is unknown, expired or revoked."""

    statuses = frozenset({401})


class Forbidden(Refused):
    """The key is valid but lacks the scope."""

    statuses = frozenset({403})


class NotFound(Refused):
    """The key's account has no such audience."""

    statuses = frozenset({404})


class TooLarge(Refused):
    """The file or the request is larger than a limit of the server."""

    statuses = frozenset({413})


class RateLimited(Refused):
    """More requests than the limit allows; `retry_after_s` says when to go on."""

    statuses = frozenset({429})


class NoValidRows(Refused):
    """No row of the file was accepted, and nothing was stored; `report` says what became of each row."""


class ServerError(Refused):
    """The server cannot carry it out, now (503) or at all."""

    statuses = frozenset(range(500, 600))


# A gateway's "not now" as well as the service's own.
TEMPORARY_STATUSES = frozenset({429, 502, 503, 504})

# The code of the 409 that a twin gets while the first request with its Idempotency-Key is being carried out.
IN_PROGRESS = "request_in_progress"


def kind_of(status: int, code: str) -> type[Refused]:
    """The leaf of the tree for a refusal."""
    if code == "no_valid_rows":
        return NoValidRows
    return next((kind for kind in Refused.__subclasses__() if status in kind.statuses), Refused)
