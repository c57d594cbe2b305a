"""How one payload lies in the database: its head, its body, and how the two are sealed.

Body: 12-byte nonce, then AES-256-GCM of salt (32 bytes) and payload under a key of its own, with
the commitment as associated data. Head: ``P``, the wrapped key (68 bytes,
:mod:`nodes.payloads.keyring`) and the terms as JSON; commitment and terms are the wrap's
associated data, so neither can be exchanged for another payload's. After an erasure the head is
``E`` and the receipt as JSON, and there is no body.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

import orjson
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from nodes.payloads.errors import PayloadCorrupted
from nodes.payloads.keyring import KEY_BYTES, NONCE_BYTES, WRAPPED_BYTES, Keyring
from nodes.payloads.model import (
    SALT_BYTES,
    NewPayload,
    PayloadMeta,
    PayloadState,
    Residency,
    StoredPayload,
    commitment_of,
)
from nodes.payloads.receipt import ErasureReceipt

PRESENT, ERASED = b"P", b"E"
_STATES = {PRESENT: PayloadState.PRESENT, ERASED: PayloadState.ERASED}

_BODY_PREFIX = b"tracemark/payload-body/v1\0"


@dataclass(frozen=True, slots=True)
class Head:
    """A decoded head: either `meta` and `wrapped` of a present payload, or a `receipt`."""

    meta: PayloadMeta | None
    wrapped: bytes
    terms: bytes
    receipt: ErasureReceipt | None = None


def seal(new: NewPayload, key: bytes, meta: PayloadMeta, keyring: Keyring) -> tuple[bytes, bytes]:
    """(head, body) of a new payload whose commitment is the 32-byte `key`."""
    random = os.urandom(KEY_BYTES + NONCE_BYTES)
    payload_key, nonce = random[:KEY_BYTES], random[KEY_BYTES:]
    sealed = AESGCM(payload_key).encrypt(nonce, new.salt + new.payload, _BODY_PREFIX + key)
    return head_of(key, _terms(meta), payload_key, keyring), nonce + sealed


def head_of(key: bytes, terms: bytes, payload_key: bytes, keyring: Keyring) -> bytes:
    """The stored head: `payload_key` wrapped by the active node key, and the terms."""
    return PRESENT + keyring.wrap(payload_key, key + terms) + terms


def erased_head(receipt: ErasureReceipt) -> bytes:
    """The stored head of an erased payload."""
    return ERASED + orjson.dumps(receipt.to_json())


def open_head(key: bytes, stored: bytes) -> Head:
    """The head stored for commitment `key`, not yet authenticated; raises PayloadCorrupted."""
    try:
        if stored[:1] == ERASED:
            receipt = ErasureReceipt.from_json(orjson.loads(stored[1:]))
            return Head(None, b"", b"", receipt)
        if stored[:1] != PRESENT:
            raise ValueError("unknown kind of head")
        terms = stored[1 + WRAPPED_BYTES :]
        fields = orjson.loads(terms)
        meta = PayloadMeta(
            commitment=key.hex(),
            event_hash=fields["event"],
            owner_party=fields["owner"],
            residency=Residency(fields["residency"]),
            country=fields["country"],
            media_type=fields["media"],
            size=fields["size"],
            stored_ms=fields["stored_ms"],
        )
    except Exception as exc:
        raise PayloadCorrupted(f"the head of payload {key.hex()} is damaged", key.hex()) from exc
    return Head(meta, stored[1 : 1 + WRAPPED_BYTES], terms)


def state_of(stored: bytes | None) -> PayloadState:
    """What a stored head says at a glance: neither decoded nor authenticated."""
    return _STATES.get(stored[:1], PayloadState.MISSING) if stored else PayloadState.MISSING


def payload_key_of(key: bytes, head: Head, keyring: Keyring) -> bytes:
    """The payload's own key, which also authenticates its terms; raises PayloadCorrupted."""
    try:
        return keyring.unwrap(head.wrapped, key + head.terms)
    except PayloadCorrupted as exc:
        raise PayloadCorrupted(f"{exc.message} (payload {key.hex()})", key.hex()) from None


def open_body(key: bytes, head: Head, body: bytes | None, payload_key: bytes) -> StoredPayload:
    """The payload, authenticated and matching its commitment; raises PayloadCorrupted."""
    commitment = key.hex()
    if head.meta is None:
        raise PayloadCorrupted(f"payload {commitment} was erased and cannot be opened", commitment)
    if body is None:
        raise PayloadCorrupted(f"the body of payload {commitment} is missing", commitment)
    try:
        plain = AESGCM(payload_key).decrypt(
            body[:NONCE_BYTES], body[NONCE_BYTES:], _BODY_PREFIX + key
        )
    except (InvalidTag, ValueError):
        raise PayloadCorrupted(
            f"the body of payload {commitment} was altered", commitment
        ) from None
    salt, payload = plain[:SALT_BYTES], plain[SALT_BYTES:]
    if len(salt) != SALT_BYTES or commitment_of(payload, salt) != commitment:
        raise PayloadCorrupted(
            f"the bytes stored for payload {commitment} do not hash to it", commitment
        )
    return StoredPayload(payload, salt, head.meta)


def _terms(meta: PayloadMeta) -> bytes:
    return orjson.dumps(
        {
            "event": meta.event_hash,
            "owner": meta.owner_party,
            "residency": meta.residency,
            "country": meta.country,
            "media": meta.media_type,
            "size": meta.size,
            "stored_ms": meta.stored_ms,
        }
    )
