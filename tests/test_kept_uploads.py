"""Files of uploads as they were sent: nothing of them stays, or for so many days what the operator asked for."""

from __future__ import annotations

import gzip
import hashlib
import re
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from audiences import clock, sweep
from audiences.backup.make import make
from audiences.backup.restore import restore
from audiences.clock import DAY
from audiences.keys import PEOPLE, READ, WRITE
from audiences.library import RESTORABLE
from audiences.store import uploads
from audiences.store.files import RAW
from audiences.upload_commands import app as uploads_app
from conftest import plain_settings
from console import signed_in
from support import Client, Service, started
from test_console_new import uploaded

# A line above the header is in no contact and no reject: only what was sent has it.
TITLE = "wombat quarterly list"
SHEET = f"{TITLE},,\nphone1,name,note\n442079832100,Ann,x\n442079832101,Bob,y\n".encode()
MORE = f"{TITLE} again,,\nphone1,name,note\n442079832102,Cy,z\n".encode()


def kept(service: Service, account: int) -> list[bytes]:
    """What is kept of the account's uploads, in their order."""
    with service.parts.database.read() as connection:
        rows = uploads.every(connection, account, clock.now())
    found = [service.parts.files.local(row["object"]).read_bytes() for row in rows]
    assert [hashlib.sha256(content).digest() for content in found] == [row["sha256"] for row in rows]
    return found


def stored_raw(service: Service) -> list[str]:
    """The names of all kept uploads in the store."""
    return [name for name in service.parts.files.names(older_than_s=-5) if f"/{RAW}-" in name]


def whole_life(client: Client) -> None:
    """An audience that is created, appended to and replaced; a dry run; a file that is refused."""
    made = client.create(SHEET)
    assert made.append(MORE).status_code == 200
    assert made.replace(gzip.compress(MORE, mtime=0), file_name="list.csv.gz").status_code == 200
    assert client.post(SHEET, dry_run="true").status_code == 200
    assert client.post(f"{TITLE},\nphone1,\nnone,\n".encode()).status_code == 400


@pytest.mark.embedded
def test_nothing_of_what_was_sent_stays_unless_a_setting_says_so(start: Callable[..., Service]) -> None:
    service = start()
    with service.client() as client:
        whole_life(client)
        assert kept(service, client.account) == []
    everything = b"".join(path.read_bytes() for path in service.parts.settings.data.rglob("*") if path.is_file())
    assert TITLE.encode() not in everything
    assert gzip.compress(MORE, mtime=0) not in everything


def test_each_file_that_made_contacts_is_kept_byte_for_byte_and_no_other(start: Callable[..., Service]) -> None:
    service = start(keep_uploads_days=30)
    with service.client() as client:
        whole_life(client)
        assert kept(service, client.account) == [SHEET, MORE, gzip.compress(MORE, mtime=0)]
    assert len(stored_raw(service)) == 3


def test_what_is_kept_counts_in_the_quota_and_a_file_that_has_no_room_leaves_nothing(
    start: Callable[..., Service],
) -> None:
    service = start(keep_uploads_days=30, account_bytes=60_000)
    large = SHEET + b"442079832103,Dora," + b"z" * 50_000 + b"\n"
    with service.client() as client:
        assert client.post(large).status_code == 201
        refused = client.post(large)
        assert (refused.status_code, refused.json()["errors"][0]["code"]) == (507, "quota_exceeded")
        assert kept(service, client.account) == [large]
    assert len(stored_raw(service)) == 1


def test_it_goes_after_its_days_or_with_its_audience(start: Callable[..., Service]) -> None:
    service = start(keep_uploads_days=30)
    parts = service.parts

    def swept_after(milliseconds: int) -> int:
        sweep.remove_old_uploads(parts.files, parts.database, lambda: clock.now() + milliseconds)
        return len(stored_raw(service))

    with service.client() as client:
        client.create(SHEET)
        deleted = client.create(MORE)
        client.http.delete(f"/audiences/{deleted.id}")
        left = [swept_after(days) for days in (0, RESTORABLE - DAY, RESTORABLE + 1, 29 * DAY, 30 * DAY + 1)]
    assert left == [2, 2, 1, 1, 0]


def test_with_an_erasure_all_of_the_account_s_go_and_nobody_else_s(start: Callable[..., Service]) -> None:
    service = start(keep_uploads_days=30)
    with service.client(scopes=(READ, WRITE, PEOPLE)) as client, service.client() as other:
        client.create(SHEET)
        client.create(MORE)
        other.create(SHEET)
        assert client.http.delete("/contacts/442079832100").status_code == 200
        assert kept(service, client.account) == []
        assert kept(service, other.account) == [SHEET]
    assert len(stored_raw(service)) == 1


def test_a_disclosure_names_what_lies_as_it_was_sent_and_was_not_looked_through(start: Callable[..., Service]) -> None:
    service = start(keep_uploads_days=30)
    with service.client(scopes=(READ, WRITE, PEOPLE)) as client, signed_in(service, client.account) as browser:
        made = client.create(SHEET)
        uploaded(browser, MORE, "under check.csv")
        told = client.get("/contacts/442079832100")["data"]["not_searched"]
        with service.client(scopes=(READ, WRITE, PEOPLE)) as other:
            assert other.get("/contacts/442079832100")["data"]["not_searched"] == []
        facts = [(one["kind"], one["audience"], one["sha256"], one["bytes"]) for one in told]
        assert facts == [
            ("check", None, hashlib.sha256(MORE).hexdigest(), len(MORE)),
            ("upload", made.id, hashlib.sha256(SHEET).hexdigest(), len(SHEET)),
        ]
        lives = [datetime.fromisoformat(one["kept_until"]) - datetime.fromisoformat(one["sent_time"]) for one in told]
        assert lives == [timedelta(hours=1), timedelta(days=30)]
        assert client.http.delete("/contacts/442079832100").status_code == 200
        assert client.get("/contacts/442079832100")["data"]["not_searched"] == []


def test_the_sweeper_takes_none_that_a_row_refers_to(start: Callable[..., Service]) -> None:
    service = start(keep_uploads_days=30)
    with service.client() as client:
        client.create(SHEET)
        sweep.remove_stray_files(service.parts.files, service.parts.database, clock.now, age_s=-5)
        assert kept(service, client.account) == [SHEET]


@pytest.mark.embedded
def test_backups_hold_it_and_the_operator_gets_it_out(tmp_path: Path) -> None:
    settings, new = plain_settings(tmp_path / "data", keep_uploads_days=30), plain_settings(tmp_path / "new")
    with started(settings) as service, service.client(account=1) as client:
        made = client.create(SHEET)
    make(settings, tmp_path / "backup")
    restore(new, tmp_path / "backup")

    def run(*words: str) -> tuple[int, str]:
        done = CliRunner().invoke(uploads_app, [*words, "--data", str(new.data)], env={"COLUMNS": "200"})
        return done.exit_code, done.output

    shown = run("list")[1]
    assert re.search(rf"^1 +{made.id} ", shown, re.MULTILINE)
    assert hashlib.sha256(SHEET).hexdigest()[:16] in shown
    assert run("export", "1", "-o", str(tmp_path / "out.csv"))[0] == 0
    assert (tmp_path / "out.csv").read_bytes() == SHEET
    assert run("export", "2", "-o", str(tmp_path / "none.csv"))[0] == 1
    assert not (tmp_path / "none.csv").exists()
