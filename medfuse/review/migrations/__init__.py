"""From every released schema to the newest, by alembic; run when a store is opened."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection

KNOWN = ("1", "2")  # the released schemas, in order


def upgrade(connection: Connection, current: str | None) -> None:
    """Bring a database to the newest schema, within the transaction that the connection is in.

    Args:
        connection: In a transaction that no other writer shares.
        current: The schema that is there; None of an empty database.
    """
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.attributes["connection"] = connection
    if current == "1":  # written before alembic kept account
        command.stamp(config, "1")
    command.upgrade(config, "head")
