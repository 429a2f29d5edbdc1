"""What is measured: the same uploads beside what a user would pick instead, in turns."""

from __future__ import annotations

from bench import customers, peers, process, service
from bench.cells import MILLION, Plan, memory_line, settle, upload
from bench.client import Client, WrongAnswer
from bench.customers import File
from bench.record import Record
from bench.service import Server


def tutorial(plan: Plan, record: Record) -> None:
    """A CSV file of 200,000 rows, against the tutorial way."""
    file = customers.csv_file(plan.rows(200_000))
    folder = plan.folder / record.cell
    key = service.prepared(folder)
    with (
        service.served(folder, key) as server,
        server.client() as client,
        service.tutorial(plan.folder / "peer") as peer,
        peer.client() as peer_client,
    ):
        client.checked_upload(file)
        for _ in range(plan.rounds()):
            upload(server, client, file, record)
            peer_upload(peer, peer_client, file, record)
    tell_peer(record, "tutorial", file)


def peer_upload(peer: Server, client: Client, file: File, record: Record) -> None:
    """One run of the tutorial's."""
    settle()
    client.connect_anew()
    process.reset_peak(peer.pid)
    before, stored = peer.cpu_seconds(), peer.database_bytes()
    sent = client.upload(file.path)
    found = {name: sent.data[name] for name in file.counts}
    if found != file.counts:
        raise WrongAnswer(f"The tutorial says {found}, the file holds {file.counts}.")
    record.add(
        "tutorial",
        seconds=sent.seconds,
        rows=file.rows,
        cpu_seconds=peer.cpu_seconds() - before,
        peak_bytes=process.peak_resident_bytes(peer.pid),
        stored_bytes=peer.database_bytes() - stored,
    )


def postgres(plan: Plan, record: Record) -> None:
    """A CSV file of a million rows, against PostgreSQL's COPY into columns of text: no checks, no duplicates found."""
    file = customers.csv_file(plan.rows(MILLION))
    folder = plan.folder / record.cell
    key = service.prepared(folder)
    with service.served(folder, key) as server, server.client() as client, peers.postgres() as database:
        client.checked_upload(file)
        for _ in range(plan.rounds(5)):
            upload(server, client, file, record)
            settle()
            record.add("COPY", rows=file.rows, **database.copy(file.path))
    tell_peer(record, "COPY", file)


def datasette(plan: Plan, record: Record) -> None:
    """A CSV file of 100,000 rows, against datasette-upload-csvs, which starts anew for each."""
    file = customers.csv_file(plan.rows(100_000))
    folder = plan.folder / record.cell
    key = service.prepared(folder)
    with service.served(folder, key) as server, server.client() as client:
        client.checked_upload(file)
        for _ in range(plan.rounds()):
            upload(server, client, file, record)
            settle()
            figures = peers.datasette(file.path, file.rows, plan.folder / "datasette")
            record.add("datasette-upload-csvs", rows=file.rows, **figures)
    tell_peer(record, "datasette-upload-csvs", file)


def tell_peer(record: Record, peer: str, file: File) -> None:
    """The lines of a cell with a peer, of which the first says how many times faster ours is."""
    record.compare(f"{peer} / upload", peer, remark=f"{file.rows:,} rows", faster=True)
    memory_line(record)
