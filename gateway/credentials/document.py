"""Reading a credential that comes from anywhere: strict JSON, then its shape.

JSON per RFC 8259 without duplicate keys, NaN, or nesting past 32; at most 256 KiB. The shape is VC
Data Model 2.0 §4 as certificates of this network use it: one subject, one embedded proof.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from chaincode.errors import IdentifierError
from chaincode.identifiers import parse
from gateway.credentials.contexts import VC_V2
from gateway.credentials.errors import MalformedCredential

MAX_BYTES = 256 * 1024
MAX_DEPTH = 32
_FACT_TEXTS = (
    "field", "value", "unit", "clause", "reading", "event", "record",
    "party", "statedBy", "declaredBy", "checkedBy", "asOf",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Fact:
    """One stated fact.

    `reading` and `event` (``ni:///sha-256;...``) or `record` say where on the ledger it was read
    and `stated_by` which party put it there; a self-declared fact has `declared_by` instead.
    """

    field: str
    value: str
    unit: str | None = None
    clause: str | None = None
    reading: str | None = None
    event: str | None = None
    record: str | None = None
    party: str | None = None
    stated_by: str | None = None
    declared_by: str | None = None
    checked_by: str | None = None
    as_of: str | None = None
    self_declared: bool = False

    def as_json(self) -> dict[str, Any]:
        """The fact as it stands in ``credentialSubject.facts``."""
        out: dict[str, Any] = {"type": "Fact", "field": self.field, "value": self.value}
        for key, value in (
            ("unit", self.unit),
            ("clause", self.clause),
            ("reading", self.reading),
            ("event", self.event),
            ("record", self.record),
            ("party", self.party),
            ("statedBy", self.stated_by),
            ("declaredBy", self.declared_by),
            ("checkedBy", self.checked_by),
            ("asOf", self.as_of),
        ):
            if value is not None:
                out[key] = value
        if self.self_declared:
            out["selfDeclared"] = True
        return out


@dataclass(frozen=True, slots=True)
class Certificate:
    """A credential's content after its shape was checked; `raw` is the document itself."""

    raw: Mapping[str, Any]
    id: str
    type: str
    issuer: str
    issuer_name: str
    party: str | None
    subject: str
    subject_name: str
    valid_from_ms: int
    valid_until_ms: int | None
    facts: tuple[Fact, ...]


def parse_json(data: bytes | str) -> dict[str, Any]:
    """Strict JSON object; MalformedCredential says what is wrong."""
    raw = data.encode() if isinstance(data, str) else data
    if len(raw) > MAX_BYTES:
        raise MalformedCredential(f"it is larger than {MAX_BYTES // 1024} KiB")
    try:
        value = json.loads(
            raw.decode("utf-8-sig"), object_pairs_hook=_no_twins, parse_constant=_no_constants
        )
    except RecursionError as error:
        raise MalformedCredential("it is nested too deeply") from error
    except (ValueError, UnicodeDecodeError) as error:
        if isinstance(error, MalformedCredential):
            raise
        raise MalformedCredential(f"it is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise MalformedCredential("it is not a JSON object")
    check_depth(value)
    return value


def check_depth(value: Any) -> None:
    """MalformedCredential when `value` is nested deeper than 32."""
    level: list[Any] = [value]
    for _ in range(MAX_DEPTH):
        level = [
            inner
            for outer in level
            if isinstance(outer, dict | list)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
        if not level:
            return
    raise MalformedCredential(f"it is nested deeper than {MAX_DEPTH} levels")


def read(credential: Mapping[str, Any]) -> Certificate:
    """Check the shape and return the content; MalformedCredential with a JSON pointer."""
    context = credential.get("@context")
    if not isinstance(context, list) or not context or context[0] != VC_V2:
        raise MalformedCredential("its first context is not the credentials base", "/@context")
    types = credential.get("type")
    if not isinstance(types, list) or "VerifiableCredential" not in types:
        raise MalformedCredential("it is not a VerifiableCredential", "/type")
    own = [t for t in types if isinstance(t, str) and t != "VerifiableCredential"]
    subject = _object(credential, "credentialSubject", "")
    issuer = credential.get("issuer")
    issuer_object = issuer if isinstance(issuer, dict) else {"id": issuer}
    until = credential.get("validUntil")
    facts = _facts(subject)
    return Certificate(
        raw=credential,
        id=_text(credential, "id", ""),
        type=own[0] if own else "VerifiableCredential",
        issuer=_text(issuer_object, "id", "/issuer"),
        issuer_name=_optional(issuer_object, "name", "/issuer") or str(issuer_object["id"]),
        party=_optional(issuer_object, "party", "/issuer"),
        subject=_identifier(subject, "id", "/credentialSubject"),
        subject_name=_optional(subject, "name", "/credentialSubject") or "",
        valid_from_ms=instant_ms(credential.get("validFrom"), "/validFrom"),
        valid_until_ms=None if until is None else instant_ms(until, "/validUntil"),
        facts=facts,
    )


def instant_ms(value: object, where: str) -> int:
    """Milliseconds UTC of an xsd:dateTime with a zone; MalformedCredential otherwise."""
    try:
        at = datetime.fromisoformat(str(value))
    except ValueError:
        at = None
    if not isinstance(value, str) or at is None or at.tzinfo is None:
        raise MalformedCredential("it is not a date and time with a zone", where)
    return round(at.timestamp() * 1000)


def iso(ms: int) -> str:
    """``2026-05-01T10:00:00Z`` of milliseconds UTC, whole seconds."""
    return datetime.fromtimestamp(ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _facts(subject: Mapping[str, Any]) -> tuple[Fact, ...]:
    facts = subject.get("facts", [])
    if not isinstance(facts, list):
        facts = [facts]
    return tuple(_fact(f, f"/credentialSubject/facts/{i}") for i, f in enumerate(facts))


def _fact(value: object, where: str) -> Fact:
    if not isinstance(value, dict):
        raise MalformedCredential("a fact is not an object", where)
    texts = {name: _optional(value, name, where) for name in _FACT_TEXTS}
    declared = value.get("selfDeclared", False)
    if not isinstance(declared, bool):
        raise MalformedCredential("selfDeclared is not true or false", f"{where}/selfDeclared")
    if not texts["field"] or texts["value"] is None:
        raise MalformedCredential("a fact has no field or value", where)
    return Fact(
        field=texts["field"],
        value=texts["value"],
        unit=texts["unit"],
        clause=texts["clause"],
        reading=texts["reading"],
        event=texts["event"],
        record=texts["record"],
        party=texts["party"],
        stated_by=texts["statedBy"],
        declared_by=texts["declaredBy"],
        checked_by=texts["checkedBy"],
        as_of=texts["asOf"],
        self_declared=declared,
    )


def _text(owner: Mapping[str, Any], name: str, where: str) -> str:
    found = _optional(owner, name, where)
    if not found:
        raise MalformedCredential(f"it has no {name}", f"{where}/{name}")
    return found


def _identifier(owner: Mapping[str, Any], name: str, where: str) -> str:
    text = _text(owner, name, where)
    try:
        parse(text)
    except IdentifierError as error:
        raise MalformedCredential(error.message, f"{where}/{name}") from error
    return text


def _optional(owner: Mapping[str, Any], name: str, where: str) -> str | None:
    found = owner.get(name)
    if found is not None and not isinstance(found, str):
        raise MalformedCredential(f"{name} is not text", f"{where}/{name}")
    return found


def _object(owner: Mapping[str, Any], name: str, where: str) -> Mapping[str, Any]:
    found = owner.get(name)
    if not isinstance(found, dict):
        raise MalformedCredential(f"{name} is not one object", f"{where}/{name}")
    return found


def _no_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    out = dict(pairs)
    if len(out) != len(pairs):
        raise MalformedCredential("a key appears twice in one object")
    return out


def _no_constants(name: str) -> float:
    raise MalformedCredential(f"{name} is not a JSON number")
