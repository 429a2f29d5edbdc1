"""The commands on accounts: create, list, and how long their audiences are kept."""

from __future__ import annotations

from typing import Annotated

import typer

from audiences.options import Data, account_id, fail, read, whole_number

app = typer.Typer(help="Accounts: create, list, retention.", no_args_is_help=True)

NEVER = "never"
LONGEST_DAYS = 36500

Days = Annotated[str, typer.Argument(metavar="DAYS|never", help="Days after the last upload, or never.")]


def days_of(option: str, text: str) -> int | None:
    """The days that a text says; None for never."""
    return None if text == NEVER else whole_number(option, text, 1, LONGEST_DAYS)


@app.command("create")
def create_account(
    name: Annotated[str, typer.Argument(help="The account's name.")],
    retention: Annotated[str, typer.Option(help="Days after its last upload that an audience is kept.")] = NEVER,
    data: Data = None,
) -> None:
    """Create an account."""
    from sqlalchemy.exc import IntegrityError

    from audiences import clock, parts
    from audiences import retention as keeping
    from audiences.names import check_name
    from audiences.store import accounts

    days = days_of("--retention", retention)
    with parts.opened_catalog(read(data)) as database:
        try:
            with database.write() as connection:
                made = accounts.add(connection, check_name(name), clock.now())
                if days is not None:
                    keeping.set_days(connection, made, days, clock.now)
        except IntegrityError:
            fail(f"There is an account {name} already.")


@app.command("list")
def list_accounts(data: Data = None) -> None:
    """List all accounts, and how long their audiences are kept."""
    from audiences import parts, terminal
    from audiences.store import accounts

    with parts.opened_catalog(read(data)) as database, database.read() as connection:
        terminal.show_accounts(accounts.every(connection))


@app.command("retention")
def set_retention(
    name: Annotated[str, typer.Argument(help="The account's name.")], days: Days, data: Data = None
) -> None:
    """Have an account's audiences deleted so many days after their last upload, or never."""
    from audiences import clock, parts, retention

    kept = days_of("DAYS", days)
    with parts.opened_catalog(read(data)) as database:
        account = account_id(database, name)
        with database.write(account) as connection:
            over = retention.set_days(connection, account, kept, clock.now)
    if kept is None:
        typer.echo(f"Audiences of {name} are kept until somebody deletes them.")
    else:
        typer.echo(f"Audiences of {name} are deleted {kept:,} days after their last upload; {over:,} are due now.")
