"""The fast path says of every text what the reference function says, and the reference says what the contract says."""

from __future__ import annotations

import random
from pathlib import Path

import duckdb
import phonenumbers
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import phone_cases as cases
from audiences import layout, numbering, phones, reference, regions
from audiences.errors import InvalidField, Reason
from audiences.numbering.frames import Plan

LONDON = "442079460958"

# (text, stored digits or reason); read without a default region.
SPELLINGS: list[tuple[str | None, str]] = [
    ("442079460958", LONDON),
    ("+442079460958", LONDON),
    ("00442079460958", LONDON),
    ("+44 20 7946 0958", LONDON),
    ("+44 (0)20 7946 0958", LONDON),
    ("+44-20-7946-0958", LONDON),
    ("+44.20.7946.0958", LONDON),
    ("(+44) 20/7946/0958", LONDON),
    ("  442079460958  ", LONDON),
    ("'442079460958", LONDON),
    (" '+442079460958", LONDON),
    ("tel:+44-20-7946-0958", LONDON),
    ("TEL: +44 20 7946 0958", LONDON),
    ("'tel:442079460958", LONDON),
    ("\ufeff442079460958", LONDON),
    ("\u202a+44 20 7946 0958\u202c", LONDON),
    ("+44\u00a020\u202f7946\u20090958", LONDON),
    ("44\u200b2079460958", LONDON),
    ("\t442079460958\r\n", LONDON),
    ("442079460958\x00", LONDON),
    ("44\u00ad2079460958", LONDON),
    ("٤٤٢٠٧٩٤٦٠٩٥٨", LONDON),
    ("४४२०७९४६०९५८", LONDON),
    ("+４４２０７９４６０９５８", LONDON),
    ("𝟒𝟒𝟐𝟎𝟕𝟗𝟒𝟔𝟎𝟗𝟓𝟖", LONDON),
    ("442079460958.0", LONDON),
    (" 442079460958.0 ", LONDON),
    ("+31 6 1234 5678", "31612345678"),
    ("+1 (212) 555-2368", "12125552368"),
    ("+39 06 698 82000", "390669882000"),
    ("+54 9 11 2345-6789", "5491123456789"),
    ("+54 011 15 2345-6789", "5491123456789"),
    ("+55 0 15 11 91234 5678", "5511912345678"),
    ("+55 0xx11 91234 5678", Reason.NOT_A_NUMBER),
    ("+800 1234 5678", "80012345678"),
    ("+7 8 912 345-67-89", "79123456789"),
    ("+44 7911 123456", "447911123456"),
    (None, Reason.EMPTY),
    ("", Reason.EMPTY),
    ("   \t", Reason.EMPTY),
    ("\u200b\u00a0", Reason.EMPTY),
    ("-", Reason.NOT_A_NUMBER),
    ("()", Reason.NOT_A_NUMBER),
    ("+", Reason.NOT_A_NUMBER),
    ("00", Reason.NOT_A_NUMBER),
    ("n/a", Reason.NOT_A_NUMBER),
    ("Anna 612345678", Reason.NOT_A_NUMBER),
    ("1 800 FLOWERS", Reason.NOT_A_NUMBER),
    ("+44 20 7946 0958 ext 5", Reason.NOT_A_NUMBER),
    ("+44 20 7946 0958 #5", Reason.NOT_A_NUMBER),
    ("+44 20 7946 0958, +44 20 7946 0959", Reason.NOT_A_NUMBER),
    ("++442079460958", Reason.NOT_A_NUMBER),
    ("44+2079460958", Reason.NOT_A_NUMBER),
    ("442079460958٪", Reason.NOT_A_NUMBER),
    ("Ⅳ42079460958", Reason.NOT_A_NUMBER),
    ("442079460958²", Reason.NOT_A_NUMBER),
    ("#N/A", Reason.NOT_A_NUMBER),
    ("=442079460958", Reason.NOT_A_NUMBER),
    ("4.42E+11", Reason.SCIENTIFIC_NOTATION),
    ("4,42E+11", Reason.SCIENTIFIC_NOTATION),
    ("4.42e11", Reason.SCIENTIFIC_NOTATION),
    (" 4E+11 ", Reason.SCIENTIFIC_NOTATION),
    ("-4.42E+11", Reason.SCIENTIFIC_NOTATION),
    ("٤.٤٢E+١١", Reason.SCIENTIFIC_NOTATION),
    ("4.42E", Reason.NOT_A_NUMBER),
    ("E+11", Reason.NOT_A_NUMBER),
    ("999123456789", Reason.UNKNOWN_COUNTRY),
    ("02079460958", Reason.UNKNOWN_COUNTRY),
    ("+0044 20 7946 0958", Reason.UNKNOWN_COUNTRY),
    ("0000442079460958", Reason.UNKNOWN_COUNTRY),
    ("44207", Reason.TOO_SHORT),
    ("449", Reason.TOO_SHORT),
    ("4420794609581234", Reason.TOO_LONG),
    ("442079460958.00", Reason.TOO_LONG),
    ("+442079460958.0", Reason.TOO_LONG),
    ("9" * 249, Reason.UNKNOWN_COUNTRY),
    ("9" * 250, Reason.TOO_LONG),
    ("4" * 100_000, Reason.TOO_LONG),
    ("x" * 100_000, Reason.NOT_A_NUMBER),
    (" " * 100_000 + LONDON, LONDON),
    ("444555555555", Reason.INVALID_NUMBER),
    ("4" * 20, Reason.TOO_LONG),
]

