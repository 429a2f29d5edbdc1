"""What is known of stored files that were read before, so that the next page of them takes less time."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial

from audiences import row_groups, suppressed
from audiences.recent import Recent
from audiences.room import Room
from audiences.row_groups import Groups
from audiences.suppressed import Numbers

# Bytes, before compression, of the row groups from which Polars reads pages at a time. Of a group it holds what is
# compressed, a fifth as a rule, and of each column a little; but all of it where cells are large. It knows no bound of
# its memory; the engine has one, and reads what finds no room here.
PAGES_BYTES = 128 * 1024**2


@dataclass(frozen=True)
class Known:
    """The row groups of audiences' files, by their path; the numbers on do-not-contact lists, by the list's name.

    `room` is for reading with their help.
    """

    groups: Recent[Groups] = field(default_factory=partial(Recent, row_groups.MOST_KEPT))
    numbers: Recent[Numbers] = field(default_factory=partial(Recent, suppressed.MOST_KEPT))
    room: Room = field(default_factory=partial(Room, PAGES_BYTES))
