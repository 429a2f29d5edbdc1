"""Usage: what is counted, when it is written, and what the page says."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from audiences import clock, parts, sweep
from audiences.audit import Audit
from audiences.clock import DAY
from audiences.settings import RateLimit
from audiences.store import accounts, audit
from audiences.store import usage as stored
from audiences.store.database import Database
from audiences.sweep import Sweeper
from audiences.usage import Usage, count_upload
from conftest import settings_in
from console import signed_in, text
from support import Service

NOW = 20_000 * DAY + 5
FILE = "phone1\n+442079832100\n+442079832101\nnone\n"


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with parts.opened_catalog(settings_in(tmp_path)) as opened:
        yield opened


def written(database: Database, account: int = 1) -> list[tuple[int, int, int, int]]:
    """The account's rows: day, uploads, rows, throttled."""
    with database.read() as connection:
        return [
            (row["day"], row["uploads"], row["rows"], row["throttled"]) for row in stored.since(connection, account, 0)
        ]


def test_uploads_and_refused_requests_are_counted_and_shown_right_after(start: Callable[..., Service]) -> None:
    service = start(rate_limit=RateLimit(3, 60))
    with service.client() as client:
        made = client.create(FILE)
        assert made.append("phone1\n+442079832102\n").status_code == 200
        assert client.post(FILE, dry_run="true").status_code == 200
        assert [client.post(FILE).status_code for _ in range(2)] == [429, 429]
        assert written(service.parts.database, client.account)[0][1:] == (2, 4, 0), "refusals wait in memory"

        with signed_in(service, client.account) as browser:
            page = text(browser.get("/console/usage"))

    assert "Uploads 2" in page
    assert "Rows in them 4" in page
    assert "Throttled requests 2" in page
    assert "3 in a minute" in page
    assert "30 days 2 4 2" in page


def test_an_upload_that_is_refused_counts_nothing(service: Service) -> None:
    with service.client() as client:
        assert client.post("phone1\nnone\n").status_code == 400
        assert written(service.parts.database, client.account) == []


def test_the_days_of_others_and_of_last_month_do_not_count(database: Database) -> None:
    with database.write() as connection:
        other = accounts.add(connection, "other", NOW)
        for account, moment in ((1, NOW), (1, NOW - 29 * DAY), (1, NOW - 30 * DAY), (other, NOW)):
            count_upload(connection, account, 10, moment)

    days = Usage(database, lambda: NOW).days(1, 30)

    assert len(days) == 30
    assert [day.begin for day in (days[0], days[-1])] == [20_000 * DAY, 19_971 * DAY]
    assert [day.rows for day in days if day.uploads] == [10, 10]


def test_what_is_older_than_two_years_is_swept_batch_by_batch(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("audiences.sweep.BATCH", 3)
    with database.write() as connection:
        for moment in [NOW - age * DAY for age in (*range(734, 724, -1), 0)]:
            count_upload(connection, 1, 1, moment)
            Audit(partial(int, moment)).note(connection, 1, "operator", "create")

    assert [sweep.remove_old_usage(database, lambda: NOW) for _ in range(2)] == [5, 0]
    assert [sweep.remove_old_records(database, lambda: NOW) for _ in range(2)] == [5, 0]

    kept = [*range(729, 724, -1), 0]
    assert [row[0] for row in written(database)] == [20_000 - age for age in kept]
    with database.read() as connection:
        assert [row["created_time"] for row in audit.every(connection, 1)] == [NOW - age * DAY for age in kept]


def test_the_sweeper_of_a_server_takes_old_records_and_usage(start: Callable[..., Service]) -> None:
    now = clock.now()
    service = start()
    with service.client() as client:
        client.create(FILE)
        opened = service.parts

        done = Sweeper(
            opened.files, opened.database, lambda: now + 731 * DAY, opened.metrics, opened.sweeper.identity
        ).sweep()

        assert (done["old_records"] >= 1, done["old_usage"]) == (True, 1)
        assert written(service.parts.database, client.account) == []


def test_refusals_are_written_after_a_while_and_at_the_end(database: Database) -> None:
    usage = Usage(database, lambda: NOW, flush_s=0.01)
    for _ in range(3):
        usage.count_throttled(1)
    timer = usage.timer
    if timer is not None:
        timer.join(5)
    assert sum(row[3] for row in written(database)) == 3

    patient = Usage(database, lambda: NOW, flush_s=3600)
    patient.count_throttled(1)
    assert sum(row[3] for row in written(database)) == 3
    patient.close()
    assert written(database) == [(20_000, 0, 0, 4)]


def test_what_cannot_be_written_waits_for_the_next_time(database: Database, tmp_path: Path) -> None:
    usage = Usage(Database(f"sqlite:///{tmp_path / 'empty.sqlite'}"), lambda: NOW, flush_s=3600)
    usage.count_throttled(1)
    usage.flush()
    usage.database.close()
    usage.database = database
    usage.flush()

    assert written(database) == [(20_000, 0, 0, 1)]


def test_the_quota_and_what_is_used_of_it_are_shown(start: Callable[..., Service]) -> None:
    service = start(account_bytes=1_000_000, max_upload_bytes=2_000_000)
    with service.client() as client, signed_in(service, client.account) as browser:
        assert "Quota 0 bytes of 1 MB (0 %)" in text(browser.get("/console/usage"))
        client.create(FILE)
        page = text(browser.get("/console/usage"))

    assert "Largest upload 2 MB" in page
    assert "kB of 1 MB" in page
