"""The two ways in which a name may enter a statement. Values never do: they are bound as parameters."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field


def identifier(name: str) -> str:
    """`name` as a quoted identifier, whatever it holds."""
    return '"' + name.replace('"', '""') + '"'


def identifiers(names: Iterable[str]) -> str:
    """Quoted identifiers, separated by commas."""
    return ", ".join(identifier(name) for name in names)


@dataclass
class Query:
    """A statement under construction: its text with placeholders, and what is bound to them."""

    bound: list[object] = field(default_factory=list)
    text: str = ""

    def bind(self, value: object) -> str:
        """A placeholder for `value`."""
        self.bound.append(value)
        return f"${len(self.bound)}"
