"""What is known of stored files that were read before, so that the next page of them takes less time."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial

from audiences import row_groups, suppressed
from audiences.recent import Recent
from audiences.row_groups import Groups
from audiences.suppressed import Numbers


@dataclass(frozen=True)
class Known:
    """The row groups of audiences' files, by their path; the numbers on do-not-contact lists, by the list's name."""

    groups: Recent[Groups] = field(default_factory=partial(Recent, row_groups.MOST_KEPT))
    numbers: Recent[Numbers] = field(default_factory=partial(Recent, suppressed.MOST_KEPT))
