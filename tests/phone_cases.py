"""Numbers and texts on which the fast path and the reference function are compared, and the comparison."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import duckdb
import phonenumbers
import polars as pl
from phonenumbers import PhoneMetadata, PhoneNumberFormat, PhoneNumberType

from audiences import numbering, phones, reference
from audiences.errors import Reason
from audiences.numbering import patterns
from audiences.numbering.dialling import KNOWN_DIGITS
from audiences.numbering.frames import Plan
from audiences.numbering.patterns import Choice, Digit, Group, Node, Repeat
from audiences.numbering.patterns import Sequence as Concatenation

INTERNATIONAL = "001"
"""The region under which the routing table has the numbers that begin with a calling code."""

# Regions whose rules differ in kind: trunk prefixes, area codes put in, mobile tokens, carrier codes, prefixes like
# the start of numbers, no prefix at all, several regions under one calling code, zeros that stay.
TELLING_REGIONS = (
    "GB", "US", "AR", "BR", "MX", "IT", "DE", "KZ", "RU", "AU", "CI", "SM", "CN", "JP", "KR", "CO", "GG", "AG", "BY",
    "HU", "LU", "CL", "IL", "GA", "NF", "LT", "FR", "NL", "IN", "ID", "SG", "CV", "WS", "FI", "CR", "HK", "TJ", "VA",
)  # fmt: skip

Places = Sequence[tuple[str, str, str]]


@dataclass(frozen=True)
class Difference:
    """A text of which the two say different things. `kind` is the first field that differs."""

    kind: str
    text: str | None
    region: str | None
    expected: reference.Judgement
    found: reference.Judgement


def frame(connection: duckdb.DuckDBPyConnection, table: str) -> pl.DataFrame:
    """A table of the connection's."""
    relation: Any = connection.sql(f"FROM {table}")
    return pl.DataFrame(relation)


def plan_of(connection: duckdb.DuckDBPyConnection) -> Plan:
    """The plan that is in the connection's tables, in memory of its own."""
    return Plan.of({table.name: frame(connection, table.name) for table in numbering.TABLES})


def differences(
    plan: Plan,
    texts: Iterable[str | None],
    *,
    region: str | None = None,
    exact: bool = False,
) -> list[Difference]:
    """Every one of `texts` on which `phones.judge` and `reference.judge` differ in anything at all."""
    given = list(texts)
    found = fast(plan, given, region=region, exact=exact)
    compared = []
    for text, judgement in zip(given, found, strict=True):
        expected = reference.judge(text, default_region=region, exact=exact)
        if judgement != expected:
            compared.append(Difference(_kind(expected, judgement), text, region, expected, judgement))
    return compared


def fast(
    plan: Plan,
    texts: Sequence[str | None],
    *,
    region: str | None = None,
    exact: bool = False,
) -> list[reference.Judgement]:
    """What `phones.judge` says of each of `texts`, in their order; asserts that it says one thing of each."""
    judged = phones.judge(plan, pl.Series(texts, dtype=pl.String), default_region=region, exact=exact)
    assert (judged.height, judged.columns) == (len(texts), list(phones.VERDICT))
    places = plan.places.rows()
    return [_judgement(phone, place, reason, places) for phone, place, reason in judged.rows()]


def _judgement(phone: int | None, place: int | None, reason: str | None, places: Places) -> reference.Judgement:
    assert (phone is None) == (place is None) == (reason is not None)
    if phone is None or place is None:
        return reference.Judgement(reason=Reason(reason or ""))
    country, line_type, zones = places[place]
    return reference.Judgement(str(phone), None, country, line_type, tuple(zones.split(",")))


def _kind(expected: reference.Judgement, found: reference.Judgement) -> str:
    if (expected.phone is None) != (found.phone is None):
        return "accepted" if expected.phone is None else "rejected"
    fields = ("phone", "reason", "country", "line_type", "time_zones")
    return next(field for field in fields if getattr(expected, field) != getattr(found, field))


def calling_code_of(digits: str) -> str | None:
    """The calling code that `digits` begin with."""
    codes = (digits[:length] for length in (1, 2, 3))
    return next((code for code in codes if code and int(code) in phonenumbers.COUNTRY_CODE_TO_REGION_CODE), None)


def metadata_of(calling_code: str) -> PhoneMetadata:
    """The metadata of the main region of a calling code."""
    region = phonenumbers.region_code_for_country_code(int(calling_code))
    found = PhoneMetadata.metadata_for_region_or_calling_code(int(calling_code), region)
    assert found is not None
    return found


def edges(connection: duckdb.DuckDBPyConnection) -> list[str]:
    """The first number of every interval of the plan and the one before it, the last of the interval before."""
    bounds = [row[0] for row in connection.execute("SELECT lo FROM numbering_plan WHERE lo > 0").fetchall()]
    return [str(number) for bound in bounds for number in (bound - 1, bound)]


