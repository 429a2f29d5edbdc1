"""What commands share: their options, the settings behind them, and how they end when something is wrong."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn, Optional

import typer

from audiences import settings
from audiences.settings import Settings

if TYPE_CHECKING:
    from audiences.store.database import Database

Data = Annotated[Optional[Path], typer.Option("--data", help="The data folder. [default: AUDIENCES_DATA]")]  # noqa: UP045
Account = Annotated[str, typer.Option("--account", help="The account's name.")]


def fail(message: str, code: int = 1) -> NoReturn:
    """Says what went wrong and ends."""
    print(f"audiences: {message}", file=sys.stderr)  # noqa: T201 - the line for a person
    raise SystemExit(code)


def read(data: Path | None) -> Settings:
    """The settings of the environment, with what the command line says of the data folder."""
    found = settings.read_settings(os.environ)
    return found if data is None else replace(found, data=data)


def account_id(database: Database, name: str) -> int:
    """The id of the account of that name; without one the command ends."""
    from audiences.store import accounts

    with database.read() as connection:
        found = accounts.find(connection, name)
    if found is None:
        fail(f"There is no account {name}. `audiences accounts list` shows them.")
    return found


def whole_number(option: str, text: str, least: int, most: int) -> int:
    """The number in an option's text."""
    if not (text.isascii() and text.isdigit() and least <= int(text) <= most):
        fail(f"{option} takes a whole number of days from {least} to {most}.", 2)
    return int(text)
