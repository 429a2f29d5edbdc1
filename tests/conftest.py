"""What tests share: the real server on a real socket, and a client that speaks as a caller would."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

import scaled
from audiences.engine import cache_folder
from audiences.settings import Settings
from support import Client, Service, started

on_scaled = False


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Names a case with bytes by its argument: an archive's own bytes hold the second in which it was packed.

    The processes that share the tests collect them a moment apart, and have to find the same names.
    """
    return argname if isinstance(val, bytes) else None


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the numbering plan's cache, as a server would choose it."""
    return cache_folder(tmp_path_factory.mktemp("cache"))


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--scaled`: on PostgreSQL, S3 and Valkey in place of what is embedded."""
    parser.addoption("--scaled", action="store_true", help="run on PostgreSQL, S3 and Valkey")


def pytest_configure(config: pytest.Config) -> None:
    """Tells `settings_in`, which is called outside of fixtures, too."""
    global on_scaled  # noqa: PLW0603 - one process has one set-up
    on_scaled = bool(config.getoption("--scaled"))


# Files of tests that share what takes long to start, by the name of what they share.
TOGETHER = {
    "test_cluster": "cluster",
    "test_one_service": "cluster",
    **{
        f"test_{name}": name
        for name in ("backup", "browser", "durability", "exports", "fetch", "objects", "throttle", "tracing")
    },
}


class Sharing(LoadScopeScheduling):
    """Tests that share something are for one process, others for whoever has nothing to do; largest shares first.

    xdist's own groups cannot be used: it writes them into the names of tests, which pytest no longer reads there.
    """

    def _split_scope(self, nodeid: str) -> str:
        """What is for one process: a share, or a test by itself."""
        return TOGETHER.get(Path(nodeid.partition("::")[0]).stem, nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Sharing:
    """What gives the tests to the processes."""
    return Sharing(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """On the scaled set-up, what is about the embedded one is skipped."""
    for item in items:
        if on_scaled and item.get_closest_marker("embedded"):
            item.add_marker(pytest.mark.skip(reason="it is about SQLite or the folder of files"))


def pytest_unconfigure() -> None:
    """Stops the servers that were started."""
    scaled.OPENED.close()


def settings_in(folder: Path, **changed: object) -> Settings:
    """Settings for tests, on the set-up under test: no limits unless a test is about them."""
    plain = plain_settings(folder, **changed)
    return scaled.scaled(plain) if on_scaled else plain


def plain_settings(folder: Path, **changed: object) -> Settings:
    """The same on the embedded stores."""
    return replace(
        Settings(data=folder, rate_limit=None, read_rate_limit=None, failed_auth_limit=None, sign_in_limit=None),
        **changed,  # type: ignore[arg-type]
    )


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One server for all tests that need nothing special of it."""
    with started(settings_in(tmp_path_factory.mktemp("service"))) as running:
        yield running


@pytest.fixture
def client(service: Service) -> Iterator[Client]:
    """A client with a key of an account of its own."""
    with service.client() as made:
        yield made


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Service]]:
    """Starts a server with settings of the test's choice, in a folder of its own."""
    with ExitStack() as stack:

        def starting(**changed: object) -> Service:
            folder = changed.pop("data", tmp_path / "data")
            return stack.enter_context(started(settings_in(Path(str(folder)), **changed)))

        yield starting
