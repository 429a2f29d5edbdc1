"""Backups: everything that is stored comes back, on any kind of set-up, and nothing is written over or made up."""

from __future__ import annotations

import json
import resource
import shutil
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import func, select, update

import scaled
from audiences import clock, sweep
from audiences.backup.folder import Folder, NoBackup
from audiences.backup.hold import Hold
from audiences.backup.make import Backup, make
from audiences.backup.proof import BackupDamaged
from audiences.backup.restore import check, restore
from audiences.backup.target import NotEmpty
from audiences.errors import CannotOpen
from audiences.keys import PEOPLE, READ, WRITE
from audiences.parts import DataFolderInUse, Parts, opened_parts
from audiences.settings import Settings
from audiences.store import secret_keys
from audiences.store.database import HEAD, SchemaTooNew
from audiences.store.schema import audience_files
from audiences.store.schema import reads as reads_table
from conftest import plain_settings
from support import Client, Service, started, until
from test_cli import Run, run

# Fixtures are found by their names in this module.
__all__ = ["run"]

MIB = 1024**2
ANN, BOB, CY, DI = "442079832100", "447912345678", "447912345679", "447912345680"
PASSWORD = "a long walk by the sea"
CLIENTS = ExitStack()
CSV = {"Accept": "text/csv"}
UPLOAD = {"Idempotency-Key": "the same upload"}


@dataclass
class Story:
    """An installation that something has happened on, and what its callers saw last."""

    settings: Settings
    keys: list[str]
    seen: list[Any]
    grown: str
    deleted: str
    revoked: str


def numbers(first: int, count: int) -> str:
    """A list of so many contacts."""
    return "phone1,note\n" + "".join(f"4479{first + row:08d},no {row}\n" for row in range(count))


def story_file() -> str:
    """The story's first file."""
    return f"phone1,name\n{ANN},Ann\n{BOB},Bob\n{BOB},again\nbad,Ed\n"


def client_of(service: Service, key: str) -> Client:
    """A caller with a key."""
    http = httpx.Client(base_url=service.url, headers={"Authorization": f"Bearer {key}"}, timeout=60)
    CLIENTS.callback(http.close)
    return Client(http, key, 0)


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    """Closes what `client_of` opened."""
    with CLIENTS:
        yield


def everything(client: Client) -> Any:
    """All that a caller can see: audiences with their reports, contacts and rejects byte for byte, the list."""
    found = {}
    for audience in client.get("/audiences")["data"]:
        place = f"/audiences/{audience['id']}"
        rows = [client.http.get(f"{place}/{kind}", headers=CSV).content for kind in ("contacts", "rejects")]
        found[audience["id"]] = (audience, client.get(place)["data"], rows)
    return found, client.get("/suppressions")["data"]


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Story:
    settings = plain_settings(tmp_path_factory.mktemp("story") / "data")
    scopes = (READ, WRITE, PEOPLE)
    with started(settings) as service, service.client(scopes=scopes) as one, service.client(scopes=scopes) as two:
        parts = service.parts
        grown = one.create(story_file(), name="Größe „1“", headers=UPLOAD)
        assert grown.append(f"phone1,team\n{CY},red\n", file_name="more.csv").status_code == 200
        swapped = one.create(numbers(0, 50))
        assert swapped.replace(numbers(100, 2000)).status_code == 200
        deleted = one.create(numbers(9000, 5))
        assert one.http.delete(f"/audiences/{deleted.id}").status_code == 200
        assert one.http.post("/suppressions", json={"phones": [ANN, DI]}).status_code == 200
        assert one.http.delete(f"/contacts/{ANN}").status_code == 200
        assert two.create("phone1\nbad\n442079832101\n").replace("phone1\n442079832102\n").status_code == 200
        name = parts.keys.of_account(two.account)[0]["id"]
        _, successor = parts.keys.rotate(name, grace_days=7)
        gone, revoked = parts.keys.create(two.account, "gone", days=1)
        parts.keys.revoke(gone)
        _, token = parts.users.create(two.account, "ann@example.com", "admin", "operator")
        parts.users.use_link(token, PASSWORD, None)
        keys = [one.key, two.key, successor]
        seen = [everything(client_of(service, key)) for key in keys]
    return Story(settings, keys, seen, grown.id, deleted.id, revoked)


