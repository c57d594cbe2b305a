"""The gateway's own state, which no block holds and no rebuild drops: keys, jobs, named queries.

It lives in a database of its own with SQLite (so that the projector's writes never hold up a
capture job) and beside the read model on PostgreSQL.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, MetaData, Table, Text

metadata = MetaData()

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", Text, primary_key=True),  # the <id> of tmk_<id>_<secret>
    Column("secret_hash", Text, nullable=False),  # SHA-256 of the secret, 64 hex
    Column("label", Text, nullable=False),
    Column("msp", Text, nullable=False),
    Column("org", Text, nullable=False),
    Column("user", Text, nullable=False),
    Column("party", Text, nullable=True),
    Column("ou", Text, nullable=False),  # client or admin
    Column("certificate", Text, nullable=False),  # PEM; its revocation ends the key too
    Column("created_ms", BigInteger, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("expires_ms", BigInteger, nullable=True),
    Column("revoked_ms", BigInteger, nullable=True),
)

capture_jobs = Table(
    "capture_jobs",
    metadata,
    Column("id", Text, primary_key=True),
    Column("created_ms", BigInteger, nullable=False),
    Column("finished_ms", BigInteger, nullable=True),
    Column("owner", Text, nullable=False),  # party or user that sent it
    Column("running", Boolean, nullable=False),
    Column("success", Boolean, nullable=False),
    Column("behaviour", Text, nullable=False),  # rollback or proceed
    Column("document_digest", Text, nullable=False),  # SHA-256 of the body, 64 hex
    Column("events", Integer, nullable=False),
    Column("anchored", Integer, nullable=False),
    Column("errors", Text, nullable=False),  # JSON array of problem objects
    Index("ix_capture_jobs_owner", "owner", "created_ms"),
)

named_queries = Table(
    "named_queries",
    metadata,
    Column("name", Text, primary_key=True),
    Column("owner", Text, nullable=False),
    Column("query", Text, nullable=False),  # JSON object of query parameters
    Column("created_ms", BigInteger, nullable=False),
)
