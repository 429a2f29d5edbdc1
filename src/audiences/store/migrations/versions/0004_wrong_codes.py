"""How many wrong codes were entered for a user, so that they come to an end."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Goes forward."""
    op.add_column("users", sa.Column("wrong_codes", sa.Integer(), nullable=False, server_default="0"))
