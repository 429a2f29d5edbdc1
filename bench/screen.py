"""The tables on the screen."""

from __future__ import annotations

from typing import Any

import rich.table
from rich.console import Console

from bench import tables

# Columns of the screen that the tables need.
WIDTH = 170


def show(result: dict[str, Any]) -> None:
    """Prints the tables, after what it was measured on."""
    # A pipe has no width of its own; figures that are cut off help nobody.
    console = Console(width=max(Console().width, WIDTH))
    console.print(tables.machine_sentence(result), highlight=False)
    for title, make in (
        ("Measured", tables.measured),
        ("Goals", tables.goals),
        ("Other figures", tables.others),
        ("Steps of an upload", tables.profile),
    ):
        table = make(result)
        if table.rows and len(table.headings) > 1:
            console.print(drawn(title, table))


def drawn(title: str, table: tables.Table) -> rich.table.Table:
    """A table with lines between its columns."""
    made = rich.table.Table(*table.headings, title=title, title_justify="left")
    for column, heading in zip(made.columns, table.headings, strict=True):
        column.justify = "right" if heading in table.numeric else "left"
    for row in table.rows:
        made.add_row(*row)
    return made
