"""What every file store promises: the suite that each backend inherits, with a fixture `store` of its own."""

from __future__ import annotations

import gc
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from audiences.store.files import DRAFT, FileStore

NO_SUCH_FILE = "00/contacts-00000000000000000000000000000000.parquet"


class FileStoreContract:
    """The contract. The backend's class has the fixture `store`."""

    @pytest.fixture
    def source(self, tmp_path: Path) -> Path:
        path = tmp_path / "source"
        path.write_bytes(b"content")
        return path

    def test_what_was_put_can_be_read_and_its_name_is_used_once(self, store: FileStore, source: Path) -> None:
        first = store.put(source, "contacts")
        assert store.local(first).read_bytes() == b"content"
        source.write_bytes(b"other")
        second = store.put(source, "contacts")
        assert first != second
        assert store.local(first).read_bytes() == b"content"
        assert store.local(second).read_bytes() == b"other"

    def test_the_file_is_taken_over(self, store: FileStore, source: Path) -> None:
        store.put(source, "contacts")
        assert not source.exists()

    @pytest.mark.parametrize(("kind", "ending"), [("contacts", "parquet"), ("rejects", "parquet"), (DRAFT, "upload")])
    def test_a_name_tells_the_kind_and_nothing_else(
        self, store: FileStore, source: Path, kind: str, ending: str
    ) -> None:
        name = store.put(source, kind)
        folder, _, rest = name.partition("/")
        token = rest.removeprefix(f"{kind}-").removesuffix(f".{ending}")
        assert len(token) == 32
        assert token.startswith(folder)
        assert len(folder) == 2

    def test_the_first_owner_stays_the_owner(self, store: FileStore, source: Path) -> None:
        store.put(source, "contacts")
        assert store.claim("one") == "one"
        assert store.claim("two") == "one"
        assert store.claim("one") == "one"
        assert len(list(store.names(older_than_s=0))) == 1

    def test_an_empty_file_is_a_file(self, store: FileStore, tmp_path: Path) -> None:
        (tmp_path / "empty").write_bytes(b"")
        assert store.local(store.put(tmp_path / "empty", "contacts")).read_bytes() == b""

    def test_many_are_found_at_once(self, store: FileStore, tmp_path: Path) -> None:
        names = []
        for number in range(12):
            (tmp_path / "one").write_bytes(b"%d" % number)
            names.append(store.put(tmp_path / "one", "contacts"))
        with ThreadPoolExecutor(4) as threads:
            found = list(threads.map(store.local, names))
        assert [path.read_bytes() for path in found] == [b"%d" % number for number in range(12)]

    def test_what_is_put_back_is_there_again_under_its_own_name(self, store: FileStore, source: Path) -> None:
        name = store.put(source, "contacts")
        store.remove(name)
        source.write_bytes(b"content")
        store.put_back(source, name)
        store.put_back(source, name)
        assert source.exists()
        assert store.local(name).read_bytes() == b"content"
        assert list(store.names(0)) == [name]

    def test_nothing_else_is_put_back(self, store: FileStore, source: Path, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match="not a name"):
            store.put_back(source, "../catalog.sqlite")
        with pytest.raises(FileNotFoundError):
            store.put_back(tmp_path / "missing", NO_SUCH_FILE)
        assert list(store.names(0)) == []

    def test_names_lists_what_is_old_enough(self, store: FileStore, source: Path) -> None:
        name = store.put(source, "rejects")
        assert list(store.names(0)) == [name]
        assert list(store.names(3600)) == []

    def test_what_was_removed_is_not_there(self, store: FileStore, source: Path) -> None:
        name = store.put(source, "contacts")
        assert store.exists(name)
        store.remove(name)
        assert not store.exists(name)
        with pytest.raises(FileNotFoundError):
            store.local(name)

    def test_removing_twice_is_fine(self, store: FileStore, source: Path) -> None:
        name = store.put(source, "contacts")
        store.remove(name)
        store.remove(name)
        assert list(store.names(0)) == []

    def test_what_was_never_there_is_not_found(self, store: FileStore) -> None:
        assert not store.exists(NO_SUCH_FILE)
        with pytest.raises(FileNotFoundError):
            store.local(NO_SUCH_FILE)
        store.remove(NO_SUCH_FILE)

    def test_a_source_that_is_missing_leaves_nothing(self, store: FileStore, tmp_path: Path) -> None:
        with pytest.raises(FileNotFoundError):
            store.put(tmp_path / "missing", "contacts")
        assert list(store.names(0)) == []

    def test_a_file_that_is_held_stays_whatever_is_trimmed(self, store: FileStore, source: Path) -> None:
        held = store.local(store.put(source, "contacts"))
        store.trim(lambda _: set())
        assert held.read_bytes() == b"content"

    def test_a_trimmed_file_that_is_stored_can_be_read_again(self, store: FileStore, source: Path) -> None:
        name = store.put(source, "contacts")
        store.trim(lambda _: set())
        gc.collect()
        assert store.local(name).read_bytes() == b"content"

    @pytest.mark.parametrize(
        "name", ["../catalog.sqlite", "/etc/passwd", "00/contacts-x.parquet", "", "00/../a.parquet"]
    )
    def test_a_name_cannot_leave_the_store(self, store: FileStore, name: str) -> None:
        for ask in (store.local, store.exists, store.remove):
            with pytest.raises(ValueError, match="not a name"):
                ask(name)

    def test_it_says_that_it_is_reachable(self, store: FileStore) -> None:
        assert store.reachable()
