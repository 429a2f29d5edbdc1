"""Sign in: who proves to be which user, by a password and, where it is on, a code of an authenticator app.

Whatever is wrong, one password is hashed and one record goes to the disk, so that neither the answer nor its time tells
which addresses there are. How often somebody may try is `throttle`'s to say.
"""

from __future__ import annotations

from sqlalchemy.engine import RowMapping

from audiences import emails, passwords, totp
from audiences.store import links, sessions
from audiences.store import users as stored
from audiences.tokens import hash_of, mint
from audiences.user import UNKNOWN, Directory, User, UserRefusal, actor_of


class WrongCredentials(UserRefusal):
    """No user has that address and that password, or the user is disabled or has no password yet."""

    sentence = "The email address or the password is wrong."


class WrongPassword(WrongCredentials):
    """A user who is signed in gave another password than theirs."""

    sentence = "This is not your password."


class CodeNeeded(UserRefusal):
    """The password is right, and a code is needed as well."""

    sentence = "Enter the code that your authenticator app shows."


class WrongCode(UserRefusal):
    """The code is not the one of now, or it was used before."""

    sentence = "This code is wrong or was used already. Wait for the next one; the device's clock has to be right."


class TotpIsOn(WrongCode):
    """Codes are on already, with another secret."""

    sentence = "Codes are on already. Turn them off first."


class SignIn(Directory):
    """Proves who somebody is."""

    def authenticate(self, email: str, password: str, code: str | None) -> User:
        """The user whose address, password and, where needed, code these are.

        Raises WrongCredentials; or once the password is right, CodeNeeded without a code and WrongCode.
        """
        known = self.known(email)
        if not self.passwords.matches(hash_in(known), password):
            raise self.failed(known, WrongCredentials)
        if known is None or known["disabled_time"] is not None:
            raise self.failed(known, WrongCredentials)
        step = self.step(known, code)
        values: dict[str, object] = {"last_sign_in_time": self.clock()}
        if self.passwords.is_outdated(known["password_hash"]):
            values["password_hash"] = self.passwords.hash(password)
        with self.database.write() as connection:
            # Of two with the same code, or with a password that changed just now, one is too late.
            if not stored.admit(connection, known, step, **values):
                raise WrongCredentials if step is None else WrongCode
            user = self.required(connection, known["id"])
            self.note(connection, user, actor_of(user.id), "sign_in")
            return user

    def known(self, email: str) -> RowMapping | None:
        """All that is kept of the user of that address, or None."""
        try:
            address = emails.checked(email)
        except emails.InvalidEmail:
            return None
        with self.database.read() as connection:
            return stored.secrets_of(connection, email=address)

    def step(self, known: RowMapping, code: str | None) -> int | None:
        """The step of the code, or None for a user who needs none. Raises CodeNeeded, WrongCode."""
        if known["totp_secret"] is None:
            return None
        if not (code or "").strip():
            raise CodeNeeded
        step = totp.step_of(known["totp_secret"], code or "", self.clock())
        if step is None or (known["totp_used"] is not None and step <= known["totp_used"]):
            raise self.failed(known, WrongCode)
        return step

    def failed(self, known: RowMapping | None, refusal: type[UserRefusal]) -> UserRefusal:
        """The refusal, noted for the account if that is known; otherwise as much is written, and nothing kept."""
        with self.database.write() as connection:
            if known is None:
                links.change_nothing(connection, hash_of(mint()))
            else:
                self.audit.note(connection, known["account_id"], UNKNOWN, "fail_sign_in", subject=known["id"])
        return refusal()

    def proven(self, user_id: str, password: str) -> RowMapping:
        """All that is kept of a user who is signed in and gave their password once more. Raises WrongPassword."""
        with self.database.read() as connection:
            known = stored.secrets_of(connection, user_id=user_id)
        if not self.passwords.matches(hash_in(known), password) or known is None:
            raise WrongPassword
        return known

    def change_password(self, user: User, old: str, new: str) -> None:
        """Sets another password. All sessions of the user end, so the caller starts a new one.

        Raises WrongPassword, WeakPassword.
        """
        known = self.proven(user.id, old)
        passwords.check(new, known["email"])
        kept = self.passwords.hash(new)
        with self.database.write() as connection:
            if not stored.admit(connection, known, None, password_hash=kept):
                raise WrongPassword
            links.remove_of(connection, user.id)
            sessions.remove_of(connection, user.id)
            self.note(connection, user, actor_of(user.id), "change_password")

    def new_totp_secret(self) -> str:
        """A secret for an authenticator app; nothing is kept of it before `enable_totp`."""
        return totp.new_secret()

    def totp_uri(self, user: User, secret: str) -> str:
        """What the app reads from a QR code."""
        return totp.uri(secret, user.email)

    def enable_totp(self, user_id: str, secret: str, code: str) -> None:
        """From now on a code is needed, too. Raises WrongCode unless `code` is one of `secret`, UnknownUser."""
        step = totp.step_of(secret, code, self.clock())
        if step is None:
            raise WrongCode
        with self.database.write() as connection:
            user = self.required(connection, user_id)
            if user.has_totp:
                raise TotpIsOn
            stored.change(connection, user_id, totp_secret=secret, totp_used=step)
            self.note(connection, user, actor_of(user_id), "turn_on_totp")

    def disable_totp(self, user_id: str, password: str) -> None:
        """The password is enough again. Raises WrongPassword."""
        known = self.proven(user_id, password)
        self.reset_totp(known["id"], actor_of(user_id))

    def reset_totp(self, user_id: str, actor: str, *, account: int | None = None) -> None:
        """Lets a user who lost the device in by the password alone. Raises UnknownUser."""
        with self.database.write() as connection:
            user = self.required(connection, user_id, account)
            if user.has_totp:
                stored.change(connection, user_id, totp_secret=None, totp_used=None)
                self.note(connection, user, actor, "turn_off_totp")


def hash_in(known: RowMapping | None) -> str | None:
    """The hash of the password, if there is a user and they have set one."""
    return None if known is None else known["password_hash"]
