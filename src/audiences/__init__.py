"""Audiences: turns a spreadsheet of customers into an audience that a campaign can run on.

One upload, top to bottom, is the order in which to read the package::

    protocol    HTTP as it comes in: header limits and time limits, before there is a request; `parser` and `framing`
                say where one ends, `crowd` who has to go of too many, `http_1_0` how old clients are answered
    route_table every route: what it needs, takes and answers (`bodies`, `route_examples`)
    door        authenticate, throttle, scope: before a byte of the body is read
    api         a handler a route, a line a step; a module a noun
    keys        authenticate: mint, hash, look up, rotate, revoke
    throttle    who is counted, and how; `counters` where: here, or in Redis with all nodes
    inbox       receive: the body as a stream, under limits; `form` is its multipart, `fetch` a file by its URL,
                `json_body` a body of JSON, `digest` the digest of any
    repeats     answer a repeated request (Idempotency-Key) with what it was answered before
    creation    the use case: a new audience, or a new version of one
    judging     what becomes of a file, joining those below
    tables      read a table: format, encoding, dialect, header; CSV and workbooks
    numbering   the numbering plan: libphonenumber's metadata as intervals
    phones      normalise and judge a column of phones, for a default region of `regions`
    verdicts    what was said of each row, piece by piece as the file is read
    set_aside   valid numbers that are no contacts: suppressed, there already, repeated (`duplicates`)
    contacts    keep: count, write; `layout` is how it lies, `parquet` in which groups of rows
    reports     what became of the rows
    library     the audiences there are; `pages` reads their rows (`nearby` those that come next, by what
                is `known` of their `row_groups`), `exports` all of them, `calling` says whom to call
    store       contracts and backends: catalog (SQLite, PostgreSQL), files (a folder, S3 through a cache of copies)
    answer      the JSON of every reply and every refusal, one shape; also `coding`, `conditional`; `browsers` is what
                all answers tell a browser

Beside an upload: `changes` (rename, delete, restore), `suppressions` (the do-not-contact list; `suppressed` holds it
against numbers, `given` is what a request adds to it), `people` (what is held on one number, and its erasure),
`leases` (files that are being read stay), `audit` (who changed what), `quota`.

The management console: `console` (its pages), on `users` (with `links`, `passwords`, `totp`, `sign_in`), `sessions`,
`drafts` (files under check) and `usage` (what accounts used).

Around it: `settings` (every knob), `room` (memory that uploads share, or pages), `errors` (the tree of refusals, and
why a row is refused), `disk` (what one says that is full or fails), `parts` (the opened pieces that a request may use),
`engine` (DuckDB; in `turns` stands whose work is next in it), `models` (the shapes of answers), `openapi` (the
description of the routes), `watch` (logs and metrics), `tracing` (traces, with `spans`), `allocator` (how the C library
hands out memory), `exposure` (what passes in the clear), `kept_uploads` (files as they were sent), `retention` (how
long audiences are kept), `sweep` (what is deleted, when, and why that is safe), `app` (create_app), `cli` with
`operator_commands`, and `backup` (everything that is stored, saved and restored) on the stores as they are opened
`beside` a server.

On the other side of the wire: `client` (a typed client of the API), and the commands `push` and `export` on top of it
(`remote`, `progress`).

Imports point down this list only.
"""

from importlib.metadata import version

__version__ = version("audiences")
