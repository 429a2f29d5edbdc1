"""A person by their number: all that is held is disclosed, and an erasure leaves nothing of it anywhere."""

from __future__ import annotations

import re
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, select, update

from audiences import clock, reference, sweep
from audiences.inbox import Upload
from audiences.judging import Instructions, Judge, Judged
from audiences.keys import PEOPLE, READ, WRITE
from audiences.layout import FIRST_FILE, PHONE
from audiences.leases import LEASE, Leases
from audiences.library import Library
from audiences.models import CheckWithSamples, Held
from audiences.parquet import ROW_GROUP
from audiences.parts import Parts
from audiences.people import Everything, People, spellings
from audiences.set_aside import Against
from audiences.store import audit, reads
from audiences.store.files import FolderStore
from audiences.store.schema import audience_files, idempotency
from conftest import settings_in
from support import Client, Made, Service, started
from test_drafts import drafted, new_user, nothing

NUMBER = "442079832100"
SPELLINGS = [NUMBER, "+44 20 7983 2100", "0044-20-7983-2100", "+44 (0)20 7983 2100", "tel:+44.20/79832100"]
ALL_SCOPES = (READ, WRITE, PEOPLE)
LIST = (
    "phone1,name,phone2,note\n"
    f"{NUMBER},Ann,,hers\n"
    "+44 20 7983 2100,Ann twice,,\n"
    f"447912345678,Bob,0044 20 7983 2100,friend of Ann; call +44 (0)20 7983 2100\n"
    f"447912345679,Cy,,an order 1{NUMBER} and 20 7983 2100 without its country\n"
    f"call me,Di,,at {NUMBER}.\n"
    f"bad,Ed,,surplus,{NUMBER}\n"
    "also bad,Flo,,\n"
)


@pytest.fixture
def people(service: Service) -> Any:
    """A client whose key may ask for people, too."""
    with service.client(scopes=ALL_SCOPES) as client:
        yield client


def key() -> dict[str, str]:
    """A new idempotency key."""
    return {"Idempotency-Key": secrets.token_hex(8)}


def held(client: Client, phone: str = NUMBER) -> dict[str, Any]:
    """All that is held on the number."""
    found: dict[str, Any] = client.get(f"/contacts/{phone}")["data"]
    return found


def erase(client: Client, phone: str = NUMBER, **headers: str) -> dict[str, Any]:
    """What was erased of it."""
    response = client.http.delete(f"/contacts/{phone}", headers=headers)
    assert response.status_code == 200, response.text
    assert response.json()["description"] == "Operation successful"
    erased: dict[str, Any] = response.json()["data"]
    return erased


def change(made: Made, method: str, path: str, content: str) -> None:
    """Sends a file for an audience that there is."""
    response = made.client.http.request(method, f"/audiences/{made.id}{path}", files={"audience_file": content})
    assert response.status_code == 200, response.text


def remove(made: Made) -> None:
    """Deletes the audience."""
    assert made.client.http.delete(f"/audiences/{made.id}").status_code == 200


def is_whole(counts: dict[str, Any]) -> bool:
    """Whether every row is in one of the counts (invariant 1)."""
    told = sum(counts[name] for name in ("accepted", "duplicates", "suppressed", "rejected"))
    by_reason = sum(counts["rejected_by_reason"].values()) == counts["rejected"]
    return bool(counts["rows"] == told + counts.get("erased", 0) and by_reason)


def test_all_that_is_held_on_a_number_is_told_with_its_place_and_state(people: Client) -> None:
    made = people.create(LIST, name="kept")
    change(made, "PUT", "", f"phone1,name\n{NUMBER},Ann now\n")
    gone = people.create(f"phone1\n{NUMBER}\n", name="gone")
    remove(gone)

    found = held(people, "+" + NUMBER)

    known = {"phone": NUMBER, "country": "GB", "line_type": "fixed_line", "time_zones": ["Europe/London"]}
    assert {name: found[name] for name in known} == known
    assert (found["suppressed"], found["suppressed_time"], found["more"]) == (False, None, False)
    assert [(row["audience"], row["state"], row["row"], row["columns"]) for row in found["contacts"]] == [
        (gone.id, "deleted", 2, {}),
        (made.id, "replaced", 2, {"name": "Ann", "phone2": "", "note": "hers"}),
        (made.id, "current", 2, {"name": "Ann now"}),
    ]
    assert [(row["row"], row["reason"]) for row in found["rejects"]] == [
        (3, "duplicate"),
        (6, "not_a_number"),
        (7, "malformed_row"),
    ]
    assert found["rejects"][2]["raw"] == f"bad,Ed,,surplus,{NUMBER}"
    assert [(row["row"], row["column"]) for row in found["cells"]] == [(4, "phone2"), (4, "note")]
    assert {row["name"] for row in found["contacts"]} == {"kept", "gone"}


