"""What happens to an audience after it was made: replaced, appended to, renamed, deleted, restored."""

from __future__ import annotations

import base64
import hashlib
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audiences import clock, sweep
from audiences.clock import DAY
from audiences.library import RESTORABLE
from audiences.store.schema import audiences
from support import Client, Made, Service

NUMBERS = [f"4420798321{number:02}" for number in range(100)]
ANN, BOB, CY, DEE = NUMBERS[:4]


def sheet(*phones: str) -> str:
    """A file of those phones."""
    return "\n".join(["phone1,name", *(f"{phone},n{phone[-2:]}" for phone in phones)]) + "\n"


def test_put_replaces_all_contacts_and_keeps_the_id_and_name(client: Client) -> None:
    made = client.create(sheet(ANN, BOB), name="mine")
    response = made.replace(sheet(CY, CY, "bad"))
    body = response.json()
    assert (response.status_code, body["status"], body["description"]) == (200, 200, "Operation successful")
    assert body["data"] == {"id": made.id}
    assert made.phones() == [CY]
    assert made.rejects() == [(3, "duplicate"), (4, "not_a_number")]
    report = made.report
    assert (report["name"], report["rows"], report["user_count"], len(report["files"])) == ("mine", 3, 1, 1)
    assert client.get("/audiences")["data"][0]["user_count"] == 1


def test_put_takes_the_published_spelling_of_its_path(client: Client) -> None:
    made = client.create(sheet(ANN))
    assert client.send("PUT", f"/Audiences/{made.id}", sheet(BOB)).status_code == 200
    assert made.phones() == [BOB]


def test_a_file_that_is_refused_changes_nothing(client: Client) -> None:
    made = client.create(sheet(ANN))
    before = made.report
    for send in (made.replace, made.append):
        assert send("phone1\nbad\n").json()["errors"][0]["code"] == "no_valid_rows"
        assert send("wrong\n1\n").json()["errors"][0]["code"] == "missing_phone_column"
    assert (
        client.http.put(f"/audiences/{made.id}", files={"x": (None, "y")}).json()["errors"][0]["code"]
        == "missing_field"
    )
    assert made.report == before
    assert made.phones() == [ANN]


def test_append_adds_what_is_new_and_names_the_contact_that_was_there(client: Client) -> None:
    made = client.create("phone1,name\n" + f"{ANN},Ann\n{BOB},Bob\n")
    response = made.append(f"Name,Phone1,city\nCy,{CY},Rome\nBob again,{BOB},Oslo\nCy again,{CY},Rome\n")
    assert (response.status_code, response.json()["description"]) == (200, "Operation successful")
    contacts = made.contacts()
    assert [(contact["file"], contact["row"], contact["phone1"]) for contact in contacts] == [
        (1, 2, ANN),
        (1, 3, BOB),
        (2, 2, CY),
    ]
    assert contacts[2]["columns"] == {"Name": "Cy", "city": "Rome"}
    rejects = list(made.rows("rejects", {}))
    assert [(one["row"], one["first_file"], one["first_row"]) for one in rejects] == [(3, 1, 3), (4, 2, 2)]
    report = made.report
    assert (report["rows"], report["accepted"], report["duplicates"]) == (5, 3, 2)
    assert [file["accepted"] for file in report["files"]] == [2, 1]
    assert report["columns"] == ["phone1", "name", "Name", "Phone1", "city"]


def test_a_page_s_cursor_goes_on_through_appended_files(client: Client) -> None:
    made = client.create(sheet(*NUMBERS[:5]))
    made.append(sheet(*NUMBERS[3:12]))
    assert [contact["phone1"] for contact in made.contacts(limit=3)] == NUMBERS[:12]


def test_an_appended_file_without_a_new_contact_is_refused_with_the_reason(client: Client) -> None:
    made = client.create(sheet(ANN, BOB))
    error = made.append(sheet(ANN, BOB)).json()
    assert error["errors"][0]["code"] == "no_valid_rows"
    assert "already contacts or repeated 2" in error["errors"][0]["message"]
    assert error["report"]["duplicates"] == 2


