"""One-time links to set a password: for a new user, for one who forgot it, and for the first admin of all.

A link is shown once, and kept as a hash. The newest of a user is the only one, and it ends when it is used, after 24
hours, or when the user is disabled. Those for the first admin of all end with the first password that is set.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from sqlalchemy import Connection
from sqlalchemy.engine import RowMapping
from sqlalchemy.exc import IntegrityError

from audiences import emails, passwords, tokens
from audiences.clock import HOUR
from audiences.store import accounts, links, sessions
from audiences.store import users as stored
from audiences.user import (
    ADMIN,
    OPERATOR,
    SAME,
    Begin,
    Directory,
    EmailTaken,
    User,
    UserDisabled,
    UserRefusal,
    actor_of,
    no_session,
    user_of,
)

# Long enough to reach a colleague who has left for the day.
LINK_LIFE = 24 * HOUR

FIRST_ACCOUNT = "default"


class LinkGone(UserRefusal):
    """The link was used, has expired, was replaced by a newer one, or never was."""

    sentence = "This link is over: it was used, replaced by a newer one, or is older than 24 hours. Ask for a new one."


@dataclass(frozen=True)
class Link:
    """What a live link is for: a user's password, or, where `user` is None, to make the first admin."""

    user: User | None
    expires_time: int


class Links(Directory):
    """Makes links and lets each be used once."""

    def link(self, user_id: str, actor: str, *, account: int | None = None) -> str:
        """A new link's token; older ones of that user end. Raises UnknownUser, UserDisabled."""
        with self.database.write() as connection:
            user = self.required(connection, user_id, account)
            if user.disabled_time is not None:
                raise UserDisabled
            self.note(connection, user, actor, "make_link")
            return self.mint_link(connection, user.id)

    def first_link(self) -> str | None:
        """A token that makes the first admin, while nobody has set a password yet.

        Those before it stay: each of several nodes has printed one at its start. They end with the first password.
        """
        with self.database.read() as connection:
            if stored.has_any_password(connection):
                return None
        with self.database.write() as connection:
            account = accounts.find(connection, FIRST_ACCOUNT)
            if account is None or stored.has_any_password(connection):
                return None
            self.audit.note(connection, account, OPERATOR, "make_link")
            return self.add_link(connection, None)

    def mint_link(self, connection: Connection, user_id: str) -> str:
        """A new link's token, in place of older ones."""
        links.remove_of(connection, user_id)
        return self.add_link(connection, user_id)

    def add_link(self, connection: Connection, user_id: str | None) -> str:
        """A further link's token."""
        token, now = tokens.mint(), self.clock()
        links.add(connection, tokens.hash_of(token), user_id, now, now + LINK_LIFE)
        return token

    def find_link(self, token: str) -> Link | None:
        """What the link is for, or None if it is over."""
        with self.database.read() as connection:
            row = links.find(connection, tokens.hash_of(token), self.clock())
            return None if row is None else live(connection, row)

    def use_link(self, token: str, password: str, email: str | None, begin: Begin = no_session) -> User:
        """Sets the password of the link's user, whose sessions end, and returns them; `email` is the first admin's.

        A link stands for the password and not for the device: a session begins only where no code is needed. A refusal
        leaves the link as it was. Raises LinkGone, WeakPassword, InvalidEmail, EmailTaken.
        """
        link = self.find_link(token)
        if link is None:
            raise LinkGone
        address = emails.checked(email) if link.user is None else link.user.email
        passwords.check(password, address)
        if link.user is not None and link.user.has_totp:
            self.refuse_same(link.user, password)
        kept = self.passwords.hash(password)  # slow, so it is made before the catalog is locked
        with self.database.write() as connection:
            if not links.take(connection, tokens.hash_of(token), self.clock()):
                raise LinkGone
            made = link.user or self.first_admin(connection, address)
            links.remove_of(connection, None)
            self.set_password(connection, made, kept)
            user = self.required(connection, made.id)
            if not user.has_totp:
                begin(connection, user.id)
            return user

    def refuse_same(self, user: User, password: str) -> None:
        """Raises WeakPassword for the password of before: wrong codes are counted anew once it is another one."""
        with self.database.read() as connection:
            known = stored.secrets_of(connection, user_id=user.id)
        if known is not None and self.passwords.matches(known["password_hash"], password):
            raise passwords.WeakPassword(SAME)

    def set_password(self, connection: Connection, user: User, kept: str) -> None:
        """Sets it, and ends what the old one opened and the user's other links. Raises LinkGone.

        Wrong codes are counted anew: who entered them knew the old password.
        """
        if not stored.change_working(connection, user.id, password_hash=kept, wrong_codes=0):
            raise LinkGone
        links.remove_of(connection, user.id)
        sessions.remove_of(connection, user.id)
        self.note(connection, user, actor_of(user.id), "set_password")

    def first_admin(self, connection: Connection, email: str) -> User:
        """The admin whom the first link makes. Raises LinkGone if somebody was faster, EmailTaken."""
        account = accounts.find(connection, FIRST_ACCOUNT)
        if account is None or stored.has_any_password(connection):
            raise LinkGone
        user = self.added(connection, account, email, ADMIN)
        self.note(connection, user, actor_of(user.id), "create_user")
        return user

    def added(self, connection: Connection, account: int, email: str, role: str) -> User:
        """A new user, without a password. Raises EmailTaken."""
        values: dict[str, object] = {"id": secrets.token_hex(6), "account_id": account, "email": email, "role": role}
        try:
            stored.add(connection, values | {"created_time": self.clock()})
        except IntegrityError:
            raise EmailTaken from None
        return self.required(connection, str(values["id"]))


def live(connection: Connection, row: RowMapping) -> Link | None:
    """The link of that row, unless it came to nothing: somebody was first, or its user was disabled."""
    if row["user_id"] is None:
        return None if stored.has_any_password(connection) else Link(None, row["expires_time"])
    user = stored.find(connection, row["user_id"])
    if user is None or user["disabled_time"] is not None:
        return None
    return Link(user_of(user), row["expires_time"])
