"""Users: made, listed, given a role, disabled. With `links` and `sign_in` below it, all that pages need of them.

A user belongs to one account. Each method that takes `account` treats a user of another account as unknown, which is
what a page has to ask for; without it any user is meant, which is the operator's right. `actor` is who does it, for the
audit log: `user ID` or `operator`.
"""

from __future__ import annotations

import zoneinfo

from sqlalchemy import Connection

from audiences import emails
from audiences.emails import InvalidEmail
from audiences.links import Link, LinkGone, Links
from audiences.passwords import WeakPassword
from audiences.sign_in import CodeNeeded, CodesLocked, SignIn, TotpIsOn, WrongCode, WrongCredentials, WrongPassword
from audiences.store import links, sessions
from audiences.store import users as stored
from audiences.user import (
    ADMIN,
    MEMBER,
    OPERATOR,
    ROLES,
    Begin,
    EmailTaken,
    LastAdmin,
    UnknownTimeZone,
    UnknownUser,
    User,
    UserDisabled,
    UserRefusal,
    actor_of,
    user_of,
)

__all__ = [
    "ADMIN",
    "MEMBER",
    "OPERATOR",
    "ROLES",
    "Begin",
    "CodeNeeded",
    "CodesLocked",
    "EmailTaken",
    "InvalidEmail",
    "LastAdmin",
    "Link",
    "LinkGone",
    "TotpIsOn",
    "UnknownTimeZone",
    "UnknownUser",
    "User",
    "UserDisabled",
    "UserRefusal",
    "Users",
    "WeakPassword",
    "WrongCode",
    "WrongCredentials",
    "WrongPassword",
    "actor_of",
]


class Users(Links, SignIn):
    """The users of one catalog."""

    def create(self, account: int, email: str, role: str, actor: str) -> tuple[User, str]:
        """A new user, and the token of the link that sets their password. Raises InvalidEmail, EmailTaken."""
        address = emails.checked(email)
        with self.database.write() as connection:
            user = self.added(connection, account, address, known_role(role))
            self.note(connection, user, actor, "create_user")
            self.note(connection, user, actor, "make_link")
            return user, self.mint_link(connection, user.id)

    def every(self, account: int | None) -> list[User]:
        """The users of an account, or with None of all, oldest first."""
        with self.database.read() as connection:
            return [user_of(row) for row in stored.every(connection, account)]

    def named(self, email: str) -> User:
        """The user of that address, in any account. Raises UnknownUser, InvalidEmail."""
        with self.database.read() as connection:
            row = stored.find_by_email(connection, emails.checked(email))
        if row is None:
            raise UnknownUser
        return user_of(row)

    def change_role(self, user_id: str, role: str, actor: str, *, account: int | None = None) -> None:
        """Makes the user an admin or a member, at once. Raises UnknownUser, LastAdmin."""
        with self.database.write() as connection:
            user = self.required(connection, user_id, account)
            if user.role == known_role(role):
                return
            refuse_last_admin(connection, user)
            stored.change(connection, user_id, role=role)
            self.note(connection, user, actor, f"make_{role}")

    def disable(self, user_id: str, actor: str, *, account: int | None = None) -> None:
        """Keeps the user out, at once: sessions and links end. Raises UnknownUser, LastAdmin."""
        with self.database.write() as connection:
            user = self.required(connection, user_id, account)
            if user.disabled_time is not None:
                return
            refuse_last_admin(connection, user)
            stored.change(connection, user_id, disabled_time=self.clock())
            sessions.remove_of(connection, user_id)
            links.remove_of(connection, user_id)
            self.note(connection, user, actor, "disable_user")

    def enable(self, user_id: str, actor: str, *, account: int | None = None) -> None:
        """Lets the user in again, with the password of before. Raises UnknownUser."""
        with self.database.write() as connection:
            user = self.required(connection, user_id, account)
            if user.disabled_time is not None:
                stored.change(connection, user_id, disabled_time=None)
                self.note(connection, user, actor, "enable_user")

    def change_time_zone(self, user_id: str, zone: str) -> None:
        """Sets the zone that times are shown in. Raises UnknownTimeZone."""
        if zone not in zoneinfo.available_timezones():
            raise UnknownTimeZone
        with self.database.write() as connection:
            stored.change(connection, user_id, time_zone=zone)


def known_role(role: str) -> str:
    """The role. Raises ValueError if there is none of that name, which is a fault of the caller's."""
    if role not in ROLES:
        raise ValueError(f"roles are {', '.join(ROLES)}")
    return role


def refuse_last_admin(connection: Connection, user: User) -> None:
    """Raises LastAdmin if the account's only admin who can sign in is this user."""
    if stored.working_admins(connection, user.account) == [user.id]:
        raise LastAdmin
