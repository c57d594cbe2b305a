"""Data Integrity proofs of credentials: eddsa-jcs-2022 (the default) and eddsa-rdfc-2022.

The signature arithmetic is openvc-core's (VC Data Integrity EdDSA Cryptosuites 1.0 §3.2, §3.3);
this module decides which proofs are taken, binds the method to the issuer, keeps contexts offline
and has the work of RDF canonicalisation bounded (:mod:`gateway.credentials.rdf_work`).
Validity periods are not judged here: :mod:`gateway.verify` does, with its own clock.
"""

from __future__ import annotations

import base64
import hashlib
from datetime import datetime
from typing import Any

import rfc8785
from openvc.errors import OpenvcError
from openvc.proof.contexts import DocumentLoaderError
from openvc.proof.data_integrity import DataIntegrityProofSuite
from openvc.proof.di_jcs import EddsaJcsProofSuite
from openvc.proof.errors import ProofError

from gateway.credentials import contexts, rdf_work
from gateway.credentials.did import method_of, public_key_of
from gateway.credentials.errors import (
    ContextUnknown,
    MalformedCredential,
    ProofFailed,
    UnsupportedProof,
)
from gateway.credentials.keys import IssuerKey

JCS = "eddsa-jcs-2022"
RDFC = "eddsa-rdfc-2022"
SUITES = (JCS, RDFC)

_jcs = EddsaJcsProofSuite()
_rdfc = DataIntegrityProofSuite()


def secure(
    credential: dict[str, Any],
    key: IssuerKey,
    did: str,
    *,
    suite: str = JCS,
    created: datetime | None = None,
) -> dict[str, Any]:
    """A copy of `credential` with an assertion proof by `key` as a method of `did`.

    Raises UnsupportedProof for another suite and ContextUnknown for a context not bundled.
    """
    options: dict[str, Any] = {
        "signing_key": key.signing_key(did),
        "verification_method": method_of(did, key.public),
        "created": created,
    }
    try:
        if suite == JCS:
            secured: dict[str, Any] = _jcs.add_proof(credential, **options)
            return secured
        if suite == RDFC:
            rdf_work.bound(credential)
            secured = _rdfc.add_proof(credential, extra_contexts=contexts.bundled(), **options)
            return secured
    except DocumentLoaderError as error:
        raise ContextUnknown(str(error)) from error
    except OpenvcError as error:
        raise MalformedCredential(f"cannot be signed: {error}") from error
    raise UnsupportedProof(f"cryptosuite {suite!r} is not one of {', '.join(SUITES)}")


def check(secured: dict[str, Any]) -> bytes:
    """Verify the proof and return the raw 32-byte key that made it.

    The key is read from the verification method, whose DID must be the issuer's; whether it speaks
    for the party behind the issuer is for the ledger to show. Raises MalformedCredential,
    UnsupportedProof, ContextUnknown or ProofFailed.
    """
    proof = secured.get("proof")
    if not isinstance(proof, dict):
        raise MalformedCredential("it carries no proof, or several", "/proof")
    if proof.get("type") != "DataIntegrityProof" or proof.get("cryptosuite") not in SUITES:
        raise UnsupportedProof("its proof is not a DataIntegrityProof of a suite known here")
    method = proof.get("verificationMethod")
    if not isinstance(method, str):
        raise MalformedCredential("the proof names no method", "/proof/verificationMethod")
    if method.partition("#")[0] != issuer_id(secured):
        raise ProofFailed("the signing key is not a key of the issuer named in the credential")
    public = public_key_of(method)
    verify_signature(secured, public)
    return public


def verify_signature(secured: dict[str, Any], public: bytes) -> None:
    """Verify the proof with a raw Ed25519 key, whoever it belongs to. Raises like :func:`check`."""
    jwk = {
        "kty": "OKP",
        "crv": "Ed25519",
        "x": base64.urlsafe_b64encode(public).rstrip(b"=").decode(),
    }
    # validFrom and validUntil are judged by the verifier's own numbered check, not here
    options: dict[str, Any] = {
        "public_key_jwk": jwk,
        "now": _instant(secured),
        "check_temporal": False,
    }
    try:
        if secured["proof"]["cryptosuite"] == JCS:
            _jcs.verify(secured, **options)
        else:
            rdf_work.bound(secured)
            _rdfc.verify(secured, extra_contexts=contexts.bundled(), **options)
    except DocumentLoaderError as error:
        raise ContextUnknown(str(error)) from error
    except (ProofError, OpenvcError) as error:
        raise ProofFailed(str(error)) from error


def _instant(secured: dict[str, Any]) -> datetime | None:
    """An instant inside the validity period: `validFrom` itself, when it can be read."""
    try:
        at = datetime.fromisoformat(str(secured.get("validFrom")))
    except ValueError:
        return None
    return at if at.tzinfo else None


def issuer_id(credential: dict[str, Any]) -> str | None:
    """The issuer's DID (VC Data Model 2.0 §4.7: a URL, or an object with an `id`)."""
    issuer = credential.get("issuer")
    found = issuer.get("id") if isinstance(issuer, dict) else issuer
    return found if isinstance(found, str) else None


def digest(secured: dict[str, Any]) -> str:
    """SHA-256 of the JCS form (RFC 8785) of the whole secured credential, 64 lower-case hex."""
    try:
        return hashlib.sha256(rfc8785.dumps(secured)).hexdigest()
    except (rfc8785.CanonicalizationError, RecursionError, UnicodeError) as error:
        raise MalformedCredential(f"it has no canonical form: {error}") from error
