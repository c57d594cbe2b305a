"""Decentralised identifiers of issuers: did:web with the key in the fragment, and did:key.

An issuer is ``did:web:<host>:did:<party>``, which resolves to ``https://<host>/did/<party>/did.json``
(did:web method specification, Read). Its verification methods are ``<did>#<multikey>``, the
fragment being the public key itself (Multikey, CID 1.0 §2.2.2), so that a verifier without a
network still has the key; whether that key speaks for the party is then shown by the ledger, where
the party itself anchored the digest of the signed credential.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import unquote, urlsplit

from openvc.multibase import MultibaseError, decode_multibase, encode_multibase

from gateway.credentials.errors import UnsupportedProof

ED25519_MULTICODEC = b"\xed\x01"
DID_CONTEXTS = ("https://www.w3.org/ns/did/v1", "https://w3id.org/security/multikey/v1")
_PARTY_GLN = re.compile(r"https://id\.gs1\.org/417/([0-9]{13})")
_PARTY_SLUG = re.compile(r"urn:tracemark:party:([a-z0-9-]{3,40})")


def multikey(public_key: bytes) -> str:
    """Multikey text (``z6Mk...``) of a raw 32-byte Ed25519 public key."""
    if len(public_key) != 32:
        raise ValueError("an Ed25519 public key is 32 bytes")
    return str(encode_multibase(ED25519_MULTICODEC + public_key))


def public_key_of(method: str) -> bytes:
    """Raw Ed25519 key in the fragment of a verification method; UnsupportedProof without one."""
    did, _, fragment = method.partition("#")
    try:
        data = decode_multibase(fragment)
    except MultibaseError as error:
        raise UnsupportedProof(f"{method!r} names no key in its fragment: {error}") from error
    if not did.startswith("did:") or data[:2] != ED25519_MULTICODEC or len(data) != 34:
        raise UnsupportedProof(f"{method!r} does not carry an Ed25519 key")
    if did.startswith("did:key:") and did != f"did:key:{fragment}":
        raise UnsupportedProof(f"{method!r}: the fragment is not the key of its did:key")
    return bytes(data[2:])


def party_slug(party: str) -> str:
    """Path segment of a party id: its 13-digit GLN, or the slug of its network-issued id."""
    for pattern in (_PARTY_GLN, _PARTY_SLUG):
        if match := pattern.fullmatch(party):
            return match[1]
    raise ValueError(f"{party!r} is not a party id")


def party_of_slug(slug: str) -> str:
    """The party id behind a path segment made by :func:`party_slug`."""
    if re.fullmatch("[0-9]{13}", slug):
        return f"https://id.gs1.org/417/{slug}"
    if re.fullmatch("[a-z0-9-]{3,40}", slug):
        return f"urn:tracemark:party:{slug}"
    raise ValueError(f"{slug!r} is not a party's path segment")


def did_web(base_url: str, party: str) -> str:
    """did:web of `party` on the gateway at `base_url`; a port is encoded as %3A."""
    host = urlsplit(base_url).netloc.replace(":", "%3A")
    return f"did:web:{host}:did:{party_slug(party)}"


def did_web_url(did: str) -> str:
    """The https URL a did:web resolves to; ValueError for another DID."""
    if not did.startswith("did:web:"):
        raise ValueError(f"{did!r} is not a did:web")
    host, *path = [unquote(part) for part in did.removeprefix("did:web:").split(":")]
    return f"https://{host}/{'/'.join(path) or '.well-known'}/did.json"


def did_key(public_key: bytes) -> str:
    """did:key of a raw Ed25519 public key."""
    return f"did:key:{multikey(public_key)}"


def method_of(did: str, public_key: bytes) -> str:
    """Verification method of `public_key` under `did`."""
    return f"{did}#{multikey(public_key)}"


def did_document(did: str, party: str, public_keys: Iterable[bytes]) -> dict[str, Any]:
    """DID document of an issuer: every key it has used, newest first, all for assertions."""
    methods = [
        {
            "id": method_of(did, key),
            "type": "Multikey",
            "controller": did,
            "publicKeyMultibase": multikey(key),
        }
        for key in public_keys
    ]
    return {
        "@context": list(DID_CONTEXTS),
        "id": did,
        "alsoKnownAs": [party, *(f"did:key:{m['publicKeyMultibase']}" for m in methods)],
        "verificationMethod": methods,
        "assertionMethod": [method["id"] for method in methods],
    }
