"""Three nodes are one service: what is done on one of them holds on the others at once."""

from __future__ import annotations

import os
import secrets
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from typing import Any

import httpx
import pytest

from audiences import clock, sweep
from audiences.keys import Keys
from audiences.store.database import Database
from audiences.store.files import new_name
from audiences.user import ADMIN
from audiences.users import Users
from cluster import Cluster, shared
from console import PASSWORD, post, text, token
from s3_server import BUCKET
from support import Client, Made, until

PHONES = [442079460958, 442079460959, 442079460960]
LIST = "phone1,name\n" + "".join(f"{phone},{name}\n" for phone, name in zip(PHONES, ("Ann", "Bob", "Cy"), strict=True))
OTHER = "phone1,name\n442079832100,Di\n"

# So many rows that an export of them is longer than what a socket and its reader take in at once.
MANY = 60_000


@pytest.fixture
def nodes() -> Cluster:
    """Three nodes behind a proxy."""
    return shared().mend()


@pytest.fixture
def three(nodes: Cluster) -> Iterator[list[Client]]:
    """A client of each node, with one key."""
    with nodes.clients() as clients:
        yield clients


def on(client: Client, made: Made) -> Made:
    """The same audience, by way of another node."""
    return Made(client, made.id)


@contextmanager
def browsers(nodes: Cluster, account: int) -> Iterator[list[httpx.Client]]:
    """A new user's browser as it speaks to each node; they signed in on the first."""
    with ExitStack() as stack:
        made = [stack.enter_context(httpx.Client(base_url=node.url, timeout=60)) for node in nodes.nodes]
        with closing(Database(nodes.catalog)) as database:
            users = Users(database, clock.now)
            user, link = users.create(account, f"{secrets.token_hex(4)}@example.com", ADMIN, "operator")
            users.use_link(link, PASSWORD, None)
        answer = made[0].post("/console/sign-in", data={"email": user.email, "password": PASSWORD})
        assert answer.status_code == 303, answer.text
        for browser in made[1:]:
            browser.cookies.update(made[0].cookies)
        yield made


def test_what_one_node_created_the_others_have_at_once(three: list[Client]) -> None:
    made = three[0].create(LIST + "call me,Ed\n")

    for client in three:
        assert [item["id"] for item in client.get("/audiences")["data"]] == [made.id]
        assert on(client, made).report == made.report
        assert on(client, made).phones() == [str(phone) for phone in PHONES]
        assert on(client, made).rejects() == [(5, "not_a_number")]
        assert on(client, made).csv() == made.csv()


def test_an_export_goes_on_whole_while_another_node_replaces_the_audience(three: list[Client]) -> None:
    first = 447_200_000_000
    made = three[0].create("phone1,text\n" + "".join(f"{first + row},{'x' * 100}{row}\n" for row in range(MANY)))
    path = f"/audiences/{made.id}/contacts"

    with three[1].http.stream("GET", path, headers={"Accept": "text/csv", "Accept-Encoding": "identity"}) as export:
        lines = export.iter_lines()
        assert next(lines) == "phone1,text"
        assert on(three[2], made).replace(OTHER).status_code == 200
        assert three[0].get(f"/audiences/{made.id}")["data"]["user_count"] == 1
        phones = [int(line.partition(",")[0]) for line in lines]

    assert phones == list(range(first, first + MANY))
    for client in three:
        assert on(client, made).phones() == ["442079832100"]


def test_two_nodes_that_append_at_once_both_do(three: list[Client]) -> None:
    made = three[0].create(OTHER)
    files = [f"phone1\n{phone}\n442079832100\n" for phone in PHONES]
    ready = threading.Barrier(len(three))

    def append(client: Client, file: str) -> int:
        ready.wait(20)
        return on(client, made).append(file).status_code

    with ThreadPoolExecutor(3) as threads:
        assert list(threads.map(append, three, files)) == [200] * 3
    for client in three:
        assert sorted(on(client, made).phones()) == sorted(map(str, [*PHONES, 442079832100]))
        assert on(client, made).report["duplicates"] == 3


def test_a_key_is_good_on_every_node_when_it_is_made_and_on_none_when_it_is_revoked(
    nodes: Cluster, three: list[Client]
) -> None:
    """It is made by a command beside the nodes, and revoked in the console of one."""
    with closing(Database(nodes.catalog)) as database:
        keys = Keys(database, clock.now)
        key_id, key = keys.create(three[0].account, "another")
        header = {"Authorization": f"Bearer {key}"}
        assert [client.http.get("/audiences", headers=header).status_code for client in three] == [200] * 3
        with browsers(nodes, three[0].account) as (one, *_):
            assert post(one, f"/console/keys/{key_id}/revoke", {"typed": "another"}).status_code == 303
        assert [client.http.get("/audiences", headers=header).status_code for client in three] == [401] * 3


def test_who_signed_in_on_one_node_is_signed_in_on_all_and_signs_out_of_all(
    nodes: Cluster, three: list[Client]
) -> None:
    three[1].create(LIST, name="a list of the second node's")

    with browsers(nodes, three[0].account) as (one, two, last):
        for browser in (one, two, last):
            assert "a list of the second node's" in text(browser.get("/console/audiences", follow_redirects=True))
        assert post(two, "/console/sign-out").status_code == 303
        for browser in (one, two, last):
            answer = browser.get("/console/audiences")
            assert answer.headers["Location"].startswith("/console/sign-in")


