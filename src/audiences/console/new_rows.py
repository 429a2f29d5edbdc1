"""The rows that the check of a draft shows: the first contacts, and of each reason the first that become none."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from duckdb import DuckDBPyConnection

from audiences import pages
from audiences.errors import REASON_SENTENCES, Reason
from audiences.judging import Judged
from audiences.layout import Stored
from audiences.models import Check
from audiences.pages import Filters

# Contacts that are shown, examples of each reason, columns of one's own, and characters of a cell: enough to see
# whether the file was understood, and a page that is light whatever the file holds.
CONTACTS, EXAMPLES, COLUMNS, CHARACTERS = 15, 3, 30, 100


@dataclass(frozen=True)
class Told:
    """Rows that become no contacts for one reason: how many, what that means, and the first few (row, cell, note)."""

    reason: str
    count: int
    sentence: str
    examples: list[tuple[int, str, str]]


@dataclass(frozen=True)
class First:
    """The first contacts, each with its `cells` of `columns`; `hidden` further columns are left out."""

    contacts: list[dict[str, Any]]
    columns: list[str]
    hidden: int


def contacts(connection: DuckDBPyConnection, judged: Judged, report: Check) -> First:
    """The first contacts of a judged file, as they will be stored."""
    kept = stored(judged, judged.kept.contacts, report.accepted, report.rows)
    found = json.loads(pages.contacts(connection, kept, Filters(), CONTACTS, (0, 0)).items)
    own = [name for name in report.columns if name != report.files[0].phone_column]
    return First([shortened(contact, own[:COLUMNS]) for contact in found], own[:COLUMNS], len(own[COLUMNS:]))


def told(connection: DuckDBPyConnection, judged: Judged, report: Check) -> list[Told]:
    """Why rows of a judged file become no contacts, with examples."""
    rejects = stored(judged, judged.kept.rejects, report.rows - report.accepted, report.rows)
    found = []
    for reason, count in reasons(report).items():
        filters = Filters(reason=reason, of_rejects=True)
        items = json.loads(pages.rejects(connection, rejects, filters, EXAMPLES, (0, 0)).items)
        examples = [example(item, report.files[0].phone_column) for item in items]
        found.append(Told(reason, count, REASON_SENTENCES[Reason(reason)], examples))
    return found


def stored(judged: Judged, path: Path | None, count: int, rows: int) -> list[Stored]:
    """What was written of the file, as a list of at most one."""
    return [] if path is None else [Stored.at(judged.file, path, judged.layout, count, rows)]


def reasons(report: Check) -> dict[str, int]:
    """How many rows become no contacts for each reason: those that were rejected first, most first."""
    aside = {str(Reason.DUPLICATE): report.duplicates, str(Reason.SUPPRESSED): report.suppressed}
    rejected = dict(sorted(report.rejected_by_reason.items(), key=lambda pair: -pair[1]))
    return {reason: count for reason, count in (rejected | aside).items() if count}


def example(item: Mapping[str, Any], phone_column: str) -> tuple[int, str, str]:
    """A row that becomes no contact: its number, what stood there, and the row that was there first."""
    text = item["raw"] if "raw" in item else item["columns"].get(phone_column, "")
    note = f"same as row {item['first_row']:,}" if "first_row" in item else ""
    return item["row"], short(text), note


def shortened(contact: dict[str, Any], own: list[str]) -> dict[str, Any]:
    """A contact with its first columns alone, and their cells cut."""
    return {**contact, "cells": [short(contact["columns"].get(name, "")) for name in own]}


def short(text: str) -> str:
    """A cell, cut where it is long."""
    return text if len(text) <= CHARACTERS else text[: CHARACTERS - 1] + "…"
