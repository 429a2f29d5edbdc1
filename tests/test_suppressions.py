"""The do-not-contact list: what is put on it, what comes off it, and what it does to uploads."""

from __future__ import annotations

import shutil
import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audiences import clock, repeats
from audiences.parts import Parts
from audiences.set_aside import mark_suppressed
from audiences.settings import RateLimit
from audiences.sql import Query
from audiences.store import audiences, audit, reads
from audiences.suppressed import Suppressed, hash_of, keyed_hash, on_current
from conftest import settings_in
from support import Client, Service, started

ANN, BOB, CY = "442079832100", "447912345678", "31612345678"
WRONG = f"sha-256=:{'A' * 43}=:"  # no body has this digest


def key() -> dict[str, str]:
    """A new idempotency key."""
    return {"Idempotency-Key": str(uuid.uuid4())}


def add(client: Client, phones: Sequence[object], **given: Any) -> dict[str, Any]:
    """Puts numbers on the list; the report."""
    return told(client.http.post("/suppressions", json={"phones": list(phones), **given}))


def remove(client: Client, phones: Sequence[object], **given: Any) -> dict[str, Any]:
    """Takes numbers off the list; the report."""
    return told(client.http.request("DELETE", "/suppressions", json={"phones": list(phones), **given}))


def send(client: Client, file: str | bytes, method: str = "POST", **fields: str) -> httpx.Response:
    """A change by a file."""
    content = file.encode() if isinstance(file, str) else file
    return client.http.request(method, "/suppressions", files={"audience_file": ("list.csv", content)}, data=fields)


def told(response: httpx.Response) -> dict[str, Any]:
    """The report of a change that was made."""
    assert response.status_code == 200, response.text
    data: dict[str, Any] = response.json()["data"]
    effect = sum(data.get(name, 0) for name in ("added", "already", "removed", "unknown"))
    assert data["rows"] == effect + data["rejected"]
    assert sum(data["rejected_by_reason"].values()) == data["rejected"]
    return data


def refused(response: httpx.Response) -> tuple[int, str]:
    """Status and code of a refusal."""
    return response.status_code, response.json()["errors"][0]["code"]


def listed(client: Client, **query: str | int) -> list[str]:
    """All numbers on the list, page by page."""
    return [item["phone"] for item in items(client, query)]


def items(client: Client, query: dict[str, str | int]) -> Iterator[dict[str, Any]]:
    """All items of the list."""
    page = client.get("/suppressions", **query)
    yield from page["data"]
    while "next_cursor" in page:
        page = client.get("/suppressions", **{**query, "cursor": page["next_cursor"]})
        yield from page["data"]


def paths(service: Service) -> list[Path]:
    """The lists that are stored, of all accounts."""
    files = service.parts.files
    return [files.local(name) for name in files.names(older_than_s=0) if "suppressions" in name]


def objects(service: Service) -> set[str]:
    """Their names."""
    return {path.name for path in paths(service)}


def stored_bytes(service: Service, client: Client) -> int:
    """What the account's quota counts."""
    with service.parts.database.read() as connection:
        return audiences.stored_bytes(connection, client.account)


def forget(service: Service, account: int, phone: str, folder: Path) -> None:
    """Erases a number that is on the list: only its hash is left."""
    spool = service.parts.settings.data / "spool" / folder.name
    spool.mkdir()
    with service.parts.engine.connection() as connection:
        service.parts.suppressions.forget(connection, account, int(phone), spool)
    spool.rmdir()


def test_numbers_are_added_by_json_in_any_spelling_and_read_back_in_order(client: Client) -> None:
    found = add(client, ["+44 7912 345678", int(ANN), "call me", ANN, "0044 7912 345678"])

    assert (found["added"], found["already"], found["rejected"]) == (2, 2, 1)
    assert found["sample_rejects"] == [{"row": 3, "reason": "not_a_number"}]
    page = client.get("/suppressions")
    assert page["description"] == "Suppressions retrieved"
    assert [item["phone"] for item in page["data"]] == [ANN, BOB]
    assert page["data"][0]["added_time"][:2] == "20"
    assert page["data"][0]["added_time"][10::9] == "TZ"


