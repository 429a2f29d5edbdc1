"""The tables of the catalog, for SQLite and PostgreSQL alike.

Times are milliseconds since 1970 UTC in 64-bit integers: exact, comparable, and the same on every engine.
The migrations in `migrations/` build this schema step by step; a test compares the two.
"""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    false,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# Sorted by code point, as SQLite does; PostgreSQL would by the locale that the database was made with.
SORTED_TEXT = Text().with_variant(Text(collation="C"), "postgresql")

# By the locale that the database was made with.
LOCAL_TEXT = Text().with_variant(Text(collation="default"), "postgresql")

# `retention_days`: how long after its last upload an audience is deleted; NULL is never.
accounts = Table(
    "accounts",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", String(255), nullable=False),
    Column("created_time", BigInteger, nullable=False),
    Column("retention_days", Integer),
    UniqueConstraint("name"),
)

keys = Table(
    "keys",
    metadata,
    Column("id", String(16), primary_key=True),
    Column("account_id", ForeignKey("accounts.id"), nullable=False),
    Column("name", String(255), nullable=False),
    Column("hash", LargeBinary(32), nullable=False),
    Column("scopes", String(255), nullable=False),
    Column("created_time", BigInteger, nullable=False),
    Column("expires_time", BigInteger),
    Column("last_used_time", BigInteger),
    Column("revoked_time", BigInteger),
    Column("rotated_to", ForeignKey("keys.id")),
    UniqueConstraint("hash"),
    Index(None, "account_id"),
)

# `name_folded` is the name, a line break, and the name without its case, by Unicode's rules whatever the database's
# are. NULL: the name is of ASCII, or a node of an earlier release wrote the row. Such a node also renames without it,
# and then it is seen from its first half that it is not about the present name.
#
# A deleted audience's row stays, so that its id is never given to another one. `version` is the content that readers
# see; `newest_version` the last one that was made, since undoing a change goes back to an earlier one.
audiences = Table(
    "audiences",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    Column("account_id", ForeignKey("accounts.id"), nullable=False),
    Column("name", String(255), nullable=False),
    Column("name_folded", SORTED_TEXT),
    Column("type", String(16), nullable=False),
    Column("version", Integer, nullable=False),
    Column("newest_version", Integer, nullable=False, server_default="1"),
    Column("created_time", BigInteger, nullable=False),
    Column("updated_time", BigInteger, nullable=False),
    Column("deleted_time", BigInteger),
    CheckConstraint("type IN ('Static', 'Dynamic')", name="type"),
    Index(None, "account_id", "created_time", "id"),
)

# What made each version but the first out of which one before it, and when; `undone_time`: a restore went back there.
audience_changes = Table(
    "audience_changes",
    metadata,
    Column("audience_id", ForeignKey("audiences.id"), primary_key=True, autoincrement=False),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("kind", String(16), nullable=False),
    Column("version_before", Integer, nullable=False),
    Column("created_time", BigInteger, nullable=False),
    Column("undone_time", BigInteger),
    CheckConstraint("kind IN ('replace', 'append', 'delete')", name="kind"),
)

# The files that an audience was made from, in upload order. One counts from `first_version` to `last_version`;
# NULL: it still counts. `retired_time` is when it ceased to.
audience_files = Table(
    "audience_files",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("audience_id", ForeignKey("audiences.id"), nullable=False),
    Column("first_version", Integer, nullable=False),
    Column("last_version", Integer),
    Column("retired_time", BigInteger),
    Column("position", Integer, nullable=False),
    Column("accepted", BigInteger, nullable=False),
    Column("stored_bytes", BigInteger, nullable=False),
    Column("report", JSON, nullable=False),
    Column("layout", JSON, nullable=False),
    Column("contacts_object", String(255)),
    Column("rejects_object", String(255)),
    Index(None, "audience_id"),
    Index(None, "retired_time"),
    UniqueConstraint("contacts_object"),
    UniqueConstraint("rejects_object"),
)

# While `answer` is NULL the request is running, and its twin has to wait until `lease_until`. `quotes_rows`: the answer
# holds samples of rows.
idempotency = Table(
    "idempotency",
    metadata,
    Column("account_id", ForeignKey("accounts.id"), primary_key=True),
    Column("key", String(255), primary_key=True),
    Column("fingerprint", LargeBinary(32), nullable=False),
    Column("owner", String(32), nullable=False),
    Column("created_time", BigInteger, nullable=False),
    Column("lease_until", BigInteger, nullable=False),
    Column("answer", LargeBinary),
    Column("quotes_rows", Boolean, nullable=False, server_default=false()),
    Index(None, "created_time"),
)

