"""Proofs: signed here, checked here, and against the W3C's vectors."""

from __future__ import annotations

import copy
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from gateway.credentials import did, proof
from gateway.credentials.contexts import CERTIFICATE_V1, VC_V2
from gateway.credentials.errors import (
    ContextUnknown,
    CredentialError,
    MalformedCredential,
    ProofFailed,
    UnsupportedProof,
)
from gateway.credentials.keys import IssuerKey

ROOT = Path(__file__).resolve().parents[2]
VECTORS = Path(os.environ.get("TRACEMARK_VECTORS") or ROOT.parent / "shared" / "vectors")
W3C = VECTORS / "w3c-data-integrity" / "eddsa"
PARTY = "https://id.gs1.org/417/9521105000005"
KEY = IssuerKey(PARTY, Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
ISSUER = did.did_web("https://certs.example", PARTY)


def credential() -> dict[str, Any]:
    return {
        "@context": [VC_V2, CERTIFICATE_V1],
        "id": "urn:uuid:7f0c6f4e-2f4d-4d0f-9a4c-0d7c8d1f5b11",
        "type": ["VerifiableCredential", "FoodCertificate"],
        "name": "Food certificate",
        "issuer": {"id": ISSUER, "name": "Alsterlicht", "party": PARTY},
        "validFrom": "2026-03-20T00:00:00Z",
        "validUntil": "2027-03-20T00:00:00Z",
        "credentialStatus": {
            "id": "https://certs.example/v1/certificates/x/status",
            "type": "LedgerStatus",
            "channel": "trace",
        },
        "credentialSubject": {
            "id": "https://id.gs1.org/01/09521105000012/10/AL260318",
            "type": "TracedProduct",
            "gtin": "09521105000012",
            "lot": "AL260318",
            "facts": [
                {"type": "Fact", "field": "originCountry", "value": "ET", "statedBy": PARTY},
                {
                    "type": "Fact",
                    "field": "organic",
                    "value": "yes",
                    "selfDeclared": True,
                    "declaredBy": PARTY,
                },
            ],
        },
    }


@pytest.mark.parametrize("suite", proof.SUITES)
def test_a_signed_credential_verifies_and_names_its_key(suite: str) -> None:
    secured = proof.secure(credential(), KEY, ISSUER, suite=suite)
    assert proof.check(secured) == KEY.public


@pytest.mark.parametrize("suite", proof.SUITES)
def test_a_did_key_issuer_verifies_too(suite: str) -> None:
    body = credential()
    body["issuer"]["id"] = did.did_key(KEY.public)
    secured = proof.secure(body, KEY, did.did_key(KEY.public), suite=suite)
    assert proof.check(secured) == KEY.public


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from leaves(inner, (*path, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from leaves(inner, (*path, index))
    else:
        yield path


def changed(value: Any) -> Any:
    if isinstance(value, bool):
        return not value
    last = value[-1]
    return value[:-1] + ("b" if last == "a" else "a")


@pytest.mark.parametrize("suite", proof.SUITES)
def test_no_leaf_can_be_changed_without_breaking_the_proof(suite: str) -> None:
    """A proof that left out any member would let a certificate be edited after signing."""
    secured = proof.secure(credential(), KEY, ISSUER, suite=suite)
    for path in leaves(secured):
        forged = copy.deepcopy(secured)
        holder = forged
        for step in path[:-1]:
            holder = holder[step]
        holder[path[-1]] = changed(holder[path[-1]])
        with pytest.raises(CredentialError):
            proof.check(forged)


@pytest.mark.parametrize("suite", proof.SUITES)
def test_no_member_can_be_added_or_removed(suite: str) -> None:
    secured = proof.secure(credential(), KEY, ISSUER, suite=suite)
    for name in list(secured):
        forged = {key: value for key, value in secured.items() if key != name}
        with pytest.raises(CredentialError):
            proof.check(forged)
    with pytest.raises(CredentialError):
        proof.check(secured | {"extra": "x"})


def test_another_key_cannot_sign_in_the_issuers_name_unnoticed() -> None:
    """The method's DID must be the issuer's; whose key it is, is for the ledger to show."""
    other = IssuerKey(PARTY, Ed25519PrivateKey.generate())
    forged = proof.secure(credential(), other, did.did_key(other.public))
    with pytest.raises(ProofFailed, match="not a key of the issuer"):
        proof.check(forged)
    assert proof.check(proof.secure(credential(), other, ISSUER)) != KEY.public


def test_a_fragment_that_is_not_the_did_keys_own_key_is_refused() -> None:
    other = IssuerKey(PARTY, Ed25519PrivateKey.generate())
    body = credential()
    body["issuer"]["id"] = did.did_key(KEY.public)
    with pytest.raises(UnsupportedProof):
        proof.check(proof.secure(body, other, did.did_key(KEY.public)))


def test_contexts_are_never_fetched() -> None:
    body = credential()
    body["@context"].append("https://attacker.example/context")
    with pytest.raises(ContextUnknown):
        proof.secure(body, KEY, ISSUER, suite=proof.RDFC)


def test_rdf_work_is_bounded() -> None:
    """Identical unnamed nodes cost factorial time in RDF canonicalisation."""
    body = credential()
    body["credentialSubject"]["facts"] = [
        {"type": "Fact", "field": "a", "value": "b"} for _ in range(10)
    ]
    with pytest.raises(MalformedCredential, match="look alike"):
        proof.secure(body, KEY, ISSUER, suite=proof.RDFC)


@pytest.mark.parametrize("disguise", ["references", "nulls"])
def test_alike_objects_do_not_hide_behind_their_spelling(disguise: str) -> None:
    """Defect: seven nodes that refer to each other cost a stranger nothing and the gateway 13 s."""
    names = [f"_:b{number}" for number in range(8)]
    if disguise == "references":
        nodes = [
            {"id": name, "type": "Fact", "event": [other for other in names if other != name]}
            for name in names
        ]
    else:
        spellings: list[dict[str, Any]] = [
            {"field": "a"}, {"field": ["a"]}, {"field": ["a", "a"]}, {"field": "a", "value": None},
            {"field": "a", "unit": None}, {"field": "a", "event": []},
        ]  # fmt: skip
        nodes = [{"type": "Fact"} | spelling for spelling in spellings]
    body = credential()
    body["credentialSubject"]["facts"] = nodes
    began = time.monotonic()
    with pytest.raises(MalformedCredential, match="look alike"):
        proof.secure(body, KEY, ISSUER, suite=proof.RDFC)
    assert time.monotonic() - began < 2


@pytest.mark.parametrize(
    "change",
    [
        {"proof": None},
        {"proof": []},
        {"proof": {"type": "Ed25519Signature2020"}},
        {"proof": {"type": "DataIntegrityProof", "cryptosuite": "ecdsa-rdfc-2019"}},
        {"proof": {"type": "DataIntegrityProof", "cryptosuite": "eddsa-jcs-2022"}},
        {
            "proof": {
                "type": "DataIntegrityProof",
                "cryptosuite": "eddsa-jcs-2022",
                "verificationMethod": f"{ISSUER}#zNotAKey",
                "proofValue": "z1",
            }
        },
    ],
)
def test_strange_proofs_are_refused_with_an_error_of_ours(change: dict[str, Any]) -> None:
    with pytest.raises(CredentialError):
        proof.check(credential() | change)


def test_the_digest_is_over_the_canonical_form() -> None:
    secured = proof.secure(credential(), KEY, ISSUER)
    reordered = json.loads(json.dumps(dict(reversed(list(secured.items())))))
    assert proof.digest(reordered) == proof.digest(secured)
    assert proof.digest(secured | {"name": "x"}) != proof.digest(secured)


@given(st.binary(min_size=32, max_size=32))
def test_multikeys_round_trip(public: bytes) -> None:
    assert did.public_key_of(did.method_of(ISSUER, public)) == public
    assert did.public_key_of(did.method_of(did.did_key(public), public)) == public


needs_vectors = pytest.mark.skipif(
    not W3C.is_dir(), reason=f"no W3C vectors at {W3C}; set TRACEMARK_VECTORS"
)


@needs_vectors
def test_the_w3c_jcs_vector_verifies_and_its_twin_does_not() -> None:
    """vc-di-eddsa, appendix B.2. Its issuer is a web page, so only the signature is comparable."""
    secured = json.loads((W3C / "eddsa-jcs-2022" / "signedJCS.json").read_text())
    public = did.public_key_of(secured["proof"]["verificationMethod"])
    assert (
        did.multikey(public) == json.loads((W3C / "keyPair.json").read_text())["publicKeyMultibase"]
    )
    proof.verify_signature(secured, public)
    with pytest.raises(ProofFailed, match="not a key of the issuer"):
        proof.check(secured)
    with pytest.raises(ProofFailed):
        proof.verify_signature(secured | {"name": "Other"}, public)


@needs_vectors
def test_the_w3c_rdf_vector_asks_for_a_context_that_is_not_bundled() -> None:
    secured = json.loads((W3C / "eddsa-rdfc-2022" / "signedDataInt.json").read_text())
    with pytest.raises(ContextUnknown):
        proof.verify_signature(secured, did.public_key_of(secured["proof"]["verificationMethod"]))
