"""The process that opens a workbook: it limits itself, reads one sheet as text, and leaves it as Arrow files.

Workbooks are programs for their reader: a small hostile one makes it allocate until it dies. So it dies here, alone.
A question comes as JSON on standard input, the answer goes as JSON to standard output; no cell is in either.
"""

from __future__ import annotations

import json
import os
import resource
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from audiences.tables import header
from audiences.tables.workbook_book import LARGE_SHARE, SLICE_BYTES, Book, NotCut
from audiences.tables.workbook_keep import TooWide, head

# Seconds after which a thread hands over Python's lock to one that waits: while one imports, another reads the archive.
SWITCH_S = 0.0005


@dataclass(frozen=True)
class Question:
    """The workbook, the folder for what is left of it, what is wanted, and the limits in bytes and seconds."""

    path: str
    folder: str
    phone_column: str
    sheet: str | None
    memory_bytes: int
    file_bytes: int
    cpu_s: int
    slice_bytes: int = SLICE_BYTES
    hurried: bool = True


@dataclass(frozen=True)
class Answer:
    """The sheet that was left as files, and where its columns are (see `Kept`); or the trouble, and the sheets."""

    trouble: str | None = None
    sheets: tuple[str, ...] = ()
    sheet: str | None = None
    files: tuple[str, ...] = ()
    left: int = 0
    width: int = 0


def main() -> None:
    """Answer the one question."""
    question = Question(**json.loads(sys.stdin.read()))
    limit(question)
    sys.setswitchinterval(SWITCH_S)
    try:
        answer = read(question)
    except NotCut:
        answer = Answer("not_cut")
    except MemoryError:
        answer = Answer("too_large")
    except BaseException as error:  # noqa: BLE001 - a panic of the reader is no Exception; the parent words it
        answer = Answer(trouble(error))
    sys.stdout.write(json.dumps(asdict(answer)))
    sys.stdout.flush()
    # All is said and written. To take a million cells apart again would only cost time.
    os._exit(0)


def limit(question: Question) -> None:
    """Set what this process may take. Of memory, what it allocates; address space alone would count libraries too."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_DATA, (question.memory_bytes, question.memory_bytes))
    resource.setrlimit(resource.RLIMIT_CPU, (question.cpu_s, question.cpu_s))
    resource.setrlimit(resource.RLIMIT_FSIZE, (question.file_bytes, question.file_bytes))


def read(question: Question) -> Answer:
    """The wanted sheet, or else the first visible one with the phone column, or else the first that holds anything."""
    large_bytes = question.memory_bytes // LARGE_SHARE
    path, folder = Path(question.path), Path(question.folder)
    book = Book(path, folder, large_bytes, question.slice_bytes, hurried=question.hurried)
    visible: list[str] = []
    first: Answer | None = None
    for place, name in enumerate(book.names()):
        try:
            kept = book.keep(place, wanted=_is_asked_for(question, name))
        except TooWide:
            visible.append(name)
            first = first or Answer("too_wide")
            continue
        if kept is not None:
            visible.append(name)
        if kept is None or not kept.width or not _is_asked_for(question, name):
            continue
        answer = Answer(sheet=name, files=tuple(path.name for path in kept.files), left=kept.left, width=kept.width)
        if header.locate(head(kept), question.phone_column) is not None:
            return answer
        first = first or answer
    if question.sheet is not None and not any(_is_asked_for(question, name) for name in visible):
        return Answer("no_sheet", sheets=tuple(visible))
    return first or Answer("empty" if visible else "unreadable")


def _is_asked_for(question: Question, name: str) -> bool:
    return question.sheet is None or header.key(question.sheet) == header.key(name)


def trouble(error: BaseException) -> str:
    """What went wrong, in a word that the parent knows."""
    from audiences import disk

    said = str(error).lower()  # an import, or a thread, fails where not even the libraries fit into the memory
    if "password" in said or "encrypt" in said:
        return "protected"
    if disk.is_to_blame(error):
        return "no_room" if disk.is_full(error) else "broken_disk"
    if (
        isinstance(error, ImportError)
        or "memory" in said
        or "thread" in said
        or "resource temporarily unavailable" in said
        or "capacity" in said
        or "file too large" in said
        or type(error).__name__ == "IOException"
    ):
        return "too_large"
    return "unreadable"