def route_edges(connection: duckdb.DuckDBPyConnection, region: str, chance: random.Random) -> Iterator[str]:
    """Digits on both sides of every bound of a region's routing table, and anywhere behind the digits that it knows."""
    keys = connection.execute("SELECT lo FROM numbering_routes WHERE region = $1", [region]).fetchall()
    for (key,) in keys:
        for neighbour in (key - 1, key):
            length, start = divmod(neighbour, 10**KNOWN_DIGITS)
            if length:
                digits = str(start).rjust(KNOWN_DIGITS, "0")[:length]
                yield digits + random_digits(chance, length - len(digits))
                known = digits.rstrip("0" if neighbour == key else "9")
                yield known + random_digits(chance, length - len(known))


def with_prefixes(digits: str, chance: random.Random, count: int) -> Iterator[str]:
    """The number with `count` national prefixes, carrier codes or mobile tokens of its region put in."""
    code = calling_code_of(digits)
    if code is None:
        return
    rules = metadata_of(code)
    written = [text for text in (rules.national_prefix, "0", "1", "8", "9", "15") if text]
    for _ in range(count):
        pattern = rules.national_prefix_for_parsing
        prefix = instance(pattern, chance) if pattern and chance.random() < 0.8 else chance.choice(written)
        yield code + prefix + digits[len(code) :]


def mobile_tokens(digits: str) -> Iterator[str]:
    """Argentine and Mexican numbers with the tokens that mobile numbers have, or had, within their country."""
    if digits.startswith("54"):
        for area in (2, 3, 4):
            yield f"54{digits[2 : 2 + area]}15{digits[2 + area :]}"
            yield f"540{digits[2 : 2 + area]}15{digits[2 + area :]}"
        yield "549" + digits[2:]
    if digits.startswith("52"):
        yield from ("52" + token + digits[2:] for token in ("1", "01", "044", "045"))


def instance(pattern: str, chance: random.Random) -> str:
    """Digits that `pattern` matches, at random."""
    return _instance(patterns.parse(pattern), chance)


def _instance(node: Node, chance: random.Random) -> str:
    match node:
        case Digit(mask):
            return chance.choice([str(digit) for digit in range(10) if mask >> digit & 1])
        case Concatenation(parts):
            return "".join(_instance(part, chance) for part in parts)
        case Choice(options):
            return _instance(chance.choice(options), chance)
        case Repeat(part, least, most):
            return "".join(_instance(part, chance) for _ in range(chance.randint(least, most)))
        case Group(_, part):
            return _instance(part, chance)
    return ""


def random_digits(chance: random.Random, count: int) -> str:
    return "".join(chance.choices("0123456789", k=count))


def examples() -> Iterator[phonenumbers.PhoneNumber]:
    """Every example number of every region and type, and of every non-geographic code."""
    for kind in PhoneNumberType.values():
        for region in sorted(phonenumbers.SUPPORTED_REGIONS):
            number = phonenumbers.example_number_for_type(region, kind)
            if number is not None:
                yield number
    for code in sorted(phonenumbers.COUNTRY_CODES_FOR_NON_GEO_REGIONS):
        number = phonenumbers.example_number_for_non_geo_entity(code)
        if number is not None:
            yield number


def spellings(number: phonenumbers.PhoneNumber) -> Iterator[str]:
    """The number in the library's formats, and with the trunk prefix after the calling code."""
    formats = (PhoneNumberFormat.E164, PhoneNumberFormat.INTERNATIONAL, PhoneNumberFormat.RFC3966)
    for form in formats:
        yield phonenumbers.format_number(number, form)
    national = phonenumbers.format_number(number, PhoneNumberFormat.NATIONAL)
    yield national
    yield f"+{number.country_code} {national}"
    yield f"00{number.country_code} ({national[:1]}){national[1:]}"


def near(connection: duckdb.DuckDBPyConnection, chance: random.Random, count: int) -> Iterator[str]:
    """`count` random numbers in valid intervals; most with a digit changed, gone or put in, or with a prefix."""
    intervals = connection.execute("""
        SELECT lo, following FROM (SELECT *, lead(lo) OVER (ORDER BY lo) AS following FROM numbering_plan)
        WHERE place IS NOT NULL
    """).fetchall()
    for low, end in chance.choices(intervals, k=count):
        yield mutated(str(chance.randrange(low, end)), chance)


def mutated(digits: str, chance: random.Random) -> str:
    at = chance.randrange(len(digits))
    digit = chance.choice("0123456789")
    match chance.randrange(8):
        case 0:
            return digits[:at] + digits[at + 1 :]
        case 1:
            return digits[:at] + digit + digits[at:]
        case 2 | 3:
            return digits[:at] + digit + digits[at + 1 :]
        case 4:
            return next(with_prefixes(digits, chance, 1), digits)
        case 5:
            return chance.choice([digits, *mobile_tokens(digits)])
    return digits


def dialled_in(region: str, digits: str, chance: random.Random) -> str:
    """A number as somebody in `region` might write it: national, with or without prefix, or dialled abroad."""
    rules = PhoneMetadata.metadata_for_region(region, None)
    assert rules is not None
    code = str(rules.country_code)
    national = digits.removeprefix(code)
    prefix = rules.national_prefix_for_parsing
    trunk = instance(prefix, chance) if prefix else ""
    abroad = instance(rules.international_prefix or "00", chance)
    choices = (national, trunk + national, code + trunk + national, abroad + digits, code + national, abroad + trunk)
    return mutated(chance.choice(choices) or "0", chance)
