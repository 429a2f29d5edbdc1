"""People: the do-not-contact list, and what is held on one number."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Unpack
from urllib.parse import quote

from audiences.client import shapes
from audiences.client.calls import Calls, Reading, given
from audiences.client.sending import Form, Progress, Source
from audiences.client.transport import Call
from audiences.models import Erased, Held, Suppression, SuppressionsAdded, SuppressionsRemoved


class People(Calls):
    """The calls that are about people, whatever audience they are in."""

    def suppressions(self, phone: str | None = None) -> Iterator[Suppression]:
        """The account's do-not-contact list, or the one number of it."""
        return self._pages("/suppressions", shapes.SUPPRESSIONS, given(phone=phone))

    def suppress(
        self,
        phones: Iterable[str] | None = None,
        *,
        file: Source | None = None,
        progress: Progress | None = None,
        idempotency_key: str | None = None,
        **reading: Unpack[Reading],
    ) -> SuppressionsAdded:
        """What became of the numbers, or of those in a file, that go onto the do-not-contact list."""
        json, form = numbers(phones, file, progress, given(**reading))
        return self._change("POST", "/suppressions", shapes.SUPPRESSED, idempotency_key, json=json, form=form)

    def unsuppress(
        self,
        phones: Iterable[str] | None = None,
        *,
        file: Source | None = None,
        progress: Progress | None = None,
        idempotency_key: str | None = None,
        **reading: Unpack[Reading],
    ) -> SuppressionsRemoved:
        """What became of the numbers, or of those in a file, that are taken off the do-not-contact list."""
        json, form = numbers(phones, file, progress, given(**reading))
        return self._change("DELETE", "/suppressions", shapes.UNSUPPRESSED, idempotency_key, json=json, form=form)

    def contact(self, phone: str) -> Held:
        """All that is held on a number. Needs a key with the scope `people`."""
        return self._transport.ask(Call(method="GET", path=f"/contacts/{quote(phone, safe='')}"), shapes.HELD).data

    def erase(self, phone: str, *, idempotency_key: str | None = None) -> Erased:
        """What was erased of a number, everywhere, for good. Needs a key with the scope `people`."""
        return self._change("DELETE", f"/contacts/{quote(phone, safe='')}", shapes.ERASED, idempotency_key)


def numbers(
    phones: Iterable[str] | None, file: Source | None, progress: Progress | None, fields: dict[str, str]
) -> tuple[object, Form | None]:
    """The body that brings numbers along: JSON or a form. Raises TypeError unless there is one of the two."""
    if file is not None and phones is None:
        return None, Form(file, fields, progress)
    if phones is None or file is not None:
        raise TypeError("It takes either phones or a file.")
    # One number in place of a list would be taken for a list of digits.
    return {"phones": [phones] if isinstance(phones, str) else list(phones), **fields}, None