# (text, region, stored digits or reason).
NATIONAL = [
    ("020 7946 0958", "GB", LONDON),
    ("(020) 7946-0958", "GB", LONDON),
    ("20 7946 0958", "GB", LONDON),
    ("442079460958", "GB", LONDON),
    ("+1 212 555 2368", "GB", "12125552368"),
    ("00 1 212 555 2368", "GB", "12125552368"),
    ("(212) 555-2368", "US", "12125552368"),
    ("1 212 555 2368", "US", "12125552368"),
    ("011 44 20 7946 0958", "US", LONDON),
    ("555-2368", "US", Reason.TOO_SHORT),
    ("8 912 345-67-89", "RU", "79123456789"),
    ("810 44 20 7946 0958", "RU", LONDON),
    ("011 15 2345-6789", "AR", "5491123456789"),
    ("0 15 11 91234-5678", "BR", "5511912345678"),
    ("06 698 82000", "IT", "390669882000"),
    ("0549 886377", "SM", "3780549886377"),
    ("886377", "SM", "3780549886377"),
    ("268 460 1234", "AG", "12684601234"),
    ("4601234", "AG", "12684601234"),
    ("1", "GB", Reason.NOT_A_NUMBER),
    ("0", "CV", Reason.NOT_A_NUMBER),
    ("01199912345678", "US", Reason.UNKNOWN_COUNTRY),
]  # fmt: skip

PIECES = st.one_of(
    st.sampled_from([
        "+", "00", "0", "44", "442079460958", "2079460958", "+1", "212", "5552368", "54", "15", "9", "011", "810", " ",
        "-", ".", "/", "(", ")", "(0)", "'", "tel:", "TEL:", ".0", "E+11", "4.42", ",", "\u200b", "\u00a0", "\u202f",
        "\u2028", "\u202a", "\ufeff", "\x00", "\t", "\n", "\x7f", "\x85", "٤", "४", "４", "𝟒", "²", "Ⅳ", "x", "e", "é",
        "ß", "–", "−", "＋", "㉈", "'", "\\", "%", "\U000e0001", "\U0001f4de", "\u3000", "\u180e", "\u0301",
    ]),
    st.text("0123456789", max_size=14),
    st.characters(exclude_categories=["Cs"]),
)  # fmt: skip
TEXTS = st.lists(PIECES, max_size=8).map("".join)


@pytest.fixture(scope="module")
def connection(cache: Path) -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect(config={"threads": 2})
    numbering.load(connection, cache)
    return connection


@pytest.fixture(scope="module")
def plan(connection: duckdb.DuckDBPyConnection) -> Plan:
    return cases.plan_of(connection)


@pytest.mark.parametrize(("text", "verdict"), SPELLINGS)
def test_the_reference_reads_real_spellings(text: str | None, verdict: str) -> None:
    judgement = reference.judge(text)
    assert (judgement.phone or judgement.reason) == verdict


@pytest.mark.parametrize(("text", "region", "verdict"), NATIONAL)
def test_the_reference_reads_national_numbers(text: str, region: str, verdict: str) -> None:
    judgement = reference.judge(text, default_region=region)
    assert (judgement.phone or judgement.reason) == verdict


