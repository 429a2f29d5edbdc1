"""Holds: what is held stays as long as its block lasts, whatever happens meanwhile, and no longer."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from sqlalchemy import Connection

from audiences import clock, judging, leases, sweep
from audiences.errors import DiskFull, NotReady
from audiences.inbox import Upload
from audiences.leases import LEASE, Leases
from audiences.parts import Parts, opened_parts
from audiences.store import audiences, files, reads
from audiences.suppression_file import Written
from audiences.suppressions import Version
from conftest import settings_in

SOON_S = 0.005


@pytest.fixture
def parts(tmp_path: Path) -> Iterator[Parts]:
    with opened_parts(settings_in(tmp_path)) as opened:
        yield opened


class Time:
    """A clock that stands until it is set."""

    def __init__(self) -> None:
        self.now = clock.now()

    def __call__(self) -> int:
        return self.now


def stored(parts: Parts) -> str:
    """A stored file that no row refers to."""
    source = parts.settings.data.resolve() / "spool" / "x"
    source.write_bytes(b"x")
    return parts.files.put(source, "contacts")


def finds(name: str) -> Callable[[Connection], tuple[str, list[str]]]:
    """What finds a file."""
    return lambda _: (name, [name])


def is_held(parts: Parts, name: str, now: int | None = None) -> bool:
    """Whether the catalog says so, at that time."""
    with parts.database.read() as connection:
        return reads.held(connection, [name], clock.now() if now is None else now) == {name}


async def until(met: Callable[[], bool]) -> bool:
    """Whether it comes to be, within 5 seconds."""
    for _ in range(1000):
        if met():
            return True
        await asyncio.sleep(SOON_S)
    return False


def test_a_hold_is_renewed_as_long_as_its_block_lasts(parts: Parts) -> None:
    time, name = Time(), stored(parts)
    holds = Leases(parts.database, parts.files, time, renewal_s=SOON_S)

    async def hold() -> None:
        async with holds.held(1, finds(name)) as found:
            assert found == name
            time.now += LEASE - 1
            assert await until(lambda: is_held(parts, name, time.now + LEASE - 1))

    asyncio.run(hold())
    assert not is_held(parts, name, time.now)


def test_a_renewal_that_fails_is_logged_and_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    faults = [RuntimeError("database is locked: 442079832100"), OSError(28, "No space left on device")]
    renewed: list[int] = []

    def renew() -> None:
        if faults:
            raise faults.pop()
        renewed.append(1)

    async def hold() -> None:
        async with leases.renewed(renew, lambda: None, SOON_S):
            assert await until(lambda: len(renewed) > 1)

    asyncio.run(hold())
    events = [record.message for record in caplog.records]
    assert events.count("lease_not_renewed") == 2
    assert "442079832100" not in caplog.text


def test_a_release_that_fails_does_not_spoil_what_was_done(caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> None:
        raise RuntimeError("database is locked")

    async def hold() -> str:
        async with leases.renewed(lambda: None, fail, 60):
            return "done"

    assert asyncio.run(hold()) == "done"
    assert [record.message for record in caplog.records] == ["lease_not_ended"]


def test_the_sweeper_leaves_what_is_held_and_its_mark(parts: Parts) -> None:
    name = stored(parts)

    async def hold() -> None:
        async with parts.leases.held(1, finds(name)):
            parts.sweeper.sweep()
            sweep.remove_stray_files(parts.files, parts.database, clock.now, age_s=0)
            assert is_held(parts, name)
            assert parts.files.exists(name)

    asyncio.run(hold())


def test_a_mark_of_a_node_that_died_goes(parts: Parts) -> None:
    name = stored(parts)
    with parts.database.write() as connection:
        reads.add(connection, "dead", [name], clock.now() - 1)
        reads.add(connection, "alive", [name], clock.now() + LEASE)
    parts.sweeper.sweep()
    with parts.database.read() as connection:
        assert reads.held(connection, [name], 0) == {name}
    with parts.database.write() as connection:
        assert reads.remove(connection, "dead") == []
        assert reads.remove(connection, "alive") == [name]


def test_what_nobody_refers_to_goes_with_its_last_reader(parts: Parts) -> None:
    name = stored(parts)

    async def hold() -> None:
        async with parts.leases.held(1, finds(name)):
            async with parts.leases.held(1, finds(name)):
                pass
            assert parts.files.exists(name), "the other one reads on"
        assert not parts.files.exists(name)

    asyncio.run(hold())


def test_what_is_held_while_it_is_stored_stays_until_the_end_of_the_block(parts: Parts) -> None:
    async def hold() -> str:
        async with parts.leases.growing(1) as add:
            name = stored(parts)
            add(name)
            sweep.remove_stray_files(parts.files, parts.database, clock.now, age_s=0)
            assert parts.files.exists(name)
        return name

    assert not parts.files.exists(asyncio.run(hold()))


@pytest.mark.parametrize(
    ("ended_by", "stays"),
    [(DiskFull("There is no room."), False), (NotReady("The catalog is away."), True), (OSError("I/O error"), True)],
)
def test_what_a_full_disk_cut_off_is_removed_though_its_hold_cannot_be_ended(
    parts: Parts, monkeypatch: pytest.MonkeyPatch, ended_by: Exception, *, stays: bool
) -> None:
    """Else it would take its room for two hours more; but where nobody knows what was stored, nothing is removed."""

    def full(_account: int) -> None:
        raise DiskFull("The server has no room for its catalog.")

    name = stored(parts)

    async def hold() -> None:
        async with parts.leases.growing(1) as add:
            add(name)
            monkeypatch.setattr(parts.database, "write", full)
            raise ended_by

    with pytest.raises(type(ended_by)):
        asyncio.run(hold())
    assert parts.files.exists(name) is stays


def test_a_full_disk_keeps_nobody_from_reading_and_is_told_once(
    parts: Parts, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = stored(parts)

    def full(_account: int) -> None:
        raise DiskFull("The server has no room for its catalog.")

    monkeypatch.setattr(parts.database, "write", full)

    async def hold() -> None:
        for _ in range(3):
            async with parts.leases.held(1, finds(name)) as found:
                assert found == name

    asyncio.run(hold())
    assert [record.message for record in caplog.records].count("lease_without_room") == 1
    assert parts.files.exists(name)


def test_a_block_that_is_cancelled_lets_go(parts: Parts) -> None:
    name = stored(parts)

    @asynccontextmanager
    async def held() -> AsyncIterator[None]:
        async with parts.leases.held(1, finds(name)):
            yield

    async def wait() -> None:
        async with held():
            await asyncio.sleep(60)

    async def cancel() -> None:
        task = asyncio.create_task(wait())
        assert await until(lambda: is_held(parts, name))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancel())
    assert not is_held(parts, name)


def test_a_hold_that_a_node_with_a_clock_ahead_took_for_lapsed_is_put_back(parts: Parts) -> None:
    first, second = stored(parts), stored(parts)
    holds = Leases(parts.database, parts.files, clock.now, renewal_s=SOON_S)

    def take_away() -> None:
        with parts.database.write() as connection:
            reads.remove_lapsed(connection, clock.now() + 2 * LEASE)

    async def hold() -> None:
        async with holds.held(1, finds(first)), holds.growing(1) as add:
            add(second)
            take_away()
            assert await until(lambda: is_held(parts, first) and is_held(parts, second))

    asyncio.run(hold())
    assert not is_held(parts, first)
    assert not is_held(parts, second)
    assert not parts.files.exists(second)


@pytest.mark.parametrize("stands", [0, 1])
def test_files_that_were_stored_long_before_their_row_never_get_one(
    parts: Parts, monkeypatch: pytest.MonkeyPatch, stands: int
) -> None:
    """The node was suspended between the two: the sweeper of another one may have removed them meanwhile."""
    begun, put, found = files.moment(), parts.files.put, []

    def put_and_sleep(source: Path, kind: str) -> str:
        found.append(put(source, kind))
        later = tuple(then + (0 if clock == stands else 3700) for clock, then in enumerate(begun))
        monkeypatch.setattr(files, "moment", lambda: later)
        return found[-1]

    monkeypatch.setattr(parts.files, "put", put_and_sleep)
    user, _ = parts.users.create(1, "ann@example.com", "member", "operator")
    wanted = judging.instructions({"name": "list"})
    for make in (
        lambda upload: parts.creation.create(1, upload, wanted, lambda *_: None),
        lambda upload: parts.drafts.add(1, user.id, upload),
        lambda upload: parts.suppressions.publish(1, Version(), Written(upload.path, 20, 1, 0), lambda _: None),
    ):
        monkeypatch.setattr(files, "moment", lambda: begun)
        folder = parts.settings.data.resolve() / "spool" / secrets.token_hex(4)
        folder.mkdir()
        (folder / "list.csv").write_bytes(b"phone1\n442079832100\n")
        with pytest.raises(NotReady, match="Nothing was stored"):
            make(Upload(folder, folder / "list.csv", "list.csv", 20, b"", {"name": "list"}))
    with parts.database.read() as connection:
        assert audiences.objects_in_use(connection, found, clock.now()) == set()
