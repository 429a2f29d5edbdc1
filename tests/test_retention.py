"""How long an account's audiences are kept."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from audiences import clock, retention
from audiences.account_commands import app as accounts_app
from audiences.clock import DAY
from audiences.store import audit
from console import signed_in
from console import text as text_of
from support import Client, Made, Service

ONE, TWO = "phone1\n442079832100\n", "phone1\n442079832101\n"


def later(days: float) -> Callable[[], int]:
    """A clock that is so many days ahead."""
    return lambda: clock.now() + int(days * DAY)


def keep(service: Service, account: int, days: int | None) -> int:
    """Sets the retention."""
    with service.parts.database.write(account) as connection:
        return retention.set_days(connection, account, days, clock.now)


def listed(client: Client) -> set[str]:
    """The ids of all audiences that there are."""
    return {item["id"] for item in client.get("/audiences")["data"]}


def add_at(service: Service, days: float, send: Callable[[], object]) -> None:
    """Sends with the server's clock so many days ahead."""
    creation = service.parts.creation
    object.__setattr__(creation, "clock", later(days))
    try:
        send()
    finally:
        object.__setattr__(creation, "clock", clock.now)


def test_an_audience_is_deleted_so_many_days_after_its_last_upload_and_no_other_account_s(
    service: Service, client: Client
) -> None:
    old, appended, replaced = (client.create(ONE) for _ in range(3))
    add_at(service, 10, lambda: appended.append(TWO))
    add_at(service, 20, lambda: replaced.replace(TWO))
    with service.client() as other:
        foreign = other.create(ONE)
        assert keep(service, client.account, 30) == 0
        left = []
        for days in (29.9, 30.1, 40.1, 50.1):
            retention.delete_over(service.parts.database, later(days))
            left.append(listed(client))
        everything = {old.id, appended.id, replaced.id}
        assert left == [everything, everything - {old.id}, {replaced.id}, set()]
        assert listed(other) == {foreign.id}


def test_what_was_undone_or_merely_renamed_makes_no_audience_younger(service: Service, client: Client) -> None:
    renamed, undone = client.create(ONE), client.create(ONE)
    add_at(service, 10, lambda: undone.append(TWO))
    undone.restore()
    client.http.patch(f"/audiences/{renamed.id}", json={"name": "other"})
    keep(service, client.account, 5)
    assert retention.delete_over(service.parts.database, later(5.1)) == 2


def test_a_deleted_one_can_be_had_back_for_a_while_and_goes_again_unless_it_may_stay(
    service: Service, client: Client
) -> None:
    made: Made = client.create(ONE)
    keep(service, client.account, 1)
    retention.delete_over(service.parts.database, later(1.1))
    assert listed(client) == set()
    assert made.restore().status_code == 200
    assert retention.delete_over(service.parts.database, later(1.2)) == 1
    keep(service, client.account, None)
    assert made.restore().status_code == 200
    assert retention.delete_over(service.parts.database, later(1000)) == 0
    assert listed(client) == {made.id}


def test_the_audit_log_says_who_set_it_and_what_it_deleted(service: Service) -> None:
    account = service.account()
    with service.client(account) as client, signed_in(service, account) as browser:
        made = client.create(ONE)
        keep(service, account, 30)
        retention.delete_over(service.parts.database, later(31))
        with service.parts.database.read() as connection:
            rows = audit.every(connection, account)
        assert ("retention", "delete", made.id) in {(row["actor"], row["action"], row["subject"]) for row in rows}
        log = text_of(browser.get("/console/account/log"))
        assert f"the account's retention deleted audience {made.id}" in log
        assert "the operator set how long audiences are kept after their last upload" in log
        assert "30 days after its last upload an audience is deleted" in text_of(browser.get("/console/usage"))


def test_more_than_a_batch_goes_in_one_sweep(service: Service, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "BATCH", 2)
    for _ in range(5):
        client.create(ONE)
    keep(service, client.account, 1)
    assert retention.delete_over(service.parts.database, later(2)) == 5
    assert listed(client) == set()


def test_the_operator_sets_and_sees_it_on_the_command_line(tmp_path: Path) -> None:
    def run(*words: str) -> tuple[int, str]:
        done = CliRunner().invoke(accounts_app, [*words, "--data", str(tmp_path / "data")])
        return done.exit_code, done.output

    assert run("create", "shop", "--retention", "90") == (0, "")
    assert run("retention", "default", "30")[1] == (
        "Audiences of default are deleted 30 days after their last upload; 0 are due now.\n"
    )
    shown = run("list")[1]
    assert re.search(r"shop +\S+ +90 days", shown)
    assert re.search(r"default +\S+ +30 days", shown)
    assert run("retention", "default", "never")[0] == 0
    assert re.search(r"default +\S+ +without end", run("list")[1])
    assert run("retention", "nobody", "1")[0] == 1
    assert run("retention", "default", "0")[0] == 2
    assert run("retention", "default", "soon")[0] == 2
