"""The commands of whoever operates an installation: the catalog's schema, the sweep, backups and their restoration.

All but `restore` work beside servers.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from audiences.options import Data, fail, read

if TYPE_CHECKING:
    from audiences.backup.restore import Restored

# A restore brings back who was erased after the backup, and nobody but the operator can know.
SINCE = (
    "Whoever was erased, or added to a do-not-contact list, since this state was made is as they were then. "
    "Before callers are let in, erase and add them again: docs/people.md, Backups."
)

AsJson = Annotated[bool, typer.Option("--json", help="Print the outcome as one line of JSON.")]
Folder = Annotated[Path, typer.Argument(metavar="FOLDER", file_okay=False, help="The backup's folder.")]


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    for command in (migrate, sweep, backup, restore):
        app.command()(command)


def migrate(*, data: Data = None) -> None:
    """Bring the catalog's schema up to date, and tell from what to what."""
    from audiences import parts
    from audiences.store.database import HEAD

    with parts.opened_database(read(data)) as database:
        before = database.migrate()
    if before == HEAD:
        typer.echo(f"The catalog has schema {HEAD} already.")
    else:
        typer.echo(f"The catalog had {f'schema {before}' if before else 'no schema'}, and has {HEAD} now.")


def sweep(*, as_json: AsJson = False, data: Data = None) -> None:
    """Remove what is over now, as a server does every ten minutes, and tell how much."""
    import tempfile

    from audiences import beside, clock, parts, terminal
    from audiences.sweep import Sweeper
    from audiences.watch import Metrics

    with (
        tempfile.TemporaryDirectory() as scratch,
        beside.opened_stores(read(data), Path(scratch)) as (database, files),
    ):
        done = Sweeper(files, database, clock.now, Metrics(), parts.identity_of(database)).sweep()
    del done["unused_copies"]  # a server's own; this command has none
    if as_json:
        show_line(done)
    elif done:
        terminal.show_counts(done)
    else:
        typer.echo("A server sweeps at this moment, so there is nothing to do.")


def backup(
    folder: Folder,
    *,
    keep: Annotated[int, typer.Option(min=1, help="How many states of the catalog to keep, the newest ones.")] = 1,
    as_json: AsJson = False,
    data: Data = None,
) -> None:
    """Back up everything that is stored, beside a server or without one; a second run copies only what is new."""
    from audiences.backup.make import make
    from audiences.progress import transfer

    with transfer("backup") as shown:
        shown.wait_for("reading the catalog…")
        made = make(read(data), folder, keep, shown.moved)
    if as_json:
        show_line(made)
    else:
        typer.echo(
            f"{made.catalog}: {made.rows:,} rows and {made.files:,} files ({made.bytes:,} bytes), "
            f"of which {made.copied_files:,} files ({made.copied_bytes:,} bytes) are new."
        )
    if made.missing:
        fail(
            f"The backup is made, but the file store lacks {len(made.missing):,} files that the catalog refers to, "
            f"{made.missing[0]} the first. The manifest names all of them; an older backup may have them."
        )


def restore(
    folder: Folder,
    *,
    catalog: Annotated[
        str | None, typer.Option(metavar="NAME", help="Which state of the catalog.", show_default="the newest")
    ] = None,
    check: Annotated[bool, typer.Option("--check", help="Only see whether the backup is whole.")] = False,
    as_json: AsJson = False,
    data: Data = None,
) -> None:
    """Restore a backup into an empty data folder, or an empty database and bucket, while no server runs there."""
    from audiences.backup import restore as restoring
    from audiences.progress import transfer

    with transfer("backup") as shown:
        shown.wait_for("reading the backup…")
        if check:
            done = restoring.check(folder, catalog, shown.moved)
        else:
            done = restoring.restore(read(data), folder, catalog, shown.moved)
    if as_json:
        show_line(done)
    else:
        typer.echo(told(done, "is whole" if check else "is restored"))
    if not check:
        typer.echo(SINCE, err=True)


def told(done: Restored, what: str) -> str:
    """The outcome in a sentence."""
    lost = f" {len(done.missing):,} files were missing when it was made." if done.missing else ""
    return f"{done.catalog} {what}: {done.rows:,} rows and {done.files:,} files ({done.bytes:,} bytes).{lost}"


def show_line(value: object) -> None:
    """Prints a value for a program, on one line."""
    import msgspec

    typer.echo(msgspec.json.encode(value).decode())
