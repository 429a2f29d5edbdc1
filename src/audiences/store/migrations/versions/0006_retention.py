"""How long an account's audiences are kept after their last upload; no value is without end."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Goes forward. A node of the release before goes on without looking at it: another one sweeps."""
    op.add_column("accounts", sa.Column("retention_days", sa.Integer(), nullable=True))
