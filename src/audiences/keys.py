"""API keys: minted, looked up, rotated, revoked.

A key is `aud_`, 256 random bits in base 62 (43 characters) and six check digits, so that a typing error is found
without a look-up and a leaked key can be recognised by scanners. It is shown once; the catalog holds its SHA-256 alone.
A slow password hash would protect nothing here: nobody guesses 256 random bits.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection
from sqlalchemy.engine import RowMapping

from audiences.clock import DAY, MINUTE, Clock
from audiences.errors import InsufficientScope, InvalidToken, MissingToken
from audiences.names import check_name
from audiences.store import keys as stored
from audiences.store.database import Database

PREFIX = "aud_"
RANDOM_BYTES = 32
RANDOM_LENGTH, CHECK_LENGTH = 43, 6
ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

READ, WRITE, PEOPLE = "audiences:read", "audiences:write", "people"
SCOPES = (READ, WRITE, PEOPLE)
DEFAULT_SCOPES = (READ, WRITE)

DEFAULT_LIFE_DAYS = 365
DEFAULT_GRACE_DAYS, MAX_GRACE_DAYS = 7, 30

# `last_used` is exact to a minute: a write and a sync for every request would be the slowest part of a read.
LAST_USED_STEP = MINUTE

# An integration that ran within so many days is in use; its owner hears as long before its key ends.
IN_USE = ENDING = 30 * DAY

REALM = 'Bearer realm="audiences"'

# What a caller adds to the transaction of a change: called with the id of the key that was made, rotated or revoked.
Commit = Callable[[Connection, str], None]


class UnknownKey(Exception):
    """There is no key of that id, for whoever asks."""


def nothing_more(_connection: Connection, _key_id: str) -> None:
    """Adds nothing to a transaction."""


@dataclass(frozen=True)
class Caller:
    """Who is asking: the account, and the key that it used."""

    account: int
    key_id: str
    scopes: frozenset[str]

    def require(self, scope: str) -> None:
        """Raises InsufficientScope unless the key has `scope` (RFC 6750, section 3.1)."""
        if scope not in self.scopes:
            raise InsufficientScope(
                f"This key lacks the scope {scope}. Use a key that has it, or ask for one.",
                headers={"WWW-Authenticate": f'{REALM}, error="insufficient_scope", scope="{scope}"'},
            )


class Keys:
    """The keys of one catalog."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self.database = database
        self.clock = clock

    def authenticate(self, authorization: str | None) -> Caller:
        """The caller whose key stands in an `Authorization` header's value.

        Raises MissingToken or InvalidToken, with `WWW-Authenticate` as RFC 6750 says.
        """
        digest = hash_of(token_in(authorization))
        with self.database.read() as connection:
            key = stored.find_by_hash(connection, digest)
        if key is None or not hmac.compare_digest(key["hash"], digest) or not is_live(key, self.clock()):
            raise invalid_token()
        self.touch(key)
        return Caller(key["account_id"], key["id"], frozenset(key["scopes"].split()))

    def touch(self, key: RowMapping) -> None:
        """Notes that the key was used, at most once a minute."""
        now = self.clock()
        if key["last_used_time"] is None or now - key["last_used_time"] >= LAST_USED_STEP:
            self.database.note(key["account_id"], lambda catalog: stored.change(catalog, key["id"], last_used_time=now))

    def create(
        self,
        account: int,
        name: str,
        *,
        scopes: Sequence[str] = DEFAULT_SCOPES,
        days: int | None = DEFAULT_LIFE_DAYS,
        commit: Commit = nothing_more,
    ) -> tuple[str, str]:
        """A new key's id and its text, which is not kept; `days` of None never ends. Raises InvalidField."""
        check_name(name)
        text, now = mint(), self.clock()
        expires = None if days is None else now + days * DAY
        values = record(account, name, text, " ".join(scopes), now) | {"expires_time": expires}
        with self.database.write(account) as connection:
            stored.add(connection, values)
            commit(connection, str(values["id"]))
        return str(values["id"]), text

    def rotate(
        self,
        key_id: str,
        *,
        grace_days: int = DEFAULT_GRACE_DAYS,
        account: int | None = None,
        commit: Commit = nothing_more,
    ) -> tuple[str, str]:
        """A successor's id and text, as long-lived as the old key was; the old one works `grace_days` more.

        Raises UnknownKey, also for a key that is dead already, and with `account` for one of another account.
        """
        text, now = mint(), self.clock()
        with self.database.write(self.account_of(key_id) if account is None else account) as connection:
            old = required(connection, key_id, account)
            if not is_live(old, now):
                raise UnknownKey(key_id)
            life = None if old["expires_time"] is None else now + old["expires_time"] - old["created_time"]
            values = record(old["account_id"], old["name"], text, old["scopes"], now) | {"expires_time": life}
            stored.add(connection, values)
            end = now + grace_days * DAY
            ends = end if old["expires_time"] is None else min(end, old["expires_time"])
            stored.change(connection, key_id, expires_time=ends, rotated_to=values["id"])
            commit(connection, key_id)
        return str(values["id"]), text

    def revoke(self, key_id: str, *, account: int | None = None, commit: Commit = nothing_more) -> None:
        """Ends the key at once; one that was revoked before stays as it is, and `commit` is not called.

        Raises UnknownKey, with `account` also for one of another account.
        """
        with self.database.write(self.account_of(key_id) if account is None else account) as connection:
            if required(connection, key_id, account)["revoked_time"] is None:
                stored.change(connection, key_id, revoked_time=self.clock())
                commit(connection, key_id)

    def account_of(self, key_id: str) -> int:
        """Whose key it is, for good. Raises UnknownKey."""
        with self.database.read() as connection:
            return int(required(connection, key_id, None)["account_id"])

    def of_account(self, account: int) -> list[RowMapping]:
        """The account's keys, without their hashes, newest first."""
        with self.database.read() as connection:
            return stored.of_account(connection, account)

    def find(self, key_id: str, *, account: int) -> RowMapping:
        """The account's key of that id. Raises UnknownKey."""
        with self.database.read() as connection:
            return required(connection, key_id, account)

    def known(self, text: str, *, account: int) -> RowMapping | None:
        """The account's key of that text, live or not; None for every other one, so that nothing is told of it."""
        if not is_well_formed(text):
            return None
        with self.database.read() as connection:
            key = stored.find_by_hash(connection, hash_of(text))
        return key if key is not None and key["account_id"] == account else None

    def every(self) -> list[RowMapping]:
        """All keys, without their hashes, oldest first."""
        with self.database.read() as connection:
            return stored.every(connection)


