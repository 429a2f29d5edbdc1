"""Changes by a file: replacing an audience, against creating it; and appending to one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from bench import customers, service
from bench.cells import MILLION, Plan, add_upload, memory_line, settle
from bench.client import Client, Sent
from bench.customers import File
from bench.record import Record, Target
from bench.service import Server

PUT, POST, APPEND = "ours, PUT", "ours, POST", "ours, append"

# A twentieth more is to be told from chance.
ROUNDS = 20


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
        client.replace(standing, files.whole.path)
        turns = Turns(server, client, standing, files, record)
        for number in range(plan.rounds(ROUNDS)):
            turns.round(("PUT", "POST") if number % 2 else ("POST", "PUT"))
    target = Target("at most", 1.05)
    remark = f"{files.whole.rows:,} rows, {plan.rounds(ROUNDS)} rounds"
    record.compare("PUT / POST of the same file", POST, target, remark, who=PUT)
    remark = f"{files.further.rows:,} rows to {files.whole.rows:,}"
    record.line("append", "s", record.median(APPEND), remark=remark)
    memory_line(record, (PUT, POST, APPEND))


def generated(plan: Plan) -> Files:
    """The files, of which the second goes on where the first ends."""
    whole = customers.csv_file(plan.rows(MILLION) // 200 * 200)
    return Files(whole, customers.csv_file(whole.rows // 5, first=whole.rows))


@dataclass(frozen=True)
class Turns:
    """The server and its caller, and the audience that stands there to be replaced."""

    server: Server
    client: Client
    standing: str
    files: Files
    record: Record

    def round(self, order: Sequence[str]) -> None:
        """A PUT over the standing audience and a POST of a new one, in that order; then an append to the new one."""
        made = self.standing
        for method in order:
            if method == "PUT":
                self.turn(PUT, self.files.whole, partial(self.client.replace, self.standing, self.files.whole.path))
                self.client.check(self.standing, self.files.whole)
            else:
                made = self.turn(POST, self.files.whole, partial(self.client.upload, self.files.whole.path))
                self.client.check(made, self.files.whole)
        self.turn(APPEND, self.files.further, partial(self.client.append, made, self.files.further.path))
        self.client.check(made, self.files.both)

    def turn(self, who: str, file: File, send: Callable[[], Sent]) -> str:
        """One run; the id of the audience."""
        settle()
        with service.watched(self.server) as cost:
            sent = send()
        add_upload(self.record, who, file, sent.seconds, cost)
        return str(sent.data["id"])