@pytest.fixture(scope="module")
def saved(story: Story, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A backup of it, for tests that leave it as it is."""
    folder = tmp_path_factory.mktemp("saved") / "backup"
    made = make(story.settings, folder)
    assert (made.missing, made.files, made.copied_files) == ([], made.copied_files, made.files)
    return folder


SetUp = Callable[[Path], Settings]
SET_UPS = {"embedded": plain_settings, "scaled": lambda folder: scaled.scaled(plain_settings(folder))}


@pytest.fixture(params=SET_UPS)
def set_up(request: pytest.FixtureRequest) -> SetUp:
    """What a backup is restored into: each kind in turn."""
    found: SetUp = SET_UPS[request.param]
    return found


def confirm(story: Story, settings: Settings) -> None:
    """A server on these settings has all of the story, and goes on from there."""
    with started(settings) as service:
        one, two, _ = clients = [client_of(service, key) for key in story.keys]
        assert [everything(client) for client in clients] == story.seen
        assert client_of(service, story.revoked).http.get("/audiences").status_code == 401
        assert service.parts.users.authenticate("ann@example.com", PASSWORD, None).email == "ann@example.com"

        assert one.post(story_file(), name="Größe „1“", headers=UPLOAD).json()["data"]["id"] == story.grown
        assert one.http.post(f"/audiences/{story.deleted}/restore").status_code == 200
        assert one.get(f"/audiences/{story.deleted}")["data"]["user_count"] == 5
        made = one.create(f"phone1\n{ANN}\n{DI}\n{CY}\n")
        assert (made.phones(), made.report["suppressed"]) == ([CY], 2), "the erased one is not suppressed any more"
        assert two.create(numbers(0, 3)).counts["accepted"] == 3
        with service.parts.database.read() as connection:
            assert connection.execute(select(func.count()).select_from(reads_table)).scalar() == 0


def unpacked(saved: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {str(path.relative_to(saved)): path.read_bytes() for path in saved.rglob("*") if path.is_file()}


# There and back


def test_what_was_stored_is_there_again_on_the_other_set_up_and_from_there_on_the_first(
    story: Story, saved: Path, tmp_path: Path
) -> None:
    many, one = (SET_UPS[kind](tmp_path / kind) for kind in ("scaled", "embedded"))
    done = restore(many, saved)
    assert (done.missing, done.files) == ([], check(saved).files)
    make(many, tmp_path / "again")
    restore(one, tmp_path / "again")
    for place in (many, one):
        confirm(story, place)


def test_a_backup_beside_a_busy_server_is_one_state_of_it(set_up: SetUp, tmp_path: Path) -> None:
    """Whatever was acknowledged before the backup began is in it, and each audience is whole."""
    settings = set_up(tmp_path / "busy")
    over, rounds, runs = threading.Event(), [0], []
    with started(settings) as service, service.client(scopes=(READ, WRITE, PEOPLE)) as client:
        first = [client.create(numbers(row * 10, 10)) for row in range(3)]

        def work(number: int) -> None:
            own, rows = client_of(service, client.key), 0
            made = own.create(numbers(number * 10_000, 5))
            while not over.is_set():
                rows += 1
                made.replace(numbers(number * 10_000, rows % 7 + 1))
                own.http.post("/suppressions", json={"phones": [f"4479{number * 10_000 + rows:08d}"]})
                own.http.delete(f"/contacts/4479{number * 10_000:08d}")
                rounds.append(rows)

        def worked(before: int) -> bool:
            return len(rounds) > before + 2  # the one of each worker that was under way, and one more

        workers = [threading.Thread(target=work, args=(number,)) for number in (1, 2)]
        for worker in workers:
            worker.start()
        for _ in range(2):
            runs.append(make(settings, tmp_path / "backup"))
            assert until(partial(worked, len(rounds)))
        over.set()
        for worker in workers:
            worker.join()
    assert [run.missing for run in runs] == [[]] * 2
    assert runs[-1].copied_files, "nothing happened meanwhile"
    restored = plain_settings(tmp_path / "restored")
    restore(restored, tmp_path / "backup")
    with started(restored) as service:
        there = {made["id"]: made["user_count"] for made in whole(client_of(service, client.key))}
    assert {made.id: there.get(made.id) for made in first} == {made.id: 10 for made in first}


def whole(client: Client) -> list[Any]:
    """All audiences, once each is found to have its contacts, but for those that are on the list by now."""
    audiences: list[Any] = client.get("/audiences")["data"]
    for audience in audiences:
        rows = client.http.get(f"/audiences/{audience['id']}/contacts", headers=CSV)
        assert rows.status_code == 200
        assert rows.text.count("\n") - 1 <= audience["user_count"]
    return audiences


def test_files_of_the_state_stay_until_they_are_copied(set_up: SetUp, tmp_path: Path) -> None:
    settings = set_up(tmp_path / "data")
    with started(settings) as service, service.client(scopes=(READ, WRITE, PEOPLE)) as client:
        parts = service.parts
        assert client.http.post("/suppressions", json={"phones": [ANN]}).status_code == 200
        client.create(f"phone1\n{BOB}\n{CY}\n")
        run = Backup(Folder(tmp_path / "backup"), parts.database, parts.files, clock.now, lambda _done, _total: None)
        with Hold(parts.database, parts.files, clock.now) as hold:
            with run.state(hold, ()) as (_, names):
                pass
            assert client.http.post("/suppressions", json={"phones": [DI]}).status_code == 200
            assert client.http.delete(f"/contacts/{BOB}").json()["data"]["contacts"] == 1
            assert len(names) == 2
            assert all(map(parts.files.exists, names))
        assert not any(map(parts.files.exists, names)), "nobody wants them any more"


# Runs one after the other


def test_a_second_run_copies_only_what_is_new(story: Story, tmp_path: Path) -> None:
    settings = copied(story, tmp_path)
    folder = tmp_path / "backup"
    first = make(settings, folder)
    times = {path: path.stat().st_mtime_ns for path in (folder / "files").rglob("*.parquet")}
    second = make(settings, folder)
    assert (second.files, second.copied_files, second.copied_bytes) == (first.files, 0, 0)
    assert {path: path.stat().st_mtime_ns for path in times} == times
    with started(settings) as service:
        client_of(service, story.keys[0]).create("phone1\n442079832109\n")
    assert make(settings, folder).copied_files == 1
    assert len(Folder(folder).states()) == 1


def test_who_was_erased_leaves_the_backup_with_the_next_run(tmp_path: Path) -> None:
    settings, folder = plain_settings(tmp_path / "data"), tmp_path / "backup"
    with started(settings) as service, service.client(scopes=(READ, WRITE, PEOPLE)) as client:
        client.create(f"phone1,name\n{ANN},Annabelle\n{BOB},Bob\n", headers=UPLOAD)
        make(settings, folder)
        before = set((folder / "files").rglob("*.parquet"))
        assert client.http.delete(f"/contacts/{ANN}").status_code == 200
        made = make(settings, folder)
    assert made.removed_files == 1
    assert not before & set((folder / "files").rglob("*.parquet"))
    assert not [name for name, content in unpacked(folder).items() if b"Annabelle" in content]


def test_as_many_states_are_kept_as_one_asks_for_and_each_can_be_restored(tmp_path: Path) -> None:
    settings, folder = plain_settings(tmp_path / "data"), tmp_path / "backup"
    with started(settings) as service, service.client() as client:
        made = client.create(numbers(0, 3))
        names = [make(settings, folder, keep=2).catalog]
        for count in (4, 5):
            made.replace(numbers(0, count))
            names.append(make(settings, folder, keep=2).catalog)
    assert [state.name for state in Folder(folder).states()] == names[1:]
    old = plain_settings(tmp_path / "old")
    restore(old, folder, names[1])
    with started(old) as service:
        assert client_of(service, client.key).get(f"/audiences/{made.id}")["data"]["user_count"] == 4
    with pytest.raises(CannotOpen, match=f"has no {names[0]}"):
        check(folder, names[0])


def test_a_clock_that_was_set_back_costs_no_state(story: Story, tmp_path: Path) -> None:
    newest = make(story.settings, tmp_path / "backup", keep=2)
    later = make(story.settings, tmp_path / "backup", keep=1, now=lambda: 1_600_000_000_000)
    assert later.catalog > newest.catalog
    assert check(tmp_path / "backup").catalog == later.catalog


def test_a_full_disk_leaves_the_backup_that_was_there(story: Story, tmp_path: Path) -> None:
    settings, folder = copied(story, tmp_path), tmp_path / "backup"
    before = make(settings, folder)
    with opened_parts(settings) as parts:
        (settings.data / "spool" / "large").write_bytes(bytes(3 * MIB))
        large = parts.files.put(settings.data.resolve() / "spool" / "large", "contacts")
        with parts.database.write() as connection:
            file = connection.execute(select(func.min(audience_files.c.id))).scalar()
            connection.execute(update(audience_files).where(audience_files.c.id == file).values(contacts_object=large))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (MIB, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            make(settings, folder)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert check(folder).catalog == before.catalog
    assert not (folder / "incoming").exists()
    assert make(settings, folder).copied_files == 1


def test_what_a_broken_off_run_has_copied_is_not_copied_again(story: Story, tmp_path: Path) -> None:
    folder = tmp_path / "backup"
    whole = make(story.settings, folder)
    for state in Folder(folder).states():
        shutil.rmtree(state)
    again = make(story.settings, folder)
    assert (again.files, again.copied_files) == (whole.files, 0)
    assert check(folder).files == whole.files


def test_a_file_that_was_cut_off_in_the_backup_is_copied_anew(story: Story, tmp_path: Path) -> None:
    folder = tmp_path / "backup"
    make(story.settings, folder)
    cut = max((folder / "files").rglob("*.parquet"))
    cut.write_bytes(cut.read_bytes()[:-1])
    with pytest.raises(BackupDamaged, match=cut.name):
        check(folder)
    assert make(story.settings, folder).copied_files == 1
    check(folder)


def test_a_damaged_state_keeps_no_new_one_from_being_made(story: Story, tmp_path: Path) -> None:
    folder = tmp_path / "backup"
    make(story.settings, folder)
    flip(max(folder.glob("catalog-*/files.ndjson")))
    made = make(story.settings, folder)
    assert check(folder).files == made.files


def test_a_file_that_the_store_has_lost_is_told_and_the_rest_is_saved(story: Story, run: Run, tmp_path: Path) -> None:
    settings = copied(story, tmp_path)
    lost = max((settings.data / "files").rglob("contacts-*.parquet"))
    lost.unlink()
    told = run("backup", tmp_path / "backup", "--json", "--data", settings.data, code=1)
    made = json.loads(told.stdout)
    assert made["missing"] == [f"{lost.parent.name}/{lost.name}"]
    assert lost.name in told.stderr
    assert restore(plain_settings(tmp_path / "new"), tmp_path / "backup").missing == made["missing"]


def test_two_backups_into_one_folder_do_not_meet(story: Story, tmp_path: Path) -> None:
    folder = Folder(tmp_path / "backup")
    with folder.owned(), pytest.raises(CannotOpen, match="Another command"):
        make(story.settings, folder.path)
    make(story.settings, folder.path)
    with folder.read(), pytest.raises(CannotOpen, match="Another command"):
        make(story.settings, folder.path)


def test_a_backup_is_for_its_owner_alone(saved: Path) -> None:
    assert {oct(path.stat().st_mode & 0o777) for path in [saved, *saved.rglob("*")] if path.is_dir()} == {"0o700"}
    assert {oct(path.stat().st_mode & 0o777) for path in saved.rglob("*") if path.is_file()} == {"0o600"}


def test_a_folder_of_something_else_is_left_alone(story: Story, tmp_path: Path) -> None:
    other = tmp_path / "photos"
    (other / "files").mkdir(parents=True)
    (other / "lock").touch()
    with pytest.raises(NoBackup, match="something else"):
        make(story.settings, other)
    assert sorted(path.name for path in other.iterdir()) == ["files", "lock"]
    with pytest.raises(CannotOpen, match="lost with it"):
        make(story.settings, story.settings.data / "backup")
    with pytest.raises(NoBackup, match="no backup"):
        check(other)


def test_where_there_is_no_catalog_there_is_no_backup_of_nothing(set_up: SetUp, tmp_path: Path) -> None:
    settings = set_up(tmp_path / "data")
    if settings.database_url is not None:
        settings = replace(settings, database_url=scaled.postgres().database())
    with pytest.raises(CannotOpen, match="no catalog"):
        make(settings, tmp_path / "backup")
    assert Folder(tmp_path / "backup").states() == []


# What is refused, and leaves nothing


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def cut_off(path: Path) -> None:
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:-1]))


@pytest.mark.parametrize(
    ("damage", "what"),
    [
        (flip, "files/*/contacts-*"),
        (Path.unlink, "files/*/suppressions-*"),
        (flip, "catalog-*/audit.ndjson"),
        (cut_off, "catalog-*/audience_files.ndjson"),
        (cut_off, "catalog-*/files.ndjson"),
        (Path.unlink, "catalog-*/keys.ndjson"),
        (Path.unlink, "catalog-*/manifest.json"),
        (cut_off, "catalog-*/manifest.json"),
    ],
)
def test_a_damaged_backup_is_refused_before_anything_is_written(
    saved: Path, tmp_path: Path, damage: Callable[[Path], None], what: str
) -> None:
    folder = tmp_path / "backup"
    shutil.copytree(saved, folder)
    hit = max(folder.glob(what))
    damage(hit)
    with pytest.raises(BackupDamaged, match=hit.name):
        restore(plain_settings(tmp_path / "new"), folder)
    assert not (tmp_path / "new").exists()


def remade(saved: Path, folder: Path, **changed: Any) -> Path:
    """A copy of a backup, with another manifest."""
    shutil.copytree(saved, folder)
    path = max(folder.glob("catalog-*/manifest.json"))
    path.write_text(json.dumps(json.loads(path.read_text()) | changed))
    return folder


@pytest.mark.parametrize(
    ("changed", "kind", "told"), [({"schema": "9999"}, SchemaTooNew, "newer"), ({"format": 2}, CannotOpen, "format 2")]
)
def test_a_backup_of_a_newer_release_is_refused(
    saved: Path, tmp_path: Path, changed: Any, kind: type[Exception], told: str
) -> None:
    with pytest.raises(kind, match=told):
        restore(plain_settings(tmp_path / "new"), remade(saved, tmp_path / "backup", **changed))
    assert not (tmp_path / "new").exists()


# What came after schema 0004: columns by their table, and tables.
LATER_COLUMNS = {"audiences": "name_folded", "accounts": "retention_days"}
LATER_TABLES = ("uploads",)


def test_a_backup_of_an_older_release_is_restored_and_brought_up_to_date(
    story: Story, saved: Path, set_up: SetUp, tmp_path: Path
) -> None:
    """Schema 0004 had no folded names, no retention and no kept uploads."""
    tables = json.loads(max(saved.glob("catalog-*/manifest.json")).read_text())["tables"]
    contents = {}
    for table, later in LATER_COLUMNS.items():
        rows = max(saved.glob(f"catalog-*/{table}.ndjson")).read_text().splitlines()
        older = [{name: value for name, value in json.loads(row).items() if name != later} for row in rows]
        contents[table] = "".join(f"{json.dumps(row)}\n" for row in older).encode()
        tables[table] = {"rows": len(rows), "sha256": sha256(contents[table]).hexdigest()}
    for table in LATER_TABLES:
        del tables[table]
    folder = remade(saved, tmp_path / "backup", schema="0004", tables=tables)
    for table, content in contents.items():
        max(folder.glob(f"catalog-*/{table}.ndjson")).write_bytes(content)
    for table in LATER_TABLES:
        max(folder.glob(f"catalog-*/{table}.ndjson")).unlink()

    settings = set_up(tmp_path / "new")
    restore(settings, folder)
    with started(settings) as service:
        assert service.parts.database.schema_version() == HEAD
        client = client_of(service, story.keys[0])
        assert everything(client) == story.seen[0]
        assert [found["id"] for found in client.get("/audiences", name="GRÖSSE")["data"]] == [story.grown]


def test_nothing_is_written_over(saved: Path, set_up: SetUp, tmp_path: Path) -> None:
    settings = set_up(tmp_path / "data")
    with started(settings) as service:
        with pytest.raises(DataFolderInUse):
            restore(settings, saved)
        if settings.database_url is not None:
            with pytest.raises(NotEmpty, match="Stop all of them"):
                restore(replace(settings, data=tmp_path / "another node"), saved)
        account = service.account()
    with pytest.raises(NotEmpty, match="accounts"):
        restore(settings, saved)
    with opened_parts(settings) as parts:
        _, key = parts.keys.create(account, "mine")
    with pytest.raises(NotEmpty, match="keys"):
        restore(settings, saved)
    with started(settings) as service:
        made = client_of(service, key).create(numbers(0, 3))
        assert client_of(service, key).get("/audiences")["data"][0]["id"] == made.id
        assert len(list(service.parts.files.names(0))) == 1


def test_files_of_somebody_else_are_not_joined(saved: Path, set_up: SetUp, tmp_path: Path) -> None:
    with started(set_up(tmp_path / "theirs")) as theirs, theirs.client() as client:
        client.create(numbers(0, 3))
        settings = replace(set_up(tmp_path / "mine"), storage_url=theirs.parts.settings.storage_url)
        if settings.storage_url is None:
            shutil.copytree(tmp_path / "theirs" / "files", tmp_path / "mine" / "files")
        with pytest.raises(CannotOpen, match="belong to another catalog"):
            restore(settings, saved)
        assert len(list(theirs.parts.files.names(0))) == 1


def once_files_are_stored(act: Callable[[], object]) -> Callable[[int, int | None], None]:
    """Acts when a restore, which has verified all, has stored its first file."""
    told: list[int] = []

    def moved(done: int, _total: int | None) -> None:
        begun = [number for number, last in zip(told[1:], told, strict=False) if number < last]
        told.append(done)
        if not begun and len(told) > 1 and done < told[-2]:
            act()

    return moved


def test_a_restore_that_was_broken_off_is_begun_again(saved: Path, set_up: SetUp, tmp_path: Path) -> None:
    settings = set_up(tmp_path / "new")

    def interrupt() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        restore(settings, saved, moved=once_files_are_stored(interrupt))
    done, again = restore(settings, saved), make(settings, tmp_path / "again")
    assert (again.missing, again.files, again.rows) == ([], done.files, done.rows)


def test_a_server_that_starts_meanwhile_keeps_its_keys_and_the_restore_is_refused(saved: Path, tmp_path: Path) -> None:
    """With others than it began on it would not find who was erased."""
    settings = SET_UPS["scaled"](tmp_path / "new")
    node = replace(settings, data=tmp_path / "another node")
    with ExitStack() as nodes:
        begun: list[Parts] = []
        start = once_files_are_stored(lambda: begun.append(nodes.enter_context(opened_parts(node))))
        with pytest.raises(NotEmpty, match="Stop all of them"):
            restore(settings, saved, moved=start)
        with begun[0].database.read() as connection:
            assert secret_keys.find(connection, "suppressions") == begun[0].suppressions.key
            assert connection.execute(select(func.count()).select_from(audience_files)).scalar() == 0
    assert restore(settings, saved).files


def test_where_a_first_start_has_been_a_backup_can_be_restored(story: Story, saved: Path, tmp_path: Path) -> None:
    settings = plain_settings(tmp_path / "data")
    with started(settings) as service:
        assert service.parts.users.first_link() is not None
    restore(settings, saved)
    confirm(story, settings)


def copied(story: Story, folder: Path) -> Settings:
    """The story's settings on a copy of its data, for a test that changes them."""
    shutil.copytree(story.settings.data, folder / "data")
    return replace(story.settings, data=folder / "data")


# The commands


def test_backup_and_restore_on_the_command_line(story: Story, run: Run, tmp_path: Path) -> None:
    made = run("backup", tmp_path / "backup", "--data", story.settings.data).stdout
    assert "rows" in made
    line = run("backup", tmp_path / "backup", "--data", story.settings.data, "--json", "--keep", "2").stdout
    assert line.count("\n") == 1
    assert json.loads(line)["copied_files"] == 0
    assert "is whole" in run("restore", tmp_path / "backup", "--check").stdout
    told = run("restore", tmp_path / "backup", "--data", tmp_path / "new", "--json")
    assert "Whoever was erased" in told.stderr
    done = json.loads(told.stdout)
    assert done["files"] == json.loads(line)["files"]
    assert "in use" in run("restore", tmp_path / "backup", "--data", tmp_path / "new", code=1).stderr
    assert "no catalog" in run("backup", tmp_path / "backup", "--data", tmp_path / "none", code=1).stderr


def test_the_schema_is_brought_up_to_date_by_a_command(run: Run, tmp_path: Path) -> None:
    assert f"no schema, and has {HEAD} now" in run("migrate", "--data", tmp_path).stdout
    assert f"has schema {HEAD} already" in run("migrate", "--data", tmp_path).stdout
    with closing(sqlite3.connect(tmp_path / "catalog.sqlite")) as catalog, catalog:
        catalog.execute("UPDATE alembic_version SET version_num = '9999'")
    assert "newer release" in run("migrate", "--data", tmp_path, code=1).stderr
    assert "9999" in run("backup", tmp_path.parent / "backup", "--data", tmp_path, code=1).stderr


def test_the_sweep_of_a_command_works_beside_a_server(set_up: SetUp, run: Run, tmp_path: Path) -> None:
    settings = set_up(tmp_path / "data")
    where = {
        "AUDIENCES_DATABASE_URL": settings.database_url,
        "AUDIENCES_STORAGE_URL": settings.storage_url,
    }
    environment = {name: value for name, value in where.items() if value is not None}
    with started(settings) as service, service.client() as client:
        kept, gone = client.create(numbers(0, 3)), client.create(numbers(0, 3))
        assert client.http.delete(f"/audiences/{gone.id}").status_code == 200
        with service.parts.database.write() as connection:
            old = update(audience_files).where(audience_files.c.retired_time.is_not(None))
            connection.execute(old.values(retired_time=0))
        done = json.loads(run("sweep", "--json", "--data", settings.data, **environment).stdout)
        assert done["retired_files"] == 1
        assert "0  retired files" in run("sweep", "--data", settings.data, **environment).stdout
        with service.parts.database.alone(sweep.WORK) as alone:
            assert alone
            told = run("sweep", "--data", settings.data, **environment).stdout
            assert ("A server sweeps" in told) is (settings.database_url is not None)
        assert len(kept.contacts()) == 3
