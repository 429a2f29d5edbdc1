"""The documentation holds what the code does: its tables are made from the code, and its examples run.

    UPDATE_DOCS=1 pytest tests/test_docs.py

writes the tables anew.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from http import HTTPStatus
from pathlib import Path

import pytest
import typer.main

from audiences import client
from audiences.answer import DESCRIPTIONS
from audiences.cli import app
from audiences.errors import REASON_SENTENCES, catalogue
from audiences.keys import PEOPLE, READ, WRITE
from audiences.settings import VARIABLES, RateLimit, Settings
from audiences.watch import Metrics
from support import Service

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
EXAMPLE_PORT = "http://127.0.0.1:8000"


def errors() -> str:
    """The catalogue of refusals."""
    lines = ["| status | description | code | when |", "| --- | --- | --- | --- |"]
    lines += [
        f"| {kind.status} | `{DESCRIPTIONS[kind.status]}` | `{kind.code}` | {kind.meaning()} |"
        for kind in sorted(catalogue(), key=lambda kind: kind.status)
    ]
    return "\n".join(lines)


def reasons() -> str:
    """The rows of the table of reasons."""
    return "\n".join(f"| `{reason}` | {sentence} |" for reason, sentence in REASON_SENTENCES.items())


def shown(value: object) -> str:
    """A default as an operator would write it."""
    if isinstance(value, RateLimit):
        return f"{value.amount}/{ {60: 'minute'}[value.seconds] }"
    if isinstance(value, int) and value % 1024**2 == 0:
        mebibytes = value // 1024**2
        return f"{mebibytes // 1024} GiB" if mebibytes % 1024 == 0 else f"{mebibytes} MiB"
    if value is None:
        return "off"
    return "none" if value == () else str(value)


def settings() -> str:
    """Every setting."""
    lines = ["| variable | default | what, and why this default |", "| --- | --- | --- |"]
    for variable, item in VARIABLES.items():
        lines.append(f"| `{variable}` | {shown(getattr(Settings(), item.name))} | {item.metadata['why']} |")
    return "\n".join(lines)


def metrics() -> str:
    """Every metric."""
    lines = ["| metric | labels | what |", "| --- | --- | --- |"]
    for collector in vars(Metrics()).values():
        if hasattr(collector, "_labelnames"):
            labels = ", ".join(f"`{label}`" for label in collector._labelnames)
            lines.append(f"| `{collector._name}` | {labels} | {collector._documentation} |")
    return "\n".join(lines)


def client_errors() -> str:
    """What the Python client raises."""
    kinds = [getattr(client, name) for name in client.__all__]
    raised = [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, client.ClientError)]
    lines = [f"| `{kind.__name__}` | {(kind.__doc__ or '').partition(chr(10))[0]} |" for kind in raised]
    return "\n".join(lines)


TABLES: dict[str, tuple[Path, Callable[[], str]]] = {
    "errors": (ROOT / "docs" / "errors.md", errors),
    "reasons": (ROOT / "docs" / "using.md", reasons),
    "settings": (ROOT / "docs" / "settings.md", settings),
    "metrics": (ROOT / "docs" / "operating.md", metrics),
    "client-errors": (ROOT / "docs" / "client.md", client_errors),
}


@pytest.mark.parametrize("name", TABLES)
def test_a_table_in_the_documentation_is_what_the_code_says(name: str) -> None:
    page, made = TABLES[name]
    text = page.read_text(encoding="utf-8")
    wanted = re.sub(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", rf"\g<1>{made()}\n\g<2>", text, flags=re.DOTALL)
    if os.environ.get("UPDATE_DOCS"):
        page.write_text(wanted, encoding="utf-8")
    assert text == wanted or os.environ.get("UPDATE_DOCS"), f"UPDATE_DOCS=1 writes {page.name} anew"


def test_every_description_is_for_a_status_that_there_is() -> None:
    assert {kind.status for kind in catalogue()} == set(DESCRIPTIONS)
    assert all(HTTPStatus(status) for status in DESCRIPTIONS)


def commands() -> Iterator[str]:
    """Every command, with its group."""
    root = typer.main.get_command(app)
    for name, command in root.commands.items():  # type: ignore[attr-defined]
        inner = getattr(command, "commands", None)
        yield from ([f"{name} {each}" for each in inner] if inner else [name])


@pytest.mark.parametrize("command", sorted(commands()))
def test_every_command_is_documented(command: str) -> None:
    assert f"`audiences {command}" in (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")


def test_every_library_is_named_with_its_reason_and_no_other() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    needed = {re.split(r"[^a-z0-9-]", line)[0] for line in project["dependencies"]}
    named = re.findall(
        r"^\| `([a-z0-9-]+)` \|", (ROOT / "docs" / "libraries.md").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert sorted(needed) == sorted(named)


def test_every_link_between_pages_leads_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_every_decision_has_its_number_and_title() -> None:
    for page in (ROOT / "docs" / "decisions").glob("*.md"):
        assert page.read_text(encoding="utf-8").startswith(f"# {page.name[:4]}: "), page.name


def examples(page: Path) -> list[tuple[str, str]]:
    """The page's console blocks as one list of commands, each with what it should print."""
    blocks = re.findall(r"^```console\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    pairs = []
    for block in blocks:
        for piece in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, printed = piece.partition("\n")
            while command.endswith("\\"):
                more, _, printed = printed.partition("\n")
                command += "\n" + more
            if command.endswith("<<'EOF'"):
                typed, _, printed = printed.partition("\nEOF\n")
                command += f"\n{typed}\nEOF"
            pairs.append((command, printed))
    return pairs


def trimmed(text: str) -> str:
    """A text without the blanks that nobody sees."""
    return re.sub(r" +$", "", text.strip(), flags=re.MULTILINE)


WITH_EXAMPLES = [page for page in PAGES if examples(page)]


@pytest.mark.skipif(shutil.which("curl") is None and "CI" not in os.environ, reason="the examples use curl")
@pytest.mark.parametrize("page", WITH_EXAMPLES, ids=lambda page: page.name)
def test_every_example_runs_and_prints_what_the_page_shows(page: Path, service: Service, tmp_path: Path) -> None:
    with service.client(scopes=(READ, WRITE, PEOPLE)) as caller:
        environment = {**os.environ, "KEY": caller.key, "COLUMNS": "120"}
        environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
        script, wanted = "", []
        for command, printed in examples(page):
            script += f"{command.replace(EXAMPLE_PORT, service.url)}\nprintf '\\036'\n"
            wanted.append(printed)
        done = subprocess.run(
            ["sh", "-e", "-c", script], capture_output=True, text=True, cwd=tmp_path, env=environment, check=False
        )
    assert done.returncode == 0, done.stderr
    for (command, _), expected, printed in zip(examples(page), wanted, done.stdout.split("\036"), strict=False):
        pattern = re.escape(trimmed(expected)).replace(r"\.\.\.", ".*")
        assert re.fullmatch(pattern, trimmed(printed), re.DOTALL), (
            f"$ {command}\n{printed}\n--- the page shows\n{expected}"
        )
