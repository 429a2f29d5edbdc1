"""Judges a column of phones at once: the same verdicts as `reference.judge`, from searches in the numbering plan.

Three ways, each for what the one before has left. The first is for digits as they are stored; most files are done with
it. The second drops punctuation, and what stands before an international number. The third is for all the rest: it
cleans the text by the contract's rules, does with the digits what the library's parser does (`numbering.dialling`),
looks the result up, and knows a reason for what is not there.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import polars as pl

from audiences.chains import Chain
from audiences.errors import Reason
from audiences.numbering import metadata
from audiences.numbering.dialling import KEY_WIDTH, KNOWN_DIGITS, LONGEST_DIALLED
from audiences.numbering.frames import Plan
from audiences.regions import check_region

FEW_ROWS = 1_000
"""Rows up to which the third way takes all that the first has left: the second would spare it less than it takes."""

MOST_REGIONS = 64
"""Default regions whose ways are kept."""

LONGEST_TEXT = 250
"""Characters that the library parses, the `+` among them (`_MAX_INPUT_STRING_LENGTH`)."""

REASONS = pl.Enum([str(reason) for reason in Reason])
VERDICT = {"phone": pl.UInt64(), "place": pl.UInt16(), "reason": REASONS}

LEFT = Chain().select(pl.col("place").is_null().arg_true())
IS_ASCII = Chain().select((pl.col("text").str.len_bytes() == pl.col("text").str.len_chars()).all())

# The patterns of the cleaning, for texts whose other blanks, digits and invisible characters have become ASCII ones.
MARKS = r"^[\x00-\x20\x7F]*\x27?[\x00-\x20\x7F]*(?i:tel:)?"
CONTROL = r"[\x00-\x1F\x7F]"
SCIENTIFIC = r"^[+-]?[0-9]+(?:[.,][0-9]*)?[eE][+-]?[0-9]+$"
PUNCTUATION = r"[ \-./()]"
WHOLE_WITH_FRACTION = r"^([0-9]+)\.0$"
INTERNATIONAL_PREFIX = r"^(?:\+|00)"


def judge(plan: Plan, texts: pl.Series, *, default_region: str | None = None, exact: bool = False) -> pl.DataFrame:
    """The verdicts on `texts` (String), a row for each, in order.

    Its columns are `phone` UInt64, E.164 digits; `place` UInt16, of `Plan.places`; `reason`, of `REASONS`. A row has a
    phone and a place, or a reason.

    `default_region` and `exact` are those of `reference.judge`. Raises InvalidField for an unknown region.
    """
    ways = _ways(plan, None if default_region is None else check_region(default_region), exact)
    given = texts.alias("text").to_frame()
    verdicts = ways.stored_digits.of(given)
    left = _left(verdicts)
    if len(left) > FEW_ROWS:
        verdicts = _settle(verdicts, left, ways.spelt_out.of(given[left]))
        left = _left(verdicts)
    if not len(left):
        return verdicts
    return _settle(verdicts, left, ways.cleaned.of(_in_ascii(plan, given[left])))


def normalise(plan: Plan, texts: pl.Series, *, default_region: str | None = None, exact: bool = False) -> pl.Series:
    """Of each text the E.164 digits where it is a valid phone, or the text as it stands; for `layout.PHONE_COLUMNS`.

    The arguments are those of `judge`.
    """
    digits = judge(plan, texts, default_region=default_region, exact=exact)["phone"].cast(pl.String)
    return pl.select(text=pl.coalesce(digits, texts))["text"]


@dataclass(frozen=True)
class Ways:
    """The three ways: each makes verdicts of a column `text`, the last one of what `_in_ascii` leaves."""

    stored_digits: Chain
    spelt_out: Chain
    cleaned: Chain


@lru_cache(MOST_REGIONS)
def _ways(plan: Plan, region: str | None, exact: bool) -> Ways:  # noqa: FBT001 - a cache tells names from places
    """Those of texts of that region, or of none."""
    return Ways(
        _stored_digits(plan, Chain(), region), _spelt_out(plan, Chain(), region), _cleaned(plan, region, exact=exact)
    )


def _left(verdicts: pl.DataFrame) -> pl.Series:
    """The rows without a place."""
    return LEFT.of(verdicts)["place"]


def _settle(verdicts: pl.DataFrame, rows: pl.Series, found_for: pl.DataFrame) -> pl.DataFrame:
    """The verdicts, those of `rows` replaced."""
    if len(rows) == verdicts.height:
        return found_for
    return pl.DataFrame([verdicts[name].scatter(rows, found_for[name]) for name in found_for.columns])


def _stored_digits(plan: Plan, texts: Chain, region: str | None) -> Chain:
    """The verdicts on what consists of a number's digits, a `+` before them or not; no others have a reason yet.

    With a region only those after a `+` are sure to be international.
    """
    text = pl.col("text")
    plain = (text >= "+1") & (text < "+:")
    if region is None:
        plain |= (text >= "1") & (text < ":")
    # What begins with a sign or with digits but is no number is null; others, such as 044…, are not `plain`.
    numbers = texts.select(number=pl.when(plain).then(text.cast(pl.UInt64, strict=False)))
    rows = numbers.with_columns(row=plan.numbers.row(pl.col("number")))
    return rows.with_columns(place=plan.numbers.at("direct", "row")).select(
        pl.when(pl.col("place").is_not_null()).then("number").alias("phone"),
        "place",
        pl.lit(None, REASONS).alias("reason"),
    )


def _spelt_out(plan: Plan, texts: Chain, region: str | None) -> Chain:
    """The same of what is an international number but for punctuation."""
    text = pl.col("text")
    fraction = text.str.strip_chars_end(" ").str.ends_with(".0")
    compact = text.str.replace_all(PUNCTUATION, "").str.replace("^00", "+")
    return _stored_digits(plan, texts.select(pl.when(~fraction).then(compact).alias("text")), region)


def _cleaned(plan: Plan, region: str | None, *, exact: bool) -> Chain:
    """The verdicts on any texts, in ASCII."""
    visible = pl.col("text").fill_null("").str.replace(MARKS, "").str.replace_all(CONTROL, "").str.strip_chars(" ")
    rows = _dialled(Chain().select(visible), region, exact=exact)
    if region is None:
        rows = rows.with_columns(further=pl.lit(True), otherwise=pl.lit(None, pl.String))  # noqa: FBT003 - a column of it
    else:
        rows = _national(plan, rows, region)
    return _routed(plan, rows)


def _in_ascii(plan: Plan, texts: pl.DataFrame) -> pl.DataFrame:
    """`texts` with their digits, blanks and invisible characters beyond ASCII as such in ASCII."""
    if IS_ASCII.of(texts).item():
        return texts
    text = texts["text"]
    if text.str.contains(plan.patterns["digit"]).any():
        for digit in "0123456789":
            text = text.str.replace_all(plan.patterns[digit], digit)
    for pattern, plain in (("blank", " "), ("invisible", "\x7f")):
        text = text.str.replace_all(plan.patterns[pattern], plain)
    return text.to_frame()


def _dialled(visible: Chain, region: str | None, *, exact: bool) -> Chain:
    """`digits`, whether a `+` or `00` says that they are `international`, and the `reason` why they are no digits."""
    text, digits = pl.col("text"), pl.col("digits")
    scientific = pl.lit(False) if exact else text.str.contains(SCIENTIFIC)  # noqa: FBT003 - a column of it
    compact = text.str.replace(WHOLE_WITH_FRACTION, "$1").str.replace_all(PUNCTUATION, "")
    prefixed = pl.lit(True) if region is None else pl.col("compact").str.contains(INTERNATIONAL_PREFIX)  # noqa: FBT003
    return visible.select(
        pl.when(text == "").then(pl.lit(Reason.EMPTY)).when(scientific).then(pl.lit(Reason.SCIENTIFIC_NOTATION))
        .alias("reason"),
        compact.alias("compact"),
    ).select(
        "reason",
        pl.col("compact").str.replace(INTERNATIONAL_PREFIX, "").alias("digits"),
        prefixed.alias("international"),
    ).select(
        pl.coalesce(
            "reason",
            pl.when(~digits.str.contains("^[0-9]+$")).then(pl.lit(Reason.NOT_A_NUMBER))
            .when(digits.str.len_bytes() + pl.col("international").cast(pl.UInt32) > LONGEST_TEXT)
            .then(pl.lit(Reason.TOO_LONG)),
        ),
        "digits",
        "international",
    )  # fmt: skip


def _national(plan: Plan, rows: Chain, region: str) -> Chain:
    """Reads national numbers as `region` does; `digits` are then E.164, or, where `further`, to be routed again.

    `otherwise` is the reason where the numbering plan does not have the E.164 number.
    """
    digits, beyond = pl.col("digits"), pl.col("idd_length")
    prefix = metadata.rules(0, region).international_prefix
    local = ~pl.col("international") & pl.col("reason").is_null()
    idd = pl.when(local & (digits.str.len_bytes() > 1)).then(digits.str.extract(f"^(?:{prefix})", 0).str.len_bytes())
    rows = rows.with_columns(idd_length=pl.when(idd > 0).then(idd)).with_columns(
        idd_length=pl.when(digits.str.slice(beyond, 1) != "0").then(beyond)
    )
    rows = _looked_up(plan, region, rows, local & beyond.is_null(), "otherwise").with_columns(
        further=pl.col("international") | beyond.is_not_null() | pl.col("abroad").fill_null(value=False),
        digits=pl.col("head").fill_null("") + digits.str.slice(pl.coalesce(beyond, "dropped", 0)),
    )
    short = pl.col("further") & ~pl.col("international") & (digits.str.len_bytes() <= 2)  # noqa: PLR2004 - the library's
    return rows.select(
        "digits",
        "further",
        pl.coalesce("reason", pl.when(short).then(pl.lit(Reason.TOO_SHORT))),
        "otherwise",
    )


def _routed(plan: Plan, rows: Chain) -> Chain:
    """The verdicts on digits that are E.164 already, or that begin with a calling code and are `further`."""
    nothing, number, place = pl.col("reason").is_null(), pl.col("number"), pl.col("place")
    e164 = pl.col("head").fill_null("") + pl.col("digits").str.slice(pl.col("dropped").fill_null(0))
    rows = _looked_up(plan, metadata.NON_GEOGRAPHIC, rows, pl.col("further") & nothing, "why").select(
        e164.alias("e164"), nothing.alias("dialled"), pl.coalesce("reason", "why", "otherwise").alias("reason")
    )
    is_number = pl.col("dialled") & ~pl.col("e164").str.starts_with("0")
    rows = rows.with_columns(number=pl.when(is_number).then(pl.col("e164").cast(pl.UInt64, strict=False)))
    rows = rows.with_columns(row=plan.numbers.row(number)).with_columns(place=plan.numbers.at("place", "row"))
    return rows.select(
        pl.when(place.is_not_null()).then(number).alias("phone"),
        "place",
        pl.when(place.is_null()).then("reason").cast(REASONS).alias("reason"),
    )


def _looked_up(plan: Plan, region: str, rows: Chain, which: pl.Expr, reason: str) -> Chain:
    """`rows` with what becomes of the digits of some: `head`, `dropped`, `abroad`, and the reason, called so.

    See `dialling.Leaf.key` for what they are looked up by.
    """
    digits, routes = pl.col("digits"), plan.routes[region]
    known = digits.str.slice(0, KNOWN_DIGITS).str.pad_end(KNOWN_DIGITS, "0").cast(pl.UInt64, strict=False)
    length = digits.str.len_bytes().clip(upper_bound=LONGEST_DIALLED).cast(pl.UInt64)
    keyed = rows.with_columns(key=pl.when(which).then(length * KEY_WIDTH + known))
    return keyed.with_columns(row=routes.row(pl.col("key"))).with_columns(
        routes.at("head", "row").alias("head"),
        routes.at("dropped", "row").cast(pl.UInt32).alias("dropped"),
        routes.at("international", "row").alias("abroad"),
        routes.at("reason", "row").alias(reason),
    )
