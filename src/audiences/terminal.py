"""What a person at a terminal sees: reports as tables and bars, or as JSON for a program."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from audiences import clock
from audiences.errors import REASON_SENTENCES
from audiences.models import Check, FileReport

if TYPE_CHECKING:
    from sqlalchemy.engine import RowMapping

    from audiences.store.accounts import Account
    from audiences.users import User

BAR_WIDTH = 24
SHOWN = 8


def show(report: Check, *, as_json: bool, rejects: Path | None) -> None:
    """Prints a report."""
    if as_json:
        show_json(in_order(report))
        return
    console = Console(highlight=False)
    for file in report.files:
        console.print(Text(understood(file), style="dim"))
    console.print()
    print_counts(console, report)
    print_bars(console, "Not accepted", reasons(report))
    print_bars(console, "Countries", report.countries)
    print_bars(console, "Line types", report.line_types)
    if rejects is not None:
        console.print(Text(f"\nEvery row that was not accepted, with its reason: {rejects}"))


def show_stored(report: Check, audience_id: str | None, *, as_json: bool) -> None:
    """Prints the report of an audience that the server has, its id first; without an id the report of a check."""
    if as_json:
        show_json({"id": audience_id, "report": in_order(report)})
        return
    console = Console(highlight=False)
    if audience_id is not None:
        console.print(Text.assemble("Audience ", (audience_id, "bold green"), "  ", report.name))
    show(report, as_json=False, rejects=None)
    if audience_id is not None and report.rejected + report.duplicates + report.suppressed:
        command = f"audiences export {audience_id} --rejects -o rejects.csv"
        console.print(
            f"\nEvery row that was not accepted, with its reason:\n{command}", soft_wrap=True
        )  # to be copied in one piece


def show_json(value: object) -> None:
    """Prints a value for a program."""
    print(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


def in_order(report: Check) -> dict[str, object]:
    """A report's fields in the order in which one reads them."""
    from audiences import reports  # loads the engine, which no command but those with a report needs

    return reports.in_order(report)


def understood(file: FileReport) -> str:
    """What was understood of a file, in a line."""
    parts = [file.format, file.encoding, file.delimiter and f"delimiter {file.delimiter!r}"]
    parts += [
        file.sheet and f"sheet {file.sheet}",
        f"header in row {file.header_row}",
        f"phones in {file.phone_column}",
    ]
    return f"{file.name}: {', '.join(part for part in parts if part)}"


def print_counts(console: Console, report: Check) -> None:
    """The counts, one above the other: all that the rows are made of."""
    table = Table.grid(padding=(0, 2))
    table.add_column(justify="right")
    table.add_column()
    for count, what, style in (
        (report.rows, "rows", "bold"),
        (report.accepted, "accepted", "green"),
        (report.duplicates, "duplicates", "yellow"),
        (report.suppressed, "suppressed", "yellow"),
        (report.rejected, "rejected", "red"),
    ):
        table.add_row(Text(f"{count:,}", style=style), Text(what))
    if report.erased:  # as the server has it, only where there are any
        table.add_row(Text(f"{report.erased:,}", style="dim"), Text("erased"))
    console.print(table)
    if report.blank_rows:
        console.print(Text(f"{report.blank_rows:,} blank rows were skipped", style="dim"))


def reasons(report: Check) -> dict[str, int]:
    """Rejected rows by reason, with the sentence that explains it; a newer server may know further reasons."""
    told = {str(reason): f"{reason}: {sentence}" for reason, sentence in REASON_SENTENCES.items()}
    return {told.get(name, name): count for name, count in report.rejected_by_reason.items()}


def print_bars(console: Console, title: str, counts: Mapping[str, int]) -> None:
    """The largest counts as bars; the longest bar is the largest count."""
    if not counts:
        return
    table = Table.grid(padding=(0, 2))
    table.add_column(justify="right")
    largest = max(counts.values())
    for name, count in list(counts.items())[:SHOWN]:
        bar = "█" * max(1, round(BAR_WIDTH * count / largest))
        table.add_row(Text(f"{count:,}"), Text(bar.ljust(BAR_WIDTH), style="cyan"), Text(name))
    console.print()
    console.print(Text(title, style="bold"))
    console.print(table)
    if len(counts) > SHOWN:
        rest = sum(list(counts.values())[SHOWN:])
        console.print(Text(f"and {rest:,} in {len(counts) - SHOWN} more", style="dim"))


def show_keys(keys: Sequence[RowMapping]) -> None:
    """Prints all keys."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("ID", "NAME", "ACCOUNT", "SCOPES", "CREATED", "EXPIRES", "LAST USED", "STATE"):
        table.add_column(column, overflow="fold")
    for key in keys:
        times = [moment(key[name]) for name in ("created_time", "expires_time", "last_used_time")]
        table.add_row(
            *(Text(cell) for cell in (key["id"], key["name"], key["account"], key["scopes"], *times, state(key)))
        )
    Console(highlight=False).print(table)


def moment(value: int | None) -> str:
    """A time, or never."""
    return "never" if value is None else clock.in_seconds(value)


def state(key: RowMapping) -> str:
    """Whether a key works, and if not, why."""
    if key["revoked_time"] is not None:
        return "revoked"
    if key["expires_time"] is not None and key["expires_time"] <= clock.now():
        return "expired"
    return "live" if key["rotated_to"] is None else "live, rotated"


def show_users(users: Sequence[User]) -> None:
    """Prints all users."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("EMAIL", "ACCOUNT", "ROLE", "CODES", "CREATED", "LAST SIGN-IN", "STATE"):
        table.add_column(column, overflow="fold")
    for user in users:
        times = [moment(time) for time in (user.created_time, user.last_sign_in_time)]
        codes = "locked" if user.is_locked else "on" if user.has_totp else "off"
        cells = (user.email, user.account_name, user.role, codes, *times, user_state(user))
        table.add_row(*(Text(cell) for cell in cells))
    Console(highlight=False).print(table)


def user_state(user: User) -> str:
    """Whether a user can sign in, and if not, why."""
    if user.disabled_time is not None:
        return "disabled"
    return "live" if user.has_password else "no password yet"


def show_accounts(accounts: Sequence[Account]) -> None:
    """Prints all accounts."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("NAME")
    table.add_column("CREATED")
    table.add_column("AUDIENCES KEPT")
    for account in accounts:
        days = account.retention_days
        kept = "without end" if days is None else f"{days:,} days"
        table.add_row(Text(account.name), Text(clock.in_seconds(account.created_time)), Text(kept))
    Console(highlight=False).print(table)


def show_uploads(uploads: Sequence[RowMapping]) -> None:
    """Prints uploads that are kept as they were sent."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("ID", "AUDIENCE", "CREATED", "KEPT UNTIL", "BYTES", "SHA-256"):
        table.add_column(title)
    for row in uploads:
        times = (clock.in_seconds(row["created_time"]), clock.in_seconds(row["expires_time"]))
        texts = (str(row["id"]), str(row["audience_id"]), *times, f"{row['stored_bytes']:,}", row["sha256"].hex()[:16])
        table.add_row(*map(Text, texts))
    Console(highlight=False).print(table)


def show_counts(counts: Mapping[str, int]) -> None:
    """Prints counts, one above the other."""
    table = Table.grid(padding=(0, 2))
    table.add_column(justify="right")
    for what, count in counts.items():
        table.add_row(Text(f"{count:,}"), Text(what.replace("_", " ")))
    Console(highlight=False).print(table)