def test_the_reference_tells_country_line_type_and_time_zones() -> None:
    mobile = reference.judge("447400123456")
    assert (mobile.country, mobile.line_type, len(mobile.time_zones)) == ("GB", "mobile", 4)
    assert reference.judge("80012345678").country == "001"


@pytest.mark.parametrize("region", [None, "GB", "US", "RU"])
@pytest.mark.parametrize("exact", [False, True])
def test_real_spellings_are_judged_alike(plan: Plan, region: str | None, *, exact: bool) -> None:
    texts = [text for text, _ in SPELLINGS] + [text for text, _, _ in NATIONAL]
    assert not cases.differences(plan, texts, region=region, exact=exact)


def test_every_national_spelling_is_judged_alike_in_its_region(plan: Plan) -> None:
    for text, region, _ in NATIONAL:
        assert not cases.differences(plan, [text], region=region)


def test_an_exact_cell_is_never_scientific(plan: Plan) -> None:
    judged = cases.fast(plan, ["4.42E+11", "442079460958.0"], exact=True)
    assert [each.reason for each in judged] == [Reason.NOT_A_NUMBER, None]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts=st.lists(TEXTS, min_size=50, max_size=150), region=st.sampled_from([None, "GB", "AR", "US"]))
def test_messy_texts_are_judged_alike(plan: Plan, texts: list[str], region: str | None) -> None:
    assert not cases.differences(plan, texts, region=region)


def test_every_character_is_judged_alike(plan: Plan) -> None:
    """Each one below the last alphabet of digits, and the tags, before, in and after a number."""
    points = [*range(0xD800), *range(0xE000, 0xE100), *range(0xFE00, 0x10000), *range(0x1D7C0, 0x1D800)]
    texts = [f"44{chr(point)}2079460958" for point in points if point % 3 == 0 or point < 0x3100]
    texts += [f"{chr(point)}44207946095" for point in range(0x3100)]
    assert not cases.differences(plan, texts)


def test_every_example_number_is_judged_alike_in_every_spelling(plan: Plan) -> None:
    examples = list(cases.examples())
    assert {str(each.country_code) for each in examples} == {
        str(code) for code in phonenumbers.COUNTRY_CODE_TO_REGION_CODE
    }
    assert not cases.differences(plan, [text for number in examples for text in cases.spellings(number)])


def test_every_example_number_is_judged_alike_within_its_region(plan: Plan) -> None:
    examples: dict[str, list[str]] = {}
    for number in cases.examples():
        region = phonenumbers.region_code_for_number(number) or "001"
        national = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.NATIONAL)
        examples.setdefault(region, []).extend((national, f"{number.country_code}{national}"))
    for region in sorted(phonenumbers.SUPPORTED_REGIONS & examples.keys()):
        assert not cases.differences(plan, examples[region], region=region)


def test_both_sides_of_every_bound_are_judged_alike(connection: duckdb.DuckDBPyConnection, plan: Plan) -> None:
    assert not cases.differences(plan, cases.edges(connection))


def test_bounds_with_prefixes_put_in_are_judged_alike(connection: duckdb.DuckDBPyConnection, plan: Plan) -> None:
    chance = random.Random(2)
    numbers = chance.sample(cases.edges(connection), 10_000)
    texts = [text for number in numbers for text in cases.with_prefixes(number, chance, 1)]
    texts += [text for number in numbers for text in cases.mobile_tokens(number)]
    assert not cases.differences(plan, texts)


def test_bounds_of_the_routes_are_judged_alike(connection: duckdb.DuckDBPyConnection, plan: Plan) -> None:
    texts = list(cases.route_edges(connection, cases.INTERNATIONAL, random.Random(3)))
    assert not cases.differences(plan, texts)


def test_random_numbers_near_valid_ones_are_judged_alike(connection: duckdb.DuckDBPyConnection, plan: Plan) -> None:
    assert not cases.differences(plan, cases.near(connection, random.Random(4), 10_000))


