"""Cut whole records into cells: nearly all of them at once by Polars' reader, the odd ones by the grammar.

Odd are records with spaces around their quotes, quotes within a cell, escapes, or cells beyond the header's.
"""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO

import polars as pl
from polars.exceptions import PolarsError

from audiences.tables.dialect import Dialect
from audiences.tables.lines import CUT, ESCAPE, PLAIN_ESCAPE, PLAIN_NO_DELIMITER, UNDECODABLE
from audiences.tables.quoting import Marks, line_ends_inside
from audiences.tables.records import ALL_BLANK, without_blank
from audiences.tables.shapes import Piece, Untidy
from audiences.tables.sql import cells

# Surplus cells are looked at one by one, for text in them, up to so many.
MAX_SURPLUS = 1_000

# Bytes of odd records that are cut at once: each may be a cell, which takes some hundred bytes on its way.
ODD_BYTES = 1 << 20

# Delimiters within quotes that a record may have more than the header has columns, and still be a usual one.
SPARE = 4

LINE_END = "\n"


@dataclass(frozen=True)
class Cutter:
    """Cuts the records of a file with so many columns; `phone` is the index of one."""

    dialect: Dialect
    columns: int
    phone: int

    def piece(self, records: pl.DataFrame) -> Piece:
        """The piece of records that have `row` Int64, `raw` String (escaped as `lines` does), and are `broken` or not.

        Rows ascend.
        """
        raw = pl.col("raw")
        shown = records.filter(raw != "")
        broken, whole = shown.filter("broken").drop("broken"), shown.filter(~pl.col("broken")).drop("broken")
        usual = self.usual(whole)
        odd = whole.filter(~pl.col("row").is_in(usual["row"].implode())) if usual.height < whole.height else whole[:0]
        # The first has all columns, also where it has no rows.
        there = [without_blank(usual, self.columns, self.phone)]
        if odd.height:
            cut = self.odd(odd)
            there.append(without_blank(cut.filter(raw.is_null()).drop("raw"), self.columns, self.phone))
            there.append(cut.filter(raw.is_not_null()).select("row", "raw"))
        if broken.height:
            there.append(broken.with_columns(plain(raw)))
        kept = pl.concat(there, how="diagonal").sort("row") if len(there) > 1 else there[0]
        return Piece(kept, records.height - kept.height)

    def usual(self, whole: pl.DataFrame) -> pl.DataFrame:
        """Those that are not odd: `row`, `c1` …; none of them where Polars' reader does not keep to the grammar."""
        raw, dialect = pl.col("raw"), self.dialect
        delimiters = raw.str.count_matches(dialect.separator, literal=True)
        is_usual = (delimiters < self.columns + SPARE) & ~raw.str.contains(ESCAPE, literal=True)
        if dialect.escape != dialect.quote:
            is_usual &= ~raw.str.contains(dialect.quote, literal=True)
        usual = whole.filter(is_usual)
        text = self.text(usual)
        try:
            if not self.is_tidy(text):
                usual = usual.filter(raw.str.contains(self.tidy))
                text = self.text(usual)
            frame = pl.read_csv(
                text,
                separator=dialect.separator,
                quote_char=dialect.quote if dialect.quote.encode() in text else None,
                eol_char=LINE_END,
                infer_schema=False,
            )
        except PolarsError:
            frame = pl.DataFrame()
        if frame.height != usual.height:
            return pl.DataFrame(schema={"row": pl.Int64, **dict.fromkeys(cells(self.columns), pl.String)})
        surplus = cells(self.columns + SPARE)[self.columns :]
        return frame.insert_column(0, usual["row"]).filter(pl.all_horizontal(pl.col(surplus).is_null())).drop(surplus)

    def text(self, records: pl.DataFrame) -> bytes:
        """The records one below the other, and a header for all of their cells."""
        out = BytesIO()
        out.write((self.dialect.separator.join(cells(self.columns + SPARE)) + LINE_END).encode())
        records.select("raw").write_csv(out, include_header=False, quote_style="never")
        return out.getvalue()

    def is_tidy(self, text: bytes) -> bool:
        """Whether all quotes of the text stand around whole cells."""
        quote = self.dialect.quote
        if quote.encode() not in text:
            return True
        try:
            line_ends_inside(text, Marks(self.dialect.separator, quote, LINE_END))
        except Untidy:
            return False
        return True

    @property
    def tidy(self) -> str:
        """A record whose quotes stand around whole cells, nothing beside them."""
        quote, separator = self.dialect.quote, self.dialect.separator
        cell = rf"(?:{quote}{self.dialect.body}{quote}|[^{quote}{separator}]*)"
        return rf"(?s)\A{cell}(?:[{separator}]{cell})*\z"

    def odd(self, records: pl.DataFrame) -> pl.DataFrame:
        """Any whole records, one at least: `row`, `c1` …, and `raw` of those that have text beyond the header's cells.

        These are malformed; so are those that have far too many cells, whatever is in them.
        """
        size = int(records["raw"].str.len_bytes().sum())
        step = max(records.height * ODD_BYTES // (size + 1), 1)
        return pl.concat([self.split(records[at : at + step]) for at in range(0, records.height, step)])

    def split(self, records: pl.DataFrame) -> pl.DataFrame:
        """The same of as many as are cut at once."""
        raw, bare, limit = pl.col("raw"), pl.col("bare"), self.columns + MAX_SURPLUS
        few = self.delimiters(raw) <= limit
        filled = pl.when(few).then(raw).otherwise(raw.str.strip_chars_end(self.dialect.separator))
        records = records.with_columns(bare=filled)
        fits = few | (self.delimiters(self.outside(bare)) <= limit)
        records = records.with_columns(pl.when(fits).then(bare).alias("bare"))
        records = records.with_columns(cells=self.cells(bare))
        surplus = pl.col("cells").list.slice(self.columns).list.join("")
        is_malformed = bare.is_null() | ~surplus.str.contains(ALL_BLANK)
        each = [pl.col("cells").list.get(at, null_on_oob=True).alias(f"c{at + 1}") for at in range(self.columns)]
        return records.select(
            "row",
            *(pl.when(~is_malformed).then(plain(cell)) for cell in each),
            pl.when(is_malformed).then(plain(raw)).alias("raw"),
        )

    def cells(self, record: pl.Expr) -> pl.Expr:
        """The list of the cells of each record."""
        dialect = self.dialect
        cell = pl.element().str.slice(1)
        inner = cell.str.strip_chars(" ").str.slice(1)
        inner = inner.str.slice(0, inner.str.len_chars() - 1)
        if dialect.escape == dialect.quote:
            unquoted = inner.str.replace_all(dialect.quote * 2, dialect.quote, literal=True)
        else:
            unquoted = inner.str.replace_all(r"(?s)\\(.)", "$1")
        is_quoted = cell.str.strip_chars_start(" ").str.starts_with(dialect.quote)
        found = (dialect.separator + record).str.extract_all(dialect.each_cell)
        quoted = found.list.eval(pl.when(is_quoted).then(unquoted).otherwise(cell))
        has_quote = record.str.contains(dialect.quote, literal=True)
        return pl.when(has_quote).then(quoted).otherwise(record.str.split(dialect.separator))

    def delimiters(self, text: pl.Expr) -> pl.Expr:
        """How many delimiters there are."""
        return text.str.count_matches(self.dialect.separator, literal=True)

    def outside(self, record: pl.Expr) -> pl.Expr:
        """The record with each of its quoted cells written as `x`."""
        quote, separator = self.dialect.quote, self.dialect.separator
        return record.str.replace_all(rf"(?s)(^|[{separator}]) *{quote}{self.dialect.body}{quote} *", "${1}x")


def plain(text: pl.Expr) -> pl.Expr:
    """`text` without this package's escapes."""
    for mark, character in (
        (CUT, ""),
        (UNDECODABLE, "\ufffd"),
        (PLAIN_NO_DELIMITER, "\x02"),
        (PLAIN_ESCAPE, ESCAPE),
    ):
        text = text.str.replace_all(mark, character, literal=True)
    return text
