"""Pages of contacts: how long one takes at any depth of a large audience, with and without a do-not-contact list."""

from __future__ import annotations

import base64
import csv
import json
import random
from collections.abc import Mapping
from dataclasses import dataclass, field

from bench import customers, service
from bench.cells import MILLION, Plan, settle
from bench.client import Client, Page, WrongAnswer
from bench.customers import File
from bench.record import Record, Target, quantile
from bench.service import Server

LIMIT = 100
WARM_UPS = 10
ROUNDS = 3
PLAIN, SUPPRESSED = "ours, pages of 100", "ours, pages of 100, numbers suppressed"
OPT_OUTS = 100_000

# A page ends at most so many uploaded rows behind where it begins; no page is asked for nearer to the end.
REACH_ROWS = 1000

# Filters that about a fiftieth and a sixteenth of all contacts pass.
FILTERED: Mapping[str, Mapping[str, str]] = {"country=GB": {"country": "GB"}, "search=okafor": {"search": "okafor"}}


@dataclass
class Depths:
    """Random depths of one audience, the same in every run, each as a cursor."""

    file: File
    given: str
    random: random.Random = field(default_factory=lambda: random.Random(1))

    def __post_init__(self) -> None:
        """Raises WrongAnswer if the server's cursors are made in another way than `cursor_behind` makes them."""
        row = position(self.given)[2]
        if cursor_behind(row, self.given) != self.given:
            raise WrongAnswer(f"The server's cursor {self.given} is not made as it was: [version, file, row].")

    def next(self) -> tuple[int, str]:
        """A row of the uploaded file, and the cursor of the page behind it."""
        row = self.random.randrange(2, max(3, self.file.rows - REACH_ROWS))
        return row, cursor_behind(row, self.given)


def position(cursor: str) -> tuple[int, int, int]:
    """What a cursor of contacts holds: the audience's version, the uploaded file's number, the row in it."""
    version, file, row = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    return version, file, row


