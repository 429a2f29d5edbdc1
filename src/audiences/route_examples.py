"""What answers look like: the examples of the API's description."""

from __future__ import annotations

from typing import Any

COUNTS = {"rows": 4, "accepted": 2, "duplicates": 1, "suppressed": 0, "rejected": 1}
REASONS = {"rejected_by_reason": {"not_a_number": 1}, "blank_rows": 0}
FACTS = {"bytes": 96, "sha256": "5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef", "format": "csv"}
READ_AS = {"encoding": "utf-8", "delimiter": ",", "sheet": None, "header_row": 1, "phone_column": "phone1"}
CONTACT = {
    "file": 1,
    "row": 2,
    "phone1": "442079832100",
    "country": "GB",
    "line_type": "fixed_line",
    "time_zones": ["Europe/London"],
    "columns": {"name": "Ann"},
}
REJECT = {"file": 1, "row": 5, "reason": "not_a_number", "columns": {"phone1": "call me", "name": "Cy"}}
CHECKED: dict[str, Any] = {
    "name": "NE_USA-above50",
    "type": "Static",
    "user_count": 2,
    **COUNTS,
    **REASONS,
    "columns": ["phone1", "name"],
    "countries": {"GB": 2},
    "line_types": {"fixed_line": 1, "mobile": 1},
    "files": [{"name": "customers.csv", **FACTS, **READ_AS, **COUNTS, **REASONS}],
}
TIMES = {"created_time": "2025-10-01T09:10:00Z", "updated_time": "2025-10-01T09:10:00Z"}
LISTED = {
    "id": "31234000",
    "name": "NE_USA-above50",
    "created_time": "2025-10-01T09:10:00Z",
    "type": "Static",
    "user_count": 1542,
}

HELD_AT = {"audience": "312345", "name": "NE_USA-above50", "state": "current", "file": 1}
HELD: dict[str, Any] = {
    **{name: CONTACT[name] for name in ("country", "line_type", "time_zones")},
    "phone": "442079832100",
    "suppressed": False,
    "suppressed_time": None,
    "contacts": [{**HELD_AT, "row": 2, "columns": {"name": "Ann"}}],
    "rejects": [{**HELD_AT, "row": 4, "reason": "duplicate", "columns": {"phone1": "0044 20 7983 2100", "name": "A"}}],
    "cells": [{**HELD_AT, "row": 7, "column": "phone2", "text": "442079832100"}],
    "more": False,
    "not_searched": [],
}
ERASED = {"audiences": 1, "contacts": 1, "rejects": 1, "cells": 1, "suppressed": False}

LISTED_NUMBER = {"phone": "442079832100", "added_time": "2025-10-01T09:10:00Z"}
LIST_REJECTS = {
    "rejected": 1,
    "rejected_by_reason": {"too_short": 1},
    "sample_rejects": [{"row": 3, "reason": "too_short"}],
}
