"""Where things are kept: the catalog (who and what there is) and the files (contacts and rejects).

`database` opens the catalog and hands out transactions; `schema` is its tables; `accounts`, `keys`, `audiences` and
`idempotency` hold the statements on them, each a function of an open connection, so that a caller decides what commits
together. `files` is the other store. The catalog's row is the truth: a file without one is rubbish.
"""
