"""The command line: a thin skin over the same modules that the server uses.

Results go to standard output, everything else to standard error. Exit codes: 0 done, 1 refused, not found or
out of reach, 2 wrong use, 130 interrupted.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from audiences import (
    __version__,
    account_commands,
    addresses,
    operator_commands,
    options,
    remote,
    upload_commands,
    user_commands,
)
from audiences.errors import CannotOpen, Refusal
from audiences.options import Account, Data, fail, read, whole_number
from audiences.settings import Settings, SettingsError

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from audiences.keys import Commit, Keys

app = typer.Typer(
    name="audiences",
    help="Turns a spreadsheet of customers into an audience that a campaign can run on.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
keys_app = typer.Typer(help="API keys: create, list, rotate, revoke.", no_args_is_help=True)
app.add_typer(keys_app, name="keys")
app.add_typer(account_commands.app, name="accounts")
app.add_typer(upload_commands.app, name="uploads")
user_commands.register(app)


def main() -> None:
    """The entry point: what goes wrong for a known reason is told in one line."""
    try:
        app()
    except (SettingsError, Refusal, CannotOpen) as error:
        fail(str(error))
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        fail(f"{place}{error.strerror or error}.")


def version(value: bool) -> None:  # noqa: FBT001 - typer's callback
    """Prints the version and ends."""
    if value:
        print(__version__)
        raise typer.Exit


@app.callback()
def common(
    _version: Annotated[bool, typer.Option("--version", callback=version, is_eager=True, help="Show it.")] = False,
) -> None:
    """Options before any command."""


@app.command()
def serve(
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port; 0 takes any that is free.")] = 8000,
    data: Data = None,
) -> None:
    """Serve the API and the console on the embedded stores, until interrupted."""
    import gc

    # Of what is loaded now nothing is rubbish; to look for it takes a sixth of a start (`server.settle` goes on).
    gc.disable()
    try:
        serve_with(read(data), host, port)
    finally:
        gc.enable()
        gc.unfreeze()  # for what the libraries do at the end of a process, which counts what is left


def serve_with(chosen: Settings, host: str, port: int) -> None:
    """Serves with these settings, until interrupted."""
    import os

    from audiences import exposure, server, watch

    watch.configure_logging()
    for whom, advice in exposure.unencrypted(chosen, host, os.environ):
        watch.warn("unencrypted", with_whom=whom, advice=advice)

    def announce(address: str, token: str | None) -> None:
        watch.log("serving", address=address, docs=f"{address}/docs")
        if token is not None:
            # For a person, and not a line of the log, which holds no secrets. Whoever keeps standard error keeps it,
            # too; so it lets in once, for a day, and only until there is an admin.
            link = addresses.welcome(addresses.of_service(chosen, address), token)
            print(f"Set the first admin's password, once, within 24 hours: {link}", file=sys.stderr, flush=True)

    server.serve(chosen, host, port, announce)


@app.command()
def check(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, readable=True, help="A CSV or Excel file.")],
    rejects: Annotated[Optional[Path], typer.Option(help="Write every rejected row here, as CSV.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
    phone_column: Annotated[str, typer.Option(help="The column of phone numbers.")] = "phone1",
    default_region: Annotated[Optional[str], typer.Option(help="The region of national numbers, such as GB.")] = None,
    sheet: Annotated[Optional[str], typer.Option(help="The workbook's sheet.")] = None,
) -> None:
    """Check a file as an upload would be, with no server; exit 1 if no row would be accepted."""
    from audiences import judging, terminal
    from audiences.checking import checked

    fields = {"name": file.stem[:255] or "file", "phone_column": phone_column}
    fields |= {"default_region": default_region or "", "sheet": sheet or ""}
    with checked(file, judging.instructions(fields), read(None)) as found:
        if rejects is not None:
            found.write_rejects(rejects)
        terminal.show(found.report, as_json=as_json, rejects=rejects)
    raise typer.Exit(0 if found.report.accepted else 1)


remote.register(app)  # here, so that the help lists them behind `check`
operator_commands.register(app)


@keys_app.command("create")
def create_key(
    name: Annotated[str, typer.Argument(help="What the key is for.")],
    account: Account = "default",
    scope: Annotated[Optional[list[str]], typer.Option(help="A scope; may be repeated.")] = None,
    expires: Annotated[str, typer.Option(help="Days until it ends, or never.")] = "365",
    data: Data = None,
) -> None:
    """Create a key and print it, alone, on standard output. It is not shown again."""
    from audiences import keys

    scopes = scope or list(keys.DEFAULT_SCOPES)
    unknown = [one for one in scopes if one not in keys.SCOPES]
    if unknown:
        fail(f"There is no scope {unknown[0]}. Scopes are {', '.join(keys.SCOPES)}.", 2)
    days = None if expires == "never" else whole_number("--expires", expires, 1, 36500)
    with opened_keys(data) as (store, account_id):
        _, text = store.create(account_id(account), name, scopes=scopes, days=days, commit=noting("create_key"))
    print(text)


@keys_app.command("list")
def list_keys(data: Data = None) -> None:
    """List all keys: what they are for, and when they end and were last used."""
    from audiences import terminal

    with opened_keys(data) as (store, _):
        terminal.show_keys(store.every())


@keys_app.command("rotate")
def rotate_key(
    key_id: Annotated[str, typer.Argument(metavar="ID", help="The key's id, from `keys list`.")],
    grace: Annotated[str, typer.Option(help="Days that the old key goes on working, 0 to 30.")] = "7",
    data: Data = None,
) -> None:
    """Issue a successor and print it; the old key works on for the grace period."""
    from audiences import keys

    days = whole_number("--grace", grace, 0, keys.MAX_GRACE_DAYS)
    with opened_keys(data) as (store, _):
        try:
            _, text = store.rotate(key_id, grace_days=days, commit=noting("rotate_key"))
        except keys.UnknownKey:
            fail(f"There is no live key {key_id}. `audiences keys list` shows them.")
    print(text)


@keys_app.command("revoke")
def revoke_key(
    key_id: Annotated[str, typer.Argument(metavar="ID", help="The key's id, from `keys list`.")], data: Data = None
) -> None:
    """End a key at once."""
    from audiences import keys

    with opened_keys(data) as (store, _):
        try:
            store.revoke(key_id, commit=noting("revoke_key"))
        except keys.UnknownKey:
            fail(f"There is no key {key_id}. `audiences keys list` shows them.")


@contextmanager
def opened_keys(data: Path | None) -> Iterator[tuple[Keys, Callable[[str], int]]]:
    """The keys of the data folder, and how to find an account's id by its name."""
    from audiences import clock, parts
    from audiences.keys import Keys

    with parts.opened_catalog(read(data)) as database:
        yield Keys(database, clock.now), partial(options.account_id, database)


def noting(action: str) -> Commit:
    """What adds the record of a key's change to its transaction: whoever has the shell is the operator."""
    from audiences import clock
    from audiences.audit import Audit
    from audiences.keys import required
    from audiences.user import OPERATOR

    def commit(connection: Connection, key_id: str) -> None:
        account = required(connection, key_id, None)["account_id"]
        Audit(clock.now).note(connection, account, OPERATOR, action, subject=key_id)

    return commit


if __name__ == "__main__":
    main()
