"""Whether a backup is whole: every line and every stored file is what the manifest says."""

from __future__ import annotations

import hashlib
import re
from functools import partial
from pathlib import Path

import msgspec

from audiences.backup.files import Moved, Tally, hash_of, in_threads, pieces, size_of
from audiences.backup.folder import Folder
from audiences.backup.lines import FORMAT, LIST, MANIFEST, Manifest, Part, Stored, read_files
from audiences.backup.rows import file_name
from audiences.errors import CannotOpen
from audiences.store.database import MIGRATIONS, SchemaTooNew
from audiences.store.files import NAME

TABLE = re.compile("[a-z_]+")


class BackupDamaged(CannotOpen):
    """Something in the backup is missing, or not what was written."""

    def __init__(self, path: Path, what: str) -> None:
        super().__init__(
            f"The backup is damaged: {path} {what}. Nothing was restored. Take another copy of the backup; where there "
            "is still a server, remove this file and run `audiences backup` again."
        )


def read_manifest(state: Path) -> Manifest:
    """The manifest of a state of the catalog. Raises BackupDamaged, CannotOpen if a newer release made it."""
    path = state / MANIFEST
    try:
        content = path.read_bytes()
        written = msgspec.json.decode(content, type=dict[str, object]).get("format")
        if written != FORMAT:
            raise CannotOpen(f"{path} has format {written}, and this release reads {FORMAT}. Install a newer release.")
        manifest = msgspec.json.decode(content, type=Manifest)
    except FileNotFoundError:
        raise BackupDamaged(path, "is missing") from None
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise BackupDamaged(path, "cannot be read") from None
    if any(TABLE.fullmatch(table) is None for table in manifest.tables):
        raise BackupDamaged(path, "names a table that cannot be")
    refuse_newer(manifest.schema)
    return manifest


def refuse_newer(version: str) -> None:
    """Raises SchemaTooNew for a schema that this release has not heard of."""
    from alembic.script import ScriptDirectory

    if version not in {script.revision for script in ScriptDirectory(str(MIGRATIONS)).walk_revisions()}:
        raise SchemaTooNew(
            f"The backup has schema {version}, which this release does not know: a newer one made it. Install that one."
        )


def verify(folder: Folder, state: Path, manifest: Manifest, moved: Moved) -> None:
    """Reads all of it. Raises BackupDamaged."""
    for table, part in manifest.tables.items():
        verify_lines(state / file_name(table), part)
    verify_lines(state / LIST, manifest.files)
    tally = Tally(moved, sum(file.bytes for file in read_files(state)))
    for _ in in_threads(partial(verify_file, folder, tally), read_files(state)):
        pass


def verify_lines(path: Path, part: Part) -> None:
    """A file of lines."""
    digest, rows = hashlib.sha256(), 0
    try:
        for piece in pieces(path):
            digest.update(piece)
            rows += piece.count(b"\n")
    except FileNotFoundError:
        raise BackupDamaged(path, "is missing") from None
    if (rows, digest.hexdigest()) != (part.rows, part.sha256):
        raise BackupDamaged(path, "is not as it was written")


def verify_file(folder: Folder, tally: Tally, file: Stored) -> None:
    """A stored file."""
    path = folder.file(file.name)
    if NAME.fullmatch(file.name) is None:
        raise BackupDamaged(path, "has a name that cannot be")
    size = size_of(path)
    if size is None:
        raise BackupDamaged(path, "is missing")
    if size != file.bytes or hash_of(path, tally) != file.sha256:
        raise BackupDamaged(path, "is not as it was written")
