"""Sign in: who proves to be which user, by a password and, where it is on, a code of an authenticator app.

Whatever is wrong, one password is hashed and one record goes to the disk, so that neither the answer nor its time tells
which addresses there are. How often somebody may try is `throttle`'s to say; how many codes somebody may try who knows
the password is said here, for good. What was proven is held against the catalog once more in the transaction that acts
on it, and a session begins in that transaction.
"""

from __future__ import annotations

import secrets

from sqlalchemy import Connection
from sqlalchemy.engine import RowMapping

from audiences import emails, passwords, totp
from audiences.store import links, sessions
from audiences.store import users as stored
from audiences.tokens import hash_of, mint
from audiences.user import SAME, UNKNOWN, Begin, Directory, User, UserRefusal, actor_of, no_session


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


class CodesLocked(UserRefusal):
    """The password is right, and too many wrong codes were entered after it."""

    sentence = (
        "Too many wrong codes were entered, so none is taken any more. An admin of your account, or the operator, can "
        "turn codes off for you. If the codes were not yours, ask for a new link: somebody knows your password."
    )


class TotpIsOn(WrongCode):
    """Codes are on already, with another secret."""

    sentence = "Codes are on already. Turn them off first."


class SignIn(Directory):
    """Proves who somebody is."""

    def authenticate(self, email: str, password: str, code: str | None, begin: Begin = no_session) -> User:
        """The user whose address, password and, where needed, code these are; their session begins.

        Raises WrongCredentials; or once the password is right, CodeNeeded without a code, WrongCode and CodesLocked.
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
        with self.database.write(known["account_id"]) as connection:
            if stored.admit(connection, known, step, **values):
                user = self.required(connection, known["id"])
                self.note(connection, user, actor_of(user.id), "sign_in")
                begin(connection, user.id)
                return user
        # Of two with the same code, or with a password that changed just now, one is too late.
        raise self.failed(known, WrongCredentials if step is None else WrongCode)

    def known(self, email: str) -> RowMapping | None:
        """All that is kept of the user of that address, or None."""
        try:
            address = emails.checked(email)
        except emails.InvalidEmail:
            return None
        with self.database.read() as connection:
            return stored.secrets_of(connection, email=address)

    def step(self, known: RowMapping, code: str | None) -> int | None:
        """The step of the code, or None for a user who needs none. Raises CodeNeeded, WrongCode, CodesLocked."""
        if known["totp_secret"] is None:
            return None
        if known["wrong_codes"] >= stored.MAX_WRONG_CODES:
            raise self.failed(known, CodesLocked)
        if not (code or "").strip():
            raise CodeNeeded
        step = totp.step_of(known["totp_secret"], code or "", self.clock())
        if step is None or (known["totp_used"] is not None and step <= known["totp_used"]):
            raise self.failed(known, WrongCode)
        return step

    def failed(self, known: RowMapping | None, refusal: type[UserRefusal]) -> UserRefusal:
        """The refusal, noted for the account if that is known; otherwise as much is written, and nothing kept."""
        with self.database.write(nobody() if known is None else known["account_id"]) as connection:
            if known is None:
                links.change_nothing(connection, hash_of(mint()))
                return refusal()
            self.audit.note(connection, known["account_id"], UNKNOWN, "fail_sign_in", subject=known["id"])
            return self.counted(connection, known) if refusal is WrongCode else refusal()

    def counted(self, connection: Connection, known: RowMapping) -> UserRefusal:
        """The refusal of a wrong code, which counts; after the last one that is allowed, no code is taken."""
        wrong = stored.count_wrong_code(connection, known)
        if wrong is None:
            return WrongCredentials()  # the password or the codes were changed meanwhile, or the user disabled
        if wrong < stored.MAX_WRONG_CODES:
            return WrongCode()
        if wrong == stored.MAX_WRONG_CODES:
            self.audit.note(connection, known["account_id"], UNKNOWN, "lock_codes", subject=known["id"])
        return CodesLocked()

    def proven(self, user_id: str, password: str) -> RowMapping:
        """All that is kept of a user who is signed in and gave their password once more. Raises WrongPassword."""
        with self.database.read() as connection:
            known = stored.secrets_of(connection, user_id=user_id)
        if not self.passwords.matches(hash_in(known), password) or known is None:
            raise WrongPassword
        return known

    def change_password(self, user: User, old: str, new: str, begin: Begin = no_session) -> None:
        """Sets another password. All sessions of the user end but the one that begins with it.

        Wrong codes are counted anew: who entered them knew the old one. Raises WrongPassword, WeakPassword.
        """
        known = self.proven(user.id, old)
        passwords.check(new, known["email"])
        if passwords.normalised(new) == passwords.normalised(old):
            raise passwords.WeakPassword(SAME)
        kept = self.passwords.hash(new)
        with self.database.write(known["account_id"]) as connection:
            if not stored.admit(connection, known, None, password_hash=kept, wrong_codes=0):
                raise WrongPassword
            links.remove_of(connection, user.id)
            self.note(connection, user, actor_of(user.id), "change_password")
            renew(connection, user.id, begin)

    def new_totp_secret(self) -> str:
        """A secret for an authenticator app; nothing is kept of it before `enable_totp`."""
        return totp.new_secret()

    def totp_uri(self, user: User, secret: str) -> str:
        """What the app reads from a QR code."""
        return totp.uri(secret, user.email)

    def enable_totp(self, user_id: str, password: str, secret: str, code: str, begin: Begin = no_session) -> None:
        """From now on a code is needed, too. All sessions of the user end but the one that begins with it.

        Raises WrongPassword, TotpIsOn, and WrongCode unless `code` is one of `secret`.
        """
        known = self.proven(user_id, password)
        step = totp.step_of(secret, code, self.clock())
        if known["totp_secret"] is not None:
            raise TotpIsOn
        if step is None:
            raise WrongCode
        self.set_totp(known, begin, "turn_on_totp", secret=secret, used=step)

    def disable_totp(self, user_id: str, password: str, begin: Begin = no_session) -> None:
        """The password is enough again. All sessions of the user end but the one that begins. Raises WrongPassword."""
        self.set_totp(self.proven(user_id, password), begin, "turn_off_totp", secret=None, used=None)

    def set_totp(self, known: RowMapping, begin: Begin, action: str, *, secret: str | None, used: int | None) -> None:
        """Sets the secret, or takes it away. Raises WrongPassword if what was proven does not hold any more."""
        user_id = known["id"]
        with self.database.write(known["account_id"]) as connection:
            if not stored.admit(connection, known, None, totp_secret=secret, totp_used=used, wrong_codes=0):
                raise WrongPassword
            self.note(connection, self.required(connection, user_id), actor_of(user_id), action)
            renew(connection, user_id, begin)

    def reset_totp(self, user_id: str, actor: str, *, account: int | None = None) -> None:
        """Lets a user who lost the device, or is locked, in by the password alone; their sessions end.

        Raises UnknownUser.
        """
        with self.database.write(account) as connection:
            user = self.required(connection, user_id, account)
            if user.has_totp:
                stored.change(connection, user_id, totp_secret=None, totp_used=None, wrong_codes=0)
                self.note(connection, user, actor, "turn_off_totp")
                sessions.remove_of(connection, user_id)


def renew(connection: Connection, user_id: str, begin: Begin) -> None:
    """Ends all sessions of the user, whatever they were opened by, and begins a new one."""
    sessions.remove_of(connection, user_id)
    begin(connection, user_id)


def nobody() -> int:
    """An account that there is not, another one each time.

    An address that nobody has waits for no more than one whose account is quiet; and guesses at addresses hold up
    nobody.
    """
    return -1 - secrets.randbelow(2**31 - 1)


def hash_in(known: RowMapping | None) -> str | None:
    """The hash of the password, if there is a user and they have set one."""
    return None if known is None else known["password_hash"]
