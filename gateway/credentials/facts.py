"""Which facts a certificate states: what the ledger shows, and what its issuer declares."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from chaincode.identifiers import Identifier, parse
from gateway.credentials import readings
from gateway.credentials.document import Fact
from gateway.credentials.errors import CredentialError
from gateway.credentials.evidence import Footprint, LedgerEvidence
from gateway.credentials.history import History, Record
from gateway.credentials.profiles import Field, Profile
from gateway.credentials.records import footprint_value


@dataclass(frozen=True, slots=True)
class Claim:
    """A fact the issuer adds on its own word; `checked_by` names who checked it, if anyone."""

    value: str
    unit: str | None = None
    checked_by: str | None = None


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


def declared_facts(
    profile: Profile, issuer: str, claims: Mapping[str, Claim], shown: set[str], life: History
) -> list[Fact]:
    """The issuer's own claims; a field the ledger shows cannot be declared over it.

    Where the named checker recorded an inspection of the product or its materials, the claim
    points to it.
    """
    facts = []
    for name, claim in claims.items():
        field = profile.field(name)
        if name in shown:
            raise CredentialError(f"the ledger already shows {name}; it cannot be declared")
        if not name.isidentifier() or len(name) > 60 or not claim.value.strip():
            raise CredentialError(f"{name!r} is not a field with a value")
        texts = f"{claim.value}{claim.unit or ''}{claim.checked_by or ''}"
        if any(ord(c) < 32 or c in _DIRECTION_MARKS for c in texts):
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
                declared_by=issuer,
                checked_by=claim.checked_by,
                self_declared=True,
            )
        )
    return facts


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