@pytest.mark.parametrize("region", cases.TELLING_REGIONS)
def test_numbers_dialled_in_a_region_are_judged_alike(
    connection: duckdb.DuckDBPyConnection, plan: Plan, region: str
) -> None:
    chance = random.Random(region)
    code = str(phonenumbers.country_code_for_region(region))
    edges = cases.edges(connection)
    own = [number for number in edges if cases.calling_code_of(number) == code]
    numbers = chance.choices(own, k=300) + chance.choices(edges, k=100)
    texts = [cases.dialled_in(region, number, chance) for number in numbers]
    bounds = list(cases.route_edges(connection, region, chance))
    texts += chance.sample(bounds, min(len(bounds), 300))
    assert not cases.differences(plan, texts, region=region)


def test_one_wrong_digit_in_the_plan_is_found(cache: Path) -> None:
    """The proof of the test: were a single bound of the plan off by one, the comparison would say so."""
    spoilt = duckdb.connect()
    numbering.load(spoilt, cache)
    bound = spoilt.execute("SELECT lo FROM numbering_plan WHERE lo > 442070000000 ORDER BY lo LIMIT 1").fetchall()[0][0]
    around = [str(bound - 1), str(bound)]
    assert not cases.differences(cases.plan_of(spoilt), around)

    spoilt.execute("UPDATE numbering_plan SET lo = lo + 1 WHERE lo = $1", [bound])

    assert [difference.text for difference in cases.differences(cases.plan_of(spoilt), around)] == [str(bound)]


def test_one_wrong_digit_in_the_routes_is_found(connection: duckdb.DuckDBPyConnection) -> None:
    with connection.cursor() as cursor:
        cursor.execute("BEGIN")
        cursor.execute("UPDATE numbering_routes SET dropped = dropped + 1 WHERE region = 'GB' AND dropped = 1")
        found = cases.differences(cases.plan_of(cursor), ["020 7946 0958"], region="GB")
        cursor.execute("ROLLBACK")
    assert [difference.kind for difference in found] == ["rejected"]


def test_many_rows_have_a_verdict_each(plan: Plan) -> None:
    """The three ways of judging leave no row without one, and take none for another."""
    digits = pl.select(text=(440000000000 + pl.int_range(250_000) * 7919).cast(pl.String))["text"]
    judged = phones.judge(plan, digits)
    assert judged.select(pl.col("phone").is_null().sum()).item() == judged["reason"].count()
    assert (judged["phone"].is_null() == judged["place"].is_null()).all()
    assert judged.filter(pl.col("phone").is_not_null() & (pl.col("phone").cast(pl.String) != digits)).height < 250_000
    few = judged.with_columns(digits).sample(300, seed=1)
    assert not cases.differences(plan, few["text"].to_list())


@pytest.mark.parametrize("spell", ["00{}", "+{}", " {}", "({})", "{}.0", "+{}x", "0{}"])
def test_a_spelling_is_judged_alike_among_many_and_among_few(plan: Plan, spell: str) -> None:
    """What is quick for many rows must not read them otherwise than what reads a few."""
    texts = [spell.format(442079460958 + number) for number in range(phones.FEW_ROWS + 1)]
    many, few = phones.judge(plan, pl.Series(texts)), phones.judge(plan, pl.Series(texts[:100]))
    assert many.head(100).rows() == few.rows()
    assert not cases.differences(plan, texts[:100])


def test_an_empty_column_gives_no_verdict(plan: Plan) -> None:
    assert cases.fast(plan, []) == []


def test_other_phone_columns_are_normalised_or_left_alone(plan: Plan) -> None:
    texts = pl.Series(["+44 20 7946 0958", "ask her", None, "", "020 7946 0958"])
    kept = phones.normalise(plan, texts, default_region="gb")
    assert kept.to_list() == [LONDON, "ask her", None, "", LONDON]
    assert (layout.PHONE_COLUMNS[0], layout.PHONE_COLUMNS[-1]) == ("phone2", "phone9")


@pytest.mark.parametrize("code", ["gb", "GB", "Us"])
def test_a_region_is_known_in_any_case(code: str) -> None:
    assert regions.is_region(code)
    assert regions.check_region(code) == code.upper()


@pytest.mark.parametrize("code", ["", "UK", "001", "GBR", "44", "g b", "'; DROP TABLE x", "ı"])
def test_an_unknown_region_is_refused_with_what_to_send(plan: Plan, code: str) -> None:
    assert not regions.is_region(code)
    with pytest.raises(InvalidField, match="GB, ") as refused:
        regions.check_region(code)
    assert refused.value.field == "default_region"
    with pytest.raises(InvalidField):
        phones.judge(plan, pl.Series([LONDON]), default_region=code)
