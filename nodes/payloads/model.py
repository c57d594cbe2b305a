"""The values of the payload store: what is put in, what is kept beside it, what comes out.

A payload is opaque bytes here. It is addressed by its **commitment**: SHA-256 over a domain
prefix, a 32-byte random salt and the bytes. Only the commitment is on the chain, so a guess of
the content (a price, a name) cannot be tested without the salt, and the salt travels with the
payload to whoever may read it.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from enum import StrEnum

from nodes.payloads.errors import PayloadInvalid

COMMITMENT_PREFIX = b"tracemark/payload/v1\0"
SALT_BYTES = 32
MAX_PAYLOAD_BYTES = 64 * 1024 * 1024

_HEX64 = re.compile(r"[0-9a-f]{64}\Z")
_NI = re.compile(r"ni:///sha-256;([0-9a-f]{64})(?:\?.*)?\Z")


class PayloadState(StrEnum):
    """Whether a node has a payload: for whoever asks without reading it."""

    PRESENT = "present"
    ERASED = "erased"
    MISSING = "missing"  # never stored here, collected as an orphan, or its head is damaged


class Residency(StrEnum):
    """Who may read a payload at all, the owner's choice at capture (`tm:disclosure`)."""

    OPEN = "open"
    PARTNERS = "partners"
    CONFIDENTIAL = "confidential"
    IN_COUNTRY = "in-country"


@dataclass(frozen=True, slots=True)
class NewPayload:
    """A payload to store.

    `payload`: up to 64 MiB; `salt`: 32 random bytes, fresh for each payload; `event_hash`: the
    CBV 2.0 event hash it belongs to (``ni:///sha-256;...``); `owner_party`: party id that made
    it; `residency`: one of :class:`Residency`; `country`: ISO 3166-1 alpha-2 of where it
    happened ("" if unknown); `media_type`: of the bytes.
    """

    payload: bytes
    salt: bytes
    event_hash: str
    owner_party: str
    residency: str = Residency.OPEN
    country: str = ""
    media_type: str = "application/json"


@dataclass(frozen=True, slots=True)
class PayloadMeta:
    """What the node knows of a payload without opening it; authenticated with its key."""

    commitment: str
    event_hash: str
    owner_party: str
    residency: Residency
    country: str
    media_type: str
    size: int
    stored_ms: int


@dataclass(frozen=True, slots=True)
class StoredPayload:
    """A payload that matched its commitment when it was read."""

    payload: bytes
    salt: bytes
    meta: PayloadMeta

    @property
    def commitment(self) -> str:
        return self.meta.commitment

    @property
    def event_hash(self) -> str:
        return self.meta.event_hash


@dataclass(frozen=True, slots=True)
class Reader:
    """Who asks: a party as the ledger's registry knows it, never as it describes itself.

    `party`: party id, None for a caller with no registered party; `msp_id`: organisation of the
    certificate; `roles`: registry roles; `country`: ISO 3166-1 alpha-2 of the party's record;
    `active`: False while suspended; `administrator`: certificate of the admin OU; `legal_basis`:
    the provision an authority acts under, "" if none is claimed; `certificate_sha256`:
    fingerprint of the certificate, which only its organisation can link to a person.
    """

    party: str | None
    msp_id: str = ""
    roles: frozenset[str] = frozenset()
    country: str = ""
    active: bool = True
    administrator: bool = False
    legal_basis: str = ""
    certificate_sha256: str = ""


def commitment_of(payload: bytes, salt: bytes) -> str:
    """The salted commitment of `payload` under a 32-byte `salt`: 64 lower-case hex characters."""
    if len(salt) != SALT_BYTES:
        raise PayloadInvalid(f"a salt has {SALT_BYTES} bytes, not {len(salt)}")
    return hashlib.sha256(COMMITMENT_PREFIX + salt + payload).hexdigest()


def commitment_key(commitment: str) -> bytes:
    """The 32 bytes of a hex commitment; raises PayloadInvalid for anything else."""
    if not _HEX64.match(commitment):
        raise PayloadInvalid("a commitment is 64 lower-case hex characters")
    return bytes.fromhex(commitment)


def event_digest(event_hash: str) -> str:
    """The 64 hex characters inside a CBV 2.0 event hash (``ni:///sha-256;HEX?ver=CBV2.0``)."""
    found = _NI.match(event_hash)
    if found:
        return found.group(1)
    if _HEX64.match(event_hash):
        return event_hash
    raise PayloadInvalid(
        f"an event hash reads ni:///sha-256;<64 hex>?ver=CBV2.0, not {event_hash[:80]!r}"
    )


def residency_of(text: str) -> Residency:
    """The residency class called `text`; raises PayloadInvalid naming the four that exist."""
    try:
        return Residency(text)
    except ValueError:
        known = ", ".join(Residency)
        raise PayloadInvalid(f"residency {text!r} is unknown; use one of {known}") from None
