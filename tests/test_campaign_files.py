"""The short version of the campaign of hostile files: a few small ones, against limits that are as small."""

from __future__ import annotations

import gzip

from campaigns.files import attack_all
from campaigns.files_quine import quine
from campaigns.files_shapes import MIB, Sizes
from campaigns.outcome import Outcome

FEW = (
    *(
        "gzip bomb of zeros",
        "ZIP bomb of rows",
        "overlapping members",
        "a list of members",
        "negative sizes",
        "2.63 by",
        "in itself",
    ),
    *("member named b''", "an endless line in gzip", "an unclosed quote$", ": 100,000 columns", "empty lines: CRLF"),
    *("CP1252 behind UTF-8", "an entity of a file in shared", "xls damaged, number 0"),
)


def test_hostile_files_are_answered_within_bounds_and_leave_nothing() -> None:
    outcome = Outcome("files", seed=1)
    small = Sizes(
        line_bytes=2 * MIB,
        text_bytes=MIB,
        bomb_bytes=20 * MIB,
        part_bytes=MIB,
        rows=20_000,
        entries=100_001,
        flips=1,
    )
    attack_all(outcome, small, "|".join(FEW), {"AUDIENCES_MAX_UPLOAD_BYTES": str(16 * MIB)})
    assert outcome.losses == []
    tried = outcome.figures
    counts = [tried[f"{family}: files"] for family in ("archives", "text", "workbooks", "damaged")]
    assert counts == [10, 5, 1, 1]


def test_a_gzip_file_in_itself_is_what_it_inflates_to() -> None:
    assert gzip.decompress(quine()) == quine()
