"""Sessions of the console: begun by a sign-in, found by a cookie, over after a while or when somebody ends them.

The limits are those of NIST SP 800-63B-4, section 2.2.3 (AAL2): 24 hours in all, and an idle limit of at most an hour
recommended. Ours is two: an upload of 5 GiB takes an hour, and the page that waits for it asks for nothing meanwhile.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import dataclass

from sqlalchemy import Connection
from sqlalchemy.engine import RowMapping

from audiences import tokens
from audiences.audit import Audit
from audiences.clock import HOUR, MINUTE, Clock
from audiences.store import secret_keys, users
from audiences.store import sessions as stored
from audiences.store.database import Database
from audiences.user import User, actor_of, user_of

IDLE_LIFE = 2 * HOUR
WHOLE_LIFE = 24 * HOUR

# As with keys: a write and a sync for every page would be its slowest part.
LAST_SEEN_STEP = MINUTE

COOKIE = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Session:
    """Who is signed in, and the text that a form of theirs has to bring along."""

    user: User
    csrf: str
    created_time: int
    id: str


@dataclass(frozen=True)
class Listed:
    """A session as its user sees it; `id` opens nothing. `browser` is None where none is known."""

    id: str
    browser: str | None
    created_time: int
    last_seen_time: int


class Sessions:
    """The sessions of one catalog."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self.database = database
        self.clock = clock
        self.audit = Audit(clock)
        self.csrf_key = secret_keys.ensure(database, "csrf")

    def begin(
        self,
        connection: Connection,
        user_id: str,
        *,
        cookie: str,
        browser: str | None = None,
        instead_of: str | None = None,
    ) -> None:
        """Adds the session of a cookie, which is not kept, to the transaction that lets its user in.

        `browser` is what the user will know it by; `instead_of` the cookie that it held before, whose session ends.
        """
        if instead_of is not None:
            stored.remove(connection, tokens.hash_of(instead_of))
        stored.add(connection, tokens.hash_of(cookie), user_id, self.clock(), browser)

    def start(self, user_id: str, browser: str | None = None) -> str:
        """A new session's cookie, for a user who proved nothing; pages begin theirs as they let somebody in."""
        cookie = tokens.mint()
        with self.database.write(self.account_of(user_id)) as connection:
            self.begin(connection, user_id, cookie=cookie, browser=browser)
        return cookie

    def find(self, cookie: str | None) -> Session | None:
        """The live session of that cookie, or None; its idle time begins anew. A disabled user has none."""
        if cookie is None or not COOKIE.fullmatch(cookie):
            return None
        digest, now = tokens.hash_of(cookie), self.clock()
        with self.database.read() as connection:
            row = stored.find(connection, digest)
            user = None if row is None else users.find(connection, row["user_id"])
        if row is None or user is None or user["disabled_time"] is not None or not is_live(row, now):
            return None
        if now - row["last_seen_time"] >= LAST_SEEN_STEP:
            self.database.note(user["account"], lambda catalog: stored.touch(catalog, digest, now))
        return Session(user_of(user), self.csrf_of(digest), row["created_time"], digest.hex())

    def listed(self, user_id: str) -> list[Listed]:
        """The live sessions of the user; the one used last comes first."""
        now = self.clock()
        with self.database.read() as connection:
            rows = stored.of_user(connection, user_id)
        return [
            Listed(row["hash"].hex(), row["browser"], row["created_time"], row["last_seen_time"])
            for row in rows
            if is_live(row, now)
        ]

    def end(self, cookie: str | None) -> None:
        """Ends the session of that cookie, if there is one."""
        digest = None if cookie is None else tokens.hash_of(cookie)
        with self.database.read() as connection:
            row = None if digest is None else stored.find(connection, digest)
        if digest is not None and row is not None:
            with self.database.write(self.account_of(row["user_id"])) as connection:
                stored.remove(connection, digest)

    def end_one(self, user_id: str, session_id: str) -> bool:
        """Ends that session of the user; whether there was one. Another user's is none."""
        if not COOKIE.fullmatch(session_id):
            return False
        with self.database.write(self.account_of(user_id)) as connection:
            user = users.find(connection, user_id)
            if user is None or not stored.remove_one_of(connection, user_id, bytes.fromhex(session_id)):
                return False
            self.audit.note(connection, user["account"], actor_of(user_id), "end_session", subject=user_id)
            return True

    def end_all(self, user_id: str, *, actor: str | None = None) -> None:
        """Ends every session of the user, on every device; `actor` is the user unless it is somebody else."""
        with self.database.write(self.account_of(user_id)) as connection:
            user = users.find(connection, user_id)
            stored.remove_of(connection, user_id)
            if user is not None:
                by = actor or actor_of(user_id)
                self.audit.note(connection, user["account"], by, "sign_out_everywhere", subject=user_id)

    def account_of(self, user_id: str) -> int | None:
        """Whose turn a write on the user is; users stay in their account. None for a user who is not known."""
        with self.database.read() as connection:
            user = users.find(connection, user_id)
        return None if user is None else int(user["account"])

    def csrf_of(self, digest: bytes) -> str:
        """What forms of that session bring along: nobody else can compute it, and another session's does not fit."""
        return hmac.new(self.csrf_key, digest, hashlib.sha256).hexdigest()

    def check_csrf(self, session: Session, given: str | None) -> bool:
        """Whether a form brought the text of this session along; compared in constant time."""
        return hmac.compare_digest(session.csrf.encode(), (given or "").encode("utf-8", "surrogatepass"))


def is_live(row: RowMapping, now: int) -> bool:
    """Whether the session is neither too old nor idle for too long."""
    begun, seen = int(row["created_time"]), int(row["last_seen_time"])
    return now - begun < WHOLE_LIFE and now - seen < IDLE_LIFE