def test_numbers_are_added_by_a_file_under_the_rules_of_an_audience_s(client: Client) -> None:
    file = "Opt-outs\n\nmobile;name\n07912 345678;Bob\n07912345678;Bob again\n;nobody\n+31 6 12345678;Cy\n\n"
    found = told(send(client, file, phone_column="mobile", default_region="GB"))

    assert (found["rows"], found["added"], found["already"], found["rejected"]) == (4, 2, 1, 1)
    assert found["sample_rejects"] == [
        {"file": 1, "row": 6, "reason": "empty", "columns": {"mobile": "", "name": "nobody"}}
    ]
    assert listed(client) == [CY, BOB]


def test_an_added_number_is_suppressed_in_every_upload_from_then_on(client: Client) -> None:
    """Each of its rows is, in the file's order and with its cells as they stood, and none is accepted."""
    add(client, [BOB])
    rows = f"phone1,name\n{ANN},Ann\n+44 7912 345678,Bob\n{BOB},Bob\nx,X\n{BOB},Bobby\n{ANN},Ann\n"
    made = client.create(rows)

    assert (made.report["suppressed"], made.counts) == (
        3,
        {"rows": 6, "accepted": 1, "duplicates": 1, "rejected": 1},
    )
    assert made.rejects() == [
        (3, "suppressed"),
        (4, "suppressed"),
        (5, "not_a_number"),
        (6, "suppressed"),
        (7, "duplicate"),
    ]
    cells = [item["columns"] for item in client.get(f"/audiences/{made.id}/rejects", reason="suppressed")["data"]]
    assert cells[0] == {"phone1": "+44 7912 345678", "name": "Bob"}
    assert [item["phone1"] for item in made.contacts()] == [ANN]


def test_an_added_number_leaves_pages_and_exports_at_once_and_comes_back_when_removed(client: Client) -> None:
    made = client.create(f"phone1\n{ANN}\n{BOB}\n")
    add(client, [BOB])
    assert [item["phone1"] for item in made.contacts()] == [ANN]
    assert BOB not in made.csv()
    remove(client, [BOB])
    assert [item["phone1"] for item in made.contacts()] == [ANN, BOB]
    assert BOB in made.csv()


def test_an_append_and_a_put_and_a_dry_run_keep_to_the_list_too(client: Client) -> None:
    made = client.create(f"phone1\n{ANN}\n")
    add(client, [BOB])
    both = {"audience_file": ("more.csv", f"phone1\n{BOB}\n{CY}\n")}

    check = client.http.put(f"/audiences/{made.id}", files=both, data={"dry_run": "true"}).json()["data"]
    assert (check["accepted"], check["suppressed"]) == (1, 1)
    assert client.http.post(f"/audiences/{made.id}/contacts", files=both).status_code == 200
    assert (made.report["accepted"], made.report["suppressed"]) == (2, 1)
    assert client.http.put(f"/audiences/{made.id}", files=both).status_code == 200
    assert (made.report["accepted"], made.report["suppressed"]) == (1, 1)


def test_a_file_of_suppressed_numbers_only_makes_no_audience(client: Client) -> None:
    add(client, [BOB])
    response = client.post(f"phone1\n{BOB}\n{BOB}\n")

    assert refused(response) == (400, "no_valid_rows")
    assert response.json()["report"]["suppressed"] == 2
    assert client.get("/audiences")["data"] == []


