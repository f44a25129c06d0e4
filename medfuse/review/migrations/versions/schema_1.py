"""The first release: one table of decisions."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "1"
down_revision = None


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "reviews",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("cohort", sa.String(200), nullable=False),
        sa.Column("case_id", sa.String(200), nullable=False, index=True),
        sa.Column("reader", sa.String(200), nullable=False),
        sa.Column("action", sa.String(16), nullable=False),
        sa.Column("labels", sa.Text, nullable=False),
        sa.Column("comment", sa.Text, nullable=False),
        sa.Column("predicted", sa.String(200)),
        sa.Column("probability", sa.Float),
        sa.Column("bundle", sa.String(200), nullable=False),
        sa.Column("seconds", sa.Float),
        sa.Column("created_at", sa.String(40), nullable=False),
    )
