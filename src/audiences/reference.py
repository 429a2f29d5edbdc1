"""What a valid phone is: the definition, in plain Python, one number at a time.

The contract ("What a valid phone is") in code. The fast path in `phones` must say the same of every text; tests and
`bench/parity.py` hold it to that. Nothing here is used at run time.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

import phonenumbers
from phonenumbers import NumberParseException, PhoneNumber, PhoneNumberFormat, PhoneNumberType, ValidationResult
from phonenumbers.timezone import time_zones_for_number

from audiences.errors import Reason

SCIENTIFIC = re.compile(r"[+-]?[0-9]+(?:[.,][0-9]*)?[eE][+-]?[0-9]+")
WHOLE_WITH_FRACTION = re.compile(r"([0-9]+)\.0")
PUNCTUATION = frozenset("-./()")

PARSE_REASONS = {
    NumberParseException.INVALID_COUNTRY_CODE: Reason.UNKNOWN_COUNTRY,
    NumberParseException.NOT_A_NUMBER: Reason.NOT_A_NUMBER,
    NumberParseException.TOO_SHORT_AFTER_IDD: Reason.TOO_SHORT,
    NumberParseException.TOO_SHORT_NSN: Reason.TOO_SHORT,
    NumberParseException.TOO_LONG: Reason.TOO_LONG,
}
LENGTH_REASONS = {
    ValidationResult.TOO_SHORT: Reason.TOO_SHORT,
    ValidationResult.IS_POSSIBLE_LOCAL_ONLY: Reason.TOO_SHORT,
    ValidationResult.TOO_LONG: Reason.TOO_LONG,
    ValidationResult.INVALID_COUNTRY_CODE: Reason.UNKNOWN_COUNTRY,
}


@dataclass(frozen=True)
class Judgement:
    """A valid phone with what is known of it, or the reason why there is none.

    `phone` is E.164 without `+`. `country` is the library's region code, `001` where the number belongs to none;
    `line_type` the library's type in lower case; `time_zones` its list.
    """

    phone: str | None = None
    reason: Reason | None = None
    country: str | None = None
    line_type: str | None = None
    time_zones: tuple[str, ...] = ()


@dataclass(frozen=True)
class Dialled:
    """A cleaned text: ASCII digits, and whether they begin with a calling code by a `+` or `00` that stood before."""

    digits: str
    international: bool


def judge(text: str | None, *, default_region: str | None = None, exact: bool = False) -> Judgement:
    """The judgement on one cell.

    `default_region` lets numbers in that are written as within that region. `exact` says that the text was made of a
    workbook's numeric cell, which has no rounded spelling.
    """
    cleaned = clean(text or "", exact=exact)
    if isinstance(cleaned, Reason):
        return Judgement(reason=cleaned)
    try:
        if cleaned.international or default_region is None:
            number = phonenumbers.parse("+" + cleaned.digits)
        else:
            number = phonenumbers.parse(cleaned.digits, default_region)
    except NumberParseException as refused:
        return Judgement(reason=PARSE_REASONS[refused.error_type])
    return _judgement(number)


def clean(text: str, *, exact: bool = False) -> Dialled | Reason:
    """The dialled digits of a cell, or why it has none: the first step of the contract, in its order."""
    text = _visible(_without_marks(text))
    text = "".join(str(unicodedata.decimal(each)) if unicodedata.category(each) == "Nd" else each for each in text)
    text = text.strip()
    if not text:
        return Reason.EMPTY
    if not exact and SCIENTIFIC.fullmatch(text):
        return Reason.SCIENTIFIC_NOTATION
    if any(unicodedata.category(each).startswith("L") for each in text):
        return Reason.NOT_A_NUMBER
    whole = WHOLE_WITH_FRACTION.fullmatch(text)
    text = whole[1] if whole else text
    text = "".join(each for each in text if not each.isspace() and each not in PUNCTUATION)
    prefix = next((prefix for prefix in ("+", "00") if text.startswith(prefix)), "")
    digits = text.removeprefix(prefix)
    if not digits.isascii() or not digits.isdecimal():
        return Reason.NOT_A_NUMBER
    return Dialled(digits, international=bool(prefix))


def _without_marks(text: str) -> str:
    """Without an apostrophe and `tel:` that lead it; blanks and invisible characters may stand before either."""
    text = _from_first_visible(text)
    text = _from_first_visible(text.removeprefix("'"))
    return text[4:] if text[:4].lower() == "tel:" else text


def _from_first_visible(text: str) -> str:
    first = next((at for at, each in enumerate(text) if not each.isspace() and not _is_invisible(each)), len(text))
    return text[first:]


def _visible(text: str) -> str:
    return "".join(each for each in text if not _is_invisible(each))


def _is_invisible(character: str) -> bool:
    """Whether it is a format character (zero-width ones, marks of direction) or a control character."""
    return unicodedata.category(character) in {"Cf", "Cc"}


def _judgement(number: PhoneNumber) -> Judgement:
    if not phonenumbers.is_valid_number(number):
        length = phonenumbers.is_possible_number_with_reason(number)
        return Judgement(reason=LENGTH_REASONS.get(length, Reason.INVALID_NUMBER))
    return Judgement(
        phone=phonenumbers.format_number(number, PhoneNumberFormat.E164).removeprefix("+"),
        country=phonenumbers.region_code_for_number(number),
        line_type=PhoneNumberType.to_string(phonenumbers.number_type(number)).lower(),
        time_zones=tuple(time_zones_for_number(number)),
    )