def test_a_removed_number_is_let_in_again(client: Client) -> None:
    add(client, [ANN, BOB, CY])
    found = remove(client, [BOB, BOB, "447712345678", "x"])
    assert (found["removed"], found["unknown"], found["rejected"]) == (1, 2, 1)
    assert client.create(f"phone1\n{BOB}\n").report["accepted"] == 1

    by_query = client.http.delete("/suppressions", params={"phone": f"+{CY}"})
    assert told(by_query)["removed"] == 1
    assert told(send(client, f"phone1\n{ANN}\n", "DELETE"))["removed"] == 1
    assert listed(client) == []
    assert remove(client, [ANN])["unknown"] == 1
    assert add(client, [ANN])["added"] == 1


def test_one_number_can_be_asked_for(client: Client) -> None:
    add(client, [ANN, BOB])
    assert listed(client, phone=BOB) == [BOB]
    assert listed(client, phone=f"+{BOB}") == [BOB]
    assert listed(client, phone=CY) == []
    assert client.http.get("/suppressions", params={"country": "GB"}).status_code == 400


def test_pages_follow_one_another_and_the_whole_list_can_be_added_elsewhere(service: Service, client: Client) -> None:
    numbers = [f"4479123450{last:02}" for last in range(25)]
    add(client, numbers)
    assert listed(client, limit=10) == numbers
    assert refused(client.http.get("/suppressions", params={"cursor": "bm8"})) == (400, "invalid_cursor")

    whole = client.http.get("/suppressions", headers={"Accept": "text/csv"})
    assert whole.headers["content-type"].startswith("text/csv")
    assert whole.text.splitlines()[0] == "phone1,added_time"
    with service.client() as other:
        assert told(send(other, whole.content))["added"] == 25
        assert listed(other, limit=7) == numbers


def test_a_dry_run_stores_nothing(client: Client) -> None:
    add(client, [ANN])
    response = send(client, f"phone1\n{ANN}\n{BOB}\n", dry_run="true")
    assert response.json()["description"] == "Suppressions checked"
    assert told(response)["added"] == 1
    assert add(client, ["07912 345678", "x"], default_region="GB", dry_run=True)["added"] == 1
    assert remove(client, [ANN, BOB], dry_run=True)["removed"] == 1
    assert listed(client) == [ANN]


@pytest.mark.parametrize("given_dry", ["true", "1"])
def test_a_dry_run_of_a_removal_by_query_removes_nothing(client: Client, given_dry: str) -> None:
    add(client, [ANN, BOB])
    query = {"phone": ["07912 345678", "07700 900000"], "default_region": "GB", "dry_run": given_dry}
    response = client.http.delete("/suppressions", params=query)
    assert response.json()["description"] == "Suppressions checked"
    assert (told(response)["removed"], response.json()["data"]["rejected"]) == (1, 1)
    assert listed(client) == [ANN, BOB]
    del query["dry_run"]
    assert told(client.http.delete("/suppressions", params=query))["removed"] == 1
    assert listed(client) == [ANN]


@pytest.mark.parametrize(
    ("method", "query", "json", "code"),
    [
        ("POST", {"dry_run": "true"}, {"phones": [BOB]}, "invalid_parameter"),
        ("POST", {"phone": BOB}, {"phones": [BOB]}, "invalid_parameter"),
        ("POST", {}, {"phones": [BOB], "dryrun": True}, "invalid_body"),
        ("DELETE", {}, {"phones": [ANN], "dryrun": True}, "invalid_body"),
        ("DELETE", {"dry_run": "true"}, {"phones": [ANN]}, "invalid_parameter"),
        ("DELETE", {"dry_run": "true"}, None, "invalid_parameter"),
        ("DELETE", {"phone": ANN, "dry_run": "maybe"}, None, "invalid_field"),
        ("DELETE", {"phone": ANN, "dryrun": "true"}, None, "invalid_parameter"),
        ("DELETE", {"phone": ANN, "dry_run": ["false", "true"]}, None, "invalid_parameter"),
        ("DELETE", {"phone": ANN, "default_region": "XX"}, None, "invalid_field"),
    ],
)
def test_a_change_that_says_what_is_not_known_is_refused(
    client: Client, method: str, query: dict[str, Any], json: object, code: str
) -> None:
    add(client, [ANN])
    assert refused(client.http.request(method, "/suppressions", params=query, json=json)) == (400, code)
    assert listed(client) == [ANN]


