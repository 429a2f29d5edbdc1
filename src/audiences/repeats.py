"""Repeated requests: an `Idempotency-Key` makes a request that is sent again get the answer that it got before.

The fingerprint is over method, path, recognised fields and the file's SHA-256, never the raw body: clients change the
boundary. The first request marks the key as running under a lease that it renews; a twin that comes meanwhile is 409.
The result is written in the transaction that stores the audience, so that there is never one without the other.

An answer may quote rows. When a person is erased, all that are kept lose them and stay otherwise: a request that is
sent again is never carried out again for it. A long one is kept without its samples from the first: nobody's quota
counts what is kept here, and all of it has to be read at an erasure.
"""

from __future__ import annotations

import hmac
import re
import secrets
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import Any

import anyio.to_thread
import msgspec
from sqlalchemy import Connection
from sqlalchemy.engine import RowMapping

from audiences import answer, leases
from audiences.answer import Reply
from audiences.clock import HOUR, SECOND, Clock
from audiences.errors import IdempotencyKeyReused, InvalidParameter, NotReady, Refusal, RequestInProgress
from audiences.store import idempotency, secret_keys
from audiences.store.database import Database

# A running mark lapses so long after its node's last sign of life (contract: within 60 seconds).
LEASE = 45 * SECOND
RENEWAL_S = 15.0

# Answers are kept so long; a client that repeats a request after a day means a new one.
KEPT = 24 * HOUR

# Bytes of an answer that is kept as it is: some hundred rows of a usual list. A longer one loses its samples.
LONGEST = 64 * 1024

# Answers that lose their rows in one turn to write: well below a second of it.
BATCH = 20

KEY = re.compile(r"[\x20-\x7e]{1,255}")

# The answers that are kept: the ones that the same request would get again. All others say "try again".
KEPT_STATUSES = frozenset({200, 201, 400})


@dataclass
class Claim:
    """The right to carry one request out. `owner` is empty for a request without a key: then nothing is noted.

    `kept`: its answer stands in a transaction; `settled`: which committed, so that there is no mark left to remove.
    """

    account: int
    key: str = ""
    owner: str = ""
    replay: Reply | None = None
    kept: bool = False
    settled: bool = False


class Repeats:
    """The idempotency records of one catalog."""

    def __init__(self, database: Database, clock: Clock, renewal_s: float = RENEWAL_S) -> None:
        self.database = database
        self.clock = clock
        self.renewal_s = renewal_s
        self.fingerprint_key = secret_keys.ensure(database, "fingerprints")
        # Those whose key could not be freed, since the catalog did not answer; without this they would lapse only.
        # They are by account: to free one is to wait for the writes of its account, which a stranger has no part in.
        self.unreleased: dict[int, deque[Claim]] = {}

    async def once(
        self, account: int, key: str | None, fingerprint: bytes, work: Callable[[Claim], Awaitable[Reply]]
    ) -> Reply:
        """What `work` answers, or what it answered when the same request was sent before.

        A refusal that `work` raises is an answer like any other. Raises RequestInProgress or IdempotencyKeyReused.
        """
        if key is None:
            return await work(Claim(account))
        claim = await anyio.to_thread.run_sync(self.begin, account, key, fingerprint)
        if claim.replay is not None:
            return claim.replay
        async with leases.renewed(partial(self.renew, claim), partial(self.release, claim), self.renewal_s):
            reply = await refusals_answered(work(claim))
            await anyio.to_thread.run_sync(self.finish, claim, reply)
            claim.settled = claim.kept and reply.status in KEPT_STATUSES
        return reply

    def fingerprint(self, method: str, path: str, fields: Mapping[str, str], file_sha256: bytes) -> bytes:
        """What makes two requests the same one (contract, statuses).

        Keyed, since a path or body may hold a person's number, which its plain hash would give away to whoever tries
        all numbers.
        """
        canonical = msgspec.json.encode([method, path, sorted(fields.items()), file_sha256.hex()])
        return hmac.digest(self.fingerprint_key, canonical, "sha256")

    def begin(self, account: int, key: str, fingerprint: bytes) -> Claim:
        """Marks the key as running, unless it is, or was answered."""
        self.release_again(account)
        now, owner = self.clock(), secrets.token_hex(16)
        values = {"account_id": account, "key": key, "fingerprint": fingerprint, "owner": owner}
        values |= {"created_time": now, "lease_until": now + LEASE}
        with self.database.write(account) as connection:
            known = idempotency.find(connection, account, key)
            if known is not None and is_over(known, now):
                idempotency.remove(connection, account, key)
                known = None
            if known is None:
                idempotency.add(connection, values)
                return Claim(account, key, owner)
        if known["fingerprint"] != fingerprint:
            raise IdempotencyKeyReused(
                "This Idempotency-Key was used for another request. Use a new key for each new request.",
                field="Idempotency-Key",
            )
        if known["answer"] is None:
            raise RequestInProgress(
                "A request with this Idempotency-Key is being carried out. Ask again in a few seconds for its answer.",
                field="Idempotency-Key",
                headers={"Retry-After": "2"},
            )
        reply = msgspec.json.decode(known["answer"], type=Reply)
        return Claim(account, key, owner, msgspec.structs.replace(reply, headers=reply.headers | REPLAYED))

    def keep(self, connection: Connection, claim: Claim, reply: Reply) -> None:
        """Stores the answer in the caller's transaction. Raises RequestInProgress if the claim was lost to a twin."""
        if not claim.owner:
            return
        record = idempotency.find(connection, claim.account, claim.key)
        if record is None or record["owner"] != claim.owner:
            raise RequestInProgress("The request was taken over by its twin. Ask again for its answer.")
        whole = msgspec.json.decode(msgspec.json.encode(reply), type=Reply)
        bare = without_rows(whole)
        # A person was erased since the request began: it may have read them.
        kept = bare if record["quotes_rows"] else shortened(whole)
        values = {"answer": msgspec.json.encode(kept), "quotes_rows": kept != bare}
        idempotency.change(connection, claim.account, claim.key, claim.owner, **values)
        claim.kept = True

    def finish(self, claim: Claim, reply: Reply) -> None:
        """Stores an answer that did not come with a transaction of its own, if the same request would get it again."""
        if reply.status in KEPT_STATUSES and not claim.kept:
            with self.database.write(claim.account) as connection:
                self.keep(connection, claim, reply)

    def release(self, claim: Claim) -> None:
        """Frees a key whose request ended without an answer that was committed."""
        if claim.settled:
            return
        try:
            with self.database.write(claim.account) as connection:
                idempotency.remove(connection, claim.account, claim.key, claim.owner)
        except NotReady:
            self.unreleased.setdefault(claim.account, deque()).append(claim)
            raise

    def release_again(self, account: int) -> None:
        """Frees the account's keys that could not be freed while the catalog was away. Raises NotReady where it is."""
        claims = self.unreleased.get(account, deque())
        for _ in range(len(claims)):
            with suppress(IndexError):  # another thread took the last one
                self.release(claims.popleft())

    def renew(self, claim: Claim) -> None:
        """Renews the lease."""
        with self.database.write(claim.account) as connection:
            until = self.clock() + LEASE
            idempotency.change(connection, claim.account, claim.key, claim.owner, lease_until=until)


