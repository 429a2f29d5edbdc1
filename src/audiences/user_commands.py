"""The commands on people who sign in to the console: what its first admin needs, and what helps when nobody gets in.

They work on the catalog itself, beside a server or without one. A link that they make is printed alone, on standard
output; whoever has it sets the user's password.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from audiences import addresses
from audiences.options import Account, Data, account_id, fail, read

if TYPE_CHECKING:
    from audiences.store.database import Database
    from audiences.users import User, Users

users_app = typer.Typer(
    help="People who sign in to the console: create, list, link, reset codes, disable, enable.", no_args_is_help=True
)

Email = Annotated[str, typer.Argument(metavar="EMAIL", help="The user's email address.")]
Url = Annotated[
    str | None,
    typer.Option(
        "--url",
        help="The server's address in the link.",
        show_default="AUDIENCES_PUBLIC_URL, AUDIENCES_URL, or http://127.0.0.1:8000",
    ),
]


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.add_typer(users_app, name="users")


@users_app.command("create")
def create_user(
    email: Email,
    *,
    account: Account = "default",
    role: Annotated[
        Literal["admin", "member"] | None,
        typer.Option(help="What they may do.", show_default="admin for an account's first user, then member"),
    ] = None,
    url: Url = None,
    data: Data = None,
) -> None:
    """Create a user and print the link, alone, that sets their password: once, within 24 hours."""
    with opened_users(data) as (users, database):
        owner = account_id(database, account)
        chosen = role or ("member" if users.every(owner) else "admin")
        _, token = users.create(owner, email, chosen, "operator")
    typer.echo(addresses.welcome(address(url), token))


@users_app.command("list")
def list_users(*, data: Data = None) -> None:
    """List all users: their role, and whether and when they signed in."""
    from audiences import terminal

    with opened_users(data) as (users, _):
        terminal.show_users(users.every(None))


@users_app.command("link")
def link_user(
    email: Email,
    *,
    reset_totp: Annotated[
        bool, typer.Option("--reset-totp", help="Ask for no code any more: the device was lost.")
    ] = False,
    url: Url = None,
    data: Data = None,
) -> None:
    """Print a new link, alone, that sets the user's password anew; older links end."""
    with opened_users(data) as (users, _):
        user = named(users, email)
        token = users.link(user.id, "operator")
        if reset_totp:
            users.reset_totp(user.id, "operator")
    typer.echo(addresses.welcome(address(url), token))


@users_app.command("reset-codes")
def reset_codes(email: Email, *, data: Data = None) -> None:
    """Ask for no code any more, of a user who lost the device or entered too many wrong ones; their sessions end."""
    with opened_users(data) as (users, _):
        users.reset_totp(named(users, email).id, "operator")


@users_app.command("disable")
def disable_user(email: Email, *, data: Data = None) -> None:
    """Keep a user out, at once: their sessions and links end."""
    with opened_users(data) as (users, _):
        users.disable(named(users, email).id, "operator")


@users_app.command("enable")
def enable_user(email: Email, *, data: Data = None) -> None:
    """Let a disabled user in again, with the password of before."""
    with opened_users(data) as (users, _):
        users.enable(named(users, email).id, "operator")


@contextmanager
def opened_users(data: Data) -> Iterator[tuple[Users, Database]]:
    """The users of the data folder; what is refused ends the command with its sentence."""
    from audiences import clock, parts
    from audiences.users import InvalidEmail, UserRefusal, Users

    with parts.opened_catalog(read(data)) as database:
        try:
            yield Users(database, clock.now), database
        except (InvalidEmail, UserRefusal) as refused:
            fail(str(refused))


def named(users: Users, email: str) -> User:
    """The user of that address; without one the command ends."""
    from audiences.users import UnknownUser

    try:
        return users.named(email)
    except UnknownUser:
        fail("There is no user with this email address. `audiences users list` shows them.")


def address(url: str | None) -> str:
    """Where people reach the server."""
    otherwise = os.environ.get("AUDIENCES_URL") or "http://127.0.0.1:8000"
    return url or addresses.of_service(read(None), otherwise)