def test_a_draft_that_one_node_received_is_checked_by_another_and_created_by_a_third(
    nodes: Cluster, three: list[Client]
) -> None:
    with browsers(nodes, three[0].account) as (one, two, last):
        form: Any = [("audience_file", ("customers.csv", LIST))]
        headers = {"HX-Request": "true", "X-CSRF-Token": token(one)}
        draft = one.post("/console/new", files=form, headers=headers).headers["HX-Redirect"]

        check = two.get(f"{draft}/check", headers={"HX-Request": "true"})
        assert "3" in text(check)
        assert check.status_code == 200
        created = post(last, f"{draft}/create", {"name": "customers"})
        assert created.status_code in {204, 303}, created.text

    (listed,) = three[0].get("/audiences")["data"]
    assert listed["name"] == "customers"
    assert Made(three[1], listed["id"]).phones() == [str(phone) for phone in PHONES]


def test_a_request_that_is_sent_to_all_nodes_at_once_is_carried_out_once(three: list[Client]) -> None:
    key = {"Idempotency-Key": secrets.token_hex(8)}
    ready = threading.Barrier(len(three))

    def send(client: Client) -> httpx.Response:
        ready.wait(20)
        while (answer := client.post(LIST, headers=key)).status_code == 409:
            time.sleep(0.1)
        return answer

    with ThreadPoolExecutor(3) as threads:
        answers = list(threads.map(send, three))

    (listed,) = three[0].get("/audiences")["data"]
    assert [answer.status_code for answer in answers] == [201] * 3
    assert [answer.json()["data"] for answer in answers] == [{"id": listed["id"]}] * 3
    assert sorted("Idempotency-Replayed" in answer.headers for answer in answers) == [False, True, True]


def test_nodes_count_failed_authentications_together(nodes: Cluster) -> None:
    """Thirty a minute are told that their key is wrong. Alone, each node would have told so to all of its share."""
    address = {"X-Forwarded-For": f"198.51.100.{secrets.randbelow(250)}", "Authorization": "Bearer nothing"}
    statuses = [httpx.get(f"{nodes.nodes[turn % 3].url}/audiences", headers=address).status_code for turn in range(45)]

    # The window slides: where a minute ends in between, one more is let through.
    assert statuses.count(401) in {30, 31}
    assert statuses[-10:] == [429] * 10


def test_a_number_that_one_node_was_told_not_to_contact_is_on_no_page_of_another(three: list[Client]) -> None:
    made = three[0].create(LIST)
    assert on(three[1], made).phones() == [str(phone) for phone in PHONES]

    added = three[2].http.post("/suppressions", json={"phones": [str(PHONES[1])]})
    assert added.status_code == 200, added.text
    for client in three:
        assert on(client, made).phones() == [str(PHONES[0]), str(PHONES[2])]
        assert str(PHONES[1]) not in on(client, made).csv()

    assert three[0].http.delete("/suppressions", params={"phone": str(PHONES[1])}).status_code == 200
    for client in three:
        assert on(client, made).phones() == [str(phone) for phone in PHONES]


def test_what_one_node_deleted_another_restores(three: list[Client]) -> None:
    made = three[0].create(LIST)
    assert on(three[1], made).replace(OTHER).status_code == 200

    assert three[1].http.delete(f"/audiences/{made.id}").status_code == 200
    assert [client.http.get(f"/audiences/{made.id}").status_code for client in three] == [404] * 3
    assert on(three[2], made).restore().status_code == 200
    assert [on(client, made).phones() for client in three] == [["442079832100"]] * 3
    assert on(three[0], made).restore().status_code == 200
    assert [on(client, made).report["user_count"] for client in three] == [3] * 3


def test_a_person_erased_on_one_node_is_gone_from_the_copies_of_the_others_after_their_next_sweep(
    nodes: Cluster, three: list[Client]
) -> None:
    phone = f"4471{secrets.randbelow(10**8):08d}"
    made = three[0].create(f"phone1,note\n{phone},a\n442079832100,call {phone}\nbad,{phone}\n{phone},twice\n")
    for client in three:
        assert phone in on(client, made).csv()
        assert len(on(client, made).rejects()) == 2
    assert all(node.holds(phone) for node in nodes.nodes)

    assert three[0].http.delete(f"/contacts/{phone}").status_code == 200

    for client in three:
        assert on(client, made).phones() == ["442079832100"]
        assert phone not in on(client, made).csv() + on(client, made).csv("rejects")
    assert not nodes.nodes[0].holds(phone)
    nodes.restart(*nodes.nodes[1:])  # a node sweeps when it starts
    assert until(lambda: not any(node.holds(phone) for node in nodes.nodes))


def test_one_node_sweeps_at_a_time(nodes: Cluster) -> None:
    """A stray file stays while somebody else sweeps, and goes with the sweep of the next node that starts."""
    stray = nodes.folder / "s3" / BUCKET / "files" / new_name("contacts")
    stray.parent.mkdir(parents=True, exist_ok=True)
    stray.write_bytes(b"stray")
    long_ago = time.time() - 2 * sweep.FILE_AGE_S
    os.utime(stray, (long_ago, long_ago))
    nodes.objects.stop()  # it remembers what it has listed
    nodes.objects.start()
    with closing(Database(nodes.catalog)) as database, database.alone(sweep.WORK) as alone:
        assert alone
        nodes.restart(nodes.nodes[0])
        time.sleep(1)
        assert stray.exists()
    nodes.restart(nodes.nodes[1])
    assert until(lambda: not stray.exists())
