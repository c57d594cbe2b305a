"""The tables derived from blocks."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "accesses",
        sa.Column("event", sa.Text(), nullable=False),
        sa.Column("tx_id", sa.Text(), nullable=False),
        sa.Column("party", sa.Text(), nullable=False),
        sa.Column("time_ms", sa.BigInteger(), nullable=False),
        sa.Column("record", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("event", "tx_id"),
    )
    op.create_table(
        "balances",
        sa.Column("lot", sa.Text(), nullable=False),
        sa.Column("holder", sa.Text(), nullable=False),
        sa.Column("record", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("lot", "holder"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_balances_holder", "balances", ["holder"], unique=False)
    op.create_table(
        "blocks",
        sa.Column(
            "number",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.Column("previous_hash", sa.Text(), nullable=False),
        sa.Column("data_hash", sa.Text(), nullable=False),
        sa.Column("tx_count", sa.Integer(), nullable=False),
        sa.Column("valid_count", sa.Integer(), nullable=False),
        sa.Column("time_ms", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("number"),
    )
    op.create_index("ix_blocks_time", "blocks", ["time_ms"], unique=False)
    op.create_table(
        "carbon",
        sa.Column(
            "event_seq",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("position", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("stage", sa.Text(), nullable=False),
        sa.Column("co2e_mg", sa.BigInteger(), nullable=False),
        sa.Column("stated_by", sa.Text(), nullable=True),
        sa.Column("verified_by", sa.Text(), nullable=True),
        sa.Column("record", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("event_seq", "position"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "certificates",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("issuer", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("valid_from_ms", sa.BigInteger(), nullable=False),
        sa.Column("valid_until_ms", sa.BigInteger(), nullable=False),
        sa.Column("record", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_certificates_issuer", "certificates", ["issuer"], unique=False)
    op.create_index("ix_certificates_subject", "certificates", ["subject"], unique=False)
    op.create_table(
        "delegations",
        sa.Column("principal", sa.Text(), nullable=False),
        sa.Column("delegate", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("record", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("principal", "delegate"),
    )
    op.create_index("ix_delegations_delegate", "delegations", ["delegate"], unique=False)
    op.create_table(
        "event_documents",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column(
            "event_seq",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("type", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", "event_seq", "type"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "event_ids",
        sa.Column("identifier", sa.Text(), nullable=False),
        sa.Column(
            "event_seq",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("position", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("quantity", sa.Text(), nullable=True),
        sa.Column("unit", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("identifier", "event_seq", "role", "position"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "event_parties",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column(
            "event_seq",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("direction", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", "event_seq", "direction", "type"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "events",
        sa.Column(
            "seq",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.Column("declaration", sa.SmallInteger(), nullable=False),
        sa.Column("event_id", sa.Text(), nullable=True),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=True),
        sa.Column("time_ms", sa.BigInteger(), nullable=False),
        sa.Column("record_ms", sa.BigInteger(), nullable=False),
        sa.Column("step", sa.Text(), nullable=True),
        sa.Column("disposition", sa.Text(), nullable=True),
        sa.Column("read_point", sa.Text(), nullable=True),
        sa.Column("location", sa.Text(), nullable=True),
        sa.Column("country", sa.Text(), nullable=True),
        sa.Column("transformation_id", sa.Text(), nullable=True),
        sa.Column("party", sa.Text(), nullable=False),
        sa.Column("submitted_by", sa.Text(), nullable=True),
        sa.Column("msp", sa.Text(), nullable=False),
        sa.Column("tx_id", sa.Text(), nullable=False),
        sa.Column("block", sa.BigInteger(), nullable=False),
        sa.Column("commitment", sa.Text(), nullable=False),
        sa.Column("disclosure", sa.Text(), nullable=True),
        sa.Column("error_ms", sa.BigInteger(), nullable=True),
        sa.Column("error_reason", sa.Text(), nullable=True),
        sa.Column("voided_by", sa.Text(), nullable=True),
        sa.Column("findings", sa.Integer(), nullable=False),
        sa.Column("record", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("seq"),
    )
    op.create_index("ix_events_event_id", "events", ["event_id"], unique=False)
    op.create_index("ix_events_location", "events", ["location", "time_ms"], unique=False)
    op.create_index("ix_events_party", "events", ["party", "time_ms"], unique=False)
    op.create_index("ix_events_read_point", "events", ["read_point", "time_ms"], unique=False)
    op.create_index("ix_events_step", "events", ["step", "time_ms"], unique=False)
    op.create_index("ix_events_time", "events", ["time_ms", "seq"], unique=False)
    op.create_index("ix_events_transformation", "events", ["transformation_id"], unique=False)
    op.create_index("ux_events_hash", "events", ["hash", "declaration"], unique=True)
    op.create_table(
        "findings",
        sa.Column(
            "event_seq",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("position", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("pointer", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("event_seq", "position"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_findings_code", "findings", ["code"], unique=False)
    op.create_table(
        "grants",
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("granter", sa.Text(), nullable=False),
        sa.Column("grantee", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("expires_ms", sa.BigInteger(), nullable=True),
        sa.Column("record", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("scope", "granter", "grantee"),
    )
    op.create_index("ix_grants_grantee", "grants", ["grantee"], unique=False)
    op.create_table(
        "items",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("record", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "lots",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("record", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "msps",
        sa.Column("msp", sa.Text(), nullable=False),
        sa.Column("party", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("msp"),
    )
    op.create_table(
        "other_records",
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("problem", sa.Text(), nullable=True),
        sa.Column("record", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("kind", "key"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "participants",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("msp", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("country", sa.Text(), nullable=True),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("roles", sa.Text(), nullable=False),
        sa.Column("record", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_participants_msp", "participants", ["msp"], unique=False)
    op.create_table(
        "party_locations",
        sa.Column("location", sa.Text(), nullable=False),
        sa.Column("party", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("location"),
    )
    op.create_index("ix_party_locations_party", "party_locations", ["party"], unique=False)
    op.create_table(
        "products",
        sa.Column("gtin", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("record", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("gtin"),
    )
    op.create_table(
        "projection",
        sa.Column("id", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("height", sa.BigInteger(), nullable=False),
        sa.Column("last_hash", sa.Text(), nullable=False),
        sa.Column("next_seq", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "transactions",
        sa.Column("tx_id", sa.Text(), nullable=False),
        sa.Column("block", sa.BigInteger(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("code", sa.SmallInteger(), nullable=False),
        sa.Column("msp", sa.Text(), nullable=False),
        sa.Column("time_ms", sa.BigInteger(), nullable=False),
        sa.Column("events", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("tx_id"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_transactions_block", "transactions", ["block", "position"], unique=False)
    op.create_table(
        "transformations",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("party", sa.Text(), nullable=True),
        sa.Column("record", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "vocabulary",
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("kind", "value"),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    op.drop_table("vocabulary")
    op.drop_table("transformations")
    op.drop_index("ix_transactions_block", table_name="transactions")
    op.drop_table("transactions")
    op.drop_table("projection")
    op.drop_table("products")
    op.drop_index("ix_party_locations_party", table_name="party_locations")
    op.drop_table("party_locations")
    op.drop_index("ix_participants_msp", table_name="participants")
    op.drop_table("participants")
    op.drop_table("other_records")
    op.drop_table("msps")
    op.drop_table("lots")
    op.drop_table("items")
    op.drop_index("ix_grants_grantee", table_name="grants")
    op.drop_table("grants")
    op.drop_index("ix_findings_code", table_name="findings")
    op.drop_table("findings")
    op.drop_index("ux_events_hash", table_name="events")
    op.drop_index("ix_events_transformation", table_name="events")
    op.drop_index("ix_events_time", table_name="events")
    op.drop_index("ix_events_step", table_name="events")
    op.drop_index("ix_events_read_point", table_name="events")
    op.drop_index("ix_events_party", table_name="events")
    op.drop_index("ix_events_location", table_name="events")
    op.drop_index("ix_events_event_id", table_name="events")
    op.drop_table("events")
    op.drop_table("event_parties")
    op.drop_table("event_ids")
    op.drop_table("event_documents")
    op.drop_index("ix_delegations_delegate", table_name="delegations")
    op.drop_table("delegations")
    op.drop_index("ix_certificates_subject", table_name="certificates")
    op.drop_index("ix_certificates_issuer", table_name="certificates")
    op.drop_table("certificates")
    op.drop_table("carbon")
    op.drop_index("ix_blocks_time", table_name="blocks")
    op.drop_table("blocks")
    op.drop_index("ix_balances_holder", table_name="balances")
    op.drop_table("balances")
    op.drop_table("accesses")
