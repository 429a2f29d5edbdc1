"""Backups: all that is stored, from any kind of set-up, and restored into any kind.

`make` writes one and `restore` reads it, into a `target` that is empty. What they are made of: `folder` (what lies
where), `lines` (the files of JSON), `rows` (the catalog), `files` (stored files on their way), `hold` (what is being
copied stays), `proof` (whether all of it is there).
"""
