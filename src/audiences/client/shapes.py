"""The envelope that every answer comes in, and how each is decoded; fields that are not known are passed over."""

from __future__ import annotations

from typing import Generic, TypeVar

import msgspec
from msgspec import Struct

from audiences import models

T = TypeVar("T")


class Answer(Struct, Generic[T]):
    """The envelope of a success."""

    data: T
    next_cursor: str | None = None


# A decoder an answer, made once.
CREATED = msgspec.json.Decoder(Answer[models.Created])
CHECKED = msgspec.json.Decoder(Answer[models.CheckWithSamples])
REPORT = msgspec.json.Decoder(Answer[models.AudienceReport])
AUDIENCES = msgspec.json.Decoder(Answer[list[models.AudienceItem]])
CONTACTS = msgspec.json.Decoder(Answer[list[models.Contact]])
REJECTS = msgspec.json.Decoder(Answer[list[models.Reject]])
SUPPRESSIONS = msgspec.json.Decoder(Answer[list[models.Suppression]])
SUPPRESSED = msgspec.json.Decoder(Answer[models.SuppressionsAdded])
UNSUPPRESSED = msgspec.json.Decoder(Answer[models.SuppressionsRemoved])
HELD = msgspec.json.Decoder(Answer[models.Held])
ERASED = msgspec.json.Decoder(Answer[models.Erased])
