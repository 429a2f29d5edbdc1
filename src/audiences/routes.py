"""What a route is: one row of the table that the server serves, the description describes, and the tests walk."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from audiences.answer import Reply
from audiences.bodies import Body
from audiences.errors import Refusal
from audiences.keys import Caller
from audiences.parts import Parts


@dataclass(frozen=True)
class Call:
    """A request that got in: authenticated, admitted, and with the scope that its route needs."""

    request: Request
    parts: Parts
    caller: Caller | None

    @property
    def account(self) -> int:
        """The account of the key; only for routes that have a scope."""
        assert self.caller is not None  # noqa: S101 - a route without a scope asks for no account
        return self.caller.account

    @property
    def actor(self) -> str:
        """Who did it, as the audit log says: the key's id."""
        assert self.caller is not None  # noqa: S101 - as above
        return f"key {self.caller.key_id}"


Handler = Callable[[Call], Awaitable[Reply | Response]]


@dataclass(frozen=True)
class Parameter:
    """A query parameter or header, as the API's description shows it."""

    name: str
    about: str
    schema: Mapping[str, Any]
    where: str = "query"


@dataclass(frozen=True)
class Success:
    """An answer that is not a refusal: its description and the type of its `data`, with an example of it.

    `leads_to` are the operations on the id in it, `headers` those that only this answer has, each with what it tells;
    `other_data` is the type of `data` where the same status may answer something else, `checked` the description where
    that is asked for by `dry_run`.
    """

    description: str
    data: Any
    leads_to: tuple[str, ...] = ()
    example: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    other_data: Any = None
    checked: str | None = None

    @property
    def kinds(self) -> tuple[Any, ...]:
        """The types that `data` may have."""
        return (self.data,) if self.other_data is None else (self.data, self.other_data)


@dataclass(frozen=True)
class Route:
    """One method on one path.

    `scope` is what a key needs, `policy` the limit that counts the request; both None for routes without a key.
    """

    method: str
    path: str
    handler: Handler
    summary: str
    successes: Mapping[int, Success]
    scope: str | None = None
    policy: str | None = None
    parameters: tuple[Parameter, ...] = ()
    refusals: tuple[type[Refusal], ...] = ()
    formats: tuple[str, ...] = ("application/json",)
    body: Body | None = None
    body_required: bool = True
    listed: bool = True
