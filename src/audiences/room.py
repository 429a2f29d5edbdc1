"""Room: bytes of memory that uploads share."""

from __future__ import annotations

import threading


class Room:
    """Bytes of memory that all uploads together may take for one purpose."""

    def __init__(self, size: int) -> None:
        self.free = size
        self.lock = threading.Lock()

    def take(self, size: int) -> bool:
        """Whether there was room for so many bytes; they are taken then."""
        with self.lock:
            if size > self.free:
                return False
            self.free -= size
            return True

    def give_back(self, size: int) -> None:
        """Says that these bytes are free again."""
        with self.lock:
            self.free += size