REPLAYED = {"Idempotency-Replayed": "true"}

# What answers hold rows under, and what is left of a refusal's words.
SAMPLES = frozenset({"sample_contacts", "sample_rejects"})
FORGOTTEN = "What this said is not kept, since a person was erased. Send the request with a new Idempotency-Key."


async def refusals_answered(work: Awaitable[Reply]) -> Reply:
    """What `work` answers, refusals included."""
    try:
        return await work
    except Refusal as refusal:
        return answer.refused(refusal)


def is_over(record: RowMapping, now: int) -> bool:
    """Whether the record counts no more: too old, or left running by a node that died."""
    old: bool = record["created_time"] <= now - KEPT
    return old or (record["answer"] is None and record["lease_until"] <= now)


def check_key(key: str | None) -> str | None:
    """The key, if there is one. Raises InvalidParameter unless it is 1 to 255 printable ASCII characters."""
    if key is not None and KEY.fullmatch(key) is None:
        raise InvalidParameter(
            "Idempotency-Key takes 1 to 255 printable ASCII characters, such as a UUID.", field="Idempotency-Key"
        )
    return key


def forget_rows(connection: Connection, account: int) -> None:
    """Takes the rows out of all that the account has been answered, and of what its running requests will be."""
    idempotency.mark_running(connection, account)
    strip(connection, account, idempotency.quoting(connection, account))


def forget_most_rows(database: Database, account: int) -> None:
    """Takes the rows out of what the account has been answered by now, and lets others write in between.

    What is answered meanwhile is left to `forget_rows`, which then has little to do in its one turn.
    """
    last = ""
    while True:
        with database.write(account) as connection:
            batch = idempotency.quoting(connection, account, last, BATCH)
            strip(connection, account, batch)
        if not batch:
            return
        last, _ = batch[-1]


def strip(connection: Connection, account: int, answers: Iterable[tuple[str, str]]) -> None:
    """Takes the rows out of these answers of the account, each said by its key and owner."""
    for key, owner in answers:
        record = idempotency.find(connection, account, key)  # one by one: they are not to be in memory together
        assert record is not None  # noqa: S101 - of the same transaction
        bare = without_rows(msgspec.json.decode(record["answer"], type=Reply))
        idempotency.change(connection, account, key, owner, answer=msgspec.json.encode(bare), quotes_rows=False)


def shortened(reply: Reply) -> Reply:
    """The answer, decoded; without its samples where it would be too long with them."""
    if len(msgspec.json.encode(reply)) <= LONGEST:
        return reply
    data, report = without_samples(reply.data), without_samples(reply.report)
    return msgspec.structs.replace(reply, data=data, report=report)


def without_rows(reply: Reply) -> Reply:
    """The answer, decoded, without what may be cells of a file: samples of rows, and what a refusal says in words.

    A refusal quotes names of columns; in a file without a header those are cells of its first row.
    """
    refused = reply.status == HTTPStatus.BAD_REQUEST
    errors = [error | {"message": FORGOTTEN} for error in reply.errors] if refused else reply.errors
    data, report = without_samples(reply.data), without_samples(reply.report)
    return msgspec.structs.replace(reply, data=data, errors=errors, report=report)


def without_samples(part: Any) -> Any:  # noqa: ANN401 - whatever an answer holds
    """The same with its samples empty, if it has any."""
    if not isinstance(part, dict):
        return part
    return {name: [] if name in SAMPLES else value for name, value in part.items()}
