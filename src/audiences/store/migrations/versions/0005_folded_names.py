"""Names without their case, so that both databases find the same; and usage by day, for the sweeper."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Goes forward. The column may be empty: a node of the release before goes on writing rows without it.

    PostgreSQL lets nobody read a table to which a column was added before all is committed. So whatever takes time is
    done before that, and names of ASCII stay without a value: the queries find them by the database's own means.
    """
    connection = op.get_bind()
    op.create_index(op.f("ix_usage_day"), "usage", ["day"])
    values = folded(connection)
    sorted_text = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
    op.add_column("audiences", sa.Column("name_folded", sorted_text, nullable=True))
    if values:
        fill(connection, values)


def folded(connection: sa.Connection) -> list[dict[str, Any]]:
    """The audiences' names beyond ASCII, each with what it is without its case."""
    audiences = sa.table("audiences", sa.column("id"), sa.column("name"))
    rows = connection.execute(sa.select(audiences.c.id, audiences.c.name))
    return [{"key": row.id, "folded": f"{row.name}\n{row.name.casefold()}"} for row in rows if not row.name.isascii()]


def fill(connection: sa.Connection, values: list[dict[str, Any]]) -> None:
    """Stores them; in PostgreSQL by one statement, which takes a third of the time."""
    if connection.dialect.name == "postgresql":
        change = """
            UPDATE audiences SET name_folded = given.folded
            FROM unnest(CAST(:keys AS bigint[]), CAST(:folded AS text[])) AS given(key, folded)
            WHERE audiences.id = given.key
        """
        lists = {"keys": [row["key"] for row in values], "folded": [row["folded"] for row in values]}
        connection.execute(sa.text(change), lists)
    else:
        connection.execute(sa.text("UPDATE audiences SET name_folded = :folded WHERE id = :key"), values)
