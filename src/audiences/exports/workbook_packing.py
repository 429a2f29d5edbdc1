"""The child process that packs a workbook, as its parent sees it. It is given bytes, and ends; or it is ended."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio.to_thread

from audiences.errors import DiskFull, EngineFull, NotAcceptable
from audiences.exports import workbook_child

MEMORY_BYTES = 256 * 1024**2
POLL_S = 0.01

# What ends a child that has used up its seconds of the processor, or that the machine has no memory for.
KILLED = (-signal.SIGXCPU, -signal.SIGKILL)


@dataclass(frozen=True)
class Limits:
    """What a sheet may have (Excel's own limits), and the seconds of the packing, waiting for the engine not counted.

    The bytes are those of its XML: beyond 2 GiB archives take another form, which Excel offers to repair.
    """

    rows: int = 1_048_575
    columns: int = 16_384
    characters: int = 32_767
    sheet_bytes: int = 2**31 - 1
    seconds: float = 300.0


class PackingFailed(Exception):
    """The child process died."""


def too_large(why: str) -> NotAcceptable:
    """The refusal of what no workbook can hold."""
    return NotAcceptable(
        f"{why} Ask for text/csv, application/x-ndjson or application/vnd.apache.parquet in Accept: they have no such "
        "limit. Or choose fewer rows by a filter.",
        field="Accept",
    )


class Packing:
    """A child that is packing."""

    def __init__(self, process: subprocess.Popen[bytes], seconds: float) -> None:
        assert process.stdin is not None  # noqa: S101 - it was started with a pipe
        self.process = process
        self.input = process.stdin
        self.seconds_left = seconds
        os.set_blocking(self.input.fileno(), False)

    async def write(self, data: bytes) -> None:
        """Hands bytes over, as fast as the child takes them; it takes no thread to wait. Raises what `ended` does."""
        view, descriptor = memoryview(data), self.input.fileno()
        while view:
            try:
                view = view[os.write(descriptor, view) :]
            except BlockingIOError:
                async with self.timed():
                    await writable(descriptor)
            except BrokenPipeError:
                await self.ended()
                raise PackingFailed from None

    async def ended(self) -> None:
        """Returns when the archive is complete. Raises NotAcceptable, DiskFull, EngineFull or PackingFailed."""
        self.input.close()
        async with self.timed():
            while (code := self.process.poll()) is None:  # noqa: ASYNC110 - only a thread could wait for a process
                await asyncio.sleep(POLL_S)
        if code in KILLED:
            raise takes_too_long()
        if code == workbook_child.TOO_LARGE:
            raise too_large("The rows are more than 2 GiB as a workbook's sheet, which Excel does not open.")
        if code == workbook_child.NO_SPACE:
            raise DiskFull("The server ran out of room while it made the workbook. Try later.")
        if code != 0:
            raise PackingFailed(f"the process that packs workbooks ended with {code}")

    @asynccontextmanager
    async def timed(self) -> AsyncIterator[None]:
        """Counts the block among the child's seconds. Raises EngineFull when they are over."""
        begun = time.monotonic()
        try:
            async with asyncio.timeout(max(0.0, self.seconds_left)):
                yield
        except TimeoutError:
            raise takes_too_long() from None
        finally:
            self.seconds_left -= time.monotonic() - begun


def takes_too_long() -> EngineFull:
    """The refusal of a workbook that the server did not get packed."""
    return EngineFull(
        "The workbook took longer to make than it may. Try again in a minute, choose fewer rows by a filter, or ask "
        "for text/csv in Accept.",
        headers={"Retry-After": "60"},
    )


@asynccontextmanager
async def packing(target: Path, parts: Mapping[str, str], sheet: str, limits: Limits) -> AsyncIterator[Packing]:
    """A child that packs `parts` and the `sheet` that it will be given into `target`; killed behind the block."""
    question = {
        "target": str(target),
        "parts": parts,
        "sheet": sheet,
        "sheet_bytes": limits.sheet_bytes,
        "memory_bytes": MEMORY_BYTES,
        "cpu_s": int(limits.seconds) + 1,
    }
    process = await anyio.to_thread.run_sync(start)
    try:
        child = Packing(process, limits.seconds)
        await child.write(json.dumps(question).encode() + b"\n")
        yield child
    finally:
        end(process)


def start() -> subprocess.Popen[bytes]:
    """The child, waiting for its input. When the parent dies the input breaks off, and the child ends."""
    return subprocess.Popen(
        [sys.executable, "-I", "-S", workbook_child.__file__],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={"LC_ALL": "C.UTF-8"},
    )


def end(process: subprocess.Popen[bytes]) -> None:
    """Sees to it that nothing is left of the child."""
    process.kill()
    process.wait()
    if process.stdin is not None:
        process.stdin.close()


async def writable(descriptor: int) -> None:
    """Returns when a pipe takes bytes, or has no reader any more."""
    loop, ready = asyncio.get_running_loop(), asyncio.Event()
    loop.add_writer(descriptor, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_writer(descriptor)