def test_a_dry_run_of_a_change_reports_and_changes_nothing(client: Client) -> None:
    made = client.create(sheet(ANN, BOB))
    appended = made.append(sheet(BOB, CY), dry_run="true").json()
    assert (appended["description"], appended["data"]["accepted"]) == ("Audience checked", 1)
    assert appended["data"]["sample_rejects"][0]["first_row"] == 3
    replaced = made.replace(sheet(BOB, CY), dry_run="true").json()
    assert (replaced["data"]["accepted"], replaced["data"]["name"]) == (2, "list")
    assert made.phones() == [ANN, BOB]


def test_rename_gives_another_name_and_nothing_else(client: Client) -> None:
    made = client.create(sheet(ANN))
    response = client.http.patch(f"/audiences/{made.id}", json={"name": "  Été 2026  "})
    assert (response.status_code, response.json()["data"]) == (200, {"id": made.id})
    assert made.report["name"] == "Été 2026"
    assert made.phones() == [ANN]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"{}", "invalid_body"),
        (b'{"name": 5}', "invalid_body"),
        (b"not json", "invalid_body"),
        (b"\xff\xfe", "invalid_body"),
        (b"[" * 5000, "invalid_body"),
        (b'{"name": ""}', "invalid_field"),
        (b'{"name": "a\\u0007"}', "invalid_field"),
        (b'{"name": "' + b"x" * 256 + b'"}', "invalid_field"),
        (b'{"name": "' + b"x" * 20000 + b'"}', "body_too_large"),
    ],
)
def test_a_renaming_that_cannot_be_is_refused(client: Client, body: bytes, code: str) -> None:
    made = client.create(sheet(ANN))
    response = client.http.patch(f"/audiences/{made.id}", content=body, headers={"Content-Type": "application/json"})
    assert response.status_code in {400, 413}
    assert response.json()["errors"][0]["code"] == code
    assert made.report["name"] == "list"


def test_a_deleted_audience_is_gone_until_it_is_restored(client: Client) -> None:
    made, other = client.create(sheet(ANN, BOB)), client.create(sheet(CY))
    assert client.http.delete(f"/audiences/{made.id}").json()["data"] == {"id": made.id}
    for path in ("", "/contacts", "/rejects"):
        assert client.http.get(f"/audiences/{made.id}{path}").status_code == 404
    assert made.append(sheet(DEE)).status_code == 404
    assert client.http.delete(f"/audiences/{made.id}").status_code == 404
    assert [item["id"] for item in client.get("/audiences")["data"]] == [other.id]
    assert made.restore().json() | {"response_time": ""} == {
        "status": 200,
        "description": "Operation successful",
        "response_time": "",
        "data": {"id": made.id},
    }
    assert made.phones() == [ANN, BOB]


def test_restore_undoes_one_change_after_the_other_the_last_first(client: Client) -> None:
    made = client.create(sheet(ANN))
    made.append(sheet(BOB))
    made.replace(sheet(CY))
    made.append(sheet(DEE))
    client.http.delete(f"/audiences/{made.id}")
    seen = []
    for _ in range(4):
        assert made.restore().status_code == 200
        seen.append(made.phones())
    assert seen == [[CY, DEE], [CY], [ANN, BOB], [ANN]]
    last = made.restore()
    assert (last.status_code, last.json()["errors"][0]["code"]) == (400, "nothing_to_restore")
    made.append(sheet(DEE))
    assert made.phones() == [ANN, DEE]


def test_a_dynamic_audience_takes_no_file_and_has_no_user_count(client: Client, service: Service) -> None:
    with service.parts.database.write() as connection:
        row = {"id": 777_000_111, "account_id": client.account, "name": "rule", "type": "Dynamic", "version": 1}
        connection.execute(audiences.insert().values(**row, created_time=clock.now(), updated_time=clock.now()))
    try:
        for method, path in (("PUT", "/audiences/777000111"), ("POST", "/audiences/777000111/contacts")):
            response = client.send(method, path, sheet(ANN))
            assert (response.status_code, response.json()["errors"][0]["code"]) == (400, "dynamic_audience")
        assert "user_count" not in client.get("/audiences")["data"][0]
    finally:
        assert client.http.delete("/audiences/777000111").status_code == 200


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PUT", "/audiences/{id}"),
        ("POST", "/audiences/{id}/contacts"),
        ("PATCH", "/audiences/{id}"),
        ("DELETE", "/audiences/{id}"),
        ("POST", "/audiences/{id}/restore"),
    ],
)
def test_another_account_s_audience_is_changed_as_an_unknown_one_is(
    client: Client, service: Service, method: str, path: str
) -> None:
    made = client.create(sheet(ANN))
    with service.client() as stranger:
        answers = []
        for audience_id in (made.id, "123456789012"):
            target = path.format(id=audience_id)
            if method == "PATCH":
                response = stranger.http.patch(target, json={"name": "x"})
            else:
                response = stranger.send(method, target, sheet(BOB))
            answers.append((response.status_code, response.json()["errors"]))
        assert answers[0] == answers[1]
        assert answers[0][0] == 404
    assert made.phones() == [ANN]


