"""How a number may be written in a text: as a pattern of the engine, for finding it in cells and raw lines.

A text has the number where its digits stand with the country code, whatever blanks and punctuation stand between them
and whatever stands before and behind them, but for further digits. What a national spelling means depends on a region
that a cell does not tell, so none is looked for. A short number is found only where it is all of a cell: as a part of
texts it would stand in those of many people (postcodes, orders, prices).
"""

from __future__ import annotations

from collections.abc import Mapping

import phonenumbers
from phonenumbers import NumberParseException, PhoneNumber

# What the cleaning of a phone takes away (contract, what a valid phone is), and every kind of dash.
BETWEEN = r"\x00-\x20\x7F./()\p{Pd}"

# The digits from which on a number is looked for anywhere in a text.
ANYWHERE_DIGITS = 7

# The beginning and the end of a cell, also of one that was joined with others by `rows.WALL`.
BEGIN, END = r"(?:^|\|)", r"(?:$|\|)"


def is_short(phone: int) -> bool:
    """Whether a number of these digits is looked for only where it is all of a cell."""
    return len(str(phone)) < ANYWHERE_DIGITS


def pattern(patterns: Mapping[str, str], phone: int) -> str:
    """The regular expression (RE2) that a text matches somewhere if the number of these E.164 digits stands in it.

    `patterns` are those of the numbering plan.
    """
    beyond_ascii = {name: pattern.removeprefix("[").removesuffix("]") for name, pattern in patterns.items()}
    between = f"[{BETWEEN}{beyond_ascii['blank']}{beyond_ascii['invisible']}]*"
    no_digit = f"[^0-9{beyond_ascii['digit']}]"
    begin, end = f"(?:^|{no_digit})", f"(?:$|{no_digit})"
    if is_short(phone):
        begin, end = f"{BEGIN}{between}\\+?{between}", f"{between}{END}"

    def written(digits: str) -> str:
        return "".join(f"[{digit}{beyond_ascii[digit]}]{between}" for digit in digits)

    code, prefix, rest = parts(phone)
    trunk = f"(?:{written(prefix)})?" if prefix else ""
    return f"{begin}(?:{written('00')})?{written(code)}{trunk}{written(rest)}{end}"


def parts(phone: int) -> tuple[str, str, str]:
    """The country code, the prefix that may stand behind it as in `+44 (0)20`, and the rest of the digits.

    Where no such prefix may (in Italy it makes another number), or no country has the number, it is empty.
    """
    text = str(phone)
    number = parsed(text)
    if number is None:
        return text, "", ""
    code = str(number.country_code)
    rest = text.removeprefix(code)
    region = phonenumbers.region_code_for_number(number)
    prefix = phonenumbers.ndd_prefix_for_region(region, strip_non_digits=True) if region else None
    return code, prefix if prefix and parsed(f"{code}{prefix}{rest}") == number else "", rest


def parsed(digits: str) -> PhoneNumber | None:
    """The number that international digits are, as the library reads them; None for none."""
    try:
        return phonenumbers.parse(f"+{digits}")
    except NumberParseException:
        return None