# An account's do-not-contact list: one Parquet file, replaced as a whole by each change.
suppression_lists = Table(
    "suppression_lists",
    metadata,
    Column("account_id", ForeignKey("accounts.id"), primary_key=True, autoincrement=False),
    Column("version", Integer, nullable=False),
    Column("object", String(255)),
    Column("phones", BigInteger, nullable=False),
    Column("hashes", BigInteger, nullable=False),
    Column("stored_bytes", BigInteger, nullable=False),
    Column("updated_time", BigInteger, nullable=False),
    UniqueConstraint("object"),
)

# Stored files that a stream under way reads; none of them is removed until the lease lapses.
reads = Table(
    "reads",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("object", String(255), primary_key=True),
    Column("lease_until", BigInteger, nullable=False),
    Index(None, "object"),
    Index(None, "lease_until"),
)

# Who changed what, and when. `subject` is an audience's id where there is one, never a number or a name.
audit = Table(
    "audit",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("account_id", ForeignKey("accounts.id"), nullable=False),
    Column("created_time", BigInteger, nullable=False),
    Column("actor", String(64), nullable=False),
    Column("action", String(32), nullable=False),
    Column("subject", String(64)),
    Column("details", JSON, nullable=False),
    Index(None, "account_id", "created_time"),
)

# Keys of the server's own, made when they are first needed.
secret_keys = Table(
    "secret_keys",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("value", LargeBinary(32), nullable=False),
)

# People who sign in to the console. `password_hash` is argon2's text, NULL until the first link was used; `totp_secret`
# is set once a first code was entered with it. `wrong_codes` counts those that came after the right password since a
# right one came.
users = Table(
    "users",
    metadata,
    Column("id", String(16), primary_key=True),
    Column("account_id", ForeignKey("accounts.id"), nullable=False),
    Column("email", String(255), nullable=False),
    Column("role", String(16), nullable=False),
    Column("password_hash", String(255)),
    Column("totp_secret", String(64)),
    Column("totp_used", BigInteger),
    Column("wrong_codes", Integer, nullable=False, server_default="0"),
    Column("time_zone", String(64), nullable=False, server_default="UTC"),
    Column("created_time", BigInteger, nullable=False),
    Column("last_sign_in_time", BigInteger),
    Column("disabled_time", BigInteger),
    CheckConstraint("role IN ('admin', 'member')", name="role"),
    UniqueConstraint("email"),
    Index(None, "account_id"),
)

# One-time links to set a password, by the SHA-256 of their text. `user_id` is NULL for the link of the first start,
# which makes the first admin.
sign_in_links = Table(
    "sign_in_links",
    metadata,
    Column("hash", LargeBinary(32), primary_key=True),
    Column("user_id", ForeignKey("users.id")),
    Column("created_time", BigInteger, nullable=False),
    Column("expires_time", BigInteger, nullable=False),
)

# Sessions of the console, by the SHA-256 of their cookie. `browser` is "Firefox on Linux", without a version, or NULL
# where that is not known. No address is kept.
sessions = Table(
    "sessions",
    metadata,
    Column("hash", LargeBinary(32), primary_key=True),
    Column("user_id", ForeignKey("users.id"), nullable=False),
    Column("created_time", BigInteger, nullable=False),
    Column("last_seen_time", BigInteger, nullable=False),
    Column("browser", String(64)),
    Index(None, "user_id"),
)

# Files under check in the console, each stored as it was sent until it is created, thrown away, or an hour old.
drafts = Table(
    "drafts",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("account_id", ForeignKey("accounts.id"), nullable=False),
    Column("user_id", ForeignKey("users.id"), nullable=False),
    Column("object", String(255), nullable=False),
    Column("file_name", String(255), nullable=False),
    Column("stored_bytes", BigInteger, nullable=False),
    Column("sha256", LargeBinary(32), nullable=False),
    Column("fields", JSON, nullable=False),
    Column("created_time", BigInteger, nullable=False),
    UniqueConstraint("object"),
    Index(None, "account_id"),
    Index(None, "created_time"),
)

# Uploads that are kept as they were sent, where the settings say so, until `expires_time`.
uploads = Table(
    "uploads",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("account_id", ForeignKey("accounts.id"), nullable=False),
    Column("audience_id", ForeignKey("audiences.id"), nullable=False),
    Column("object", String(255), nullable=False),
    Column("stored_bytes", BigInteger, nullable=False),
    Column("sha256", LargeBinary(32), nullable=False),
    Column("created_time", BigInteger, nullable=False),
    Column("expires_time", BigInteger, nullable=False),
    UniqueConstraint("object"),
    Index(None, "account_id"),
    Index(None, "audience_id"),
    Index(None, "expires_time"),
)

# What an account did on a day (days since 1970 UTC).
usage = Table(
    "usage",
    metadata,
    Column("account_id", ForeignKey("accounts.id"), primary_key=True, autoincrement=False),
    Column("day", Integer, primary_key=True, autoincrement=False),
    Column("uploads", BigInteger, nullable=False),
    Column("rows", BigInteger, nullable=False),
    Column("throttled", BigInteger, nullable=False),
    Index(None, "day"),
)
