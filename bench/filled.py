"""What growth costs: the same requests to a server with a nearly empty catalog, and to one with 10,000 audiences more.

Nearly empty is a hundred audiences, so that a page of the list is a whole one on both sides. Both servers run all the
time, and take turns request by request.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

from sqlalchemy import Connection, insert, select

from audiences.parts import opened_catalog
from audiences.settings import Settings
from audiences.store.files import new_name
from audiences.store.schema import audience_files, audiences
from bench import customers, process, service
from bench.cells import IDLE_S, MIB, Plan, settle
from bench.client import Client, WrongAnswer
from bench.customers import File
from bench.record import Record, Target

AUDIENCES = 10_000
PAGE = 100
ROWS = 1000
LARGE_ROWS = 200_000
FIRST_ID = 500_000_000_000

# Rounds of requests, of which a quick run makes a tenth, and rounds of large files and of starts.
ROUNDS, LARGE_ROUNDS, STARTS = 500, 30, 24
WARM_UPS = 5

# What growth may add to the median.
MOST = Target("at most", 1.05)
SIDES = ("empty", "full")
START, NEARLY_EMPTY = "exec to first answer", "nearly empty"

Ask = Callable[[], float]


def filled(plan: Plan, record: Record) -> None:
    """Medians of what was asked of both in turns, each of them first every other time."""
    folders = {side: plan.folder / f"{record.cell}-{side}" for side in SIDES}
    keys = {side: service.prepared(folder) for side, folder in folders.items()}
    large = customers.contacts_file(plan.rows(LARGE_ROWS))
    with servers(folders, keys) as clients:
        stored = {side: client.checked_upload(large).data["id"] for side, client in clients.items()}
    more = int(AUDIENCES * min(1.0, plan.scale)) // (10 if plan.quick else 1)
    fill(folders["empty"], int(stored["empty"]), PAGE)
    fill(folders["full"], int(stored["full"]), PAGE + more)
    rounds = ROUNDS // (10 if plan.quick else 1)
    with servers(folders, keys) as clients:
        for asks, file, count in (
            (large_asks, large, plan.rounds(LARGE_ROUNDS)),
            (small_asks, customers.csv_file(ROWS), rounds),
        ):
            take_turns({side: asks(client, stored[side], file) for side, client in clients.items()}, count, record)
    starts(folders, keys, plan.rounds(STARTS), record)
    tell(record, f"{more:,} audiences more")


@contextmanager
def servers(folders: Mapping[str, Path], keys: Mapping[str, str]) -> Iterator[dict[str, Client]]:
    """A caller of each."""
    with ExitStack() as stack:
        running = {name: stack.enter_context(service.served(folder, keys[name])) for name, folder in folders.items()}
        settle()
        yield {name: stack.enter_context(server.client()) for name, server in running.items()}


def take_turns(asked: Mapping[str, Mapping[str, Ask]], rounds: int, record: Record) -> None:
    """So many rounds of everything, after a few that warm up."""
    for number in range(-WARM_UPS, rounds):
        for what in asked["empty"]:
            for side in SIDES if number % 2 else reversed(SIDES):
                seconds = asked[side][what]()
                if number >= 0:
                    record.add(f"{what}, {side}", seconds=seconds)


def small_asks(client: Client, audience: str, file: File) -> dict[str, Ask]:
    """The seconds of each small request."""
    return {
        f"upload of {file.rows:,} rows": lambda: client.upload(file.path).seconds,
        "page of contacts": lambda: page_seconds(client, audience),
        "page of the list": partial(list_seconds, client),
        "report": partial(timed, client, f"/audiences/{audience}"),
        "first part of an export": lambda: client.export(audience, "text/csv").first_byte_seconds,
    }


def large_asks(client: Client, audience: str, file: File) -> dict[str, Ask]:
    """The seconds of what takes longer; the audience is that of the file."""
    return {
        f"upload of {file.rows:,} rows": lambda: settled(lambda: client.upload(file.path).seconds),
        f"export of {file.counts['accepted']:,} contacts": lambda: client.export(audience, "text/csv").seconds,
    }


def settled(ask: Ask) -> float:
    """The same once the disk is quiet."""
    settle()
    return ask()


def page_seconds(client: Client, audience: str) -> float:
    """Seconds of a page of contacts, which has to be whole."""
    page = client.page(audience, {"limit": str(PAGE)})
    check_whole(len(page.items))
    return page.seconds


def list_seconds(client: Client) -> float:
    """Seconds of a page of the list, which has to be whole."""
    begun = time.perf_counter()
    answer = client.get(f"/audiences?limit={PAGE}")
    seconds = time.perf_counter() - begun
    check_whole(len(answer["data"]))
    return seconds


def check_whole(entries: int) -> None:
    """Raises WrongAnswer unless a page has all entries that it may have: less would compare unequal pages."""
    if entries != PAGE:
        raise WrongAnswer(f"The page has {entries} entries, not {PAGE}.")


def timed(client: Client, target: str) -> float:
    """Seconds of a GET."""
    begun = time.perf_counter()
    client.get(target)
    return time.perf_counter() - begun


def starts(folders: Mapping[str, Path], keys: Mapping[str, str], rounds: int, record: Record) -> None:
    """Starts of both, in turns, and what they hold when nothing happens."""
    for number in range(rounds):
        for side in SIDES if number % 2 else reversed(SIDES):
            settle()
            begun = time.perf_counter()
            with service.served(folders[side], keys[side]) as server:
                server.until_ready()
                seconds = time.perf_counter() - begun
                time.sleep(IDLE_S)
                record.add(f"{START}, {side}", seconds=seconds, idle_bytes=process.resident_bytes(server.pid))


def tell(record: Record, remark: str) -> None:
    """A line for everything that was asked: full beside empty."""
    for who in record.who():
        what = who.removesuffix(", full")
        if what == who:
            continue
        told = {"who": who, "unit": "ms", "size": 1e-3, "called": NEARLY_EMPTY}
        record.compare(f"{what}, p50", f"{what}, empty", MOST, f"{remark}, {len(record.values(who))} rounds", **told)
    told = {"who": f"{START}, full", "unit": "MiB", "size": MIB, "called": NEARLY_EMPTY}
    record.compare("idle resident memory", f"{START}, empty", MOST, remark, field="idle_bytes", **told)


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
