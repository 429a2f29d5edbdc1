"""The quota: how many bytes an account may have stored."""

from __future__ import annotations

from sqlalchemy import Connection

from audiences.clock import DAY
from audiences.errors import QuotaExceeded
from audiences.library import RESTORABLE
from audiences.settings import Settings
from audiences.store import audiences


def check(connection: Connection, settings: Settings, account: int, coming: int) -> None:
    """Raises QuotaExceeded if so many bytes more are more than the account may store."""
    quota = settings.account_bytes
    if quota is not None and audiences.stored_bytes(connection, account) + coming > quota:
        raise QuotaExceeded(
            f"The account's quota of {quota:,} stored bytes is full. Delete audiences, or ask for more. What is "
            f"deleted or replaced counts for {RESTORABLE // DAY} days, until it cannot be restored any more."
        )
