"""What can go wrong with an off-chain payload.

::

    PayloadError(NodeError)       code, message, commitment
    ├── PayloadUnknown            this node never had it (or collected it as an orphan)
    ├── PayloadErased             erased on request; carries the signed receipt
    ├── PayloadRefused            the access rules say no; carries the decision
    │   └── LegalBasisMissing     allowed once the reader's legal basis stands on the chain
    ├── PayloadCorrupted          what is stored does not match its commitment
    ├── PayloadConflict           the same bytes were stored before under other terms
    ├── PayloadInvalid            a value the store does not take (salt length, residency, size)
    ├── ReceiptInvalid            an erasure receipt that does not verify
    ├── KeyFileError              the node's key file is missing, damaged or readable by others
    ├── StoreUnavailable          the database cannot be opened, read or written
    │   └── StoreBusy             another process has it open
    └── RemoteError               the holder's node could not be asked, or its answer is not usable
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nodes.errors import NodeError

if TYPE_CHECKING:
    from nodes.payloads.access import Decision
    from nodes.payloads.receipt import ErasureReceipt


class PayloadError(NodeError):
    """Base: `code` is stable, `message` a sentence, `commitment` 64 hex characters or empty."""

    code = "PAYLOAD_ERROR"

    def __init__(self, message: str, commitment: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.commitment = commitment


class PayloadUnknown(PayloadError):
    """No payload with this commitment is kept here."""

    code = "PAYLOAD_UNKNOWN"

    @classmethod
    def of(cls, commitment: str) -> PayloadUnknown:
        return cls(
            f"no payload with commitment {commitment} is kept at this node; "
            "ask the organisation that anchored the event",
            commitment,
        )


class PayloadErased(PayloadError):
    """The payload was erased; `receipt` proves that it existed and when it went."""

    code = "PAYLOAD_ERASED"

    def __init__(self, commitment: str, receipt: ErasureReceipt) -> None:
        super().__init__(
            f"the payload with commitment {commitment} was erased ({receipt.reason}); "
            "the receipt still proves that it existed",
            commitment,
        )
        self.receipt = receipt


class PayloadRefused(PayloadError):
    """The access rules refuse this reader; `decision` names the rule."""

    code = "PAYLOAD_REFUSED"

    def __init__(self, commitment: str, decision: Decision, event_hash: str = "") -> None:
        super().__init__(decision.message, commitment)
        self.decision = decision
        self.event_hash = event_hash


class LegalBasisMissing(PayloadRefused):
    """Readable by this authority once its legal basis is recorded on the chain."""

    code = "LEGAL_BASIS_MISSING"


class PayloadCorrupted(PayloadError):
    """Stored bytes fail authentication or do not hash to their commitment."""

    code = "PAYLOAD_CORRUPTED"


class PayloadConflict(PayloadError):
    """The commitment is already stored under other terms (owner, event, residency or country)."""

    code = "PAYLOAD_CONFLICT"


class PayloadInvalid(PayloadError):
    """The store does not take this value."""

    code = "PAYLOAD_INVALID"


class ReceiptInvalid(PayloadError):
    """The receipt is malformed, altered, or not signed by the node it names."""

    code = "RECEIPT_INVALID"


class KeyFileError(PayloadError):
    """The node's key file cannot be used."""

    code = "KEY_FILE"


class StoreUnavailable(PayloadError):
    """The database under the store cannot be used."""

    code = "STORE_UNAVAILABLE"


class StoreBusy(StoreUnavailable):
    """Another process has the store open."""

    code = "STORE_BUSY"


class RemoteError(PayloadError):
    """The holder's node could not be asked, or answered something unusable."""

    code = "REMOTE_PAYLOADS"