def test_of_a_number_that_nobody_knows_the_answer_is_empty(people: Client) -> None:
    nothing: dict[str, Any] = {"contacts": [], "rejects": [], "cells": [], "more": False, "not_searched": []}
    nothing |= {"suppressed": False, "suppressed_time": None}
    assert held(people, "4402079832100") == {
        "phone": "4402079832100",
        "country": None,
        "line_type": None,
        "time_zones": [],
        **nothing,
    }
    assert erase(people) == {"audiences": 0, "contacts": 0, "rejects": 0, "cells": 0, "suppressed": False}


def test_an_answer_has_a_thousand_rows_at_most_and_says_that_there_is_more(people: Client) -> None:
    people.create("phone1\n" + f"{NUMBER}\n" * 1001)
    found = held(people)
    assert (len(found["contacts"]) + len(found["rejects"]), found["more"]) == (1000, True)
    assert erase(people)["rejects"] == 1000


@pytest.mark.parametrize(
    "path", ["02079832100", "44207", "431120", "x", "4" * 18, "4" * 40, "+-1", "44%2020%207983%202100"]
)
@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_what_is_no_number_is_refused_and_not_repeated(people: Client, method: str, path: str) -> None:
    response = people.http.request(method, f"/contacts/{path}")
    assert (response.status_code, response.json()["errors"][0]["code"]) == (400, "invalid_parameter")
    assert "02079832100" not in response.text


def test_without_the_scope_nothing_is_told_and_nothing_erased(service: Service, client: Client) -> None:
    client.create(LIST)
    for method in ("GET", "DELETE"):
        assert client.http.request(method, f"/contacts/{NUMBER}").status_code == 403
    with service.client(client.account, scopes=[PEOPLE]) as allowed:
        assert len(held(allowed, "00" + NUMBER)["contacts"]) == 1


def test_another_account_sees_nothing_of_it_and_keeps_its_own(people: Client, service: Service) -> None:
    mine = people.create(LIST)
    with service.client(scopes=ALL_SCOPES) as stranger:
        theirs = stranger.create(LIST)
        before = (theirs.report, theirs.contacts(), theirs.rejects())
        erase(people)
        assert (theirs.report, theirs.contacts(), theirs.rejects()) == before
        assert len(held(stranger)["contacts"]) == 1
    assert mine.report["erased"] == 4


def test_rows_of_the_number_go_and_of_other_rows_only_the_cells_in_which_it_stands(people: Client) -> None:
    made = people.create(LIST)
    assert erase(people) == {"audiences": 1, "contacts": 1, "rejects": 3, "cells": 2, "suppressed": False}

    report = made.report
    assert is_whole(report)
    assert is_whole(report["files"][0])
    counts = {name: report[name] for name in ("rows", "accepted", "user_count", "duplicates", "rejected", "erased")}
    assert counts == {"rows": 7, "accepted": 2, "user_count": 2, "duplicates": 0, "rejected": 1, "erased": 4}
    assert (report["countries"], report["line_types"]) == ({"GB": 2}, {"mobile": 2})
    assert [row["columns"] for row in made.contacts()] == [
        {"name": "Bob", "phone2": "", "note": ""},
        {"name": "Cy", "phone2": "", "note": f"an order 1{NUMBER} and 20 7983 2100 without its country"},
    ]
    assert made.rejects() == [(8, "not_a_number")]
    assert people.get("/audiences")["data"][0]["user_count"] == 2


def test_an_audience_of_nobody_else_is_left_empty(people: Client) -> None:
    made = people.create(f"phone1\n{NUMBER}\n+{NUMBER}\n")
    assert erase(people)["contacts"] == 1
    assert made.report["erased"] == 2
    assert is_whole(made.report)
    assert (made.contacts(), made.rejects(), made.csv().count(NUMBER)) == ([], [], 0)
    change(made, "POST", "/contacts", f"phone1\n{NUMBER}\n")
    assert made.report["user_count"] == 1, "a later upload may bring the number again"


def test_an_erasure_sent_again_is_answered_alike_and_done_once(people: Client, service: Service) -> None:
    people.create(LIST)
    once = key()
    first = erase(people, **once)
    people.create(LIST)
    assert erase(people, **once) == first
    assert len(held(people)["contacts"]) == 1
    with service.parts.database.read() as connection:
        noted = [row for row in audit.every(connection, people.account) if row["action"] == "erase"]
    assert [(row["subject"], row["details"]) for row in noted] == [(None, {**first, "suppressed": 0})]


def test_who_is_suppressed_stays_so_and_only_a_hash_of_the_number_is_kept(people: Client) -> None:
    people.http.post("/suppressions", json={"phones": [NUMBER, "447912345678"]})
    made = people.create(f"phone1\n{NUMBER}\n447912345679\n")
    since = held(people)["suppressed_time"]

    assert erase(people) == {"audiences": 1, "contacts": 0, "rejects": 1, "cells": 0, "suppressed": True}

    assert (held(people)["suppressed"], held(people)["suppressed_time"]) == (True, since)
    assert NUMBER not in people.http.get("/suppressions").text
    assert made.report["suppressed"] == 0
    assert is_whole(made.report)
    again = people.create(f"phone1\n{NUMBER}\n447912345679\n")
    assert again.report["suppressed"] == 1
    assert erase(people)["suppressed"], "twice is no more than once"


