"""A person who signs in to the console, why something is refused them, and what all their modules work with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from sqlalchemy import Connection
from sqlalchemy.engine import RowMapping

from audiences.audit import Audit
from audiences.clock import Clock
from audiences.passwords import Passwords
from audiences.store import users as stored
from audiences.store.database import Database

ADMIN, MEMBER = "admin", "member"
ROLES = (ADMIN, MEMBER)

# Who acts on the command line: whoever has the shell.
OPERATOR = "operator"
# Who failed to sign in: nobody knows.
UNKNOWN = "unknown"

# Where a password has to be another one: whoever knew the old one must not know it.
SAME = "This is the password of before. Choose another one."

# Begins a session of the user of that id, in the very transaction that lets them in: one that was begun later would
# outlive a change of the password, or a sign-out everywhere, that was committed in between.
Begin = Callable[[Connection, str], None]


def no_session(_connection: Connection, _user_id: str) -> None:
    """Begins none."""


class UserRefusal(Exception):
    """What was asked for a user was not done; the text is for a person."""

    sentence: ClassVar[str]

    def __init__(self) -> None:
        super().__init__(self.sentence)


class UnknownUser(UserRefusal):
    """There is no such user, for whoever asks."""

    sentence = "There is no such user."


class EmailTaken(UserRefusal):
    """Somebody has that address already, in this account or another."""

    sentence = "There is a user with this email address already."


class LastAdmin(UserRefusal):
    """Nobody would be left who can manage the account's users."""

    sentence = "This is the only admin who can sign in. Make somebody else an admin first."


class UserDisabled(UserRefusal):
    """A disabled user gets no link."""

    sentence = "This user is disabled. Enable the user first."


class UnknownTimeZone(UserRefusal):
    """There is no such time zone."""

    sentence = "Choose a time zone by its name, such as Europe/London."


@dataclass(frozen=True)
class User:
    """One user, without secrets. Times are milliseconds since 1970 UTC; `time_zone` is for showing them."""

    id: str
    account: int
    account_name: str
    email: str
    role: str
    time_zone: str
    has_totp: bool
    has_password: bool
    wrong_codes: int
    created_time: int
    last_sign_in_time: int | None
    disabled_time: int | None

    @property
    def is_admin(self) -> bool:
        """Whether they may manage the account's users and keys and read its log."""
        return self.role == ADMIN

    @property
    def is_locked(self) -> bool:
        """Whether so many wrong codes were entered that none is taken any more."""
        return self.wrong_codes >= stored.MAX_WRONG_CODES


def user_of(row: RowMapping) -> User:
    """The user whose row this is."""
    return User(**row)


def actor_of(user_id: str) -> str:
    """A user as the audit log names them."""
    return f"user {user_id}"


class Directory:
    """The users of one catalog, as far as all the classes on top of it need them."""

    def __init__(self, database: Database, clock: Clock, passwords: Passwords | None = None) -> None:
        self.database = database
        self.clock = clock
        self.passwords = passwords or Passwords()
        self.audit = Audit(clock)

    def find(self, user_id: str, *, account: int | None = None) -> User:
        """The user of that id. With `account`, one of another account is unknown. Raises UnknownUser."""
        with self.database.read() as connection:
            return self.required(connection, user_id, account)

    def required(self, connection: Connection, user_id: str, account: int | None = None) -> User:
        """The same, in the caller's transaction."""
        row = stored.find(connection, user_id)
        if row is None or account not in {None, row["account"]}:
            raise UnknownUser
        return user_of(row)

    def note(self, connection: Connection, user: User, actor: str, action: str) -> None:
        """Adds to the audit log what was done to a user; it names them by their id."""
        self.audit.note(connection, user.account, actor, action, subject=user.id)
