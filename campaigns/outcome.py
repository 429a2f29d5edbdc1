"""What a campaign tried and what it found: one shape for the screen, the JSON and the documentation."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

from rich.console import Console
from rich.table import Table

FOLDER = Path(__file__).parents[1] / ".cache" / "campaigns"

Figure = int | float | str


@dataclass
class Outcome:
    """`figures` by what they count, with their unit in the name; `losses`, a sentence each, are what must not be."""

    campaign: str
    seed: int
    figures: dict[str, Figure] = field(default_factory=dict)
    losses: list[str] = field(default_factory=list)
    begun: float = field(default_factory=time.time)
    seconds: float = 0.0

    def count(self, what: str, by: int = 1) -> None:
        """Adds to a figure."""
        self.figures[what] = int(self.figures.get(what, 0)) + by

    def ended(self) -> int:
        """Shows and keeps it; the exit code."""
        self.seconds = round(time.time() - self.begun, 1)
        table = Table(title=f"{self.campaign}, seed {self.seed}: {self.seconds:,.0f} s")
        table.add_column("figure")
        table.add_column("value", justify="right")
        for what, value in self.figures.items():
            table.add_row(what, f"{value:,}" if isinstance(value, int) else str(value))
        table.add_row("losses", f"{len(self.losses):,}")
        console = Console()
        console.print(table)
        for loss in self.losses:
            console.print(f"LOSS: {loss}", highlight=False)
        FOLDER.mkdir(parents=True, exist_ok=True)
        (FOLDER / f"{self.campaign}.json").write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")
        return int(bool(self.losses))
