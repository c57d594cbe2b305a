"""The read model's tables: rows derived from blocks alone, dropped and made again by `rebuild`.

Text keys are canonical identifiers (``https://id.gs1.org/...``), party ids, 64 lower-case hex for
hashes, digests and transaction ids. Times are ``_ms`` integers UTC. Quantities are the decimal
strings of the chain. ``record`` is the JSON value on the chain, byte for byte, so that a reader
needs no join to show a record whole. ``events.seq`` numbers events in block order from 1; it is
the same after every rebuild, orders by record time, and is the paging key of queries.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
)

metadata = MetaData()


def _text(name: str, *, null: bool = False) -> Column[str]:
    return Column(name, Text, nullable=null)


def _int(name: str, *, null: bool = False) -> Column[int]:
    return Column(name, BigInteger, nullable=null)


def _key(name: str) -> Column[str]:
    return Column(name, Text, primary_key=True)


def _number(name: str) -> Column[int]:
    number = BigInteger().with_variant(Integer, "sqlite")  # SQLite: the row's own id
    return Column(name, number, primary_key=True, autoincrement=False)


projection = Table(
    "projection",
    metadata,
    Column("id", SmallInteger, primary_key=True, autoincrement=False),  # always 1
    _int("height"),  # blocks 0 .. height-1 are in these tables
    _text("last_hash"),  # header hash of block height-1, "" at height 0
    _int("next_seq"),  # events.seq of the next event
    Column("version", Integer, nullable=False),  # of the projection's own logic
)

blocks = Table(
    "blocks",
    metadata,
    _number("number"),
    _text("hash"),
    _text("previous_hash"),
    _text("data_hash"),
    Column("tx_count", Integer, nullable=False),
    Column("valid_count", Integer, nullable=False),
    _int("time_ms", null=True),  # of its last transaction's header
    Index("ix_blocks_time", "time_ms"),
)

transactions = Table(
    "transactions",
    metadata,
    _key("tx_id"),
    _int("block"),
    Column("position", Integer, nullable=False),
    Column("code", SmallInteger, nullable=False),  # Fabric's TxValidationCode; 0 is VALID
    _text("msp"),
    _int("time_ms"),
    Column("events", Integer, nullable=False),  # events this transaction anchored
    Index("ix_transactions_block", "block", "position"),
    sqlite_with_rowid=False,
)

events = Table(
    "events",
    metadata,
    _number("seq"),
    _text("hash"),  # 64 hex of the CBV 2.0 event hash
    # 1 for an error declaration: CBV leaves the declaration out of the hash, so it shares the
    # hash of the event it voids
    Column("declaration", SmallInteger, nullable=False),
    _text("event_id", null=True),  # eventID as captured
    _text("type"),
    _text("action", null=True),
    _int("time_ms"),  # eventTime
    _int("record_ms"),  # the transaction's time
    _text("step", null=True),
    _text("disposition", null=True),
    _text("read_point", null=True),
    _text("location", null=True),
    _text("country", null=True),
    _text("transformation_id", null=True),
    _text("party"),  # acting party
    _text("submitted_by", null=True),  # the signer's party where it differs (delegation)
    _text("msp"),
    _text("tx_id"),
    _int("block"),
    _text("commitment"),  # salted SHA-256 of the payload
    _text("disclosure", null=True),
    _int("error_ms", null=True),  # errorDeclaration.declarationTime
    _text("error_reason", null=True),
    _text("voided_by", null=True),  # hash of the error declaration that voids this event
    Column("findings", Integer, nullable=False),  # how many
    Column("record", LargeBinary, nullable=False),
    Index("ux_events_hash", "hash", "declaration", unique=True),
    Index("ix_events_event_id", "event_id"),
    Index("ix_events_time", "time_ms", "seq"),
    Index("ix_events_step", "step", "time_ms"),
    Index("ix_events_location", "location", "time_ms"),
    Index("ix_events_read_point", "read_point", "time_ms"),
    Index("ix_events_party", "party", "time_ms"),
    Index("ix_events_transformation", "transformation_id"),
)

# role: epc, qty, parent, child, child_qty, input, input_qty, output, output_qty, loss
event_ids = Table(
    "event_ids",
    metadata,
    _key("identifier"),
    _number("event_seq"),
    _key("role"),
    Column("position", Integer, primary_key=True, autoincrement=False),  # within its list
    _text("quantity", null=True),
    _text("unit", null=True),
    sqlite_with_rowid=False,
)

# direction: from (sourceList), to (destinationList)
event_parties = Table(
    "event_parties",
    metadata,
    _key("id"),
    _number("event_seq"),
    _key("direction"),
    _key("type"),
    sqlite_with_rowid=False,
)

# bizTransactionList; type is "" where none was given
event_documents = Table(
    "event_documents",
    metadata,
    _key("id"),
    _number("event_seq"),
    _key("type"),
    sqlite_with_rowid=False,
)

findings = Table(
    "findings",
    metadata,
    _number("event_seq"),
    Column("position", Integer, primary_key=True, autoincrement=False),
    _text("code"),
    _text("message"),
    _text("pointer"),
    Index("ix_findings_code", "code"),
    sqlite_with_rowid=False,
)

carbon = Table(
    "carbon",
    metadata,
    _number("event_seq"),
    Column("position", Integer, primary_key=True, autoincrement=False),
    _text("stage"),
    _int("co2e_mg"),
    _text("stated_by", null=True),
    _text("verified_by", null=True),
    Column("record", LargeBinary, nullable=False),
    sqlite_with_rowid=False,
)

# Distinct values for the EPCIS resource endpoints.
# kind: eventType, bizStep, bizLocation, readPoint, disposition
vocabulary = Table("vocabulary", metadata, _key("kind"), _key("value"), sqlite_with_rowid=False)

# Items, lots and balances change with every event, so only their keys are columns: status, holder
# and amounts are read from `record`. The things of one GTIN are a prefix range of `id`.
items = Table(
    "items",
    metadata,
    _key("id"),  # one thing: SGTIN, SSCC, GRAI, GIAI ...
    Column("record", LargeBinary, nullable=False),
    sqlite_with_rowid=False,
)

lots = Table(
    "lots",
    metadata,
    _key("id"),
    Column("record", LargeBinary, nullable=False),
    sqlite_with_rowid=False,
)

balances = Table(
    "balances",
    metadata,
    _key("lot"),  # lot or class identifier
    _key("holder"),  # party, or the container it is packed in
    Column("record", LargeBinary, nullable=False),
    Index("ix_balances_holder", "holder"),
    sqlite_with_rowid=False,
)

transformations = Table(
    "transformations",
    metadata,
    _key("id"),
    _text("party", null=True),
    Column("record", LargeBinary, nullable=False),
    sqlite_with_rowid=False,
)

participants = Table(
    "participants",
    metadata,
    _key("id"),
    _text("msp"),
    _text("name"),
    _text("country", null=True),
    _text("status"),
    _text("roles"),  # space-separated, sorted
    Column("record", LargeBinary, nullable=False),
    Index("ix_participants_msp", "msp"),
)

msps = Table("msps", metadata, _key("msp"), _text("party"))  # the MSP's default party

party_locations = Table(
    "party_locations",
    metadata,
    _key("location"),  # 414 form
    _text("party"),
    Index("ix_party_locations_party", "party"),
)

products = Table(
    "products",
    metadata,
    _key("gtin"),  # 14 digits
    _text("name"),
    _text("owner"),
    Column("record", LargeBinary, nullable=False),
)

certificates = Table(
    "certificates",
    metadata,
    _key("id"),
    _text("subject"),
    _text("type"),
    _text("issuer"),
    _text("status"),
    _text("digest"),
    _int("valid_from_ms"),
    _int("valid_until_ms"),
    Column("record", LargeBinary, nullable=False),
    Index("ix_certificates_subject", "subject"),
    Index("ix_certificates_issuer", "issuer"),
)

delegations = Table(
    "delegations",
    metadata,
    _key("principal"),
    _key("delegate"),
    _text("status"),
    Column("record", LargeBinary, nullable=False),
    Index("ix_delegations_delegate", "delegate"),
)

grants = Table(
    "grants",
    metadata,
    _key("scope"),  # identifier or event hash
    _key("granter"),
    _key("grantee"),
    _text("status"),
    _int("expires_ms", null=True),
    Column("record", LargeBinary, nullable=False),
    Index("ix_grants_grantee", "grantee"),
)

# A regulator's readings of confidential payloads
accesses = Table(
    "accesses",
    metadata,
    _key("event"),  # 64 hex
    _key("tx_id"),
    _text("party"),
    _int("time_ms"),
    Column("record", LargeBinary, nullable=False),
)

# Records of key types that have no table of their own, and records that could not be read:
# nothing a block holds stops the projection.
other_records = Table(
    "other_records",
    metadata,
    _key("kind"),  # composite key type, "" for a plain key
    _key("key"),  # parts joined by U+001F
    _text("problem", null=True),
    Column("record", LargeBinary, nullable=False),
    sqlite_with_rowid=False,
)
