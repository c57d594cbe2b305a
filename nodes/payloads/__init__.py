"""Off-chain payloads of one organisation: encrypted, addressed by commitment, read by rule."""

from nodes.payloads.access import Decision, Grant, RecordedBasis, Relation, decide
from nodes.payloads.errors import (
    LegalBasisMissing,
    PayloadConflict,
    PayloadCorrupted,
    PayloadErased,
    PayloadError,
    PayloadInvalid,
    PayloadRefused,
    PayloadUnknown,
    StoreBusy,
    StoreUnavailable,
)
from nodes.payloads.facts import LedgerFacts, NoFacts
from nodes.payloads.model import (
    NewPayload,
    PayloadMeta,
    PayloadState,
    Reader,
    Residency,
    StoredPayload,
    commitment_of,
)
from nodes.payloads.receipt import ErasureReason, ErasureReceipt
from nodes.payloads.store import PayloadStore

__all__ = [
    "Decision",
    "ErasureReason",
    "ErasureReceipt",
    "Grant",
    "LedgerFacts",
    "LegalBasisMissing",
    "NewPayload",
    "NoFacts",
    "PayloadConflict",
    "PayloadCorrupted",
    "PayloadErased",
    "PayloadError",
    "PayloadInvalid",
    "PayloadMeta",
    "PayloadRefused",
    "PayloadState",
    "PayloadStore",
    "PayloadUnknown",
    "Reader",
    "RecordedBasis",
    "Relation",
    "Residency",
    "StoreBusy",
    "StoreUnavailable",
    "StoredPayload",
    "commitment_of",
    "decide",
]
