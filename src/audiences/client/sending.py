"""A file on its way to the server: a stream of known length, sent from its start at every try, in constant memory."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import httpcore

from audiences.client.errors import FileChanged

# Called with the bytes that went (or came) so far, and how many there are in all, where that is known.
Progress = Callable[[int, int | None], None]

# A file to send: where it is, or an open binary file that can be read again from its start.
Source = str | os.PathLike[str] | BinaryIO


@dataclass(frozen=True)
class Form:
    """A multipart form: its text fields, and the file as `audience_file`."""

    source: Source
    fields: Mapping[str, str]
    progress: Progress | None = None

    @contextmanager
    def opened(self) -> Iterator[Sending]:
        """The file for one try. Raises OSError if it cannot be read."""
        if isinstance(self.source, str | os.PathLike):
            path = Path(self.source)
            with path.open("rb") as file:
                yield Sending(file, path.name, self.progress)
        else:
            yield Sending(self.source, Path(str(getattr(self.source, "name", "file"))).name, self.progress)


class Sending:
    """What httpx reads the file from. It counts, and stops when the server has answered before it has everything.

    A server that refuses (no such key, too large) answers at once, reads over the rest for a while and then closes.
    Sending on would be in vain, and end as a broken pipe on a system that drops a received answer with its connection.
    """

    def __init__(self, file: BinaryIO, name: str, progress: Progress | None) -> None:
        self.file = file
        self.name = os.fsencode(name).decode("utf-8", "replace")
        self.progress = progress
        self.size = file.seek(0, os.SEEK_END)
        self.sent = 0
        self.connection: httpcore.NetworkStream | None = None

    def watch(self, event: str, info: Mapping[str, Any]) -> None:
        """Learns the connection that the file goes over: httpx's `trace`.

        One under TLS is not watched: what arrives there may be a session ticket, and cannot be told from an answer.
        """
        if event == "connection.connect_tcp.complete":
            self.connection = info["return_value"]
        elif event == "connection.start_tls.started":
            self.connection = None

    def tell(self) -> int:
        """Where the file stands: httpx asks for it to find the length."""
        return self.file.tell()

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Where the file stands then; a seek begins the count again."""
        self.sent = 0
        return self.size if whence == os.SEEK_END else self.file.seek(offset, whence)

    def read(self, size: int = -1) -> bytes:
        """The next bytes, never more than were announced.

        Raises FileChanged if there are fewer, and what httpx takes as "nothing more can be written, read the answer".
        """
        if self.connection is not None and self.connection.get_extra_info("is_readable"):
            raise httpcore.WriteError("answered before the end")
        left = self.size - self.sent
        chunk = self.file.read(left if size < 0 else min(size, left))
        if not chunk and left:
            raise FileChanged("The file became shorter while it was being sent. Send it again.")
        self.sent += len(chunk)
        if self.progress is not None and chunk:
            self.progress(self.sent, self.size)
        return chunk
