"""Which browser a session was begun in, so that its user knows it again."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Goes forward. Sessions of before, and those that a node of the release before begins, say nothing of it."""
    op.add_column("sessions", sa.Column("browser", sa.String(length=64), nullable=True))
