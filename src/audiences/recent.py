"""What was made of the stored files that were read last, in a bound. Stored files never change, so it stays true."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Sized
from typing import Generic, TypeVar

Made = TypeVar("Made", bound=Sized)


class Recent(Generic[Made]):
    """What was made of files, by their name, of the length `most` together. Any thread may call."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.lock = threading.Lock()
        self.kept: OrderedDict[str, Made] = OrderedDict()  # the least recently used first
        self.length = 0

    def of(self, name: str, make: Callable[[], Made]) -> Made:
        """What `make` makes of the file, or made of it before. Raises what `make` raises."""
        with self.lock:
            if name in self.kept:
                self.kept.move_to_end(name)
                return self.kept[name]
        made = make()  # of a file that two read at once it is made twice: neither waits for the other
        with self.lock:
            if name not in self.kept and len(made) <= self.most:
                self.kept[name] = made
                self.length += len(made)
            while self.length > self.most:
                self.length -= len(self.kept.popitem(last=False)[1])
        return made

    def discard(self, name: str) -> None:
        """Keeps it no longer."""
        with self.lock:
            made = self.kept.pop(name, None)
            self.length -= 0 if made is None else len(made)