def test_a_change_needs_the_scope_to_write(service: Service, client: Client) -> None:
    made = client.create(sheet(ANN))
    with service.client(client.account, scopes=["audiences:read"]) as reader:
        for response in (
            reader.send("PUT", f"/audiences/{made.id}", sheet(BOB)),
            reader.http.delete(f"/audiences/{made.id}"),
            reader.http.post(f"/audiences/{made.id}/restore"),
            reader.http.patch(f"/audiences/{made.id}", json={"name": "x"}),
        ):
            assert response.status_code == 403


@pytest.mark.parametrize("change", ["replace", "append", "delete", "restore"])
def test_a_repeated_change_is_carried_out_once(client: Client, change: str) -> None:
    made = client.create(sheet(ANN))
    made.append(sheet(BOB))
    once = {"Idempotency-Key": "again"}
    send: dict[str, Callable[[], object]] = {
        "replace": lambda: made.replace(sheet(CY), headers=once),
        "append": lambda: made.append(sheet(CY), headers=once),
        "delete": lambda: client.http.delete(f"/audiences/{made.id}", headers=once),
        "restore": lambda: client.http.post(f"/audiences/{made.id}/restore", headers=once),
    }
    answers = [send[change]() for _ in range(3)]
    assert [(answer.status_code, "idempotency-replayed" in answer.headers) for answer in answers] == [  # type: ignore[attr-defined]
        (200, False),
        (200, True),
        (200, True),
    ]
    expected = {"replace": [CY], "append": [ANN, BOB, CY], "restore": [ANN]}
    if change in expected:
        assert made.phones() == expected[change]
    assert made.replace(sheet(DEE), headers=once).status_code == 422


def test_writers_at_once_end_in_serial_order_and_none_is_lost(client: Client) -> None:
    """Ten appends and two renamings at once: every number is there once, and the counts say so."""
    made = client.create(sheet(ANN))
    files = [sheet(*NUMBERS[start : start + 12]) for start in range(0, 60, 6)]
    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(made.append, files))
        names = list(pool.map(lambda n: client.http.patch(f"/audiences/{made.id}", json={"name": n}), "ab"))
    assert {answer.status_code for answer in answers + names} <= {200, 400}
    phones = made.phones()
    assert sorted(phones) == sorted(set(phones)) == NUMBERS[:66]
    report = made.report
    assert report["rows"] == report["accepted"] + report["duplicates"]
    assert report["accepted"] == 66


def test_readers_see_the_old_contacts_or_the_new_never_a_mix(client: Client) -> None:
    one, two = NUMBERS[:40], NUMBERS[40:80]
    made = client.create(sheet(*one))
    stop, seen = threading.Event(), set()

    def read() -> None:
        while not stop.is_set():
            seen.add(tuple(contact["phone1"] for contact in made.contacts(limit=7)))

    with ThreadPoolExecutor(3) as pool:
        readers = [pool.submit(read) for _ in range(2)]
        for turn in range(10):
            assert made.replace(sheet(*(two if turn % 2 == 0 else one))).status_code == 200
        stop.set()
        for reader in readers:
            reader.result()
    assert seen <= {tuple(one), tuple(two)}


