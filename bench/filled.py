"""What growth costs: the same requests to a server whose catalog is nearly empty, and to one with 10,000 audiences."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

from sqlalchemy import Connection, insert, select

from audiences.parts import opened_catalog
from audiences.settings import Settings
from audiences.store.files import new_name
from audiences.store.schema import audience_files, audiences
from bench import customers, service
from bench.cells import Plan, settle
from bench.client import Client
from bench.record import Record, Target, quantile

AUDIENCES = 10_000
ROWS = 1000
PAGE_ROWS = 200_000
FIRST_ID = 500_000_000_000

# What growth may add to the median.
MOST = Target("at most", 1.05)


def filled(plan: Plan, record: Record) -> None:
    """Medians of small uploads, pages, lists and reports, on both, in turns."""
    folders = {name: plan.folder / f"{record.cell}-{name}" for name in ("empty", "full")}
    keys = {name: service.prepared(folder) for name, folder in folders.items()}
    large = customers.contacts_file(plan.rows(PAGE_ROWS))
    with servers(folders, keys) as clients:
        stored = {name: client.checked_upload(large).data["id"] for name, client in clients.items()}
    count = int(AUDIENCES * min(1.0, plan.scale)) // (10 if plan.quick else 1)
    fill(folders["full"], int(stored["full"]), count)
    with servers(folders, keys) as clients:
        asked = {name: asks(client, stored[name]) for name, client in clients.items()}
        for round_ in range(10 if plan.quick else 120):
            for what in asked["empty"]:
                for name in ("empty", "full") if round_ % 2 else ("full", "empty"):
                    seconds = asked[name][what]()
                    if round_ >= 5:  # noqa: PLR2004 - the first ones warm up
                        record.add(f"{what}, {name}", seconds=seconds)
    for what in asks_names():
        empty, full = (quantile([s * 1000 for s in record.values(f"{what}, {name}")], 50) for name in ("empty", "full"))
        record.line(
            f"{what}, p50", "ms", full, other_name="empty", other=empty, ratio=full / empty, target=MOST,
            remark=f"{count:,} audiences more",
        )  # fmt: skip


@contextmanager
def servers(folders: dict[str, Path], keys: dict[str, str]) -> Iterator[dict[str, Client]]:
    """A caller of each."""
    with ExitStack() as stack:
        running = {name: stack.enter_context(service.served(folder, keys[name])) for name, folder in folders.items()}
        settle()
        yield {name: stack.enter_context(server.client()) for name, server in running.items()}


def asks_names() -> tuple[str, ...]:
    """What is asked of both."""
    return ("upload of 1,000 rows", "page of contacts", "page of the list", "report", "first part of an export")


def asks(client: Client, audience: str) -> dict[str, Callable[[], float]]:
    """The seconds of each."""
    file = customers.csv_file(ROWS)
    first = {"limit": "100"}
    calls = (
        lambda: client.upload(file.path).seconds,
        lambda: client.page(audience, first).seconds,
        partial(timed, client, "/audiences?limit=100"),
        partial(timed, client, f"/audiences/{audience}"),
        lambda: client.export(audience, "text/csv").first_byte_seconds,
    )
    return dict(zip(asks_names(), calls, strict=True))


def timed(client: Client, target: str) -> float:
    """Seconds of a GET."""
    begun = time.perf_counter()
    client.get(target)
    return time.perf_counter() - begun


def fill(folder: Path, model: int, count: int) -> None:
    """So many audiences more, with the report of one there is, and files that nobody reads."""
    with opened_catalog(Settings(data=folder)) as database, database.write() as connection:
        copy_rows(connection, model, count)


def copy_rows(connection: Connection, model: int, count: int) -> None:
    """Rows like those of the audience `model`, under further ids."""
    audience = dict(connection.execute(select(audiences).where(audiences.c.id == model)).mappings().one())
    file = dict(
        connection.execute(select(audience_files).where(audience_files.c.audience_id == model)).mappings().one()
    )
    ids = range(FIRST_ID, FIRST_ID + count)
    connection.execute(insert(audiences), [audience | {"id": one, "name": f"filled {one}"} for one in ids])
    plain = {name: value for name, value in file.items() if name not in {"id", "contacts_object", "rejects_object"}}
    connection.execute(insert(audience_files), [plain | nowhere() | {"audience_id": one} for one in ids])


def nowhere() -> dict[str, str]:
    """Names of files that there are none by."""
    return {f"{kind}_object": new_name(kind) for kind in ("contacts", "rejects")}
