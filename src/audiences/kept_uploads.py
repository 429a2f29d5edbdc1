"""Uploads kept as they were sent, for as many days as `keep_uploads_days` says; without it, nothing of them stays.

The file of an upload goes with its folder in the spool once its rows are stored. With the setting it is stored beside
them, in the same step, and its row is committed in the transaction that makes the rows count: so there is one for every
upload, or none. It counts in the quota, is in backups, and goes after its days, or with its audience once that cannot
be restored any more.

It lies as it was sent, in any encoding and packed, with lines and sheets that were not read. So nobody looks for a
person in it: with an erasure, all of the account's go, as files under check do (`people`).
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from sqlalchemy import Connection

from audiences import quota
from audiences.clock import DAY, Clock
from audiences.inbox import Upload
from audiences.settings import Settings
from audiences.store import uploads as stored
from audiences.store.files import RAW


def to_store(settings: Settings, upload: Upload) -> dict[str, Path]:
    """What is to be stored of the upload beside its rows: nothing, or a second name of its file.

    The file itself stays where it is: an append may have to be judged again.
    """
    if settings.keep_uploads_days is None:
        return {}
    path = upload.folder / "raw"
    path.unlink(missing_ok=True)
    try:
        os.link(upload.path, path)
    except FileNotFoundError:
        raise
    except OSError:
        shutil.copyfile(upload.path, path)
    os.utime(path)  # the sweeper spares what is young, and this is stored only now
    return {RAW: path}


def note(
    connection: Connection,
    settings: Settings,
    clock: Clock,
    account: int,
    audience_id: int,
    upload: Upload,
    objects: Mapping[str, str],
) -> None:
    """Notes what was stored of the upload, if anything was, in the transaction of its rows. Raises QuotaExceeded."""
    if RAW not in objects or settings.keep_uploads_days is None:
        return
    now = clock()
    row = {"account_id": account, "audience_id": audience_id, "object": objects[RAW], "stored_bytes": upload.size}
    times = {"created_time": now, "expires_time": now + settings.keep_uploads_days * DAY}
    stored.add(connection, row | times | {"sha256": upload.sha256})
    quota.check(connection, settings, account, coming=0)
