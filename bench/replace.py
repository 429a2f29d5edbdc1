"""Changes by a file: replacing an audience, against creating it; and appending to one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bench import customers, service
from bench.cells import MILLION, Plan, settle
from bench.client import Client, Sent
from bench.customers import File
from bench.record import Record, Target


@dataclass(frozen=True)
class Files:
    """The file that is created and replaced, and the one that is appended to it."""

    whole: File
    further: File

    @property
    def both(self) -> File:
        """What the report has to say when the second was appended to the first."""
        return File(self.further.path, self.whole.rows + self.further.rows)


def replace(plan: Plan, record: Record) -> None:
    """Seconds of a PUT and of a POST of the same file, in turns, each of them first every other time."""
    files = generated(plan)
    folder = plan.folder / record.cell
    key = service.prepared(folder)
    with service.served(folder, key) as server, server.client() as client:
        standing = client.checked_upload(files.whole).data["id"]
        replaced(client, standing, files.whole)
        for number in range(plan.rounds(3)):
            one_round(client, standing, files, ("PUT", "POST") if number % 2 else ("POST", "PUT"), record)
    target = Target("at most", 1.05)
    record.compare("PUT / POST of the same file", "POST", target, remark=f"{files.whole.rows:,} rows")
    remark = f"{files.further.rows:,} rows to {files.whole.rows:,}"
    record.line("append", "s", record.median("append"), remark=remark)


def generated(plan: Plan) -> Files:
    """The files, of which the second goes on where the first ends."""
    whole = customers.csv_file(plan.rows(MILLION) // 200 * 200)
    return Files(whole, customers.csv_file(whole.rows // 5, first=whole.rows))


def one_round(client: Client, standing: str, files: Files, order: Sequence[str], record: Record) -> None:
    """A PUT over the standing audience and a POST of a new one, in that order; then an append to the new one."""
    made = standing
    for method in order:
        settle()
        if method == "PUT":
            record.add("ours", seconds=replaced(client, standing, files.whole).seconds)
        else:
            sent = client.checked_upload(files.whole)
            made = sent.data["id"]
            record.add("POST", seconds=sent.seconds)
    settle()
    record.add("append", seconds=client.append(made, files.further.path).seconds)
    client.check(made, files.both)


def replaced(client: Client, audience: str, file: File) -> Sent:
    """A PUT, and once the time is taken a look into the report."""
    sent = client.replace(audience, file.path)
    client.check(audience, file)
    return sent
