"""The tables of a store of decisions, as the newest migration leaves them."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Index, Integer, MetaData, String, Table, Text

REVISION = "2"  # the newest of `migrations/versions`

METADATA = MetaData()

# Everything that happens is one entry: decisions, views, studies, sign-ins. Entries are added and never changed.
ENTRIES = Table(
    "entries",
    METADATA,
    Column("number", Integer, primary_key=True, autoincrement=False),  # 1, 2, 3, … without a gap
    Column("at", String(40), nullable=False),  # ISO 8601 with +00:00; SQLite's own type forgets the zone
    Column("actor", String(200), nullable=False),
    Column("action", String(32), nullable=False),
    Column("cohort", String(200), nullable=False),
    Column("study", String(200), nullable=False),
    Column("case_id", String(200), nullable=False),
    Column("prediction", String(64), nullable=False),
    Column("key", String(64), unique=True),
    Column("body", Text, nullable=False),  # canonical JSON
    Column("previous", String(64), nullable=False, unique=True),  # unique: the chain cannot fork
    Column("hash", String(64), nullable=False),
    Index("ix_entries_case", "cohort", "study", "case_id", "number"),
    Index("ix_entries_actor", "actor", "action", "number"),
)

# The newest entry: who appends locks this row, and a chain whose end was cut off no longer fits it.
HEAD = Table(
    "head",
    METADATA,
    Column("id", Integer, primary_key=True, autoincrement=False),  # always 1
    Column("number", Integer, nullable=False),
    Column("hash", String(64), nullable=False),
)

# Accounts change, so each change is an entry with the row's digest.
ACCOUNTS = Table(
    "accounts",
    METADATA,
    Column("name", String(200), primary_key=True),
    Column("role", String(16), nullable=False),
    Column("password", String(200), nullable=False),  # argon2id in its own format; empty if only by OpenID Connect
    Column("subject", String(400), nullable=False),  # who this is at the OpenID provider; may be empty
    Column("disabled", Boolean, nullable=False),
)

# Who is signed in now. Only `seen_at` is not covered by the chain.
SESSIONS = Table(
    "sessions",
    METADATA,
    Column("token", String(64), primary_key=True),  # SHA-256 of the token, which itself is stored nowhere
    Column("entry", Integer, nullable=False, unique=True),  # number of the sign-in
    Column("seen_at", String(40), nullable=False),
)
