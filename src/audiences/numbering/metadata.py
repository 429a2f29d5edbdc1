"""libphonenumber's metadata as this package reads it: the regions of a calling code, and their rules."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from enum import Enum

import phonenumbers
from phonenumbers import PhoneMetadata
from phonenumbers.phonemetadata import PhoneNumberDesc

NON_GEOGRAPHIC = phonenumbers.REGION_CODE_FOR_NON_GEO_ENTITY
LONGEST_NATIONAL_NUMBER = 17
"""Digits; `_MAX_LENGTH_FOR_NSN` of the library."""
SHORTEST_NATIONAL_NUMBER = 2
"""Digits; `_MIN_LENGTH_FOR_NSN` of the library."""

# The order in which the library tries the types (`_number_type_helper`), before fixed line and mobile.
SPECIAL_TYPES = (
    "premium_rate", "toll_free", "shared_cost", "voip", "personal_number", "pager", "uan", "voicemail",
)  # fmt: skip


class Length(Enum):
    """What `_test_number_length` of the library says of a national number's length."""

    LOCAL_ONLY = "local only"
    POSSIBLE = "possible"
    TOO_SHORT = "too short"
    TOO_LONG = "too long"
    BETWEEN = "between possible ones"


@functools.cache
def calling_codes() -> Mapping[int, tuple[str, ...]]:
    """Every calling code with its regions, the main one first."""
    return dict(sorted(phonenumbers.COUNTRY_CODE_TO_REGION_CODE.items()))


def regions() -> list[str]:
    """Every region that numbers can be parsed for, in alphabetical order."""
    return sorted(phonenumbers.SUPPORTED_REGIONS)


def rules(calling_code: int, region: str) -> PhoneMetadata:
    """The metadata of `region`, which for a non-geographic code is found by the code."""
    found = PhoneMetadata.metadata_for_region_or_calling_code(calling_code, region)
    if found is None:
        raise LookupError(f"The library has no metadata for {region} under calling code {calling_code}.")
    return found


def main_rules(calling_code: int) -> PhoneMetadata:
    """The metadata by which the library parses all numbers of `calling_code`."""
    return rules(calling_code, calling_codes()[calling_code][0])


def general(metadata: PhoneMetadata) -> PhoneNumberDesc:
    """The description that all numbers of a region match, whatever their type."""
    if metadata.general_desc is None:
        raise LookupError(f"The library has no general description for {metadata.id}.")
    return metadata.general_desc


def length_of(metadata: PhoneMetadata, digits: int) -> Length:
    """What the general description of `metadata` says of a national number of `digits` digits."""
    description = general(metadata)
    if digits in description.possible_length_local_only:
        return Length.LOCAL_ONLY
    if digits in description.possible_length:
        return Length.POSSIBLE
    if digits < description.possible_length[0]:
        return Length.TOO_SHORT
    return Length.TOO_LONG if digits > description.possible_length[-1] else Length.BETWEEN
