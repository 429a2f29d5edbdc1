"""Names without their case, so that both databases find the same; and usage by day, for the sweeper."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

BATCH = 1000


def upgrade() -> None:
    """Goes forward. The column may be empty: a node of the release before goes on writing rows without it."""
    sorted_text = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
    op.add_column("audiences", sa.Column("name_folded", sorted_text, nullable=True))
    op.create_index(op.f("ix_usage_day"), "usage", ["day"])
    fill(op.get_bind())


def fill(connection: sa.Connection) -> None:
    """Folds the names that there are, a batch of audiences at a time."""
    audiences = sa.table("audiences", sa.column("id"), sa.column("name"), sa.column("name_folded"))
    this = audiences.c.id == sa.bindparam("key")
    change = sa.update(audiences).where(this).values(name_folded=sa.bindparam("folded"))
    last = -1
    while True:
        some = sa.select(audiences.c.id, audiences.c.name).where(audiences.c.id > last)
        rows = connection.execute(some.order_by(audiences.c.id).limit(BATCH)).all()
        if not rows:
            return
        connection.execute(change, [{"key": row.id, "folded": row.name.casefold()} for row in rows])
        last = rows[-1].id
