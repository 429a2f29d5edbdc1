"""Where an export goes: a file that appears under its name only when it is whole."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import httpx

from audiences.client.answers import foreign
from audiences.client.errors import Unreachable
from audiences.client.sending import Progress
from audiences.client.transport import Call, Transport

# Where an export goes: a path, or an open binary file.
Target = str | os.PathLike[str] | BinaryIO

# What a file's name may leave for the marks of an unfinished one; most file systems allow 255 bytes.
MAX_NAME = 60


@contextmanager
def saved(target: Target) -> Iterator[BinaryIO]:
    """A file to write to. A path gets its content when the block ends well, and is left as it was when it does not.

    An open file, a device or a pipe is written to as the bytes come. Raises OSError.
    """
    if not isinstance(target, str | os.PathLike):
        yield target
        return
    path = Path(target).resolve()
    if path.exists() and not path.is_file():
        with path.open("wb") as device:
            yield device
        return
    part = path.with_name(f".{path.name[:MAX_NAME]}.{secrets.token_hex(6)}.part")
    try:
        with part.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def download(transport: Transport, call: Call, target: Target, progress: Progress | None) -> int:
    """The bytes that were written to `target`. Raises ClientError or OSError."""

    def attempt() -> int:
        begun = False
        try:
            with transport.answered(transport.kept, call) as response:
                if response.headers.get("content-type", "").partition(";")[0] != call.headers["Accept"]:
                    raise foreign(response)
                begun = True
                return write(response, target, progress)
        except Unreachable as error:
            error.temporary = error.temporary and (not begun or repeatable(target))
            raise

    return transport.patience.repeat(attempt)


def write(response: httpx.Response, target: Target, progress: Progress | None) -> int:
    """The bytes of the answer that were written. Raises what httpx raises if the answer breaks off, and OSError."""
    # What is announced of a compressed answer is not the size of what it holds.
    announced = "" if "content-encoding" in response.headers else response.headers.get("content-length", "")
    total = int(announced) if announced.isdigit() else None
    written = 0
    with saved(target) as file:
        for chunk in response.iter_bytes():
            file.write(chunk)
            written += len(chunk)
            if progress is not None:
                progress(written, total)
    return written


def repeatable(target: Target) -> bool:
    """Whether an export that broke off can begin again: what an open file or a device has taken cannot be recalled."""
    if not isinstance(target, str | os.PathLike):
        return False
    path = Path(target)
    return path.is_file() or not path.exists()
