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
from gateway.credentials import did, document, profiles, proof, readings
from gateway.credentials.contexts import CERTIFICATE_V1, VC_V2
from gateway.credentials.document import Fact
from gateway.credentials.errors import CredentialError, FactsMissing, MalformedCredential
from gateway.credentials.evidence import Footprint, LedgerEvidence, footprint_value
from gateway.credentials.history import History, Record, history
from gateway.credentials.keys import IssuerKeys
from gateway.credentials.profiles import Field, Profile
from gateway.credentials.store import CredentialStore
from gateway.ledger.client import Committed, LedgerClient
from gateway.ledger.errors import EndorseError
from gateway.ledger.port import SigningIdentity
from gateway.readmodel.store import ReadModel

DAY_MS = 86_400_000
OWN_GOODS = "product-passport"


@dataclass(frozen=True, slots=True)
class Claim:
    """A fact the issuer adds on its own word; `checked_by` names who checked it, if anyone."""

    value: str
    unit: str | None = None
    checked_by: str | None = None


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
            life = history(connection, subject.uri)
            facts = ledger_facts(profile, subject, life, evidence, footprint)
            product = evidence.product_record(subject.gtin)
        # 3 declared
        facts += declared_facts(profile, order, {fact.field for fact in facts}, life)
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


def ledger_facts(
    profile: Profile,
    subject: Identifier,
    life: History,
    evidence: LedgerEvidence,
    footprint: Footprint | None,
) -> list[Fact]:
    """Every field of the profile that the ledger shows; one field may have several facts."""
    facts: list[Fact] = []
    for field in profile.fields:
        reading = field.reading
        if reading in readings.IDENTIFIER:
            value = readings.of_identifier(reading, subject.uri)
            found = [_plain(field, value)] if value else []
        elif reading in readings.PRODUCT:
            found = _product_facts(field, subject, evidence)
        elif reading == readings.FOOTPRINT:
            found = _footprint_facts(field, subject, footprint)
        elif reading in readings.ORIGIN:
            found = [f for e in life.origins for f in _event_facts(field, e, subject, evidence)]
        elif reading in readings.MADE and life.made is not None:
            found = _event_facts(field, life.made, subject, evidence)
        else:
            found = []
        facts += {(fact.field, fact.value, fact.unit): fact for fact in reversed(found)}.values()
    return facts


def declared_facts(profile: Profile, order: Order, shown: set[str], life: History) -> list[Fact]:
    """The issuer's own claims; a field the ledger shows cannot be declared over it.

    Where the named checker recorded an inspection of the product or its materials, the claim
    points to it.
    """
    facts = []
    for name, claim in order.claims.items():
        field = profile.field(name)
        if name in shown:
            raise CredentialError(f"the ledger already shows {name}; it cannot be declared")
        if not name.isidentifier() or len(name) > 60 or not claim.value.strip():
            raise CredentialError(f"{name!r} is not a field with a value")
        if any(ord(c) < 32 or c in _DIRECTION_MARKS for c in claim.value + (claim.unit or "")):
            raise CredentialError(f"{name} holds control or direction characters")
        seen = _inspection(claim.checked_by, life)
        facts.append(
            Fact(
                field=name,
                value=claim.value,
                unit=claim.unit,
                clause=field.clause if field else None,
                reading=readings.INSPECTION if seen else None,
                event=seen["hash"] if seen else None,
                declared_by=order.issuer,
                checked_by=claim.checked_by,
                self_declared=True,
            )
        )
    return facts


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


_DIRECTION_MARKS = frozenset("\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def _inspection(party: str | None, life: History) -> Record | None:
    """The latest inspection that `party` recorded in a history."""
    if party is None:
        return None
    return next((e for e in reversed(life.events) if readings.inspected_by(party, e)), None)


def _plain(field: Field, value: str) -> Fact:
    return Fact(field.name, value, clause=field.clause, reading=field.reading)


def _product_facts(field: Field, subject: Identifier, evidence: LedgerEvidence) -> list[Fact]:
    record = evidence.product_record(subject.gtin)
    value = readings.of_product(field.reading, record) if record else None
    if record is None or not value:
        return []
    return [
        Fact(
            field.name,
            value,
            clause=field.clause,
            reading=field.reading,
            record=_product_uri(record["gtin"]),
            stated_by=record["owner"],
        )
    ]


def _footprint_facts(field: Field, subject: Identifier, footprint: Footprint | None) -> list[Fact]:
    record = footprint(subject.uri) if footprint else None
    found = footprint_value(record) if record else None
    if found is None:
        return []
    return [
        Fact(
            field.name,
            found[0],
            unit=found[1],
            clause=field.clause,
            reading=field.reading,
            record=subject.uri,
        )
    ]


def _event_facts(
    field: Field, event: Record, subject: Identifier, evidence: LedgerEvidence
) -> list[Fact]:
    read = readings.of_event(field.reading, event, subject.uri)
    if read is None:
        return []
    value, unit = read
    party = record = None
    if field.reading.endswith("-party"):
        participant = evidence.participant(value)
        party, value = value, str(participant["name"]) if participant else value
    elif field.reading == "origin-product":
        gtin = parse(value).gtin
        product = evidence.product_record(gtin)
        if gtin is None or product is None:
            return []
        record, value = _product_uri(gtin), product["name"]
    return [
        Fact(
            field.name,
            value,
            unit=unit,
            clause=field.clause,
            reading=field.reading,
            event=event["hash"],
            record=record,
            party=party,
            stated_by=event["party"],
        )
    ]


def _product_uri(gtin: str) -> str:
    return f"https://id.gs1.org/01/{gtin}"


def _seconds(ms: int) -> int:
    return ms - ms % 1000


def _passphrase(home: Path) -> bytes | None:
    """Issuer keys are encrypted under the wallet's key file, when there is one."""
    try:
        key = (home / "wallet.key").read_bytes()
    except FileNotFoundError:
        return None
    return hashlib.sha256(b"tracemark/issuer-keys/v1\0" + key).hexdigest().encode()
