"""Audiences: turns a spreadsheet of customers into an audience that a campaign can run on.

One upload, top to bottom, is the order in which to read the package::

    protocol    HTTP as it comes in: header limits and time limits, before there is a request
    route_table every route: what it needs, takes and answers
    door        authenticate, throttle, scope: before a byte of the body is read
    api         a handler a route, a line a step; a module a noun
    keys        authenticate: mint, hash, look up, rotate, revoke
    throttle    who is counted, and how
    inbox       receive: the body as a stream, under limits; `form` is its multipart, `digest` its digest
    repeats     answer a repeated request (Idempotency-Key) with what it was answered before
    creation    the use case, joining the four below
    tables      read a table: format, encoding, dialect, header; CSV and workbooks
    numbering   the numbering plan: libphonenumber's metadata as intervals
    phones      normalise and judge a column of phones
    contacts    keep: de-duplicate, count, write; `layout` is how it lies
    reports     what became of the rows
    library     the audiences there are; `pages` and `exports` read their rows
    store       contracts and backends: catalog (SQLAlchemy), files (folder)
    answer      the JSON of every reply and every refusal, one shape

Around it: `settings` (every knob), `errors` (the tree of refusals, and why a row is refused), `parts` (the opened
pieces that a request may use), `engine` (DuckDB), `models` (the shapes of answers), `openapi` (the description of the
routes), `watch` (logs and metrics), `sweep` (what is deleted, when, and why that is safe), `app` (create_app), `cli`.

Imports point down this list only.
"""

from importlib.metadata import version

__version__ = version("audiences")
