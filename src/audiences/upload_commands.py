"""The commands on uploads that are kept as they were sent (`AUDIENCES_KEEP_UPLOADS_DAYS`): list, export."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from audiences.options import Account, Data, account_id, fail, read

app = typer.Typer(help="Uploads that are kept as they were sent: list, export.", no_args_is_help=True)


@app.command("list")
def list_uploads(account: Account = "default", data: Data = None) -> None:
    """List the kept uploads of an account: for which audience, how large, and until when."""
    from audiences import clock, parts, terminal
    from audiences.store import uploads

    with parts.opened_catalog(read(data)) as database:
        owner = account_id(database, account)
        with database.read() as connection:
            terminal.show_uploads(uploads.every(connection, owner, clock.now()))


@app.command("export")
def export_upload(
    upload_id: Annotated[int, typer.Argument(metavar="ID", help="The upload's id, from `uploads list`.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Where to write it; nothing may be there.")],
    data: Data = None,
) -> None:
    """Write a kept upload, byte for byte as it was sent."""
    import shutil
    import tempfile

    from audiences import beside, clock
    from audiences.store import uploads

    with (
        tempfile.TemporaryDirectory() as scratch,
        beside.opened_stores(read(data), Path(scratch)) as (database, files),
    ):
        with database.read() as connection:
            row = uploads.find(connection, upload_id, clock.now())
        if row is None:
            fail(f"There is no kept upload {upload_id}. `audiences uploads list` shows them.")
        local = files.local(row["object"])
        with local.open("rb") as source, output.open("xb") as target:
            shutil.copyfileobj(source, target)
