"""The process that packs a workbook: its parts come on standard input, the archive goes to a path.

It stands alone, without the package, so that it starts at once and has little memory; its input ends with the end of
the sheet, or else whoever sent it is gone.
"""

from __future__ import annotations

import errno
import json
import resource
import sys
from pathlib import Path
from typing import IO
from zipfile import ZIP_DEFLATED, ZipFile

# Higher levels take up to three times as long, for files smaller by a sixth (measured).
LEVEL = 2
CHUNK_BYTES = 256 * 1024
END = b"</worksheet>"

# What the process ends with: the sheet is larger than it may be, the disk is full, the input broke off.
TOO_LARGE, NO_SPACE, BROKEN_OFF = 3, 4, 5


class TooLarge(Exception):
    """The sheet has more bytes than it may have."""


def main() -> int:
    """Packs the workbook that the first line of the input describes. What the process ends with."""
    asked = json.loads(sys.stdin.buffer.readline())
    limit(asked["memory_bytes"], asked["cpu_s"])
    try:
        with ZipFile(Path(asked["target"]), "x", ZIP_DEFLATED, compresslevel=LEVEL) as archive:
            for name, text in asked["parts"].items():
                archive.writestr(name, text)
            with archive.open(asked["sheet"], "w") as sheet:
                last = copy(sys.stdin.buffer, sheet, asked["sheet_bytes"])
    except TooLarge:
        return TOO_LARGE
    except OSError as error:
        return NO_SPACE if error.errno in {errno.ENOSPC, errno.EDQUOT} else 1
    return 0 if last == END else BROKEN_OFF


def copy(source: IO[bytes], target: IO[bytes], most: int) -> bytes:
    """Copies all there is; the last bytes of it. Raises TooLarge."""
    last, left = b"", most
    while chunk := source.read(CHUNK_BYTES):
        left -= len(chunk)
        if left < 0:
            raise TooLarge
        target.write(chunk)
        last = (last + chunk)[-len(END) :]
    return last


def limit(memory_bytes: int, cpu_s: int) -> None:
    """Sets what this process may take."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_DATA, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_s, cpu_s))


if __name__ == "__main__":
    sys.exit(main())
