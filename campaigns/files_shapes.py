"""What a hostile file is: how it is made, and what has to come back."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

MIB = 1024 * 1024

CREATED = "created"

PHONE = b"442079832100"
HEADER = b"phone1,note\n"
ROW = PHONE + b",a\n"


@dataclass(frozen=True)
class Sizes:
    """How large the large ones are; the defaults are the full length. `bomb_bytes` is more than a file may have."""

    line_bytes: int = 1024 * MIB
    text_bytes: int = 300 * MIB
    bomb_bytes: int = 6 * 1024 * MIB
    part_bytes: int = 4 * 1024 * MIB
    rows: int = 10_000_000
    entries: int = 1_000_000
    flips: int = 60
    crowd: int = 6


@dataclass(frozen=True)
class Hostile:
    """A file in pieces, the codes of which one has to come back, and of one that is stored what has to be counted."""

    name: str
    pieces: Callable[[], Iterable[bytes]]
    due: tuple[str, ...]
    rows: int | None = None
    accepted: int | None = None
    fields: tuple[tuple[str, str], ...] = ()


def whole(content: bytes) -> Callable[[], Iterable[bytes]]:
    """The pieces of what is there."""
    return lambda: [content[at : at + MIB] for at in range(0, len(content), MIB)]


def repeated(unit: bytes, size: int, before: bytes = b"", behind: bytes = b"") -> Callable[[], Iterable[bytes]]:
    """The pieces of `unit` again and again, to about so many bytes."""
    several = unit * max(1, min(MIB, size) // len(unit))

    def pieces() -> Iterator[bytes]:
        yield before
        for _ in range(max(1, size // len(several))):
            yield several
        yield behind

    return pieces


def times(unit: bytes, size: int) -> int:
    """How often `repeated` has the unit in so many bytes."""
    several = max(1, min(MIB, size) // len(unit))
    return several * max(1, size // (several * len(unit)))
