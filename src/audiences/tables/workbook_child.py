"""The process that opens a workbook: it limits itself, reads one sheet as text, and leaves it as a Parquet file.

Workbooks are programs for their reader: a small hostile one makes it allocate until it dies. So it dies here, alone.
A question comes as JSON on standard input, the answer goes as JSON to standard output; no cell is in either.
"""

from __future__ import annotations

import json
import resource
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from audiences.tables import header
from audiences.tables.header import HEADER_WITHIN, MAX_COLUMNS
from audiences.tables.sql import cells, literal

if TYPE_CHECKING:
    import duckdb
    from fastexcel import ExcelReader, ExcelSheet


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


@dataclass(frozen=True)
class Answer:
    """The sheet that was left as a file, and its columns; or the trouble, and the names of the visible sheets."""

    trouble: str | None = None
    sheets: tuple[str, ...] = ()
    sheet: str | None = None
    width: int = 0
    file: str = ""


def main() -> None:
    """Answer the one question."""
    question = Question(**json.loads(sys.stdin.read()))
    limit(question)
    try:
        answer = read(question)
    except MemoryError:
        answer = Answer("too_large")
    except BaseException as error:  # noqa: BLE001 - a panic of the reader is no Exception; the parent words it
        answer = Answer(trouble(error))
    sys.stdout.write(json.dumps(asdict(answer)))


def limit(question: Question) -> None:
    """Set what this process may take. Of memory, what it allocates; address space alone would count libraries too."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_DATA, (question.memory_bytes, question.memory_bytes))
    resource.setrlimit(resource.RLIMIT_CPU, (question.cpu_s, question.cpu_s))
    resource.setrlimit(resource.RLIMIT_FSIZE, (question.file_bytes, question.file_bytes))


def read(question: Question) -> Answer:
    """The wanted sheet, or else the first visible one with the phone column, or else the first that holds anything."""
    import duckdb
    import fastexcel

    reader = fastexcel.read_excel(question.path)
    connection = duckdb.connect(config={"threads": 1})
    visible: list[str] = []
    first: Answer | None = None
    for place, name in enumerate(reader.sheet_names):
        sheet = _visible(reader, name)
        if sheet is None:
            continue
        visible.append(name)
        if not _is_asked_for(question, name) or sheet.width == 0:
            continue
        path = Path(question.folder) / f"sheet-{place}.parquet"
        answer = _keep(connection, sheet, name, path)
        if answer.trouble is None and _has_header(connection, path, question.phone_column):
            return answer
        first = first or answer
    if question.sheet is not None and not any(_is_asked_for(question, name) for name in visible):
        return Answer("no_sheet", sheets=tuple(visible))
    return first or Answer("empty" if visible else "unreadable")


def _visible(reader: ExcelReader, name: str) -> ExcelSheet | None:
    """The sheet of that name, from its first row on; None where it is hidden, or no sheet of cells."""
    sheet = reader.load_sheet(name, header_row=None, skip_rows=0, dtypes="string")
    return sheet if sheet.visible == "visible" else None


def _is_asked_for(question: Question, name: str) -> bool:
    return question.sheet is None or header.key(question.sheet) == header.key(name)


def _keep(connection: duckdb.DuckDBPyConnection, sheet: ExcelSheet, name: str, path: Path) -> Answer:
    """The sheet as a Parquet file: row n of it is row n of the sheet, every cell is text, a day has no hours."""
    if sheet.width > MAX_COLUMNS:
        return Answer("too_wide")
    names = cells(sheet.width)
    texts = ", ".join(
        f"CASE WHEN ends_with({cell}, ' 00:00:00') AND strlen({cell}) = 19 THEN left({cell}, 10) ELSE {cell} END"
        for cell in names
    )
    source = f"SELECT {texts} FROM sheet AS t({', '.join(names)})"
    connection.execute(
        f"COPY (FROM ({source}) AS t({', '.join(names)})) TO {literal(path)} (FORMAT parquet, COMPRESSION uncompressed)"
    )
    return Answer(sheet=name, width=sheet.width, file=path.name)


def _has_header(connection: duckdb.DuckDBPyConnection, path: Path, phone_column: str) -> bool:
    return header.locate(head(connection, path), phone_column) is not None


def head(connection: duckdb.DuckDBPyConnection, path: Path) -> list[list[str]]:
    """The first rows of the sheet at `path`, among which the header is sought."""
    rows = connection.execute(f"FROM read_parquet({literal(path)}) LIMIT {HEADER_WITHIN}").fetchall()
    return [[cell or "" for cell in row] for row in rows]


def trouble(error: BaseException) -> str:
    """What went wrong, in a word that the parent knows."""
    said = str(error).lower()  # an import fails where not even the libraries fit into the memory
    if "password" in said or "encrypt" in said:
        return "protected"
    if (
        isinstance(error, ImportError)
        or "memory" in said
        or "capacity" in said
        or "file too large" in said
        or type(error).__name__ == "IOException"
    ):
        return "too_large"
    return "unreadable"


if __name__ == "__main__":
    main()
