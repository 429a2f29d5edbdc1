"""Hostile files: bombs, lies, damage and endless lines of every kind that is taken; all are answered, within bounds."""

from __future__ import annotations

import argparse
import random
import re
import socket
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from statistics import median

from audiences.settings import MIB
from campaigns.files_damage import damaged_files
from campaigns.files_judge import Bystander, Sender, secret_file
from campaigns.files_packed import packed_files
from campaigns.files_shapes import CREATED, HEADER, ROW, Hostile, Sizes, whole
from campaigns.files_text import text_files
from campaigns.files_workbooks import workbook_files
from campaigns.leftovers import swept
from campaigns.outcome import Outcome
from campaigns.serving import new_keys, serving

SMALL = Hostile("a small list afterwards", whole(HEADER + ROW), (CREATED,), 1, 1)


def attack_all(outcome: Outcome, sizes: Sizes, only: str = "", settings: Mapping[str, str] | None = None) -> None:
    """All of it, on one server, while somebody else uploads."""
    chance = random.Random(outcome.seed)
    with serving(settings) as server, secret_file(server.data.parent) as (secret, text), listening() as ear:
        keys = new_keys(server.data, 2)
        sender = Sender(server, keys[0], outcome, server.holdings(), text)
        for _ in range(3):
            sender.judge_answer(SMALL, sender.send(SMALL))
        beside = Bystander(server, keys[1])
        families: Mapping[str, Iterable[Hostile]] = {
            "archives": packed_files(sizes),
            "text": text_files(sizes),
            "workbooks": workbook_files(sizes, secret, ear.url),
            "damaged": damaged_files(sizes, chance),
        }
        with beside.beside():
            sender.before = server.holdings()
            for family, files in families.items():
                for file in files:
                    if re.search(only, f"{family}: {file.name}"):
                        beside.doing = file.name
                        sender.attack(family, file)
                        if server.process.poll() is not None:
                            outcome.losses.append(f"{file.name} ended the server")
                            return
        sender.judge_answer(SMALL, sender.send(SMALL))
        tell(outcome, sender, beside)
        outcome.losses += [*server.faults(), *ear.heard, *swept(server.data).wrong]


def tell(outcome: Outcome, sender: Sender, beside: Bystander) -> None:
    """The figures."""
    for family, (seconds, name) in sender.slowest.items():
        outcome.figures[f"{family}: slowest (s)"] = f"{seconds:.1f}: {name}"
    for what, (size, name) in sender.peaks.items():
        outcome.figures[f"{what}, peak (MiB)"] = f"{size // MIB:,}: {name}"
    outcome.losses += beside.losses
    if beside.seconds:
        outcome.figures["uploads of somebody else"] = len(beside.seconds)
        outcome.figures["of these the median (ms)"] = round(median(beside.seconds) * 1000)
        outcome.figures["of these the slowest (ms)"] = round(max(beside.seconds) * 1000)


class Ear:
    """An address that nobody must ask."""

    def __init__(self, listener: socket.socket) -> None:
        self.listener = listener
        self.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        self.heard: list[str] = []

    def listen(self) -> None:
        """Notes whoever asks, until it is closed."""
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            with connection:
                self.heard.append(f"a file made the server ask for {connection.recv(1000)!r}")


@contextmanager
def listening() -> Iterator[Ear]:
    """Listens as long as the block lasts."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        ear = Ear(listener)
        thread = threading.Thread(target=ear.listen, daemon=True)
        thread.start()
        yield ear
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


def main(arguments: list[str]) -> int:
    """The campaign; 1 if anything was lost."""
    parser = argparse.ArgumentParser(prog="./dev campaign files", description=__doc__)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--flips", type=int, default=Sizes.flips, help="damaged files of each kind")
    parser.add_argument("--only", default="", help="a pattern that the names of the files have")
    chosen = parser.parse_args(arguments)
    outcome = Outcome("files", chosen.seed)
    attack_all(outcome, Sizes(flips=chosen.flips), chosen.only)
    return outcome.ended()