def test_a_removal_by_a_file_has_nothing_in_its_query(client: Client) -> None:
    add(client, [ANN])
    files = {"audience_file": ("list.csv", f"phone1\n{ANN}\n")}
    both = client.http.request("DELETE", "/suppressions", params={"dry_run": "true"}, files=files)
    assert refused(both) == (400, "invalid_parameter")
    assert listed(client) == [ANN]


def test_a_removal_counts_as_an_upload_as_an_addition_does(start: Callable[..., Service]) -> None:
    with start(rate_limit=RateLimit(2, 86_400)).client() as client:
        add(client, [ANN])
        remove(client, [ANN])
        assert client.http.delete("/suppressions", params={"phone": ANN}).status_code == 429
        assert listed(client) == []


@pytest.mark.parametrize("phones", [[1.5], [None], [["1"]], [{}], [True], [-1], [2**63], "1", [], ["1"] * 100_001])
def test_json_that_is_no_list_of_numbers_is_a_400(client: Client, phones: object) -> None:
    assert refused(client.http.post("/suppressions", json={"phones": phones})) == (400, "invalid_body")


def test_odd_texts_are_rejected_one_by_one(client: Client) -> None:
    found = add(client, ["\x00", "", "4" * 300, "9" * 18, "😀", "'); DROP TABLE wanted; --", ANN, f"٠٠{BOB}"])
    assert (found["added"], found["rejected"]) == (2, 6)
    assert [item["row"] for item in found["sample_rejects"]] == [1, 2, 3, 4, 5, 6]


def test_no_valid_number_at_all_is_a_400_with_a_report(client: Client) -> None:
    response = client.http.post("/suppressions", json={"phones": ["020 7983 2100"]})
    assert refused(response) == (400, "no_valid_rows")
    assert "default_region" in response.json()["errors"][0]["message"]
    assert response.json()["report"]["rejected"] == 1
    assert add(client, ["020 7983 2100"], default_region="gb")["added"] == 1
    assert refused(send(client, "phone1\n")) == (400, "no_valid_rows")
    assert refused(send(client, "phone1\nx\n", "DELETE")) == (400, "no_valid_rows")
    assert refused(client.http.post("/suppressions", json={"phones": ["1"], "default_region": "XX"})) == (
        400,
        "invalid_field",
    )


def test_a_removal_says_its_numbers_in_one_place(client: Client) -> None:
    assert refused(client.http.delete("/suppressions")) == (400, "invalid_body")
    both = client.http.request("DELETE", "/suppressions", params={"phone": ANN}, json={"phones": [BOB]})
    assert refused(both) == (400, "invalid_parameter")


def test_another_account_s_list_has_no_effect_and_cannot_be_seen(service: Service, client: Client) -> None:
    add(client, [ANN])
    with service.client() as other:
        assert listed(other) == listed(other, phone=ANN) == []
        assert remove(other, [ANN])["unknown"] == 1
        assert other.create(f"phone1\n{ANN}\n").report["suppressed"] == 0
    assert listed(client) == [ANN]


def test_a_key_that_may_only_read_changes_nothing(service: Service, client: Client) -> None:
    add(client, [ANN])
    with service.client(client.account, scopes=["audiences:read"]) as reader:
        assert listed(reader) == [ANN]
        assert reader.http.post("/suppressions", json={"phones": [BOB]}).status_code == 403
        assert reader.http.delete("/suppressions", params={"phone": ANN}).status_code == 403


