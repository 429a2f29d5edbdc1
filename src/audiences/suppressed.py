"""The do-not-contact list as the engine sees it: a condition on a column of phones, whatever statement it stands in.

A list is a Parquet file of `phone` BIGINT, E.164 digits, or NULL for a person who was erased: of them only `hash` is
left, the HMAC-SHA256 (RFC 2104) of the digits under a key of the server's own; and `added_time` BIGINT, milliseconds.
It is sorted by phone, hashes last. An account with nothing on its list has no file.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import duckdb
from duckdb import DuckDBPyConnection

from audiences.recent import Recent
from audiences.sql import Query

if TYPE_CHECKING:
    from polars import Series

BLOCK_BYTES = 64

# Numbers that are kept in memory, of eight bytes each: of one list, and of all together. A hash takes the room of so
# many.
MOST_OF_LIST, MOST_KEPT = 1_000_000, 4_000_000
HASH_LENGTH = 20

Bind = Callable[[object], str]
Result = TypeVar("Result")


@dataclass(frozen=True)
class Suppressed:
    """A version of an account's list, of so many `phones`, and `hashes` of erased numbers, hashed with `key`.

    `name` is that of its file in the store, which tells it from every other version; the store's `local` is `locate`.
    """

    name: str
    hashes: int
    key: bytes
    locate: Callable[[str], Path]
    phones: int = 0
    found: list[Path] = field(default_factory=list, init=False, repr=False, compare=False)

    @property
    def path(self) -> Path:
        """Where it can be read, as long as this object lives. Raises FileNotFoundError, or NotReady."""
        # Not a `cached_property`: see `Stored`.
        if not self.found:
            self.found.append(self.locate(self.name))
        return self.found[0]

    def names(self, phone: str, bind: Bind) -> str:
        """The condition that the list has the number in the expression `phone`, a whole number that is not NULL."""
        path = bind(str(self.path))
        listed = f"{phone} IN (SELECT phone FROM read_parquet({path}) WHERE phone IS NOT NULL)"
        if not self.hashes:
            return listed
        hashed = f"{hash_of(phone, self.key, bind)} IN (SELECT hash FROM read_parquet({path}) WHERE hash IS NOT NULL)"
        return f"({listed} OR {hashed})"

    def among(self, connection: DuckDBPyConnection, phones: Sequence[int], known: Recent[Numbers]) -> list[int]:
        """Those of `phones` that the list has. Raises FileNotFoundError, or NotReady."""
        if self.phones + HASH_LENGTH * self.hashes <= MOST_OF_LIST:
            return known.of(self.name, self.read).among(phones, self.key)
        query = Query()
        given = query.bind(list(phones))
        condition = self.names("phone", query.bind)
        found = connection.execute(
            f"SELECT phone FROM (SELECT unnest({given}::BIGINT[]) AS phone) WHERE {condition}", query.bound
        )
        return [phone for (phone,) in found.fetchall()]

    def read(self) -> Numbers:
        """All that is on it. Raises FileNotFoundError, or NotReady."""
        import polars as pl

        found = pl.read_parquet(self.path, columns=["phone", "hash"], glob=False, hive_partitioning=False)
        return Numbers(found["phone"].drop_nulls().sort(), frozenset(found["hash"].drop_nulls()))


@dataclass(frozen=True, eq=False)
class Numbers:
    """All that is on a list: its phones in order, and the hashes of those that were erased."""

    phones: Series
    hashes: frozenset[str]

    def __len__(self) -> int:
        """What it weighs, in phones."""
        return len(self.phones) + HASH_LENGTH * len(self.hashes)

    def among(self, phones: Sequence[int], key: bytes) -> list[int]:
        """Those of `phones` that are on it, by themselves or by their hash under `key`."""
        listed = set(self.phones.gather(self.places(phones))) if len(self.phones) else set()
        return [phone for phone in phones if phone in listed or (self.hashes and keyed_hash(phone, key) in self.hashes)]

    def places(self, phones: Sequence[int]) -> Series:
        """Where each of `phones` is, if it is on the list, which is not empty."""
        from polars import Int64, Series

        return self.phones.search_sorted(Series(phones, dtype=Int64)).clip(upper_bound=len(self.phones) - 1)


def hash_of(phone: str, key: bytes, bind: Bind) -> str:
    """The expression of the keyed hash (64 hex digits) of the number in the expression `phone`."""
    padded = key.ljust(BLOCK_BYTES, b"\0")
    inner, outer = (bind(bytes(byte ^ pad for byte in padded)) for pad in (0x36, 0x5C))
    return f"sha256({outer}::BLOB || unhex(sha256({inner}::BLOB || encode({phone}::VARCHAR))))"


def keyed_hash(phone: int, key: bytes) -> str:
    """The same hash of one number."""
    return hmac.new(key, str(phone).encode(), hashlib.sha256).hexdigest()


def on_current(current: Callable[[], Suppressed | None], read: Callable[[Suppressed | None], Result]) -> Result:
    """What `read` makes of the list that `current` finds, and of the newer one where that is replaced meanwhile.

    The file of a list is removed when it is replaced, which may be between the two.
    """
    while True:
        listed = current()
        try:
            return read(listed)
        except (duckdb.IOException, FileNotFoundError):
            if current() == listed:
                raise