# The same without the digits that only look like the number.
STRICT = LIST.replace(f"an order 1{NUMBER} and 20 7983 2100 without its country", "x")


def fill(client: Client) -> list[Made]:
    """Puts the number into every place in which it can be; the audiences."""
    many = "phone1,name,note\n" + "".join(f"{text},Ann,\n" for text in SPELLINGS)
    first = client.create(STRICT)
    change(first, "PUT", "", many + "447912345670,Bob,\n")
    change(first, "POST", "/contacts", f"phone1,who\n{NUMBER},Ann again\n447912345671,{NUMBER}\n")
    deleted = client.create(STRICT)
    remove(deleted)
    client.http.post("/suppressions", json={"phones": [NUMBER]})
    suppressed = client.create(STRICT)
    for file, fields in ((STRICT, {"dry_run": "true"}), (f"phone1\n{NUMBER}\n", {}), (f"{NUMBER}\n447912345678\n", {})):
        response = client.post(file, headers=key(), **fields)
        assert "7983" in response.text or "suppressed" in response.text
    return [first, deleted, suppressed]


def traces(folder: Path) -> list[str]:
    """The files under the folder in which the number stands: in their bytes, or once they are decoded."""
    found = []
    for path in (each for each in folder.rglob("*") if each.is_file()):
        content = path.read_bytes()
        if b"79832100" in content or b"7983 2100" in content or int(NUMBER).to_bytes(8, "little") in content:
            found.append(f"bytes of {path.name}")
        if path.suffix == ".parquet":
            rows = duckdb.connect().execute("SELECT * FROM read_parquet(?)", [str(path)]).fetchall()
            if any("79832100" in re.sub(r"[^0-9]", "", str(cell)) for row in rows for cell in row):
                found.append(path.name)
    return found


def answers(client: Client, made: list[Made]) -> str:
    """All that the API tells, but for the number's own address."""
    paths = ["/audiences", "/suppressions"]
    paths += [f"/audiences/{each.id}{rest}" for each in made for rest in ("", "/contacts", "/rejects")]
    told = [client.http.get(path) for path in paths]
    told += [
        client.http.get(f"/audiences/{each.id}/{kind}", headers={"Accept": "text/csv"})
        for each in made
        for kind in ("contacts", "rejects")
    ]
    return "\n".join(response.text for response in told)


