"""The cells by their names, in the order in which they are measured, each with what it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from bench import cells, customers, peer_cells
from bench.cells import MILLION, Cell, Uploads
from bench.export import export
from bench.filled import filled
from bench.pages import pages
from bench.replace import replace
from bench.small import small


@dataclass(frozen=True)
class Named:
    """What a cell is, in words, and what measures it."""

    what: str
    measure: Cell


BY_30 = partial(customers.wide_file, columns=30)
BY_200 = partial(customers.wide_file, columns=200)
DUCKDB_GOALS = (("duckdb-csv", 1.4), ("polars-csv", 2.0))
FASTEXCEL = ("fastexcel-xlsx",)
BOTH = ("duckdb-csv", "polars-csv")
# A sheet has 1,048,576 rows, the header among them.
FULL_SHEET = 1_048_575

CELLS: Mapping[str, Named] = {
    "csv-2m": Named(
        "CSV, 2 million rows of 6 columns", Uploads(customers.csv_file, 2 * MILLION, 9, BOTH, DUCKDB_GOALS)
    ),
    "small": Named("CSV, 1,000 rows: one caller, then eight", small),
    "csv-100k": Named("CSV, 100,000 rows", Uploads(customers.csv_file, 100_000, 7)),
    "csv-1m": Named("CSV, 1 million rows", Uploads(customers.csv_file, MILLION, 5)),
    "csv-10m": Named(
        "CSV, 10 million rows, beside 1 million",
        Uploads(customers.csv_file, 10 * MILLION, 5, BOTH, (("polars-csv", 4.0),), smaller=MILLION),
    ),
    "csv-1m-by-30": Named("CSV, 1 million rows of 30 columns", Uploads(BY_30, MILLION)),
    "csv-100k-by-200": Named("CSV, 100,000 rows of 200 columns", Uploads(BY_200, 100_000)),
    "messy-2m": Named("CSV as kept by hand, 2 million rows", Uploads(customers.messy_file, 2 * MILLION, floors=())),
    "gz-2m": Named("the file of csv-2m as .gz", Uploads(customers.packed_file, 2 * MILLION, 5)),
    "xlsx-200k": Named(
        "a workbook of 200,000 rows", Uploads(customers.workbook, 200_000, 7, FASTEXCEL, (("fastexcel-xlsx", 1.3),))
    ),
    "xlsx-1m": Named("a workbook's full sheet, 1,048,575 rows", Uploads(customers.workbook, FULL_SHEET, 3, FASTEXCEL)),
    "start": Named("a start, and an idle server", cells.start),
    "pages": Named("pages of 10 million contacts", pages),
    "export": Named("2 million contacts in one stream, in every format", export),
    "replace": Named("PUT and POST of 1 million rows, and appending", replace),
    "growth": Named("the same with 10,000 audiences in the catalog", filled),
    "tutorial-200k": Named("beside FastAPI, pandas, phonenumbers and SQLite", peer_cells.tutorial),
    "postgres-1m": Named("beside PostgreSQL's COPY", peer_cells.postgres),
    "datasette-100k": Named("beside datasette-upload-csvs", peer_cells.datasette),
}

# What a quick run measures, at a tenth of the size.
QUICK = ("csv-2m", "small", "messy-2m", "xlsx-200k", "start")