def test_a_cursor_goes_on_in_the_version_that_it_began_in(client: Client) -> None:
    made = client.create(sheet(*NUMBERS[:10]))
    first = client.get(f"/audiences/{made.id}/contacts", limit=4)
    made.replace(sheet(*NUMBERS[50:60]))
    second = client.get(f"/audiences/{made.id}/contacts", limit=20, cursor=first["next_cursor"])
    assert [contact["phone1"] for contact in second["data"]] == NUMBERS[4:10]

    new = client.get(f"/audiences/{made.id}/contacts", limit=4)
    made.restore()
    undone = client.http.get(f"/audiences/{made.id}/contacts", params={"cursor": new["next_cursor"]})
    assert (undone.status_code, undone.json()["errors"][0]["code"]) == (400, "invalid_cursor")


def test_what_was_taken_away_is_kept_seven_days_and_then_removed(start: Callable[..., Service]) -> None:
    service = start()
    with service.client() as client:
        made, deleted = client.create(sheet(ANN, "bad")), client.create(sheet(BOB), name="private")
        made.replace(sheet(CY))
        client.http.delete(f"/audiences/{deleted.id}")

        def swept_after(days: float) -> int:
            later = lambda: clock.now() + int(days * DAY)  # noqa: E731
            sweep.remove_retired_files(service.parts.files, service.parts.database, later)
            return len(list(service.parts.files.names(older_than_s=0)))

        assert swept_after(6.9) == 4
        assert swept_after(7.1) == 1
        assert made.phones() == [CY]
        with service.parts.database.read() as connection:
            names = connection.execute(audiences.select()).mappings().all()
        assert {row["name"] for row in names} == {"list", ""}


def test_nothing_is_restored_after_seven_days(start: Callable[..., Service]) -> None:
    service = start()
    with service.client() as client:
        made, deleted = client.create(sheet(ANN)), client.create(sheet(BOB))
        made.replace(sheet(CY))
        client.http.delete(f"/audiences/{deleted.id}")
        now = clock.now() + RESTORABLE + 1
        service.parts.changes.clock = lambda: now
        assert made.restore().json()["errors"][0]["code"] == "nothing_to_restore"
        assert deleted.restore().status_code == 404


def test_every_change_stands_in_the_audit_log_without_a_name(client: Client, service: Service) -> None:
    from audiences.store import audit

    made = client.create(sheet(ANN), name="secret name")
    made.replace(sheet(BOB))
    made.append(sheet(CY))
    client.http.patch(f"/audiences/{made.id}", json={"name": "other"})
    client.http.delete(f"/audiences/{made.id}")
    made.restore()
    with service.parts.database.read() as connection:
        found = audit.every(connection, client.account)
    assert [row["action"] for row in found] == ["create", "replace", "append", "rename", "delete", "restore"]
    assert {row["subject"] for row in found} == {made.id}
    assert all(row["actor"].startswith("key ") for row in found)
    assert "secret name" not in str(found)


def test_an_account_s_quota_counts_old_versions_until_they_go(start: Callable[..., Service]) -> None:
    service = start(account_bytes=8000)
    with service.client() as client:
        made = client.create(sheet(*NUMBERS[:5]))
        answers = [made.replace(sheet(*NUMBERS[:5])).status_code for _ in range(6)]
        assert answers[0] == 200
        assert answers[-1] == 507
    assert list((service.parts.settings.data / "spool").iterdir()) == []


def test_a_version_that_the_quota_has_no_room_for_is_not_stored(start: Callable[..., Service]) -> None:
    """The account has room for some bytes, but not for these."""
    service = start(account_bytes=6000)
    with service.client() as client:
        made = client.create(sheet(ANN))
        many = sheet(*(f"4479{number * 7919 % 10**8:08}" for number in range(3000)))
        for send in (made.replace, made.append):
            response = send(many)
            assert (response.status_code, response.json()["errors"][0]["code"]) == (507, "quota_exceeded")
        assert made.phones() == [ANN]
        assert made.append(sheet(BOB)).status_code == 200


