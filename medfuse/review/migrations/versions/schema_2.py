"""The hash-chained log: decisions move into it in their order; accounts and sessions come to be."""

from __future__ import annotations

import json
from datetime import datetime

import sqlalchemy as sa
from alembic import op

from medfuse.review.chain import START, Entry, append, lock

revision = "2"
down_revision = "1"

# What only PostgreSQL and SQLite share is too little to say this once.
_SQLITE = "CREATE TRIGGER entries_no_{verb} BEFORE {verb} ON entries BEGIN SELECT RAISE(ABORT, '{why}'); END"
_POSTGRESQL = (
    "CREATE FUNCTION entries_refuse() RETURNS trigger LANGUAGE plpgsql AS "
    "$$ BEGIN RAISE EXCEPTION '{why}' USING ERRCODE = 'integrity_constraint_violation'; END $$",
    "CREATE TRIGGER entries_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON entries "
    "FOR EACH STATEMENT EXECUTE FUNCTION entries_refuse()",
)
_WHY = "entries are only ever added"


def upgrade() -> None:
    """Make the new tables, move the decisions, drop the old table."""
    op.create_table(
        "entries",
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("at", sa.String(40), nullable=False),
        sa.Column("actor", sa.String(200), nullable=False),
        sa.Column("action", sa.String(32), nullable=False),
        sa.Column("cohort", sa.String(200), nullable=False),
        sa.Column("study", sa.String(200), nullable=False),
        sa.Column("case_id", sa.String(200), nullable=False),
        sa.Column("prediction", sa.String(64), nullable=False),
        sa.Column("key", sa.String(64), unique=True),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("previous", sa.String(64), nullable=False, unique=True),
        sa.Column("hash", sa.String(64), nullable=False),
    )
    op.create_index("ix_entries_case", "entries", ["cohort", "study", "case_id", "number"])
    op.create_index("ix_entries_actor", "entries", ["actor", "action", "number"])
    head = op.create_table(
        "head",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
    )
    op.bulk_insert(head, [{"id": 1, "number": 0, "hash": START}])
    op.create_table(
        "accounts",
        sa.Column("name", sa.String(200), primary_key=True),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("password", sa.String(200), nullable=False),
        sa.Column("subject", sa.String(400), nullable=False),
        sa.Column("disabled", sa.Boolean, nullable=False),
    )
    op.create_table(
        "sessions",
        sa.Column("token", sa.String(64), primary_key=True),
        sa.Column("entry", sa.Integer, nullable=False, unique=True),
        sa.Column("seen_at", sa.String(40), nullable=False),
    )
    _move_decisions()
    op.drop_table("reviews")
    if op.get_context().dialect.name == "sqlite":
        for verb in ("update", "delete"):
            op.execute(_SQLITE.format(verb=verb, why=_WHY))
    else:
        for statement in _POSTGRESQL:
            op.execute(statement.format(why=_WHY))


def _move_decisions() -> None:
    connection = op.get_bind()
    end = lock(connection)
    names = ("labels", "comment", "predicted", "probability", "bundle", "seconds")
    for row in connection.execute(sa.text("SELECT * FROM reviews ORDER BY id")).mappings().all():
        body = {name: row[name] for name in names if row[name] not in ("", None, "[]")}
        if "labels" in body:
            body["labels"] = json.loads(body["labels"])
        entry = Entry(
            actor=row["reader"], action=row["action"], cohort=row["cohort"], case_id=row["case_id"], body=body
        )
        _, end = append(connection, end, entry, at=datetime.fromisoformat(row["created_at"]))