def test_a_repeated_change_is_answered_alike_and_made_once(client: Client) -> None:
    once, off = key(), key()
    posts = [client.http.post("/suppressions", json={"phones": [ANN]}, headers=once) for _ in range(2)]
    assert [post.json()["data"]["added"] for post in posts] == [1, 1]
    assert posts[1].headers["idempotency-replayed"] == "true"
    other = client.http.post("/suppressions", json={"phones": [BOB]}, headers=once)
    assert refused(other) == (422, "idempotency_key_reused")

    deletes = [client.http.delete("/suppressions", params={"phone": ANN}, headers=off) for _ in range(2)]
    assert [delete.json()["data"]["removed"] for delete in deletes] == [1, 1]
    other = client.http.delete("/suppressions", params={"phone": BOB}, headers=off)
    assert refused(other) == (422, "idempotency_key_reused")


def test_the_same_json_in_other_bytes_is_the_same_request(client: Client) -> None:
    once = key() | {"Content-Type": "application/json"}
    bodies = (
        '{"phones":["%s"],"dry_run":false}',
        '{ "dry_run": false,\n "phones": ["%s"] }',
        '{"phones":["\\u0034%s"]}',
    )
    texts = [body % (ANN if "u0034" not in body else ANN[1:]) for body in bodies]
    posts = [client.http.post("/suppressions", content=text, headers=once) for text in texts]
    assert [post.status_code for post in posts] == [200, 200, 200]
    assert [post.headers.get("idempotency-replayed") for post in posts] == [None, "true", "true"]

    off = key()
    query = {"phone": ANN, "dry_run": "true"}
    assert client.http.delete("/suppressions", params=query, headers=off).status_code == 200
    del query["dry_run"]
    assert refused(client.http.delete("/suppressions", params=query, headers=off)) == (422, "idempotency_key_reused")


def test_the_answer_commits_with_the_change_or_not_at_all(tmp_path: Path) -> None:
    def lose_answers(parts: Parts) -> Parts:
        class Losing(repeats.Repeats):
            """Cannot keep an answer."""

            def keep(self, *_: object) -> None:
                raise OSError("lost")

        return replace(parts, repeats=Losing(parts.database, clock.now))

    with started(settings_in(tmp_path), lose_answers) as service, service.client() as client:
        assert client.http.post("/suppressions", json={"phones": [ANN]}, headers=key()).status_code == 500
        assert listed(client) == []
        assert objects(service) == set()


def test_a_body_that_is_not_what_its_digest_says_changes_nothing(client: Client) -> None:
    headers = {"Content-Digest": "sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:"}
    assert refused(client.http.post("/suppressions", json={"phones": [ANN]}, headers=headers)) == (
        400,
        "digest_mismatch",
    )
    assert listed(client) == []
    add(client, [ANN])
    without = client.http.delete("/suppressions", params={"phone": ANN}, headers={"Content-Digest": WRONG})
    assert refused(without) == (400, "digest_mismatch")
    assert listed(client) == [ANN]


def test_an_erased_number_stays_suppressed_without_standing_on_the_list(
    service: Service, client: Client, tmp_path: Path
) -> None:
    add(client, [ANN, BOB])
    since = client.get("/suppressions", phone=BOB)["data"]
    forget(service, client.account, BOB, tmp_path)

    assert listed(client) == [ANN]
    assert client.get("/suppressions", phone=BOB)["data"] == since
    assert BOB not in client.http.get("/suppressions", headers={"Accept": "text/csv"}).text
    assert client.create(f"phone1\n{BOB}\n{CY}\n").report["suppressed"] == 1
    assert add(client, [BOB, CY]) == add(client, [BOB, CY]) | {"added": 1, "already": 1}
    assert listed(client) == [CY, ANN]
    assert remove(client, [BOB])["removed"] == 1
    assert listed(client, phone=BOB) == []
    assert client.create(f"phone1\n{BOB}\n").report["suppressed"] == 0


