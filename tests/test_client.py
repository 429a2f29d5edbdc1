"""The Python client against the real server, and behind a proxy that fails."""

from __future__ import annotations

import io
import logging
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import audiences.client as tree
import support
from audiences import models
from audiences.client import (
    Client,
    ClientError,
    FileChanged,
    Forbidden,
    Format,
    NotConfigured,
    NotFound,
    NoValidRows,
    RateLimited,
    Refused,
    ServerError,
    TooLarge,
    Unauthorized,
    UnexpectedAnswer,
    Unreachable,
)
from audiences.client.sending import Sending
from audiences.keys import SCOPES
from faults import BAD_GATEWAY, CUT, EARLY, LOST, Faults, canned, faulty, refused
from support import Service

ROWS = "phone1,name\n442079832100,Ann\n+44 7912 345678,Bob\n442079832100,Ann again\ncall me,Cy\n"


CREATED = models.Created("312345")

# Enough rows for three pages, and for an export whose bytes begin to come before it breaks off.
LONG = b"phone1\n" + b"".join(b"4479%08d\n" % row for row in range(2500))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file with two contacts, a duplicate and a row that is rejected."""
    path = tmp_path / "customers.csv"
    path.write_text(ROWS)
    return path


@pytest.fixture
def remote(service: Service, client: support.Client) -> Iterator[Client]:
    """The client under test, with a key of an account of its own."""
    with Client(service.url, client.key) as made:
        yield made


@pytest.fixture
def faults(service: Service) -> Iterator[Faults]:
    """The proxy that fails."""
    with faulty(service.url) as running:
        yield running


@pytest.fixture
def behind(faults: Faults, client: support.Client) -> Iterator[Client]:
    """The client under test, behind that proxy."""
    with Client(faults.url, client.key, tries=3) as made:
        yield made


def test_a_file_becomes_an_audience_whose_rows_come_back_typed(remote: Client, file: Path) -> None:
    made = remote.create(file, "NE_USA-above50")
    report = remote.audience(made.id)

    assert isinstance(report, models.AudienceReport)
    assert (report.name, report.rows, report.accepted, report.rejected) == ("NE_USA-above50", 4, 2, 1)
    assert [(row.phone1, row.columns) for row in remote.contacts(made.id, line_type="mobile")] == [
        ("447912345678", {"name": "Bob"})
    ]
    assert [(row.row, row.reason) for row in remote.rejects(made.id)] == [(4, "duplicate"), (5, "not_a_number")]
    assert [row.columns["name"] for row in remote.rejects(made.id, reason="not_a_number")] == ["Cy"]
    assert [item.id for item in remote.audiences(name="above50")] == [made.id]


def test_an_audience_is_changed_and_the_change_undone(remote: Client, file: Path) -> None:
    made = remote.create(file, "a")

    def names() -> list[str]:
        return [contact.columns["name"] for contact in remote.contacts(made.id)]

    assert remote.append(made.id, io.BytesIO(b"phone1,name\n4915112345678,Dan\n")) == made
    assert names() == ["Ann", "Bob", "Dan"]
    assert remote.replace(made.id, io.BytesIO(b"phone1,name\n4915112345678,Eve\n")) == made
    assert names() == ["Eve"]
    assert remote.restore(made.id) == made
    assert names() == ["Ann", "Bob", "Dan"]
    remote.rename(made.id, "b")
    assert [item.name for item in remote.audiences()] == ["b"]
    remote.delete(made.id)
    assert list(remote.audiences()) == []
    with pytest.raises(NotFound):
        remote.audience(made.id)
    remote.restore(made.id)
    assert remote.audience(made.id).name == "b"


def test_people_are_suppressed_looked_up_and_erased(service: Service, file: Path) -> None:
    with service.client(scopes=SCOPES) as caller, Client(service.url, caller.key) as remote:
        made = remote.create(file, "a")
        added = remote.suppress(["442079832100", "call me"])
        assert (added.added, added.rejected) == (1, 1)
        assert [item.phone for item in remote.suppressions()] == ["442079832100"]
        assert [contact.columns["name"] for contact in remote.contacts(made.id)] == ["Bob"]
        held = remote.contact("442079832100")
        assert (held.suppressed, [row.audience for row in held.contacts]) == (True, [made.id])
        assert remote.unsuppress("442079832100").removed == 1
        assert remote.suppress(file=file).added == 2
        assert remote.unsuppress(file=file).removed == 2
        assert remote.erase("447912345678").contacts == 1
        assert [contact.columns["name"] for contact in remote.contacts(made.id)] == ["Ann"]
    with pytest.raises(TypeError, match="either"):
        remote.suppress()


@pytest.mark.parametrize(("kind", "begins"), [("ndjson", b'{"'), ("parquet", b"PAR1"), ("xlsx", b"PK\x03\x04")])
def test_an_export_has_the_format_that_was_asked_for(
    remote: Client, file: Path, tmp_path: Path, kind: Format, begins: bytes
) -> None:
    made, out = remote.create(file, "a"), tmp_path / "out"
    size = remote.export(made.id, out, format=kind)
    assert out.read_bytes().startswith(begins)
    assert size == out.stat().st_size


def test_a_list_is_read_over_all_its_pages(remote: Client) -> None:
    made = remote.create(io.BytesIO(LONG), "long")
    assert [contact.row for contact in remote.contacts(made.id)] == list(range(2, 2502))


def test_a_check_tells_the_report_and_stores_nothing(remote: Client, file: Path) -> None:
    report = remote.check(file, default_region="GB")
    assert (report.accepted, report.sample_contacts[0].country) == (2, "GB")
    assert list(remote.audiences()) == []


def test_progress_counts_every_byte_of_the_file_in_small_steps(remote: Client) -> None:
    rows = b"phone1\n" + b"442079832100\n" * 100_000
    seen: list[tuple[int, int | None]] = []
    remote.check(io.BytesIO(rows), progress=lambda count, total: seen.append((count, total)))
    steps = [count for count, _ in seen]
    assert steps == sorted(steps)
    assert seen[-1] == (len(rows), len(rows))
    assert max(after - before for before, after in zip([0, *steps], steps, strict=False)) <= 1 << 16


def test_an_export_can_be_uploaded_again(remote: Client, file: Path, tmp_path: Path) -> None:
    made, out, seen = remote.create(file, "a"), tmp_path / "out.csv", []
    size = remote.export(made.id, out, progress=lambda count, _total: seen.append(count))
    assert out.read_text() == "phone1,name\n442079832100,Ann\n447912345678,Bob\n"
    assert size == seen[-1] == out.stat().st_size
    again = remote.create(out, "b")
    assert remote.audience(again.id).accepted == 2

    memory = io.BytesIO()
    remote.export(made.id, memory, rejects=True, reason="duplicate")
    assert memory.getvalue().decode().splitlines()[1].startswith("442079832100,Ann again,1,4,duplicate")


def test_an_export_that_fails_leaves_the_file_as_it_was(behind: Client, faults: Faults, file: Path) -> None:
    made = behind.create(io.BytesIO(LONG), "a")
    out = file.with_name("out.csv")
    out.write_text("before")
    with pytest.raises(NotFound):
        behind.export("999999999", out)
    faults.plan = [CUT] * 3
    with pytest.raises(Unreachable):
        behind.export(made.id, out)
    assert out.read_text() == "before"
    assert {path.name for path in file.parent.iterdir()} == {file.name, out.name}


def test_an_export_that_breaks_off_is_begun_again(behind: Client, faults: Faults, file: Path) -> None:
    made = behind.create(io.BytesIO(LONG), "a")
    out = file.with_name("out.csv")
    faults.plan = [CUT, CUT]
    behind.export(made.id, out)
    assert out.read_bytes() == LONG

    memory = io.BytesIO()
    faults.plan = [BAD_GATEWAY, CUT]
    with pytest.raises(Unreachable):
        behind.export(made.id, memory)
    assert faults.plan == []  # an open file has the bytes already: what comes first is tried again, the rest is not


HELD = """{"phone": "442079832100", "country": null, "line_type": null, "time_zones": [], "suppressed": true,
    "suppressed_time": null, "contacts": [], "rejects": [], "cells": [], "more": false, "not_searched": []}"""
CALLS: list[tuple[bytes, Callable[[Client], object], str, object]] = [
    (b"PUT /audiences/312345", lambda remote: remote.replace("312345", io.BytesIO(b"x")), '{"id": "312345"}', CREATED),
    (
        b"POST /audiences/312345/contacts",
        lambda remote: remote.append("312345", io.BytesIO(b"x"), sheet="a"),
        '{"id": "312345"}',
        CREATED,
    ),
    (b"PATCH /audiences/312345", lambda remote: remote.rename("312345", "new"), '{"id": "312345"}', CREATED),
    (b"DELETE /audiences/312345", lambda remote: remote.delete("312345"), '{"id": "312345"}', CREATED),
    (b"POST /audiences/312345/restore", lambda remote: remote.restore("312345"), '{"id": "312345"}', CREATED),
    (b"DELETE /audiences/..%2Fx", lambda remote: remote.delete("../x"), '{"id": "312345"}', CREATED),
    (
        b"GET /suppressions?limit=1000&phone=442079832100",
        lambda remote: list(remote.suppressions("442079832100")),
        '[{"phone": "442079832100", "added_time": "x", "new": 1}]',
        [models.Suppression("442079832100", "x")],
    ),
    (
        b"GET /contacts/%2B442079832100%2F",
        lambda remote: [remote.contact("+442079832100/").more],
        HELD,
        [False],
    ),
    (
        b"DELETE /contacts/442079832100",
        lambda remote: remote.erase("442079832100"),
        '{"audiences": 2, "contacts": 1, "rejects": 1, "cells": 3, "suppressed": false}',
        models.Erased(audiences=2, contacts=1, rejects=1, cells=3, suppressed=False),
    ),
]


@pytest.mark.parametrize(("line", "call", "data", "result"), CALLS)
def test_each_call_is_one_request_of_the_contract_and_has_its_answer(
    behind: Client, faults: Faults, line: bytes, call: Callable[[Client], object], data: str, result: object
) -> None:
    body = f'{{"status": 200, "description": "x", "response_time": "x", "data": {data}}}'
    faults.plan = [canned("200 OK", body, "Content-Type: application/json")]
    assert call(behind) == result
    assert [head.split(b" HTTP/1.1")[0] for head in faults.seen] == [line]
    assert len(faults.keys) == (0 if line.startswith(b"GET") else 1)


def test_an_answer_that_is_lost_does_not_make_a_second_audience(behind: Client, faults: Faults, file: Path) -> None:
    faults.plan = [LOST, LOST]
    made = behind.create(file, "once")
    assert [item.id for item in behind.audiences()] == [made.id]
    assert len(faults.keys) == 3
    assert len(set(faults.keys)) == 1


def test_a_request_of_its_own_has_a_key_of_its_own(behind: Client, faults: Faults, file: Path) -> None:
    behind.create(file, "a")
    behind.create(file, "b")
    behind.create(file, "c", idempotency_key="mine")
    assert len(set(faults.keys)) == 3
    assert faults.keys[-1] == b"mine"


@pytest.mark.parametrize(
    "answer",
    [
        BAD_GATEWAY,
        refused("503", "engine_full"),
        refused("409", "request_in_progress"),
        canned("504 Gateway Timeout", ""),
    ],
    ids=["502 of a gateway", "503", "409 in progress", "504 of a gateway"],
)
def test_what_may_pass_is_tried_again_from_the_start_of_the_file(
    behind: Client, faults: Faults, file: Path, answer: str
) -> None:
    faults.plan = [answer]
    with file.open("rb") as content:
        made = behind.create(content, "a")
    assert behind.audience(made.id).rows == 4


def test_retry_after_is_honoured_and_told(faults: Faults, client: support.Client, file: Path) -> None:
    faults.plan = [refused("429", "rate_limited", "Retry-After: 1")]
    waits: list[tuple[str, float]] = []

    def waiting(error: ClientError, seconds: float) -> None:
        waits.append((type(error).__name__, seconds))

    begun = time.monotonic()
    with Client(faults.url, client.key, waiting=waiting) as remote:
        remote.create(file, "a")
    assert time.monotonic() - begun >= 1
    assert waits[0][0] == "RateLimited"
    assert 1 <= waits[0][1] < 2


def test_a_wait_beyond_ones_patience_is_raised_at_once(behind: Client, faults: Faults) -> None:
    faults.plan = [refused("429", "rate_limited", "Retry-After: 3600")]
    with pytest.raises(RateLimited) as limited:
        list(behind.audiences())
    assert limited.value.retry_after_s == 3600
    assert len(faults.seen) == 1


def test_tries_end(faults: Faults, client: support.Client) -> None:
    faults.plan = [BAD_GATEWAY] * 3
    with Client(faults.url, client.key, tries=3) as remote, pytest.raises(UnexpectedAnswer) as page:
        list(remote.audiences())
    assert len(faults.seen) == 3
    assert page.value.status == 502
    with Client("http://127.0.0.1:1", client.key, tries=2) as remote, pytest.raises(Unreachable, match="refused"):
        list(remote.audiences())


def test_a_refusal_of_another_kind_is_raised_at_once(behind: Client, faults: Faults, file: Path) -> None:
    wrong = file.with_name("wrong.csv")
    wrong.write_text("phone,name\n442079832100,Ann\n")
    with pytest.raises(Refused, match="Did you mean phone") as refusal:
        behind.create(wrong, "a")
    assert (refusal.value.status, refusal.value.code, refusal.value.field) == (
        400,
        "missing_phone_column",
        "audience_file",
    )
    assert refusal.value.request_id
    assert len(faults.seen) == 1


def test_every_kind_of_refusal_can_be_caught_by_its_name(faults: Faults, client: support.Client) -> None:
    kinds = {401: Unauthorized, 403: Forbidden, 404: NotFound, 413: TooLarge, 500: ServerError, 507: ServerError}
    with Client(faults.url, client.key) as remote:
        for status, kind in kinds.items():
            faults.plan = [refused(str(status), "x")]
            with pytest.raises(kind):
                remote.audience("312345")


def test_a_key_without_the_scope_is_forbidden(service: Service, file: Path) -> None:
    with (
        service.client(scopes=["audiences:read"]) as reader,
        Client(service.url, reader.key) as remote,
        pytest.raises(Forbidden, match="scope"),
    ):
        remote.create(file, "a")


def test_a_file_without_a_valid_row_is_refused_with_its_report(remote: Client) -> None:
    with pytest.raises(NoValidRows, match="None of the 2 rows") as none:
        remote.create(io.BytesIO(b"phone1\ncall me\n\xc3\xa9\n"), "a")
    report = none.value.report
    assert report is not None
    assert report.rejected_by_reason == {"not_a_number": 2}
    assert report.sample_rejects[0].columns == {"phone1": "call me"}


def test_a_large_file_with_a_wrong_key_is_refused_before_it_is_sent(service: Service, tmp_path: Path) -> None:
    """The server answers after the headers: the file is not sent on, and the answer is not lost."""
    large = tmp_path / "large.csv"
    with large.open("wb") as content:
        content.truncate(2 << 30)
    sent: list[int] = []
    begun = time.monotonic()
    with Client(service.url, "aud_wrong") as remote, pytest.raises(Unauthorized):
        remote.create(large, "a", progress=lambda count, _total: sent.append(count))
    assert sum(sent[-1:]) < 1 << 28
    assert time.monotonic() - begun < 2


@pytest.mark.parametrize("watched", [True, False])
def test_a_refusal_is_not_lost_when_the_connection_closes_behind_it(
    behind: Client, faults: Faults, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, watched: bool
) -> None:
    """Under TLS the connection cannot be watched; there the answer is read once nothing more can be written."""
    if not watched:
        monkeypatch.setattr(Sending, "watch", lambda *_: None)
    large = tmp_path / "large.csv"
    with large.open("wb") as content:
        content.truncate(1 << 28)
    faults.plan = [EARLY + refused("401", "invalid_token")] * 3
    with pytest.raises(Unauthorized):
        behind.create(large, "a")
    assert len(faults.seen) == 1


def test_a_file_beyond_the_limit_is_refused_before_it_is_sent(service: Service, remote: Client, tmp_path: Path) -> None:
    large = tmp_path / "large.csv"
    with large.open("wb") as content:
        content.truncate(service.parts.settings.max_upload_bytes + (2 << 20))
    with pytest.raises(TooLarge, match="larger"):
        remote.create(large, "a")


def test_a_file_that_shrinks_on_its_way_is_told(remote: Client, tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    path.write_bytes(b"phone1\n" + b"442079832100\n" * 200_000)

    def shrink(_count: int, _total: int | None) -> None:
        path.write_bytes(b"phone1\n")

    with pytest.raises(FileChanged):
        remote.create(path, "a", progress=shrink)
    with pytest.raises(FileNotFoundError):
        remote.create(tmp_path / "nothing.csv", "a")


def test_a_file_may_have_any_name(remote: Client, tmp_path: Path) -> None:
    path = Path(str(tmp_path / 'a"b\n€ ') + b"\xff.csv".decode("utf-8", "surrogateescape"))
    path.write_text(ROWS)
    assert remote.audience(remote.create(path, "a").id).files[0].name.endswith(".csv")


def test_a_redirect_is_not_followed_and_the_key_stays(behind: Client, faults: Faults, service: Service) -> None:
    with faulty(service.url) as elsewhere:
        faults.plan = [canned("302 Found", "", f"Location: {elsewhere.url}/audiences")]
        with pytest.raises(UnexpectedAnswer, match="redirect"):
            list(behind.audiences())
        assert elsewhere.seen == []


def test_an_answer_of_another_service_is_told_as_such(behind: Client, faults: Faults) -> None:
    for body in ("<html>welcome</html>", '{"data": [{"unknown": 1}]}', "[]"):
        faults.plan = [canned("200 OK", body, "Content-Type: text/html")]
        with pytest.raises(UnexpectedAnswer, match="not this service's"):
            list(behind.audiences())


@pytest.mark.parametrize("key", ["", "  ", "aud_secret\u00e9", "aud_secret\r\nX: y", "aud_ secret"])
def test_a_key_that_cannot_be_sent_is_refused_without_being_shown(key: str) -> None:
    with pytest.raises(NotConfigured) as refusal:
        Client("http://127.0.0.1:1", key)
    assert "secret" not in str(refusal.value)


@pytest.mark.parametrize("url", ["127.0.0.1:8000", "ftp://x", "http://", "http://user:word@x", "http://x?y", "\0"])
def test_an_address_that_cannot_be_used_is_refused(url: str) -> None:
    with pytest.raises(NotConfigured, match="http://127") as refusal:
        Client(url, "aud_x")
    assert "word" not in str(refusal.value)


def test_the_key_stands_in_no_repr_error_or_log(
    faults: Faults, client: support.Client, caplog: pytest.LogCaptureFixture
) -> None:
    faults.plan = [canned("200 OK", client.key), BAD_GATEWAY]
    with Client(faults.url, client.key, tries=1) as remote, caplog.at_level(logging.DEBUG):
        assert client.key not in repr(remote) + repr(vars(remote))
        for _ in range(2):
            with pytest.raises(ClientError) as error:
                list(remote.audiences())
            assert client.key not in "".join(traceback.format_exception(error.value)) + repr(vars(error.value))
    assert caplog.text
    assert client.key not in caplog.text


def test_address_and_key_come_from_the_environment(
    service: Service, client: support.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUDIENCES_URL", service.url)
    monkeypatch.setenv("AUDIENCES_API_KEY", client.key)
    with Client() as remote:
        assert list(remote.audiences()) == []
    monkeypatch.delenv("AUDIENCES_API_KEY")
    with pytest.raises(NotConfigured, match="AUDIENCES_API_KEY"):
        Client()


def test_the_server_and_the_command_line_start_without_the_client() -> None:
    code = "import sys, audiences.cli; assert 'httpx' not in sys.modules; import audiences.server"
    subprocess.run([sys.executable, "-c", f"{code}; assert 'audiences.client' not in sys.modules"], check=True)


def test_the_tree_in_the_docstring_is_the_tree() -> None:
    assert tree.errors.__doc__ is not None
    drawn = tree.errors.__doc__
    for name in tree.__all__:
        kind = getattr(tree, name)
        if isinstance(kind, type) and issubclass(kind, ClientError):
            assert f" {name} " in drawn or drawn.count(f"\n    {name}\n") == 1, name
