"""Versions that can be undone, do-not-contact lists, reads under way, the audit log."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Goes forward."""
    op.add_column("audiences", sa.Column("newest_version", sa.Integer(), nullable=False, server_default="1"))
    op.add_column("audience_files", sa.Column("retired_time", sa.BigInteger(), nullable=True))
    op.create_index(op.f("ix_audience_files_retired_time"), "audience_files", ["retired_time"])
    op.add_column("idempotency", sa.Column("quotes_rows", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.create_table(
        "audience_changes",
        sa.Column("audience_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("version_before", sa.Integer(), nullable=False),
        sa.Column("created_time", sa.BigInteger(), nullable=False),
        sa.Column("undone_time", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("kind IN ('replace', 'append', 'delete')", name=op.f("ck_audience_changes_kind")),
        sa.ForeignKeyConstraint(
            ["audience_id"], ["audiences.id"], name=op.f("fk_audience_changes_audience_id_audiences")
        ),
        sa.PrimaryKeyConstraint("audience_id", "version", name=op.f("pk_audience_changes")),
    )
    op.create_table(
        "suppression_lists",
        sa.Column("account_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("object", sa.String(length=255), nullable=True),
        sa.Column("phones", sa.BigInteger(), nullable=False),
        sa.Column("hashes", sa.BigInteger(), nullable=False),
        sa.Column("stored_bytes", sa.BigInteger(), nullable=False),
        sa.Column("updated_time", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name=op.f("fk_suppression_lists_account_id_accounts")),
        sa.PrimaryKeyConstraint("account_id", name=op.f("pk_suppression_lists")),
        sa.UniqueConstraint("object", name=op.f("uq_suppression_lists_object")),
    )
    op.create_table(
        "reads",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("object", sa.String(length=255), nullable=False),
        sa.Column("lease_until", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", "object", name=op.f("pk_reads")),
    )
    op.create_index(op.f("ix_reads_lease_until"), "reads", ["lease_until"])
    op.create_index(op.f("ix_reads_object"), "reads", ["object"])
    op.create_table(
        "audit",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("account_id", sa.Integer(), nullable=False),
        sa.Column("created_time", sa.BigInteger(), nullable=False),
        sa.Column("actor", sa.String(length=64), nullable=False),
        sa.Column("action", sa.String(length=32), nullable=False),
        sa.Column("subject", sa.String(length=64), nullable=True),
        sa.Column("details", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name=op.f("fk_audit_account_id_accounts")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit")),
    )
    op.create_index(op.f("ix_audit_account_id_created_time"), "audit", ["account_id", "created_time"])
    op.create_table(
        "secret_keys",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("value", sa.LargeBinary(length=32), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_secret_keys")),
    )
