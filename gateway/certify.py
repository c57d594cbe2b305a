"""Issuing certificates: from what the ledger shows to a signed, anchored credential.

    1 profile    which fields this kind of certificate holds, and which are required
    2 facts      read from the ledger, each with the event or record it came from
    3 declared   what the issuer adds on its own word, marked as such
    4 document   W3C Verifiable Credential 2.0 with a random urn:uuid
    5 proof      Data Integrity proof with the issuer's Ed25519 key
    6 keep       the bytes are stored first: a stored credential nobody anchored is harmless
    7 anchor     the issuer's ledger identity writes the digest (SHA-256 of the JCS form)

The anchor is what binds the Ed25519 key to the party: only that party's X.509 identity could write
this digest under its name, and the digest covers the proof and its verification method.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from sqlalchemy import Engine

from chaincode.identifiers import Identifier, parse
from gateway.credentials import did, document, profiles, proof
from gateway.credentials.contexts import CERTIFICATE_V1, VC_V2
from gateway.credentials.document import Fact
from gateway.credentials.errors import CredentialError, FactsMissing, MalformedCredential
from gateway.credentials.evidence import Footprint, LedgerEvidence
from gateway.credentials.facts import Claim, declared_facts, ledger_facts
from gateway.credentials.history import Record
from gateway.credentials.keys import IssuerKeys
from gateway.credentials.profiles import Profile
from gateway.credentials.store import CredentialStore
from gateway.ledger.client import Committed, LedgerClient
from gateway.ledger.errors import EndorseError
from gateway.ledger.port import SigningIdentity
from gateway.readmodel.store import ReadModel

DAY_MS = 86_400_000
OWN_GOODS = "product-passport"


@dataclass(frozen=True, slots=True)
class Order:
    """What to issue. Times are ms UTC; None means now, and the profile's usual validity."""

    type: str
    subject: str
    issuer: str
    claims: Mapping[str, Claim]
    valid_from_ms: int | None = None
    valid_until_ms: int | None = None
    suite: str = proof.JCS
    did_method: str = "web"
    supersedes: str | None = None


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate that is signed and anchored."""

    id: str
    credential: Mapping[str, Any]
    digest: str
    committed: Committed


class Certifier:
    """Issues and keeps the certificates of the parties that use this gateway."""

    def __init__(
        self, ledger: LedgerClient, readmodel: ReadModel, state: Engine, home: Path, base_url: str
    ) -> None:
        """`home` is the gateway's own folder; `base_url` where others reach it."""
        self.ledger = ledger
        self.readmodel = readmodel
        self.base_url = base_url
        self.store = CredentialStore(state)
        self.keys = IssuerKeys(home, _passphrase(home))

    def issue(
        self, signer: SigningIdentity, order: Order, now_ms: int, footprint: Footprint | None = None
    ) -> Issued:
        """Issue one certificate.

        :raises CredentialError: FactsMissing, ProfileUnknown, ... :raises LedgerError: refused by
            the contract or not committed. :raises Refusal: a malformed subject.
        """
        # 1 profile
        profile = profiles.load(order.type)
        subject = parse(order.subject)
        if subject.kind not in profile.subjects:
            raise CredentialError(
                f"a {profile.name} certificate speaks of {' or '.join(profile.subjects)}, "
                f"not of {subject.kind} {subject.uri}"
            )
        with self.readmodel.read() as connection:
            evidence = LedgerEvidence(connection, footprint)
            party = evidence.participant(order.issuer)
            if party is None:
                raise CredentialError(f"{order.issuer} is not a participant of the network")
            # 2 facts
            life = evidence.life(subject.uri)
            facts = ledger_facts(profile, subject, life, evidence, footprint)
            product = evidence.product_record(subject.gtin)
        # 3 declared
        facts += declared_facts(
            profile, order.issuer, order.claims, {fact.field for fact in facts}, life
        )
        missing = tuple(
            (field.name, field.clause)
            for field in profile.fields
            if field.required and all(fact.field != field.name for fact in facts)
        )
        if missing:
            names = ", ".join(name for name, _ in missing)
            raise FactsMissing(f"the ledger does not show, and no claim states: {names}", missing)
        # 4 document
        start_ms = _seconds(order.valid_from_ms if order.valid_from_ms is not None else now_ms)
        default_end = start_ms + profile.validity_days * DAY_MS
        end_ms = _seconds(order.valid_until_ms or default_end)
        if end_ms <= start_ms:
            raise CredentialError("validUntil lies before validFrom")
        key = self.keys.current_or_new(order.issuer)
        issuer_did = (
            self.did(order.issuer) if order.did_method == "web" else did.did_key(key.public)
        )
        certificate_id = uuid.uuid4().urn
        credential = self._document(
            profile, certificate_id, issuer_did, party, subject, product, facts, start_ms, end_ms
        )
        if order.supersedes:
            credential["supersedes"] = order.supersedes
        # 5 proof
        secured = proof.secure(credential, key, issuer_did, suite=order.suite)
        digest = proof.digest(secured)
        # 6 keep
        text = orjson.dumps(secured).decode()
        self.store.put(certificate_id, subject.uri, order.issuer, digest, now_ms, text)
        # 7 anchor
        try:
            committed = self.ledger.submit_and_wait(
                signer,
                "certificate:anchor",
                {
                    "id": certificate_id,
                    "digest": digest,
                    "type": ledger_type(profile, party, now_ms),
                    "subject": subject.uri,
                    "issuer": order.issuer,
                    "valid_from_ms": start_ms,
                    "valid_until_ms": end_ms,
                },
            )
        except EndorseError:
            self.store.drop(certificate_id)
            raise
        return Issued(certificate_id, secured, digest, committed)

    def did(self, party: str) -> str:
        """The did:web of a party at this gateway."""
        return did.did_web(self.base_url, party)

    def did_document(self, party: str) -> dict[str, Any] | None:
        """The DID document of a party that has issued here, or None."""
        keys = self.keys.public_keys(party)
        return did.did_document(self.did(party), party, keys) if keys else None

    def _document(
        self,
        profile: Profile,
        certificate_id: str,
        issuer_did: str,
        party: Record,
        subject: Identifier,
        product: Record | None,
        facts: list[Fact],
        start_ms: int,
        end_ms: int,
    ) -> dict[str, Any]:
        about: dict[str, Any] = {"id": subject.uri, "type": "TracedProduct"}
        if product:
            about["name"] = product["name"]
        for name in ("gtin", "lot", "serial"):
            value = getattr(subject, name)
            if value:
                about[name] = value
        about["facts"] = [fact.as_json() for fact in facts]
        return {
            "@context": [VC_V2, CERTIFICATE_V1],
            "id": certificate_id,
            "type": ["VerifiableCredential", profile.type],
            "name": profile.title,
            "issuer": {"id": issuer_did, "name": party["name"], "party": party["id"]},
            "validFrom": document.iso(start_ms),
            "validUntil": document.iso(end_ms),
            "credentialStatus": {
                "id": f"{self.base_url}/v1/certificates/{uuid_of(certificate_id)}/status",
                "type": "LedgerStatus",
                "channel": self.ledger.channel,
            },
            "credentialSubject": about,
        }


