"""An upgrade without downtime: while nodes of the new release start, those of the release before go on."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Self

import httpx
import pytest

from audiences.store.database import Database
from cluster import Cluster, Node, cluster, connected
from cluster_load import File, phones_of
from console import PASSWORD
from support import Client, Made

ROOT = Path(__file__).parents[1]
MIGRATIONS = "src/audiences/store/migrations/versions"
POSTGRES = "src/audiences/store/postgres.py"
ADMIN = "ann@example.com"


def git(*command: str) -> bytes:
    """What git says; nothing where it cannot be asked."""
    try:
        return subprocess.run(["git", *command], cwd=ROOT, capture_output=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return b""


def commit_before() -> str:
    """The last commit whose schema is older than the present one. Skips the test where there is none to start from."""
    newest = git("log", "-1", "--diff-filter=A", "--format=%H", "--", MIGRATIONS).decode().strip()
    if not newest:
        pytest.skip("there is no git history")
    states = git("status", "--porcelain", "--", MIGRATIONS).decode().splitlines()
    is_new = any(state.startswith(("??", "A")) for state in states)
    before = newest if is_new else git("rev-parse", "--verify", "--quiet", f"{newest}^").decode().strip()
    if not before:
        pytest.skip("the history does not reach back to before the newest migration")
    if not git("ls-tree", before, POSTGRES):
        pytest.skip("before the newest migration there was no catalog on PostgreSQL")
    return before


@pytest.fixture(scope="module")
def older(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The code of the release before."""
    folder = tmp_path_factory.mktemp("older")
    subprocess.run(["tar", "-x", "-C", str(folder)], input=git("archive", commit_before(), "src"), check=True)
    return folder / "src"


@pytest.fixture
def empty() -> Iterator[Cluster]:
    """What nodes share, and no node yet."""
    with cluster(nodes=0) as made:
        yield made


class Working:
    """A client that uploads to one node and reads there, again and again, until the end of the block."""

    def __init__(self, node: Node, key: str) -> None:
        self.http = connected(node.url, key)
        self.made: dict[int, str] = {}
        self.over = threading.Event()
        self.refused: list[str] = []
        self.thread = threading.Thread(target=self.work)

    def work(self) -> None:
        """Uploads and reads."""
        while not self.over.is_set():
            file = File(len(self.made))
            form = {"name": (None, file.name), "audience_file": ("list.csv", file.content())}
            answers = [self.http.post("/audiences", files=form), self.http.get("/audiences")]
            self.refused.extend(answer.text for answer in answers if answer.status_code not in {200, 201})
            self.made[file.number] = answers[0].json().get("data", {}).get("id")

    def __enter__(self) -> Self:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self.thread.join()


def schema_of(nodes: Cluster) -> str | None:
    """The newest migration of the catalog."""
    with closing(Database(nodes.catalog)) as database:
        return database.schema_version()


def sign_in(node: Node) -> None:
    """Signs in to the console of that node."""
    answer = httpx.post(f"{node.url}/console/sign-in", data={"email": ADMIN, "password": PASSWORD})
    assert answer.status_code == 303, answer.text


def test_nodes_of_the_release_before_go_on_while_the_new_one_migrates_the_catalog_and_beside_it(
    empty: Cluster, older: Path
) -> None:
    old, new = empty.new_node(older), empty.new_node()
    empty.start(old)
    before = schema_of(empty)
    key = old.run("keys", "create", "test")
    form = {"link": old.first_link(), "email": ADMIN, "password": PASSWORD, "again": PASSWORD}
    assert httpx.post(f"{old.url}/console/welcome", data=form).status_code == 303

    with Working(old, key) as working:
        empty.start(new)
        assert schema_of(empty) != before
        for node in (old, new):
            sign_in(node)

    assert working.refused == []
    with connected(old.url, key) as to_old, connected(new.url, key) as to_new:
        clients = [Client(to_old, key, 1), Client(to_new, key, 1)]
        for client in clients:
            file = File(len(working.made))
            working.made[file.number] = client.create(file.content(), name=file.name).id
        for client in clients:
            listed = {item["id"]: item["user_count"] for item in client.get("/audiences")["data"]}
            assert listed == {made: File(number).accepted for number, made in working.made.items()}
            for number in (0, *list(working.made)[-2:]):
                assert phones_of(Made(client, working.made[number]).csv()) == list(File(number).phones)
            assert len(client.get("/audiences", name="LIST")["data"]) == len(working.made)
        renamed = working.made[max(working.made)]  # by the new one, and now by the old one
        assert to_old.patch(f"/audiences/{renamed}", json={"name": "Other"}).status_code == 200
        for client in clients:
            assert [found["id"] for found in client.get("/audiences", name="oTHER")["data"]] == [renamed]
            assert len(client.get("/audiences", name="LIST")["data"]) == len(working.made) - 1
    for node in (old, new):
        assert node.noise() == []
        assert [event for event in node.events() if event["level"] == "error"] == []
