"""The commands that work on a server, through the Python client: push a file, export an audience."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, NoReturn

import typer

if TYPE_CHECKING:
    from audiences.client import Client, ClientError, Refused
    from audiences.models import Check
    from audiences.progress import Transfer

# The client is imported where it is used: it loads httpx, and this module is loaded whenever a server starts.

Url = Annotated[
    str | None,
    typer.Option("--url", help="The server's address.", show_default="AUDIENCES_URL, or http://127.0.0.1:8000"),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the outcome as JSON.")]
Format = Literal["csv", "ndjson", "parquet", "xlsx"]

# Formats that a terminal cannot show.
BINARY = ("parquet", "xlsx")


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.command()(push)
    app.command()(export)


def push(  # noqa: PLR0913 - a parameter an option
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, readable=True, help="A CSV or Excel file.")],
    *,
    name: Annotated[str | None, typer.Option(help="The audience's name.", show_default="the file's")] = None,
    url: Url = None,
    phone_column: Annotated[str | None, typer.Option(help="The column of phones.", show_default="phone1")] = None,
    default_region: Annotated[str | None, typer.Option(help="The region of national numbers, such as GB.")] = None,
    sheet: Annotated[str | None, typer.Option(help="The workbook's sheet.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the report, store nothing.")] = False,
    replace: Annotated[str | None, typer.Option(metavar="ID", help="Replace this audience's contacts.")] = None,
    append: Annotated[str | None, typer.Option(metavar="ID", help="Add to this audience.")] = None,
    as_json: AsJson = False,
) -> None:
    """Send a file to a server: a new audience, and the report of its rows. The key is AUDIENCES_API_KEY's."""
    if sum((dry_run, replace is not None, append is not None)) > 1:
        fail("--dry-run, --replace and --append exclude one another.", 2)
    if name is not None and (replace or append) is not None:
        fail("--name is for a new audience; this one keeps its name.", 2)
    reading = {"phone_column": phone_column, "default_region": default_region, "sheet": sheet}
    with told(as_json=as_json), connected(url, file.name, "reading, judging, storing…") as (client, shown):
        given = {"progress": shown.moved, **reading}
        report: Check | None = None
        audience_id = replace or append
        if dry_run:
            report = client.check(file, name or name_of(file), **given)  # type: ignore[arg-type]
        elif replace is not None:
            client.replace(replace, file, **given)  # type: ignore[arg-type]
        elif append is not None:
            client.append(append, file, **given)  # type: ignore[arg-type]
        else:
            audience_id = client.create(file, name or name_of(file), **given).id  # type: ignore[arg-type]
        if audience_id is not None:
            report = report_of(client, audience_id)
    show(report, audience_id, as_json=as_json)
    raise typer.Exit(1 if dry_run and report is not None and not report.accepted else 0)


