"""Check a file with no server: the report of a dry run, and all its rejects."""

from __future__ import annotations

import asyncio
import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from audiences import exports
from audiences.accept import CSV
from audiences.engine import Engine
from audiences.exports import Export, Exports
from audiences.form import plain_name
from audiences.inbox import Upload
from audiences.judging import Instructions, Judge, Judged
from audiences.layout import Stored
from audiences.models import Check
from audiences.set_aside import Against
from audiences.settings import Settings
from audiences.watch import Metrics


@dataclass(frozen=True)
class Checked:
    """A checked file; `write_rejects` works as long as the block of `checked` does."""

    report: Check
    judged: Judged
    engine: Engine
    folder: Path

    def write_rejects(self, target: Path) -> None:
        """Writes every row that was not accepted to `target` as CSV, as the API exports them."""
        path = self.judged.kept.rejects
        files = [Stored.at(1, path, self.judged.layout)] if path is not None else []

        async def write() -> None:
            with target.open("wb") as file:
                export = Export(files, exports.REJECT_EXTRAS, plans=[self.judged.layout])
                source = Exports(self.engine, self.folder)
                async with source.place() as folder, source.lines(folder, export, CSV) as chunks:
                    async for chunk in chunks:
                        file.write(chunk)

        asyncio.run(write())


@contextmanager
def checked(file: Path, wanted: Instructions, settings: Settings) -> Iterator[Checked]:
    """The file, read and judged as an upload would be. Raises a Refusal, or OSError if it cannot be read."""
    with tempfile.TemporaryDirectory(prefix="audiences-") as name:
        folder = Path(name)
        upload = as_upload(file, folder / "spool")
        with closing(Engine(settings, folder)) as engine:
            judge = Judge(settings, engine, Metrics())
            with engine.connection() as connection:
                judged = judge.judge_on(connection, upload, wanted, Against())
            yield Checked(judged.check(wanted.name), judged, engine, folder / "spool")


def as_upload(file: Path, folder: Path) -> Upload:
    """The file as if it had been received into `folder`."""
    folder.mkdir()
    path = folder / "upload"
    path.symlink_to(file.resolve())
    with file.open("rb") as content:
        digest = hashlib.file_digest(content, "sha256")
    name = plain_name(os.fsencode(file.name))
    return Upload(folder, path, name, file.stat().st_size, digest.digest(), {})