@pytest.mark.parametrize("body", [b"{}", b""])
def test_a_body_where_none_is_taken_is_held_against_its_digest_and_says_nothing(client: Client, body: bytes) -> None:
    made = client.create(sheet(ANN))
    made.append(sheet(BOB))
    right = f"sha-256=:{base64.b64encode(hashlib.sha256(body).digest()).decode()}:"
    wrong = f"sha-256=:{base64.b64encode(hashlib.sha256(b'other').digest()).decode()}:"
    for method, path in (("POST", f"/audiences/{made.id}/restore"), ("DELETE", f"/audiences/{made.id}")):
        refused = client.http.request(method, path, content=body, headers={"Content-Digest": wrong})
        assert (refused.status_code, refused.json()["errors"][0]["code"]) == (400, "digest_mismatch")
        assert ANN in made.phones()
        assert client.http.request(method, path, content=body, headers={"Content-Digest": right}).status_code == 200
    large = client.http.post(f"/audiences/{made.id}/restore", content=b"x" * 20_000)
    assert (large.status_code, large.json()["errors"][0]["code"]) == (413, "body_too_large")


def test_a_renaming_in_other_bytes_is_the_same_request_and_takes_no_other_member(client: Client) -> None:
    made = client.create(sheet(ANN))
    once = {"Idempotency-Key": "rename", "Content-Type": "application/json"}
    bodies = (b'{"name":"a"}', b'{"name": "a"}', b'{ "name" : "\\u0061" }')
    answers = [client.http.patch(f"/audiences/{made.id}", content=body, headers=once) for body in bodies]
    assert [(one.status_code, one.headers.get("idempotency-replayed")) for one in answers] == [
        (200, None),
        (200, "true"),
        (200, "true"),
    ]
    assert client.http.patch(f"/audiences/{made.id}", content=b'{"name":"b"}', headers=once).status_code == 422
    other = client.http.patch(f"/audiences/{made.id}", json={"name": "b", "nmae": "c"})
    assert (other.status_code, other.json()["errors"][0]["code"]) == (400, "invalid_body")
    assert made.report["name"] == "a"


def test_a_change_with_a_query_that_means_nothing_is_not_carried_out(client: Client) -> None:
    made = client.create(sheet(ANN))
    for method, path in (("DELETE", ""), ("PUT", ""), ("POST", "/contacts"), ("POST", "/restore")):
        response = client.send(method, f"/audiences/{made.id}{path}?dry_run=true", sheet(BOB))
        assert (response.status_code, response.json()["errors"][0]["code"]) == (400, "invalid_parameter")
    assert made.phones() == [ANN]


def test_an_appended_file_of_old_contacts_and_junk_is_told_what_it_was(client: Client) -> None:
    made = client.create(sheet(ANN, BOB))
    message = made.append(sheet(ANN, BOB, "junk")).json()["errors"][0]["message"]
    assert "None of the 3 rows is a new contact" in message
    assert "not_a_number 1" in message
    assert "already contacts or repeated 2" in message
    assert "default_region" not in message
    assert "default_region=GB" in made.append(sheet("junk")).json()["errors"][0]["message"]


CHANGES = st.lists(
    st.one_of(
        st.tuples(
            st.sampled_from(["replace", "append"]), st.lists(st.sampled_from(NUMBERS[:8]), min_size=1, max_size=6)
        ),
        st.tuples(st.sampled_from(["delete", "restore"]), st.just([])),
    ),
    max_size=12,
)


@settings(max_examples=16, deadline=None, suppress_health_check=list(HealthCheck))
@given(changes=CHANGES)
def test_any_order_of_changes_leaves_what_a_model_says(service: Service, changes: list[tuple[str, list[str]]]) -> None:
    with service.client() as client:
        made = client.create(sheet(ANN))
        past: list[tuple[list[str], bool]] = []
        now, alive = [ANN], True
        for change, phones in changes:
            unique = list(dict.fromkeys(phones))
            new = [phone for phone in unique if phone not in now]
            status, before = carry_out(made, change, phones), (now, alive)
            if change == "restore":
                assert status == (200 if past else 400)
                if past:
                    now, alive = past.pop()
            elif not alive:
                assert status == 404
            elif change == "append" and not new:
                assert status == 400
            else:
                assert status == 200
                past.append(before)
                now = {"replace": unique, "append": now + new, "delete": now}[change]
                alive = change != "delete"
            if alive:
                assert made.phones() == now


def carry_out(made: Made, change: str, phones: list[str]) -> int:
    """The status of a change."""
    if change == "delete":
        return made.client.http.delete(f"/audiences/{made.id}").status_code
    if change == "restore":
        return made.restore().status_code
    return (made.replace if change == "replace" else made.append)(sheet(*phones)).status_code
