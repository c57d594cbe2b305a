"""Alembic environment: runs on the connection and branch that `gateway.database` hands over."""

from __future__ import annotations

from alembic import context

from gateway import state_tables
from gateway.database import version_table
from gateway.readmodel import tables

METADATA = {"ledger_tables": tables.metadata, "state_tables": state_tables.metadata}

branch = context.config.attributes["branch"]
context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA[branch],
    version_table=version_table(branch),
    transactional_ddl=False,  # the caller holds the transaction
)
context.run_migrations()
