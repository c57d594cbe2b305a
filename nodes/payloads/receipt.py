"""Erasure receipts: the node's signed word that a payload existed and is gone.

What a receipt proves afterwards: the commitment and the event hash in it are the ones on the
chain, so the event and the fact that a payload with that commitment was deposited still verify;
and the node that kept it states when and why it destroyed the payload and its key. Anyone who
holds a copy of payload and salt can still show that it is the one that was anchored.

Signature: ECDSA P-256 with SHA-256, DER, low S, over a domain prefix and the receipt's fields
as canonical JSON (RFC 8785), by the node's certificate, which travels inside.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Protocol

import rfc8785
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from nodes.payloads.errors import ReceiptInvalid

RECEIPT_TYPE = "tracemark/erasure-receipt/v1"
_PREFIX = b"tracemark/erasure-receipt/v1\0"


class ErasureReason(StrEnum):
    """Why a payload was erased: a closed list, so that no personal data slips in."""

    DATA_SUBJECT_REQUEST = "data-subject-request"
    CONSENT_WITHDRAWN = "consent-withdrawn"
    RETENTION_EXPIRED = "retention-expired"
    COURT_ORDER = "court-order"
    MISTAKE = "mistake"


class NodeSigner(Protocol):
    """The part of a node's identity the store signs with."""

    @property
    def msp_id(self) -> str: ...

    @property
    def certificate(self) -> bytes:
        """PEM X.509 certificate."""

    def sign(self, message: bytes) -> bytes:
        """DER ECDSA signature over SHA-256(message), low S."""


@dataclass(frozen=True, slots=True)
class ErasureReceipt:
    """A signed receipt. Times in ms UTC; `certificate` PEM text; `signature` DER bytes."""

    commitment: str
    event_hash: str
    owner_party: str
    stored_ms: int
    erased_ms: int
    reason: str
    requested_by: str
    msp_id: str
    certificate: str
    signature: bytes = b""

    def signed_bytes(self) -> bytes:
        """What the node signs: the domain prefix and the unsigned fields in RFC 8785 form."""
        fields = self.to_json()
        del fields["signature"]
        return _PREFIX + rfc8785.dumps(fields)

    def to_json(self) -> dict[str, Any]:
        """The receipt as a JSON object; the signature in base64."""
        return {
            "type": RECEIPT_TYPE,
            "commitment": self.commitment,
            "event_hash": self.event_hash,
            "owner_party": self.owner_party,
            "stored_ms": self.stored_ms,
            "erased_ms": self.erased_ms,
            "reason": self.reason,
            "requested_by": self.requested_by,
            "node": {"msp_id": self.msp_id, "certificate": self.certificate},
            "signature": base64.b64encode(self.signature).decode(),
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> ErasureReceipt:
        """The receipt inside a JSON object; raises ReceiptInvalid."""
        try:
            if document["type"] != RECEIPT_TYPE:
                raise ReceiptInvalid(f"this is not a {RECEIPT_TYPE}")
            node = document["node"]
            return cls(
                commitment=_text(document["commitment"]),
                event_hash=_text(document["event_hash"]),
                owner_party=_text(document["owner_party"]),
                stored_ms=_whole(document["stored_ms"]),
                erased_ms=_whole(document["erased_ms"]),
                reason=_text(document["reason"]),
                requested_by=_text(document["requested_by"]),
                msp_id=_text(node["msp_id"]),
                certificate=_text(node["certificate"]),
                signature=base64.b64decode(document["signature"], validate=True),
            )
        except (KeyError, TypeError, binascii.Error) as exc:
            raise ReceiptInvalid(
                "the receipt lacks a field or holds one of the wrong type"
            ) from exc


def issue(receipt: ErasureReceipt, signer: NodeSigner) -> ErasureReceipt:
    """`receipt` signed by `signer`, which becomes the node it names."""
    named = replace(
        receipt, msp_id=signer.msp_id, certificate=signer.certificate.decode(), signature=b""
    )
    return replace(named, signature=signer.sign(named.signed_bytes()))


def verify(
    receipt: ErasureReceipt,
    *,
    commitment: str,
    event_hash: str,
    trusted: Callable[[str, bytes, datetime], bool],
) -> None:
    """Check that `receipt` proves the existence and erasure of the anchored payload.

    1. It speaks of the commitment (64 hex) and event hash that stand on the chain.
    2. Its certificate was issued by the organisation it names: `trusted(msp_id, certificate PEM,
       time)` answers for the time of the erasure, so the receipt outlives the certificate.
    3. The signature is that certificate's.

    Raises ReceiptInvalid with the step that failed.
    """
    # 1. the same thing as on the chain
    if receipt.commitment != commitment:
        raise ReceiptInvalid("the receipt speaks of another commitment than the chain")
    if receipt.event_hash != event_hash:
        raise ReceiptInvalid("the receipt speaks of another event than the chain")
    # 2. a certificate the organisation stood behind then
    when = datetime.fromtimestamp(receipt.erased_ms / 1000, UTC)
    pem = receipt.certificate.encode()
    if not trusted(receipt.msp_id, pem, when):
        raise ReceiptInvalid(
            f"the receipt's certificate was not issued by {receipt.msp_id} or was not valid then"
        )
    # 3. its signature
    try:
        key = x509.load_pem_x509_certificate(pem).public_key()
    except ValueError as exc:
        raise ReceiptInvalid("the receipt's certificate cannot be parsed") from exc
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise ReceiptInvalid("the receipt's certificate has no ECDSA key")
    try:
        key.verify(receipt.signature, receipt.signed_bytes(), ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        raise ReceiptInvalid("the receipt was altered or not signed by its node") from None


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("text expected")
    return value


def _whole(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError("whole number expected")
    return value