def cursor_behind(row: int, given: str) -> str:
    """The cursor that the server gives out with a page that ends at `row`, after one that it did give out.

    To clients a cursor says nothing. To get one at a random depth of ten million contacts without reading all pages
    before it, it is made here as the server makes it: base64url, without padding, of the JSON of `position`.
    """
    version, file, _ = position(given)
    text = json.dumps([version, file, row], separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


@dataclass(frozen=True)
class Account:
    """An account with a large audience: its caller, who it is in the record, and the numbers that are suppressed."""

    server: Server
    client: Client
    who: str
    audience: str
    depths: Depths
    suppressed: frozenset[str]

    def page(self) -> tuple[int, Page]:
        """The page behind a row at random."""
        row, cursor = self.depths.next()
        return row, self.client.page(self.audience, {"limit": str(LIMIT), "cursor": cursor})


def pages(plan: Plan, record: Record) -> None:
    """Milliseconds from a request to the last byte of its page of 100 contacts, at random depths.

    Of two accounts with the same audience, in turns: one as it is, also with filters, one with numbers suppressed.
    """
    file = customers.contacts_file(plan.rows(10 * MILLION))
    listed = customers.opt_outs(file, min(OPT_OUTS, file.counts["accepted"] // 3))
    folder = plan.folder / record.cell
    keys = (service.prepared(folder), service.another_account(folder))
    count = 50 if plan.quick else 100
    with service.served(folder, keys[0]) as server, Client(server.address, keys[1]) as other, server.client() as client:
        plain = account(server, client, PLAIN, file)
        shortened = account(server, other, SUPPRESSED, file, listed)
        for _ in range(plan.rounds(ROUNDS)):
            settle()
            for one in (plain, shortened):
                timed(one, count, record)
            for name, query in FILTERED.items():
                timed_filtered(plain, query, 5 if plan.quick else 10, record, name)
    tell(record, file, listed)


def account(server: Server, client: Client, who: str, file: File, listed: File | None = None) -> Account:
    """The audience made, and the numbers of a file suppressed."""
    client.connect_anew()
    audience = client.checked_upload(file).data["id"]
    first = client.page(audience, {"limit": str(LIMIT)})
    suppressed = suppress(client, listed) if listed is not None else frozenset()
    return Account(server, client, who, audience, Depths(file, first.next_cursor or ""), suppressed)


def tell(record: Record, file: File, listed: File) -> None:
    """The lines of the table."""
    contacts, count = file.counts["accepted"], len(record.values(PLAIN))
    quantile_lines(record, PLAIN, f"{LIMIT} of {contacts:,} contacts", f"{count} pages")
    remark = f"{count} pages; {listed.rows // 2:,} of the numbers are in the audience"
    quantile_lines(record, SUPPRESSED, f"the same, {listed.rows:,} numbers suppressed", remark)
    for name in FILTERED:
        filtered_line(record, name)


def suppress(client: Client, listed: File) -> frozenset[str]:
    """The numbers of a file, now on the do-not-contact list. Raises WrongAnswer unless all of them were added."""
    added = client.suppress(listed.path).data["added"]
    if added != listed.rows:
        raise WrongAnswer(f"{added} numbers were added to the do-not-contact list, not {listed.rows}.")
    with listed.path.open(encoding="utf-8") as file:
        return frozenset(row["phone1"] for row in csv.DictReader(file))


def timed(asked: Account, count: int, record: Record) -> None:
    """Takes down so many pages, after a few that do not count; each must be full and have no suppressed number."""
    asked.client.connect_anew()
    for _ in range(WARM_UPS):
        asked.page()
    with service.watched(asked.server) as cost:
        found = [asked.page() for _ in range(count)]
    for row, page in found:
        check(page, row, asked.suppressed)
        figures = {"cpu_seconds": cost.cpu_seconds / count, "peak_bytes": cost.peak_bytes, "rows": LIMIT}
        record.add(asked.who, seconds=page.seconds, **figures)


def check(page: Page, row: int, suppressed: frozenset[str]) -> None:
    """Raises WrongAnswer unless the page has the contacts next behind `row`, but for those that are suppressed."""
    rows = [item["row"] for item in page.items]
    if len(rows) != LIMIT or rows != sorted(set(rows)) or not row < rows[0] <= rows[-1] <= row + REACH_ROWS:
        raise WrongAnswer(f"The page behind row {row} has {len(rows)} items, of the rows {rows}.")
    if any(item["phone1"] in suppressed for item in page.items):
        raise WrongAnswer(f"The page behind row {row} has numbers that are suppressed.")


def timed_filtered(asked: Account, query: Mapping[str, str], count: int, record: Record, who: str) -> None:
    """Takes down so many pages of chosen contacts, after one that does not count; near the end they may be short."""
    for number in range(1 + count):
        row, cursor = asked.depths.next()
        page = asked.client.page(asked.audience, {"limit": str(LIMIT), "cursor": cursor, **query})
        if page.items and page.items[0]["row"] <= row:
            raise WrongAnswer(f"The page behind row {row} begins with row {page.items[0]['row']}.")
        if number:
            record.add(who, seconds=page.seconds, row=row)


def quantile_lines(record: Record, who: str, measure: str, remark: str) -> None:
    """Three lines: p50, p95 with the target, and p99."""
    milliseconds = [seconds * 1000 for seconds in record.values(who)]
    record.line(f"{measure}, p50", "ms", quantile(milliseconds, 50), remark=remark)
    record.line(f"{measure}, p95", "ms", quantile(milliseconds, 95), target=Target("at most", 10.0))
    record.line(f"{measure}, p99", "ms", quantile(milliseconds, 99))


def filtered_line(record: Record, who: str) -> None:
    """One line for contacts chosen by a filter: p95, the median beside it."""
    milliseconds = [seconds * 1000 for seconds in record.values(who)]
    remark = f"p50 {quantile(milliseconds, 50):.1f} ms, {len(milliseconds)} pages"
    record.line(f"filtered by {who}, p95", "ms", quantile(milliseconds, 95), remark=remark)
