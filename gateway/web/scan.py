"""What a scan page says, before it is put into a language: one view per identifier.

Reads one snapshot of the read model; the verdict is :mod:`gateway.verify`'s, never made here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import orjson
from sqlalchemy import Connection, func, select

from chaincode.identifiers import as_party, parse
from gateway.credentials.document import Fact
from gateway.credentials.evidence import Footprint, LedgerEvidence
from gateway.credentials.history import History, Record
from gateway.credentials.records import expiry_ms, footprint_value
from gateway.credentials.store import CredentialStore
from gateway.digital_link import DigitalLink
from gateway.readmodel import tables
from gateway.verify import Check, Verification, check_overall, product_check, verify
from gateway.web.headlines import HEADLINES, headline
from gateway.web.journey import Step, journey
from gateway.web.view import View

_COMPARE = ("serialNumber", "lot", "expiryDate", "brand", "material", "colour", "netQuantity")
MAX_CERTIFICATES = 20
MOST_WATCHED = 500


class Scanner:
    """Builds views from the read model, the stored credentials and the carbon query."""

    def __init__(self, store: CredentialStore, footprint: Footprint) -> None:
        self._store = store
        self._footprint = footprint

    def scan(self, connection: Connection, link: DigitalLink, now_ms: int) -> View:
        """The view of a Digital Link."""
        subject = parse(link.uri)
        evidence = LedgerEvidence(connection, self._footprint)
        if link.primary in ("410", "411", "412", "413", "414", "415", "417"):
            return _party_view(evidence, link, subject.uri)
        product = evidence.product_record(subject.gtin)
        lot = next((value for ai, value in link.qualifiers if ai == "10"), subject.lot)
        life = evidence.life(subject.uri)
        subjects = [subject.uri]
        if lot and subject.gtin and subject.kind == "sgtin":
            subjects.append(parse(f"https://id.gs1.org/01/{subject.gtin}/10/{lot}").uri)
        records = _certificates(connection, subjects)
        base: dict[str, Any] = {
            "link": link,
            "subject": subject.uri,
            "kind": subject.kind,
            "name": str(product["name"]) if product else "",
            "brand": str(product.get("brand", "")) if product else "",
            "lot": lot,
            "serial": subject.serial,
            "gtin": subject.gtin,
            "watch": tuple(dict.fromkeys([*subjects, *life.related]))[:MOST_WATCHED],
        }
        if not life.events and not records:
            known = subject.kind == "gtin" and product is not None
            head = HEADLINES["CLASS_ONLY" if known else "NO_RECORD"]
            return View(status=200 if known else 404, headline=head, expiry=None, **base)
        return self._product_view(evidence, connection, link, life, subjects, records, base, now_ms)

    def _product_view(
        self,
        evidence: LedgerEvidence,
        connection: Connection,
        link: DigitalLink,
        life: History,
        subjects: Sequence[str],
        records: list[Record],
        base: dict[str, Any],
        now_ms: int,
    ) -> View:
        verification = self._verified(records, evidence, now_ms)
        state = next(
            (s for uri in subjects if (s := evidence.own_state(uri, now_ms)) is not None), None
        )
        product = product_check(worst(evidence, subjects, life, now_ms) or state)
        printed = link.expiry.isoformat() if link.expiry else None
        expiry = state.expiry if state else None
        if printed and expiry and printed != expiry and product.weight == "none":
            product = Check(8, "PRODUCT_DATE_DIFFERS", {"date": expiry})
        if verification is not None:
            verification = _with_product(verification, product)
            decided = verification.deciding
            head = headline(verification.overall, decided.code if decided else None)
        elif product.weight == "none":
            head = HEADLINES["NO_CERTIFICATE"]
        else:
            head = headline(check_overall([product]), product.code)
        steps = tuple(journey(life))
        footprint = self._footprint(base["subject"])
        issuer = verification.certificate if verification else None
        return View(
            status=200,
            headline=head,
            expiry=expiry,
            compare=_compare(verification, base, expiry),
            steps=steps,
            names=_names(connection, steps, verification),
            footprint=footprint_value(footprint) if footprint else None,
            footprint_verified=bool(footprint)
            and all(r.get("verified") for r in (footprint or {}).get("records", ())),
            verification=verification,
            product=product,
            certificates=tuple(records),
            contact=issuer.issuer_name if issuer else "",
            height=evidence.as_of[0] or 0,
            expires_ms=_next_change(verification, expiry, now_ms),
            events=len(life.events),
            cut=life.cut,
            **base,
        )

    def _verified(
        self, records: list[Record], evidence: LedgerEvidence, now_ms: int
    ) -> Verification | None:
        """Verify the certificate in force, or the newest; it is moved to the front."""
        records.sort(key=lambda r: (r["status"] == "active", r["time_ms"]), reverse=True)
        for position, record in enumerate(records):
            text = self._store.get(record["id"])
            if text is not None:
                records.insert(0, records.pop(position))
                return verify(json.loads(text), evidence, now_ms)
        return None


def worst(evidence: LedgerEvidence, subjects: Sequence[str], life: History, now_ms: int) -> Any:
    """The state that matters most among a product, its lot, and what it was made from."""
    states = [s for uri in subjects if (s := evidence.own_state(uri, now_ms)) is not None]
    for state in states:
        if state.state != "ok":
            return state
    return evidence.recalled_source(life.ancestors)


def version(connection: Connection, watch: Sequence[str]) -> tuple[Any, ...]:
    """What a page depends on, cheaply: changes whenever its events, states or certificates do."""
    ids, certificates = tables.event_ids.c, tables.certificates.c
    newest = connection.scalar(select(func.max(ids.event_seq)).where(ids.identifier.in_(watch)))
    records = connection.execute(
        select(certificates.record).where(certificates.subject.in_(watch)).order_by(certificates.id)
    )
    states = [
        connection.execute(select(t.c.record).where(t.c.id.in_(watch)).order_by(t.c.id)).all()
        for t in (tables.items, tables.lots)
    ]
    products = connection.execute(
        select(tables.products.c.record).where(
            tables.products.c.gtin.in_([g for w in watch if (g := parse(w).gtin)])
        )
    ).all()
    return newest, hash((str(records.all()), str(states), str(products)))


def _certificates(connection: Connection, subjects: Sequence[str]) -> list[Record]:
    table = tables.certificates.c
    query = select(table.record).where(table.subject.in_(subjects)).limit(MAX_CERTIFICATES)
    return [orjson.loads(raw) for (raw,) in connection.execute(query)]


def _party_view(evidence: LedgerEvidence, link: DigitalLink, subject: str) -> View:
    place = f"https://id.gs1.org/414/{link.value}"
    party = evidence.participant_at((subject, place), as_party(subject))
    return View(
        status=200 if party else 404,
        headline=HEADLINES["PARTY" if party else "NO_RECORD"],
        link=link,
        subject=subject,
        kind="party",
        name=str(party["name"]) if party else "",
        brand="",
        lot=None,
        serial=None,
        gtin=None,
        expiry=None,
    )


def _with_product(verification: Verification, product: Check) -> Verification:
    """The page knows more about the product than the certificate's subject alone: its lot, what it
    was made from, the printed date. That replaces check 8."""
    checks = (*verification.checks[:7], product)
    return replace(verification, checks=checks, overall=check_overall(checks))


def _compare(
    verification: Verification | None, base: Mapping[str, Any], expiry: str | None
) -> tuple[Fact, ...]:
    """Three facts a person can see on the object in hand."""
    facts = [Fact("productName", base["name"])] if base["name"] else []
    if base["serial"]:
        facts.append(Fact("serialNumber", base["serial"]))
    if base["lot"]:
        facts.append(Fact("lot", base["lot"]))
    if expiry:
        facts.append(Fact("expiryDate", expiry))
    stated = verification.certificate.facts if verification and verification.certificate else ()
    for name in _COMPARE:
        if len(facts) < 3 and all(f.field != name for f in facts):
            facts += [f for f in stated if f.field == name][:1]
    return tuple(facts[:3])


def _names(
    connection: Connection, steps: Sequence[Step], verification: Verification | None
) -> dict[str, str]:
    """Names of every party the page mentions, by id."""
    wanted = {party for step in steps for party in step.parties}
    if verification and verification.certificate:
        for fact in verification.certificate.facts:
            wanted |= {p for p in (fact.stated_by, fact.declared_by, fact.checked_by) if p}
    table = tables.participants.c
    query = select(table.id, table.name).where(table.id.in_(sorted(wanted)))
    return {row.id: row.name for row in connection.execute(query)}


def _next_change(verification: Verification | None, expiry: str | None, now_ms: int) -> int | None:
    instants = [expiry_ms(expiry)]
    if verification and verification.certificate:
        instants += [
            verification.certificate.valid_from_ms,
            verification.certificate.valid_until_ms,
        ]
    return min((at for at in instants if at is not None and at > now_ms), default=None)
