"""The stores: the catalog's schema and promises, and the contract of every file store."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, event, text

import scaled
from audiences import clock, parts, sweep
from audiences.errors import CannotOpen, DiskFull
from audiences.store import accounts, audiences, database, versions
from audiences.store.database import Database, SchemaTooNew
from audiences.store.files import FileStore, FolderStore
from audiences.store.schema import metadata
from conftest import settings_in
from file_store_contract import FileStoreContract


@pytest.fixture(params=["sqlite", "postgresql"])
def catalog(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """An empty catalog, of both kinds in turn."""
    embedded = f"sqlite:///{tmp_path / 'catalog.sqlite'}"
    with closing(Database(embedded if request.param == "sqlite" else scaled.postgres().database())) as opened:
        yield opened


@pytest.fixture
def sqlite(tmp_path: Path) -> Iterator[Database]:
    with closing(Database(f"sqlite:///{tmp_path / 'catalog.sqlite'}")) as opened:
        yield opened


def test_the_migrations_build_the_schema_that_the_code_works_on(catalog: Database) -> None:
    catalog.migrate()
    with catalog.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []


def test_the_newest_migration_is_the_one_that_the_code_knows(catalog: Database) -> None:
    config = Config()
    config.set_main_option("script_location", str(database.MIGRATIONS))
    assert ScriptDirectory.from_config(config).get_current_head() == database.HEAD
    catalog.migrate()
    assert catalog.schema_version() == database.HEAD
    catalog.migrate()  # and again does nothing


def named(catalog: Database, name: str) -> list[str]:
    """The names of the audiences that are found by `name`, in order of the names."""
    order = audiences.Order("name", descending=False)
    with catalog.read() as connection:
        found = audiences.sorted_page(connection, 1, name=name, order=order, beyond=None, limit=100)
        paged = audiences.page(connection, 1, name=name, after=None, limit=None)
    assert {row["name"] for row in found} == {row["name"] for row in paged}
    return [row["name"] for row in found]


NAMES = ["Straße", "STRASSE 2", "Ünïcode", "ünïcode b", "Σίσυφος", "100%_sure", "1000 sure"]


def test_names_are_found_and_sorted_alike_on_both_catalogs(catalog: Database) -> None:
    catalog.migrate()
    with catalog.write() as connection:
        accounts.add(connection, "default", 0)
        row = {"account_id": 1, "type": "Static", "version": 1, "created_time": 0, "updated_time": 0}
        for number, name in enumerate(NAMES):
            audiences.add(connection, row | {"id": 10**11 + number, "name": name})
        # As a node of the release before writes it, which goes on while others are upgraded.
        values = "100000000099, 1, 'Older', 'Static', 1, 0, 0"
        columns = "id, account_id, name, type, version, created_time, updated_time"
        connection.execute(text(f"INSERT INTO audiences ({columns}) VALUES ({values})"))
        audiences.add(connection, row | {"id": 10**11 + 98, "name": "Grün"})
        connection.execute(text("UPDATE audiences SET name = 'NEWER in 2' WHERE name = 'Grün'"))
    assert named(catalog, "strasse") == ["Straße", "STRASSE 2"]
    assert named(catalog, "ÜNÏ") == ["Ünïcode", "ünïcode b"]
    assert named(catalog, "ΣΊΣΥΦΟΣ") == ["Σίσυφος"]
    assert named(catalog, "0%_") == ["100%_sure"]
    assert named(catalog, "oldER") == ["Older"]
    assert named(catalog, "newer IN") == ["NEWER in 2"]
    assert named(catalog, "Grün") == []
    assert named(catalog, "e\no") == []
    assert named(catalog, "") == sorted([*NAMES, "Older", "NEWER in 2"], key=str.casefold)


def test_what_a_node_of_the_release_before_forgot_of_a_deleted_audience_is_forgotten_whole(sqlite: Database) -> None:
    sqlite.migrate()
    with sqlite.write() as connection:
        accounts.add(connection, "default", 0)
        row = {"account_id": 1, "type": "Static", "version": 1, "created_time": 0, "updated_time": 0, "deleted_time": 1}
        audiences.add(connection, row | {"id": 10**11, "name": "Ann"})
        connection.execute(text("UPDATE audiences SET name = ''"))
        assert versions.forget_deleted(connection, 2) == 1
        assert connection.execute(text("SELECT name_folded FROM audiences")).scalar() == ""
        assert versions.forget_deleted(connection, 2) == 0


def test_a_catalog_of_a_newer_release_is_refused(catalog: Database) -> None:
    catalog.migrate()
    with catalog.write() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(SchemaTooNew, match="newer release"):
        catalog.migrate()


def test_every_connection_syncs_its_commits_and_keeps_foreign_keys(sqlite: Database) -> None:
    with sqlite.read() as one, sqlite.write() as two:
        for connection in (one, two):
            found = [
                connection.execute(text(f"PRAGMA {name}")).scalar()
                for name in ("journal_mode", "synchronous", "foreign_keys")
            ]
            assert found == ["wal", 2, 1]


def test_a_write_that_raises_leaves_nothing(catalog: Database) -> None:
    catalog.migrate()

    def fail_after_a_statement() -> None:
        with catalog.write() as connection:
            connection.execute(text("INSERT INTO accounts (name, created_time) VALUES ('x', 0)"))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_after_a_statement()
    with catalog.read() as connection:
        assert connection.execute(text("SELECT count(*) FROM accounts")).scalar() == 0


def test_a_second_server_on_the_same_folder_is_refused(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    with (
        parts.opened_parts(settings),
        pytest.raises(parts.DataFolderInUse, match="Another server"),
        parts.opened_parts(settings),
    ):
        pass
    with parts.opened_parts(settings):
        pass


@pytest.mark.embedded
def test_files_of_another_catalog_are_not_swept_but_refused(tmp_path: Path) -> None:
    with parts.opened_parts(settings_in(tmp_path)) as opened:
        source = tmp_path / "spool" / "x"
        source.write_bytes(b"x")
        name = opened.files.put(source, "contacts")
    for left in tmp_path.glob("catalog.sqlite*"):
        left.unlink()
    with pytest.raises(CannotOpen, match="belong to another catalog"), parts.opened_parts(settings_in(tmp_path)):
        pass
    assert (tmp_path / "files" / name).exists()


def test_nobody_else_may_look_into_the_data_folder(tmp_path: Path) -> None:
    folder = parts.prepared_folder(tmp_path / "new" / "data")
    assert folder.stat().st_mode & 0o777 == 0o700


class TestFolderStore(FileStoreContract):
    """Files in a folder keep the contract of a file store."""

    @pytest.fixture
    def store(self, tmp_path: Path) -> FileStore:
        return FolderStore(tmp_path / "files")


def test_the_sweeper_removes_old_strays_and_nothing_else(tmp_path: Path) -> None:
    with parts.opened_parts(settings_in(tmp_path)) as opened:
        files, catalog = opened.files, opened.database
        names = []
        for kind in ("contacts", "contacts", "rejects"):
            source = tmp_path / "spool" / "x"
            source.write_bytes(b"x")
            names.append(files.put(source, kind))
        used, stray, young = names
        with catalog.write() as connection:
            row = {"id": 10**11, "account_id": 1, "name": "x", "type": "Static", "version": 1}
            audiences.add(connection, row | {"created_time": 0, "updated_time": 0})
            file = {"audience_id": 10**11, "first_version": 1, "position": 1, "accepted": 1, "stored_bytes": 1}
            audiences.add_file(connection, file | {"report": {}, "layout": {}, "contacts_object": used})
        long_ago = time.time() - sweep.FILE_AGE_S - 1
        for name in (used, stray):
            os.utime(files.local(name), (long_ago, long_ago))

        assert opened.sweeper.sweep()["stray_files"] == 1
        assert set(files.names(0)) == {used, young}


def test_the_sweeper_asks_the_catalog_after_it_listed_the_files(tmp_path: Path) -> None:
    """The other order destroys a file that is committed in between."""
    with parts.opened_parts(settings_in(tmp_path)) as opened:
        order: list[str] = []

        class Listing(FolderStore):
            """Notes when it is asked."""

            def names(self, older_than_s: float) -> Iterator[str]:
                order.append("files")
                yield from super().names(older_than_s)

        class Asked(Database):
            """Notes when it is asked."""

            def read(self):  # type: ignore[no-untyped-def]  # noqa: ANN202 - the base's own
                order.append("catalog")
                return super().read()

        source = tmp_path / "spool" / "x"
        source.write_bytes(b"x")
        store = Listing(tmp_path / "files")
        store.put(source, "contacts")
        with closing(Asked(f"sqlite:///{tmp_path / 'catalog.sqlite'}")) as asked:
            sweep.remove_stray_files(store, asked, clock.now, age_s=0)
        assert order[:2] == ["files", "catalog"]
        assert opened.files.reachable()


def test_a_start_empties_the_spool(tmp_path: Path) -> None:
    with parts.opened_parts(settings_in(tmp_path)):
        pass
    (tmp_path / "spool" / "left").mkdir()
    (tmp_path / "spool" / "left" / "upload").write_bytes(b"x")
    (tmp_path / "spool" / "old.pipe").write_bytes(b"")
    with parts.opened_parts(settings_in(tmp_path)):
        assert list((tmp_path / "spool").iterdir()) == []


def test_a_full_disk_under_the_catalog_is_told_and_keeps_nobody_from_reading(tmp_path: Path) -> None:
    with parts.opened_parts(settings_in(tmp_path)) as opened:
        _, text_of_key = opened.keys.create(1, "test")

        @event.listens_for(opened.database.engine, "begin")
        def fill(connection: Connection) -> None:
            connection.exec_driver_sql("PRAGMA max_page_count = 1")

        def add_accounts() -> None:
            for _ in range(2000):
                with opened.database.write() as connection:
                    accounts.add(connection, str(uuid.uuid4()) * 6, 0)

        with pytest.raises(DiskFull):
            add_accounts()
        assert opened.keys.authenticate(f"Bearer {text_of_key}").account == 1