def required(connection: Connection, key_id: str, account: int | None) -> RowMapping:
    """The key of that id; with `account`, one of another account is unknown. Raises UnknownKey."""
    key = stored.find(connection, key_id)
    if key is None or account not in {None, key["account_id"]}:
        raise UnknownKey(key_id)
    return key


def ending(keys: Sequence[RowMapping], now: int) -> list[RowMapping]:
    """Those of an account's keys that are in use and end within 30 days, the next one first.

    One that was rotated is in use only if it was used since: then its successor has not yet taken its place everywhere.
    """
    made = {key["id"]: key["created_time"] for key in keys}

    def is_ending(key: RowMapping) -> bool:
        used, ends = key["last_used_time"], key["expires_time"]
        since = made.get(key["rotated_to"], now - IN_USE)
        return is_live(key, now) and ends is not None and ends - now <= ENDING and used is not None and used > since

    return sorted(filter(is_ending, keys), key=lambda key: int(key["expires_time"]))


def mint() -> str:
    """A new key's text."""
    random = base62(int.from_bytes(secrets.token_bytes(RANDOM_BYTES)), RANDOM_LENGTH)
    return PREFIX + random + check_digits(random)


def is_well_formed(text: str) -> bool:
    """Whether `text` has the shape and the check digits of a key; it need not exist."""
    random, digits = text[len(PREFIX) : -CHECK_LENGTH], text[-CHECK_LENGTH:]
    return (
        text.isascii()
        and text.startswith(PREFIX)
        and len(random) == RANDOM_LENGTH
        and hmac.compare_digest(check_digits(random), digits)
    )


def check_digits(random: str) -> str:
    """CRC-32 in base 62, as in other services' tokens: it catches typing errors, it proves nothing."""
    return base62(zlib.crc32(random.encode()), CHECK_LENGTH)


def base62(number: int, length: int) -> str:
    """`number` in `length` digits."""
    digits = ""
    for _ in range(length):
        number, digit = divmod(number, 62)
        digits = ALPHABET[digit] + digits
    return digits


def hash_of(text: str) -> bytes:
    """What the catalog keeps of a key."""
    return hashlib.sha256(text.encode()).digest()


def record(account: int, name: str, text: str, scopes: str, now: int) -> dict[str, object]:
    """A new key's columns."""
    made = {"id": secrets.token_hex(6), "account_id": account, "name": name, "hash": hash_of(text)}
    return made | {"scopes": scopes, "created_time": now}


def is_live(key: RowMapping, now: int) -> bool:
    """Whether the key is neither revoked nor expired."""
    return key["revoked_time"] is None and (key["expires_time"] is None or now < key["expires_time"])


def token_in(authorization: str | None) -> str:
    """The bearer token of a header's value; the scheme's case does not matter (RFC 9110, section 11.1)."""
    if authorization is None:
        raise MissingToken(
            "Send your API key in the header Authorization: Bearer API_KEY.", headers={"WWW-Authenticate": REALM}
        )
    scheme, _, token = authorization.strip().partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise MissingToken("The Authorization header must read: Bearer API_KEY.", headers={"WWW-Authenticate": REALM})
    if not is_well_formed(token.strip()):
        raise invalid_token()
    return token.strip()


def invalid_token() -> InvalidToken:
    """The one refusal of every token that is not a live key, so that nothing is told about which it is."""
    return InvalidToken(
        "This API key is not valid: it was mistyped, has expired or was revoked. Create or rotate a key and try again.",
        headers={"WWW-Authenticate": f'{REALM}, error="invalid_token"'},
    )
