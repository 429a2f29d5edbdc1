"""What the catalog needs of a database beyond SQL: how writes take turns, and what its errors mean.

`sqlite` and `postgres` are the two that there are; the statements are the same on both.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Protocol

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from audiences.errors import Refusal


class Backend(Protocol):
    """One kind of database. `reader` is its engine, with what a transaction needs that only reads."""

    engine: Engine
    reader: Engine

    def turn(self, account: int | None, *, is_patient: bool = False) -> AbstractContextManager[Connection]:
        """A transaction that writes, begun when no other one is under way that it must not overlap.

        That is any other one for None, and any other one of the same account for an account. One for None gives up
        soon, since everybody waits behind it, unless it `is_patient`. Raises NotReady, or the driver's errors.
        """

    def alone(self, work: int) -> AbstractContextManager[bool]:
        """Whether nobody else does `work` while the block lasts; nodes that find it taken leave it to the other."""

    def check(self, connection: Connection) -> None:
        """Raises CannotOpen if the database cannot keep the catalog's promises."""

    def refusal(self, error: DBAPIError) -> Refusal | None:
        """What a caller is told, if the error is no fault of ours."""

    def try_to_write(self) -> None:
        """Writes something if the disk has failed a write before; raises the driver's errors while it does."""

    def empty_log(self) -> None:
        """Leaves nothing of what was deleted in a log that this server could empty."""