def export(  # noqa: PLR0913 - a parameter an option
    audience_id: Annotated[str, typer.Argument(metavar="ID", help="The audience's id.")],
    *,
    format_: Annotated[
        Format | None, typer.Option("--format", help="The file's format.", show_default="as OUT ends, or csv")
    ] = None,
    out: Annotated[
        str, typer.Option("--out", "-o", metavar="OUT", help="The file to write; - is standard output.")
    ] = "-",
    rejects: Annotated[bool, typer.Option("--rejects", help="The rows that were not accepted.")] = False,
    enrich: Annotated[bool, typer.Option("--enrich", help="Append country, line type and time zones.")] = False,
    spreadsheet_safe: Annotated[
        bool, typer.Option("--spreadsheet-safe", help="Put ' before cells that a spreadsheet would run.")
    ] = False,
    country: Annotated[str | None, typer.Option(help="Only this region code, such as GB.")] = None,
    line_type: Annotated[str | None, typer.Option(help="Only this line type, such as mobile.")] = None,
    search: Annotated[str | None, typer.Option(help="Only rows with this text in a cell.")] = None,
    callable_: Annotated[
        str | None, typer.Option("--callable", metavar="HOURS", help="Only who is within these hours now: 09:00-20:00.")
    ] = None,
    reason: Annotated[str | None, typer.Option(help="With --rejects: only this reason.")] = None,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Save an audience's contacts, or its rejected rows, as a file. The key is AUDIENCES_API_KEY's."""
    kind = format_ or format_of(out)
    to_stdout = out == "-"
    on_screen = to_stdout and sys.stdout.isatty()
    if on_screen and kind in BINARY:
        fail(f"{kind} is not for a terminal. Name a file with -o, or send the output on.", 2)
    if to_stdout and as_json:
        fail("--json tells of a file; name one with -o.", 2)
    filters = {"country": country, "line_type": line_type, "search": search, "callable": callable_, "reason": reason}
    target = sys.stdout.buffer if to_stdout else out
    style = {"rejects": rejects, "enrich": enrich, "spreadsheet_safe": spreadsheet_safe}
    what = "standard output" if to_stdout else Path(out).name
    with told(as_json=as_json), connected(url, what, quiet=on_screen) as (client, shown):
        size = client.export(audience_id, target, format=kind, progress=shown.moved, **style, **filters)  # type: ignore[arg-type]
    if to_stdout:
        sys.stdout.buffer.flush()
    elif as_json:
        from audiences import terminal

        terminal.show_json({"id": audience_id, "format": kind, "file": out, "bytes": size})
    else:
        typer.echo(f"{'Rejects' if rejects else 'Contacts'} of audience {audience_id}: {out} ({size:,} bytes)")


@contextmanager
def connected(
    url: str | None, what: str, afterwards: str | None = None, *, quiet: bool = False
) -> Iterator[tuple[Client, Transfer]]:
    """The server, and what shows how far a transfer is. Raises ClientError."""
    from audiences.client import Client
    from audiences.progress import transfer

    with transfer(what, afterwards, quiet=quiet) as shown, Client(url, waiting=shown.waiting) as client:
        yield client, shown


def report_of(client: Client, audience_id: str) -> Check | None:
    """The report of what was stored just now; None if it cannot be had, which does not undo that."""
    from audiences.client import ClientError

    try:
        return client.audience(audience_id)
    except ClientError as error:
        say(f"The file is stored in audience {audience_id}, but its report cannot be had. {error}")
        return None


def show(report: Check | None, audience_id: str | None, *, as_json: bool) -> None:
    """Prints the outcome."""
    from audiences import terminal

    if report is not None:
        terminal.show_stored(report, audience_id, as_json=as_json)
    elif as_json:
        terminal.show_json({"id": audience_id, "report": None})
    else:
        typer.echo(audience_id)


@contextmanager
def told(*, as_json: bool) -> Iterator[None]:
    """Ends the command in plain words where the block fails: 2 without a usable key or address, otherwise 1."""
    from audiences.client import ClientError, NotConfigured, Refused

    try:
        yield
    except NotConfigured as error:
        fail(error.message, 2)
    except Refused as error:
        if error.report is not None:
            show(error.report, None, as_json=as_json)
        fail(in_words(error))
    except ClientError as error:
        fail(unanswered(error))


def in_words(error: Refused) -> str:
    """A refusal, with what to do next where the server could not know it."""
    from audiences.client import ServerError, Unauthorized

    if isinstance(error, Unauthorized):
        return f"{error} It was taken from AUDIENCES_API_KEY."
    if isinstance(error, ServerError) and error.request_id and error.request_id not in error.message:
        return f"{error} The server's log has it as request {error.request_id}."
    return error.message


def unanswered(error: ClientError) -> str:
    """A call without an answer of the service, with what to do next."""
    from audiences.client import Unreachable

    if isinstance(error, Unreachable):
        return f"{error} Is the server running there? --url or AUDIENCES_URL names another address."
    return f"{error} Is this the server's address? --url or AUDIENCES_URL names another one."


def name_of(file: Path) -> str:
    """The name that a new audience gets from its file."""
    return os.fsencode(file.stem).decode("utf-8", "replace")[:255] or "file"


def format_of(out: str) -> Format:
    """The format that the file's ending names; CSV where it names none."""
    endings: dict[str, Format] = {".ndjson": "ndjson", ".jsonl": "ndjson", ".parquet": "parquet", ".xlsx": "xlsx"}
    return endings.get(Path(out).suffix.lower(), "csv")


def say(message: str) -> None:
    """A line for the person at the terminal."""
    typer.echo(f"audiences: {message}", err=True)


def fail(message: str, code: int = 1) -> NoReturn:
    """Says what went wrong and ends."""
    say(message)
    raise typer.Exit(code)