@pytest.mark.parametrize("phone", [1, int(ANN), 999_999_999_999_999])
@pytest.mark.parametrize("secret", [b"k" * 32, bytes(range(32)), b""])
def test_the_engine_hashes_a_number_as_the_standard_library_does(phone: int, secret: bytes) -> None:
    query = Query()
    expression = hash_of(query.bind(phone), secret, query.bind)
    assert duckdb.execute(f"SELECT {expression}", query.bound).fetchall() == [(keyed_hash(phone, secret),)]


@pytest.mark.embedded
def test_the_list_survives_a_restart(start: Callable[..., Service], tmp_path: Path) -> None:
    first = start(data=tmp_path / "one")
    with first.client() as client:
        add(client, [ANN, BOB])
        forget(first, client.account, BOB, tmp_path)
        account = client.account
    shutil.copytree(tmp_path / "one", tmp_path / "two")  # as it would be if the power failed now
    with start(data=tmp_path / "two").client(account) as client:
        assert listed(client) == [ANN]
        assert client.create(f"phone1\n{ANN}\n{BOB}\n{CY}\n").report["suppressed"] == 2


def test_changes_at_the_same_time_all_take_effect(service: Service, client: Client) -> None:
    """Eight clients add, each three times; two more remove what was there before."""
    add(client, [f"44791234600{last}" for last in range(2)])
    before = objects(service)

    def work(number: int) -> None:
        for turn in range(3):
            add(client, [f"4479123{number:02}{turn:03}"])

    threads = [threading.Thread(target=work, args=(number,)) for number in range(10, 18)]
    threads += [threading.Thread(target=remove, args=(client, [f"44791234600{last}"])) for last in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert listed(client) == [f"4479123{number:02}{turn:03}" for number in range(10, 18) for turn in range(3)]
    assert len(objects(service) - before) == 1
    with service.parts.database.read() as connection:
        noted = audit.every(connection, client.account)
    assert sum(row["details"].get("added", 0) for row in noted) == 26
    assert sum(row["details"].get("removed", 0) for row in noted) == 2
    assert {row["action"] for row in noted} == {"suppress", "unsuppress"}


def test_a_replaced_list_stays_for_as_long_as_a_read_holds_it(service: Service, client: Client) -> None:
    add(client, [ANN])
    held = service.parts.suppressions.current(client.account)
    assert held is not None
    with service.parts.database.write() as connection:
        reads.add(connection, uuid.uuid4().hex, [held.name], clock.now() + 60_000)
    add(client, [BOB])
    now = service.parts.suppressions.current(client.account)
    assert now is not None
    remove(client, [BOB])
    files = service.parts.files
    assert (files.exists(held.name), files.exists(now.name)) == (True, False)


def test_uploads_and_pages_go_on_while_the_list_is_replaced(client: Client) -> None:
    """A list's file may be removed between the moment it is looked up and the moment it is read."""
    add(client, [ANN])
    over = threading.Event()

    def change() -> None:
        while not over.is_set():
            add(client, [BOB])
            remove(client, [BOB])

    thread = threading.Thread(target=change)
    thread.start()
    try:
        for _ in range(15):
            assert ANN in listed(client)
            assert client.create(f"phone1\n{ANN}\n{CY}\n").report["suppressed"] == 1
    finally:
        over.set()
        thread.join()


def test_a_reader_whose_list_is_gone_takes_the_next_one_and_no_other_fault_is_hidden(tmp_path: Path) -> None:
    there = Suppressed("a/new.parquet", 0, b"", tmp_path.joinpath)
    there.path.parent.mkdir()
    connection = duckdb.connect()
    connection.execute("COPY (SELECT 7::BIGINT AS phone, 'x' AS hash) TO ? (FORMAT parquet)", [str(there.path)])
    connection.execute("CREATE TABLE judged AS SELECT 1 AS id, 2 AS place, 7::UBIGINT AS phone")
    lost = Suppressed("a/old.parquet", 0, b"", tmp_path.joinpath)
    found = iter([lost, there])
    assert on_current(lambda: next(found, there), lambda one: mark_suppressed(connection, one))
    assert connection.execute("FROM suppressed").fetchall() == [(1, 2, 7)]
    with pytest.raises(duckdb.IOException):
        on_current(lambda: lost, lambda one: mark_suppressed(duckdb_with_judged(), one))


def duckdb_with_judged() -> duckdb.DuckDBPyConnection:
    """A connection with a table of judged rows."""
    connection = duckdb.connect()
    connection.execute("CREATE TABLE judged AS SELECT 1 AS id, 2 AS place, 7::UBIGINT AS phone")
    return connection


def test_a_full_quota_never_refuses_an_opt_out(start: Callable[..., Service]) -> None:
    service = start(account_bytes=3_000)
    with service.client() as client:
        add(client, [ANN])
        many = "phone1\n" + "".join(f"4479{number * 37 % 10**8:08}\n" for number in range(3_000))
        assert told(send(client, many))["added"] > 2_000
        assert stored_bytes(service, client) > 3_000
        assert add(client, [BOB])["added"] == 1
        full = client.post(f"phone1\n{CY}\n")
        assert refused(full) == (507, "quota_exceeded")
        assert "7 days" in full.json()["errors"][0]["message"]
        assert stored_bytes(service, client) == sum(path.stat().st_size for path in paths(service))
        with service.client() as other:
            assert other.create(f"phone1\n{ANN}\n").report["accepted"] == 1


def test_a_list_has_a_bound_of_its_own(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("audiences.suppressions.MAX_LISTED", 2)
    add(client, [ANN, BOB])
    assert refused(client.http.post("/suppressions", json={"phones": [ANN, CY]})) == (507, "quota_exceeded")
    assert listed(client) == [ANN, BOB]
    assert add(client, [ANN])["already"] == 1
    remove(client, [ANN])
    assert add(client, [CY])["added"] == 1


def test_nothing_stays_in_the_spool_and_no_number_in_the_log(
    service: Service, client: Client, capfd: pytest.CaptureFixture[str]
) -> None:
    add(client, [ANN, "x"])
    send(client, f"phone1\n{BOB}\n020 7983 2100\n")
    send(client, "phone1\n020 7983 2100\n")
    client.get("/suppressions", phone=ANN)
    client.http.delete("/suppressions", params={"phone": ANN})
    client.http.post("/suppressions", json={"phones": [[ANN]]})
    written = "".join(capfd.readouterr())
    assert "/suppressions" in written
    assert not any(number in written for number in (ANN, BOB, "020 7983"))
    assert list((service.parts.settings.data / "spool").iterdir()) == []


NUMBERS = [f"44791234500{last}" for last in range(8)]
some = st.lists(st.sampled_from([*NUMBERS, "x"]), min_size=1, max_size=6)


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(steps=st.lists(st.tuples(st.sampled_from(["add", "remove", "upload"]), some), max_size=6))
def test_the_list_does_what_a_set_does(service: Service, steps: list[tuple[str, list[str]]]) -> None:
    expected: set[str] = set()
    with service.client() as client:
        for step, phones in steps:
            valid = set(phones) - {"x"}
            if step == "upload":
                response = client.post("phone1\n" + "\n".join(phones), dry_run="true")
                report = response.json()["data"]
                assert report["suppressed"] == sum(phone in expected for phone in phones)
                assert report["accepted"] == len(valid - expected)
            elif not valid:
                call = {"add": "POST", "remove": "DELETE"}[step]
                assert client.http.request(call, "/suppressions", json={"phones": phones}).status_code == 400
            elif step == "add":
                assert add(client, phones)["added"] == len(valid - expected)
                expected |= valid
            else:
                assert remove(client, phones)["removed"] == len(valid & expected)
                expected -= valid
        assert listed(client, limit=3) == sorted(expected)