def ledger_type(profile: Profile, party: Record, now_ms: int) -> str:
    """The type to anchor under: the profile's where a licence or an authority's role covers it,
    else the passport that every maker may issue for goods of its own (the contract decides)."""
    if {"customs", "regulator"} & set(party["roles"]):
        return profile.name
    for licence in party.get("licences", ()):
        covers = licence["kind"] in (profile.name, "certifier") and licence["status"] == "active"
        if covers and licence["valid_from_ms"] <= now_ms < licence["valid_until_ms"]:
            return profile.name
    return OWN_GOODS


def uuid_of(certificate_id: str) -> str:
    """The bare UUID of a certificate id, as paths carry it."""
    return certificate_id.removeprefix("urn:uuid:")


def certificate_id(text: str) -> str:
    """``urn:uuid:...`` of a path segment or an id; MalformedCredential when it is no UUID."""
    try:
        return uuid.UUID(text.removeprefix("urn:uuid:")).urn
    except ValueError as error:
        raise MalformedCredential(f"{text!r} is not a certificate number") from error


def _seconds(ms: int) -> int:
    return ms - ms % 1000


def _passphrase(home: Path) -> bytes | None:
    """Issuer keys are encrypted under the wallet's key file, when there is one."""
    try:
        key = (home / "wallet.key").read_bytes()
    except FileNotFoundError:
        return None
    return hashlib.sha256(b"tracemark/issuer-keys/v1\0" + key).hexdigest().encode()