def test_after_an_erasure_the_number_is_in_no_byte_that_is_kept(
    start: Callable[..., Service], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Of contacts, rejects, raw lines, old versions, deleted audiences, lists, kept answers, and the log."""
    folder = tmp_path / "data"
    running = start()
    with running.client(scopes=ALL_SCOPES) as client:
        made = fill(client)
        assert traces(folder) != []
        erased = erase(client, **key())

        assert (erased["audiences"], erased["suppressed"]) == (3, True)
        found = held(client)
        assert [found[name] for name in ("contacts", "rejects", "cells")] == [[], [], []]
        assert client.http.post(f"/audiences/{made[1].id}/restore").status_code == 200
        assert all(is_whole(each.report) for each in made)
        assert made[1].report["erased"] == 4
        told = answers(client, made)
        assert "79832100" not in told
        assert "7983 2100" not in told
        with running.parts.database.read() as connection:
            assert connection.execute(select(idempotency.c.quotes_rows)).scalars().all() == [False] * 4
    assert "79832100" not in capfd.readouterr().err
    assert traces(folder) == []
    assert list((folder / "spool").iterdir()) == []


def test_a_replaced_file_goes_at_once_but_for_one_that_is_being_read(people: Client, service: Service) -> None:
    parts = service.parts
    made = people.create(LIST)
    names = objects(parts, made)
    now = parts.people.clock()
    with parts.database.write() as connection:
        reads.add(connection, "a reader", names[:1], now + clock.MINUTE)
    erase(people)
    assert [parts.files.exists(name) for name in names] == [True, False]
    with parts.database.write() as connection:
        reads.remove(connection, "a reader")
    sweep.remove_stray_files(parts.files, parts.database, parts.people.clock, age_s=0)
    assert not parts.files.exists(names[0])
    assert len(made.contacts()) == 2


def objects(parts: Parts, made: Made) -> list[str]:
    """The names of what is stored of an audience's contacts and rejects."""
    columns = (audience_files.c.contacts_object, audience_files.c.rejects_object)
    with parts.database.read() as connection:
        rows = connection.execute(select(*columns).where(audience_files.c.audience_id == int(made.id))).all()
    return [name for row in rows for name in row if name is not None]


def test_an_export_that_is_running_ends_as_it_began(people: Client) -> None:
    rows = 150_000
    made = people.create("phone1,note\n" + "".join(f"4479{n:08d},{'x' * 40} {n}\n" for n in range(rows)))
    with people.http.stream("GET", f"/audiences/{made.id}/contacts", headers={"Accept": "text/csv"}) as response:
        pieces = response.iter_bytes()
        text = next(pieces)
        assert erase(people, "447900149999")["contacts"] == 1
        text += b"".join(pieces)
    assert len(text.splitlines()) == rows + 1
    assert len(made.csv().splitlines()) == rows


def test_rows_keep_their_order_and_their_groups(people: Client, service: Service) -> None:
    made = people.create("phone1\n" + "".join(f"4479{n:08d}\n" for n in range(130_000)))
    before = layout_of(service.parts, made)
    erase(people, "447900000500")
    after = layout_of(service.parts, made)
    assert (sum(before), sum(after)) == (130_000, 129_999)
    assert max(after) <= ROW_GROUP
    assert [row["row"] for row in made.client.get(f"/audiences/{made.id}/contacts", limit=600)["data"]] == [
        row for row in range(2, 603) if row != 502
    ]


def layout_of(parts: Parts, made: Made) -> list[int]:
    """How many rows each row group of an audience's contacts has."""
    path = str(parts.files.local(objects(parts, made)[0]))
    query = "SELECT DISTINCT row_group_id, row_group_num_rows FROM parquet_metadata(?) ORDER BY row_group_id"
    return [rows for _, rows in duckdb.connect().execute(query, [path]).fetchall()]


class Interrupting(FolderStore):
    """A store that calls `act` once, before the first file of contacts is put while it is armed."""

    act: Callable[[], None] | None = None

    def put(self, source: Path, kind: str) -> str:
        """See FileStore."""
        act, self.act = self.act, None
        if act is not None:
            act()
        return super().put(source, kind)


def interrupted(parts: Parts) -> Parts:
    """The parts with an erasure that can be interrupted."""
    return with_store(parts, Interrupting(parts.settings.data.resolve() / "files"))


def with_store(parts: Parts, store: FolderStore) -> Parts:
    """The parts with an erasure that stores its files there."""
    library = Library(parts.database, store, parts.engine, clock.now)
    people = People(library, parts.suppressions, clock.now, parts.people.spool)
    return replace(parts, people=people, files=store)


@pytest.mark.embedded
def test_the_new_files_stay_however_long_an_erasure_takes(tmp_path: Path) -> None:
    """No row refers to them yet; the sweeper comes by before each further one, as if hours had gone."""

    class Swept(FolderStore):
        """Sweeps before it takes a file."""

        def put(self, source: Path, kind: str) -> str:
            """See FileStore."""
            sweep.remove_stray_files(self, running.parts.database, clock.now, age_s=0)
            return super().put(source, kind)

    def sweeping(parts: Parts) -> Parts:
        return with_store(parts, Swept(parts.settings.data.resolve() / "files"))

    with started(settings_in(tmp_path), sweeping) as running, running.client(scopes=ALL_SCOPES) as client:
        made = client.create(LIST)
        assert erase(client)["contacts"] == 1
        assert len(made.contacts()) == 2
        assert made.rejects() == [(8, "not_a_number")]
        assert sorted(objects(running.parts, made)) == sorted(running.parts.files.names(0))


@pytest.mark.embedded
def test_a_new_file_that_got_lost_is_written_again(tmp_path: Path) -> None:
    """A hold lapses if its node stands still for a minute."""

    class Losing(FolderStore):
        """Loses the first file once it takes the third, of another audience."""

        taken: list[str]

        def put(self, source: Path, kind: str) -> str:
            """See FileStore."""
            if len(self.taken) == 2:
                self.remove(self.taken[0])
            self.taken.append(super().put(source, kind))
            return self.taken[-1]

    def losing(parts: Parts) -> Parts:
        store = Losing(parts.settings.data.resolve() / "files")
        store.taken = []
        return with_store(parts, store)

    with started(settings_in(tmp_path), losing) as running, running.client(scopes=ALL_SCOPES) as client:
        made = [client.create(LIST), client.create(LIST)]
        assert erase(client) == {"audiences": 2, "contacts": 2, "rejects": 6, "cells": 4, "suppressed": False}
        assert [len(each.contacts()) for each in made] == [2, 2]
        names = [name for each in made for name in objects(running.parts, each)]
        assert sorted(names) == sorted(running.parts.files.names(0))


@pytest.mark.embedded
def test_nobody_who_writes_waits_for_what_an_erasure_asks_the_file_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Asked(FolderStore):
        """Notes whether it is asked in a transaction that others wait for."""

        in_turn: list[bool]

        def exists(self, name: str) -> bool:
            """See FileStore."""
            self.in_turn.append(writing.is_set())
            return super().exists(name)

    def asking(parts: Parts) -> Parts:
        store = Asked(parts.settings.data.resolve() / "files")
        store.in_turn = []
        return with_store(parts, store)

    writing = threading.Event()
    with started(settings_in(tmp_path), asking) as running, running.client(scopes=ALL_SCOPES) as client:
        write = running.parts.database.write

        @contextmanager
        def marked(account: int | None = None) -> Iterator[Connection]:
            with write(account) as connection:
                writing.set()
                try:
                    yield connection
                finally:
                    writing.clear()

        client.create(LIST)
        monkeypatch.setattr(running.parts.database, "write", marked)
        assert erase(client)["contacts"] == 1
        assert isinstance(running.parts.files, Asked)
        assert running.parts.files.in_turn == [False, False]


@pytest.mark.embedded
def test_new_files_that_are_swept_behind_a_lapsed_hold_are_written_again(tmp_path: Path) -> None:
    """Its node stands still once it has seen them; then it renews what it takes for its hold."""
    stood_still = 0

    def now() -> int:
        return clock.now() + stood_still

    class Swept(FolderStore):
        """Has the sweeper come by, once, when it was asked whether a file is there."""

        def exists(self, name: str) -> bool:
            """See FileStore."""
            nonlocal stood_still
            found = super().exists(name)
            if not stood_still:
                stood_still = LEASE
                sweep.remove_stray_files(self, running.parts.database, now, age_s=0)
                time.sleep(0.4)  # a renewal
            return found

    def sweeping(parts: Parts) -> Parts:
        store = Swept(parts.settings.data.resolve() / "files")
        library = Library(parts.database, store, parts.engine, now)
        people = People(library, parts.suppressions, now, parts.people.spool)
        return replace(parts, people=people, files=store, leases=Leases(parts.database, store, now, renewal_s=0.3))

    with started(settings_in(tmp_path), sweeping) as running, running.client(scopes=ALL_SCOPES) as client:
        made = client.create("phone1\n447912345678\n" + NUMBER + "\n")
        assert erase(client)["contacts"] == 1
        assert len(made.contacts()) == 1
        assert sorted(objects(running.parts, made)) == sorted(running.parts.files.names(0))


def test_disclosures_leave_a_place_to_the_uploads_of_others(tmp_path: Path) -> None:
    class Paused(People):
        """Reads on when it is told to."""

        begun, go_on = threading.Event(), threading.Event()

        def held(self, account: int, phone: int, there: Everything) -> Held:
            """See People."""
            self.begun.set()
            assert self.go_on.wait(30)
            return super().held(account, phone, there)

    def paused(parts: Parts) -> Parts:
        return replace(parts, people=Paused(parts.library, parts.suppressions, clock.now, parts.people.spool))

    with (
        started(settings_in(tmp_path, uploads_at_once=2), paused) as running,
        running.client(scopes=ALL_SCOPES) as client,
        running.client() as other,
        ThreadPoolExecutor() as threads,
    ):
        asked = [threads.submit(held, client) for _ in range(2)]
        try:
            assert Paused.begun.wait(30)
            time.sleep(0.1)  # the other one comes
            other.http.timeout = httpx.Timeout(10)
            other.create(LIST)
        finally:
            Paused.go_on.set()
        assert [one.result()["contacts"] for one in asked] == [[], []]


@pytest.mark.embedded
def test_a_stored_file_that_is_missing_is_said_and_nothing_is_changed_until_it_is_back(
    people: Client, service: Service, capfd: pytest.CaptureFixture[str]
) -> None:
    files = service.parts.files
    whole, broken = people.create(LIST), people.create(LIST)
    path = files.local(objects(service.parts, broken)[0])
    away = path.with_suffix(".away")
    path.rename(away)
    for method in ("GET", "DELETE"):
        response = people.http.request(method, f"/contacts/{NUMBER}", headers=key())
        assert (response.status_code, response.json()["errors"][0]["code"]) == (503, "not_ready")
        assert broken.id in response.text
        assert NUMBER not in response.text
    log = capfd.readouterr().err
    assert log.count('"stored_file_missing"') == 2
    assert broken.id in log
    assert len(whole.contacts()) == 3
    with service.client(scopes=ALL_SCOPES) as other:
        assert erase(other)["contacts"] == 0
    away.rename(path)
    assert erase(people)["contacts"] == 2


class Late(People):
    """Calls `act` once between looking files up and reading them."""

    act: Callable[[], None] | None = None

    def held(self, account: int, phone: int, there: Everything) -> Held:
        """See People."""
        act, self.act = self.act, None
        if act is not None:
            act()
        return super().held(account, phone, there)


def test_a_disclosure_reads_what_it_found_though_it_is_erased_meanwhile_and_leaves_nothing(tmp_path: Path) -> None:
    def late(parts: Parts) -> Parts:
        return replace(parts, people=Late(parts.library, parts.suppressions, clock.now, parts.people.spool))

    with (
        started(settings_in(tmp_path, uploads_at_once=3), late) as running,
        running.client(scopes=ALL_SCOPES) as client,
    ):
        made = client.create(LIST)
        before = objects(running.parts, made)
        assert isinstance(running.parts.people, Late)
        running.parts.people.act = lambda: (erase(client), None)[1]
        assert len(held(client)["contacts"]) == 1
        assert not any(running.parts.files.exists(name) for name in before)
        assert held(client)["contacts"] == []
        assert len(made.contacts()) == 2


def test_a_file_under_check_that_becomes_an_audience_during_a_disclosure_is_named_in_it(tmp_path: Path) -> None:
    """It is among the files under check at the moment at which the audiences are looked up, or among these."""

    def late(parts: Parts) -> Parts:
        return replace(parts, people=Late(parts.library, parts.suppressions, clock.now, parts.people.spool))

    with started(settings_in(tmp_path), late) as running, running.client(scopes=ALL_SCOPES) as client:
        parts = running.parts
        draft = drafted(parts, new_user(parts, client.account), LIST, account=client.account)
        assert isinstance(parts.people, Late)
        parts.people.act = lambda: (parts.drafts.publish(draft, parts.creation, nothing), None)[1]
        during, afterwards = held(client), held(client)
        assert (len(during["contacts"]), [one["kind"] for one in during["not_searched"]]) == (0, ["check"])
        assert (len(afterwards["contacts"]), afterwards["not_searched"]) == (1, [])


def test_a_page_whose_files_were_replaced_is_read_from_the_new_ones(tmp_path: Path) -> None:
    class Slow(Library):
        """Calls `act` once between looking files up and reading a page of them."""

        act: Callable[[], object] | None = None

        def page(self, *given: Any) -> Any:
            """See Library."""
            act, self.act = self.act, None
            if act is not None:
                act()
            return super().page(*given)

    def slow(parts: Parts) -> Parts:
        return replace(parts, library=Slow(parts.database, parts.files, parts.engine, clock.now))

    with started(settings_in(tmp_path), slow) as running, running.client(scopes=ALL_SCOPES) as client:
        made = client.create(LIST)
        assert isinstance(running.parts.library, Slow)
        running.parts.library.act = lambda: erase(client)
        assert [row["columns"]["name"] for row in made.contacts()] == ["Bob", "Cy"]


@pytest.mark.embedded
def test_an_erasure_keeps_nobody_else_waiting_and_its_twin_is_told_at_once(tmp_path: Path) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def wait() -> None:
        begun.set()
        assert go_on.wait(30)

    with (
        started(settings_in(tmp_path, uploads_at_once=3), interrupted) as running,
        running.client(scopes=ALL_SCOPES) as client,
        running.client(scopes=ALL_SCOPES) as other,
        ThreadPoolExecutor() as threads,
    ):
        store = running.parts.files
        assert isinstance(store, Interrupting)
        client.create(LIST)
        other.create(LIST)
        store.act = wait
        once = key()
        try:
            running_one = threads.submit(erase, client, NUMBER, **once)
            assert begun.wait(30)
            twin = client.http.delete(f"/contacts/{NUMBER}", headers=once, timeout=10)
            assert (twin.status_code, twin.json()["errors"][0]["code"]) == (409, "request_in_progress")
            assert other.http.delete(f"/contacts/{NUMBER}", timeout=10).json()["data"]["contacts"] == 1
            second = threads.submit(erase, client, "447912345678")
        finally:
            go_on.set()
        assert running_one.result()["contacts"] == 1
        assert second.result()["contacts"] == 1


def test_a_late_repetition_is_never_done_again_for_an_erasure_in_between(people: Client) -> None:
    """It would take a number off the list that was put there since."""
    person, once = "447912345678", key()
    people.http.post("/suppressions", json={"phones": [person]})

    def lift() -> httpx.Response:
        return people.http.request("DELETE", "/suppressions", json={"phones": [person, "bad"]}, headers=once)

    first = lift()
    assert (first.status_code, first.json()["data"]["removed"]) == (200, 1)
    people.http.post("/suppressions", json={"phones": [person]})
    people.create(LIST)
    erase(people)

    again = lift()
    assert again.headers["idempotency-replayed"] == "true"
    assert again.json()["data"] == first.json()["data"] | {"sample_rejects": []}
    assert held(people, person)["suppressed"]


def test_a_dry_run_that_ends_after_an_erasure_keeps_no_number(tmp_path: Path) -> None:
    def pausing(parts: Parts) -> Parts:
        class Checking(Judge):
            """Erases the number once its samples are made."""

            def check(self, upload: Upload, wanted: Instructions, against: Against) -> CheckWithSamples:
                found = super().check(upload, wanted, against)
                erase(client)
                return found

        parts.creation.judge = Checking(parts.settings, parts.engine, parts.metrics)
        return parts

    with started(settings_in(tmp_path), pausing) as running, running.client(scopes=ALL_SCOPES) as client:
        once = key()
        first = client.post(STRICT, headers=once, dry_run="true")
        assert len(first.json()["data"]["sample_contacts"]) == 3
        again = client.post(STRICT, headers=once, dry_run="true")
        assert again.headers["idempotency-replayed"] == "true"
        assert (again.json()["data"]["accepted"], again.json()["data"]["sample_contacts"]) == (3, [])
        assert traces(tmp_path / "files") == []
        assert not any(b"79832100" in path.read_bytes() for path in tmp_path.glob("catalog.sqlite*"))


# Valid, with its country code and all.
SHORT = "431110"


def test_a_short_number_is_disclosed_and_erased_where_it_is_a_phone_and_left_alone_in_texts(people: Client) -> None:
    made = people.create(
        "phone1,name,phone2,code\n"
        f"{SHORT},Ann,,\n"
        f"447912345678,Bob,+43 1110,{SHORT}\n"
        f"447912345679,Cy,call {SHORT},at {SHORT} or so\n"
        f"+43-1110,Ann again,,\n"
        f"call me,Di,{SHORT},\n"
        f"bad,Ed,,{SHORT}\n"
    )
    found = held(people, SHORT)
    assert (found["country"], [row["row"] for row in found["contacts"]]) == ("AT", [2])
    assert [row["row"] for row in found["rejects"]] == [5, 6]
    assert [(row["row"], row["column"]) for row in found["cells"]] == [(3, "phone2")]

    assert erase(people, SHORT) == {"audiences": 1, "contacts": 1, "rejects": 2, "cells": 1, "suppressed": False}

    assert is_whole(made.report)
    assert [(row["columns"]["phone2"], row["columns"]["code"]) for row in made.contacts()] == [
        ("", SHORT),
        (f"call {SHORT}", f"at {SHORT} or so"),
    ]
    assert made.rejects() == [(7, "not_a_number")]


def test_a_short_number_is_found_beside_other_phones(people: Client) -> None:
    """In rejects all columns of phones are looked at as one text."""
    people.create(f"mobile,phone2,phone3\n447912345678,,\nx,{SHORT},447912345679\n{SHORT} x,,\n", phone_column="mobile")
    assert [row["row"] for row in held(people, SHORT)["rejects"]] == [3]


def test_the_longest_number_of_the_plan_is_one(people: Client) -> None:
    assert held(people, "620018030000000000")["country"] == "ID"


@pytest.mark.embedded
def test_what_is_appended_while_a_number_is_erased_is_looked_at_too(tmp_path: Path) -> None:
    with started(settings_in(tmp_path), interrupted) as running, running.client(scopes=ALL_SCOPES) as client:
        made = client.create(LIST)
        store = running.parts.files
        assert isinstance(store, Interrupting)
        new = f"phone1,name\n{NUMBER},Ann later\n447912345600,Gus\n"
        store.act = lambda: change(made, "POST", "/contacts", new)
        assert erase(client) == {"audiences": 1, "contacts": 1, "rejects": 4, "cells": 2, "suppressed": False}
        assert [row["columns"]["name"] for row in made.contacts()] == ["Bob", "Cy", "Gus"]
        assert held(client)["rejects"] == []
        assert is_whole(made.report)


@pytest.mark.embedded
def test_an_erasure_that_cannot_store_its_files_erases_nothing(tmp_path: Path) -> None:
    def fail() -> None:
        raise OSError(28, "No space left on device")

    with started(settings_in(tmp_path), interrupted) as running, running.client(scopes=ALL_SCOPES) as client:
        made = client.create(LIST)
        store = running.parts.files
        assert isinstance(store, Interrupting)
        before, names = held(client), objects(running.parts, made)
        store.act = fail
        assert client.http.delete(f"/contacts/{NUMBER}").status_code in {500, 507}
        assert held(client) == before
        assert sorted(names) == sorted(store.names(0))
        assert erase(client)["contacts"] == 1


class Pausing(Judge):
    """Judges, and calls `before` or `after` once, as it begins or before it tells what came out."""

    before: Callable[[], None] | None = None
    after: Callable[[], None] | None = None

    def judge(self, upload: Upload, wanted: Instructions, against: Against) -> Judged:
        """See Judge."""
        before, self.before = self.before, None
        if before is not None:
            before()
        judged = super().judge(upload, wanted, against)
        after, self.after = self.after, None
        if after is not None:
            after()
        return judged


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_number_that_is_erased_while_a_file_is_appended_leaves_no_duplicate_of_nobody(
    tmp_path: Path, moment: str
) -> None:
    """Neither is lost: the contact of before is gone, and the file is held against what is left."""

    def pausing(parts: Parts) -> Parts:
        parts.creation.judge = Pausing(parts.settings, parts.engine, parts.metrics)
        return parts

    with started(settings_in(tmp_path), pausing) as running, running.client(scopes=ALL_SCOPES) as client:
        made = client.create(LIST)
        setattr(running.parts.creation.judge, moment, lambda: erase(client))
        change(made, "POST", "/contacts", f"phone1,name\n{NUMBER},Ann later\n447912345600,Gus\n")
        report = made.report
        assert (report["user_count"], report["duplicates"], report["erased"]) == (4, 0, 4)
        assert is_whole(report)


def test_a_duplicate_in_a_file_of_the_first_release_is_found_by_the_row_it_repeats(
    start: Callable[..., Service],
) -> None:
    """Such a file of rejects does not hold the number of a duplicate, which may be written without its country."""
    running = start()
    with running.client(scopes=ALL_SCOPES) as client:
        made = client.create("phone1\n020 7983 2100\n(020) 7983-2100\n020 7983 2101\n", default_region="GB")
        as_first_release(running.parts, made)
        assert erase(client) == {"audiences": 1, "contacts": 1, "rejects": 1, "cells": 0, "suppressed": False}
        assert (made.report["accepted"], made.report["erased"], made.rejects()) == (1, 2, [])


def as_first_release(parts: Parts, made: Made) -> None:
    """Turns an audience's rejects into what they were before the second revision of their columns."""
    path = parts.files.local(objects(parts, made)[1])
    old = path.with_name("old.parquet")
    connection = duckdb.connect()
    connection.execute(
        f"COPY (SELECT * EXCLUDE ({FIRST_FILE}, {PHONE}) FROM read_parquet($1)) TO $2 (FORMAT parquet)",
        [str(path), str(old)],
    )
    old.replace(path)
    with parts.database.write() as catalog:
        mine = audience_files.c.audience_id == int(made.id)
        found = catalog.execute(select(audience_files.c.layout).where(mine)).scalar_one()
        catalog.execute(update(audience_files).where(mine).values(layout={**found, "revision": 1}))


@pytest.mark.parametrize("text", [*SPELLINGS, "Ann:٤٤٢٠٧٩٨٣٢١٠٠", "x\u200b44\u00a020–7983 2100y", f"{NUMBER}.0"])
def test_every_way_to_write_a_number_is_found(service: Service, text: str) -> None:
    assert stands_in(service, text)


@pytest.mark.parametrize("text", [f"1{NUMBER}", f"{NUMBER}1", "20 7983 2100", "44 20 7983 210", "٤" + NUMBER, ""])
def test_digits_of_another_number_are_left_alone(service: Service, text: str) -> None:
    assert not stands_in(service, text)


def stands_in(service: Service, text: str, phone: str = NUMBER) -> bool:
    """Whether the number stands in the text."""
    with service.parts.engine.connection() as connection:
        pattern = spellings.pattern(service.parts.engine.plan.patterns, int(phone))
        return connection.execute("SELECT regexp_matches($1, $2)", [text, pattern]).fetchone() == (True,)


def test_an_italian_zero_makes_another_number(service: Service) -> None:
    assert not stands_in(service, "+39 (0)312345678", "39312345678")


NUMBERS = ["442079832100", "447912345678", "31612345678"]
CELLS = st.sampled_from([*SPELLINGS, *NUMBERS[1:], "+31 6 12345678", "bad", "", "note", "see 44 2079832100 or 1"])


@settings(max_examples=12, deadline=None)
@given(rows=st.lists(st.tuples(CELLS, CELLS, st.booleans()), min_size=1, max_size=8))
def test_an_erasure_does_what_the_model_says(service: Service, rows: list[tuple[str, str, bool]]) -> None:
    """A row of (phone, note, surplus cell), against the rules told in Python."""
    lines = ["447912000000,anchor"] + [f"{phone},{note}" + (",surplus" if more else "") for phone, note, more in rows]
    with service.client(scopes=ALL_SCOPES) as client:
        made = client.create("phone1,note\n" + "\n".join(lines) + "\n")
        erase(client)
        contacts, rejects = model([("447912000000", "anchor", False), *rows])
        assert [(row["row"], row["phone1"], row["columns"]["note"]) for row in made.contacts()] == contacts
        assert [row for row, _ in made.rejects()] == rejects
        report = made.report
        blank = sum(not phone and not note and not more for phone, note, more in rows)
        assert is_whole(report)
        assert report.get("erased", 0) == len(rows) + 1 - blank - len(contacts) - len(rejects)


def model(rows: list[tuple[str, str, bool]]) -> tuple[list[tuple[int, str, str]], list[int]]:
    """Contacts as (row, phone, note), and rows of rejects, that an erasure of NUMBER leaves."""
    contacts: list[tuple[int, str, str]] = []
    rejects: list[int] = []
    seen: set[str] = set()
    for number, (text, note, surplus) in enumerate(rows, 2):
        if not text and not note and not surplus:
            continue
        phone = None if surplus else reference.judge(text).phone
        mentioned = "2079832100" in digits(note)
        if phone is not None and phone not in seen:
            seen.add(phone)
            if phone != NUMBER:
                contacts.append((number, phone, "" if mentioned else note))
        elif phone != NUMBER and not mentioned and "2079832100" not in digits(text):
            rejects.append(number)
    return contacts, rejects


def digits(text: str) -> str:
    """The digits of a text, without the trunk prefix in it."""
    return re.sub(r"[^0-9]", "", text.replace("(0)", ""))
