"""How far a transfer is, on standard error and only where that is a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console, Group
from rich.live import Live
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.table import Column

# Columns of a terminal below which the speed and the time left have no room.
NARROW = 72


class Transfer:
    """A bar for bytes that go or come, and a line with a spinner for what one waits for meanwhile or afterwards.

    `afterwards` is what the server does once it has everything, or None for a transfer that ends with its last byte.
    """

    def __init__(self, console: Console, what: str, afterwards: str | None) -> None:
        told = (TransferSpeedColumn(), TimeRemainingColumn()) if console.width >= NARROW else ()
        name = TextColumn("{task.description}", markup=False, table_column=Column(no_wrap=True, max_width=28))
        self.bytes = Progress(name, BarColumn(bar_width=None), DownloadColumn(), *told, expand=True, console=console)
        line = TextColumn("{task.description}", markup=False)
        self.lines = Progress(SpinnerColumn(), line, TimeElapsedColumn(), console=console)
        self.bar = self.bytes.add_task(what, total=None, visible=False)
        self.line = self.lines.add_task("waiting for the server…")
        self.afterwards = afterwards

    def moved(self, count: int, total: int | None) -> None:
        """So many bytes so far; fewer than before where it began again."""
        if count < self.bytes.tasks[0].completed:
            self.bytes.reset(self.bar)
        if self.lines.tasks[0].visible:
            self.lines.update(self.line, visible=False)
        self.bytes.update(self.bar, completed=count, total=total, visible=True)
        if self.afterwards is not None and count == total:
            self.wait_for(self.afterwards)

    def waiting(self, error: Exception, seconds: float) -> None:
        """Something went wrong that may pass, and is tried again after so many seconds."""
        self.wait_for(f"Trying again in {seconds:.0f} s: {error}")

    def wait_for(self, what: str) -> None:
        """Shows what there is to wait for, and for how long one has."""
        self.lines.reset(self.line, description=what, visible=True)


@contextmanager
def transfer(what: str, afterwards: str | None = None, *, quiet: bool = False) -> Iterator[Transfer]:
    """Shows a transfer while the block runs, and nothing of it afterwards; `quiet` shows nothing at all."""
    console = Console(stderr=True)
    shown = Transfer(console, what, afterwards)
    if quiet or not console.is_terminal:
        yield shown
        return
    with Live(Group(shown.bytes, shown.lines), console=console, transient=True, redirect_stdout=False):
        yield shown
