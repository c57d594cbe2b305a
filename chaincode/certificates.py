"""Certificates: a digest anchored by a party with the role and the licence for it.

The certificate itself stays off the chain; the ledger holds its SHA-256 digest, type, subject,
issuer, validity and status. The issuer is a certifier, brand, producer or processor with a licence
in force whose kind is the certificate's type or the issuer's role; an authority (customs,
regulator); or, for the type "product-passport", whoever made the goods or owns their product.
"""

from __future__ import annotations

from typing import Final

from chaincode import codec
from chaincode.arguments import Arguments
from chaincode.errors import Refusal
from chaincode.identifiers import parse
from chaincode.items import item_key
from chaincode.licences import licence_for
from chaincode.lots import lot_key
from chaincode.products import product_key
from chaincode.records import Record, key
from chaincode.session import Session

ISSUING_ROLES: Final = ("brand", "certifier", "customs", "processor", "producer", "regulator")
AUTHORITIES: Final = frozenset({"customs", "regulator"})
OWN_GOODS: Final = "product-passport"


def certificate_key(identifier: str) -> str:
    """State key of a certificate's record."""
    return key("certificate", identifier)


def anchor(session: Session, args: Arguments) -> Record:
    """certificate:anchor"""
    record: Record = {
        "id": args.identifier("id"),
        "digest": args.hex64("digest"),
        "type": args.text("type", 100),
        "subject": args.identifier("subject"),
        "valid_from_ms": args.time("valid_from_ms"),
        "valid_until_ms": args.time("valid_until_ms"),
    }
    actor = args.party("issuer") if args.has("issuer") else None
    args.done()
    if record["valid_until_ms"] <= record["valid_from_ms"]:
        raise Refusal("BAD_ARGUMENT", "A certificate must end after it begins.", "/valid_until_ms")
    if record["valid_until_ms"] <= session.now_ms:
        raise Refusal(
            "BAD_ARGUMENT",
            "The certificate has ended already; a later end is accepted.",
            "/valid_until_ms",
        )
    issuer = session.acting_for(actor, "certificate:anchor")
    own = session.party()["id"]
    licence = _entitlement(session, issuer, record)
    _require_known(session, record["subject"])
    if session.records.get(certificate_key(record["id"])) is not None:
        raise Refusal(
            "CERTIFICATE_EXISTS",
            f"{record['id']} is already anchored; a new id is accepted.",
            "/id",
        )
    record["issuer"], record["status"], record["licence"] = issuer["id"], "active", licence
    if own != issuer["id"]:
        record["submitted_by"] = own
    record["time_ms"], record["tx_id"] = session.now_ms, session.stub.tx_id
    session.records.put(certificate_key(record["id"]), record)
    session.records.put(
        key("certificate-of", record["subject"], record["id"]), {"id": record["id"]}
    )
    return record


def suspend(session: Session, args: Arguments) -> Record:
    """certificate:suspend"""
    return _change(session, args, ("active",), "suspended")


def reinstate(session: Session, args: Arguments) -> Record:
    """certificate:reinstate"""
    return _change(session, args, ("suspended",), "active")


def revoke(session: Session, args: Arguments) -> Record:
    """certificate:revoke: for good."""
    return _change(session, args, ("active", "suspended"), "revoked")


def supersede(session: Session, args: Arguments) -> Record:
    """certificate:supersede: another anchored certificate of the same issuer takes its place."""
    successor = args.identifier("by")
    found = session.records.get(certificate_key(successor))
    if found is None or found["status"] != "active":
        raise Refusal(
            "SUPERSEDED_BY_UNKNOWN",
            f"{successor} is not anchored and active; the new certificate must be anchored first.",
            "/by",
        )
    record = _change(session, args, ("active", "suspended"), "superseded")
    same = found["issuer"] == record["issuer"] and found["subject"] == record["subject"]
    if successor == record["id"] or not same:
        raise Refusal(
            "SUPERSEDED_BY_UNKNOWN",
            f"{successor} is not another certificate of {record['issuer']} for "
            f"{record['subject']}; one is accepted.",
            "/by",
        )
    record = {**record, "superseded_by": successor}
    session.records.put(certificate_key(record["id"]), record)
    return record


def get(session: Session, args: Arguments) -> Record:
    """certificate:get, with whether it is in force now"""
    identifier = args.identifier("id")
    args.done()
    return _with_force(session, _find(session, identifier))


def list_all(session: Session, args: Arguments) -> Record:
    """certificate:list of one subject"""
    subject = args.identifier("subject")
    size, bookmark = args.page()
    args.done()
    page = session.stub.get_state_page("certificate-of", [subject], size, bookmark)
    names = [codec.decode(item.value)["id"] for item in page.records]
    session.records.prefetch([certificate_key(name) for name in names])
    records = [_with_force(session, _find(session, name)) for name in names]
    return {"records": records, "bookmark": page.bookmark}


def _with_force(session: Session, record: Record) -> Record:
    in_time = record["valid_from_ms"] <= session.now_ms < record["valid_until_ms"]
    return {**record, "in_force": in_time and record["status"] == "active"}


def _find(session: Session, identifier: str) -> Record:
    found = session.records.get(certificate_key(identifier))
    if found is None:
        raise Refusal(
            "NOT_FOUND",
            f"{identifier} is not anchored; an anchored certificate is accepted.",
            "/id",
        )
    return found


def _entitlement(session: Session, issuer: Record, record: Record) -> str:
    """What entitles the issuer: a licence number, "authority" or "own goods"."""
    roles = frozenset(issuer["roles"])
    if not roles & frozenset(ISSUING_ROLES):
        raise Refusal(
            "ROLE_NOT_ALLOWED",
            f"{issuer['id']} has the roles {', '.join(issuer['roles'])}; "
            f"{' or '.join(ISSUING_ROLES)} may issue certificates.",
        )
    for kind in (record["type"], *(role for role in ISSUING_ROLES if role in roles)):
        licence = licence_for(issuer, kind, session.now_ms)
        if licence is not None:
            return str(licence["number"])
    if roles & AUTHORITIES:
        return "authority"
    if record["type"] == OWN_GOODS and _made_or_owned(session, issuer["id"], record["subject"]):
        return "own goods"
    raise Refusal(
        "LICENCE_MISSING",
        f"{issuer['id']} has no licence in force that covers {record['type']!a}; a licence of this "
        f"kind entered by an authority is accepted (and {OWN_GOODS!a} for goods of one's own).",
        "/type",
    )


def _require_known(session: Session, subject: str) -> None:
    """Goods under `enforce` exist before they are certified: a made-up serial number does not."""
    found = parse(subject)
    product = session.records.get(product_key(found.gtin)) if found.gtin is not None else None
    if product is None or product["mode"] != "enforce" or found.kind == "gtin":
        return
    if not any(session.records.get(name) for name in (item_key(subject), lot_key(subject))):
        raise Refusal(
            "UNKNOWN_IDENTIFIER",
            f"{subject} was never commissioned; goods on the ledger, or their GTIN, are accepted "
            "as subject.",
            "/subject",
        )


def _made_or_owned(session: Session, party: str, subject: str) -> bool:
    found = parse(subject)
    for name in (item_key(subject), lot_key(subject)):
        record = session.records.get(name)
        if record is not None and record.get("maker") == party:
            return True
    product = session.records.get(product_key(found.gtin)) if found.gtin is not None else None
    return product is not None and product["owner"] == party


def _may_change(session: Session, party: Record, record: Record) -> bool:
    """The issuer, a regulator, or the party that anchored it while its delegation is in force."""
    if party["id"] == record["issuer"] or "regulator" in party["roles"]:
        return True
    if party["id"] != record.get("submitted_by"):
        return False
    try:
        session.acting_for(record["issuer"], "certificate:anchor")
    except Refusal:
        return False
    return True


def _change(session: Session, args: Arguments, before: tuple[str, ...], after: str) -> Record:
    identifier, reason = args.identifier("id"), args.text("reason", 500)
    args.done()
    record = _find(session, identifier)
    party = session.party()
    if not _may_change(session, party, record):
        raise Refusal(
            "CERTIFICATE_NOT_YOURS",
            f"{identifier} was issued by {record['issuer']}; it or a regulator is accepted.",
        )
    if record["status"] not in before:
        raise Refusal(
            "BAD_STATE",
            f"{identifier} is {record['status']}; one that is {' or '.join(before)} is accepted.",
            "/id",
        )
    if (
        after == "active"
        and record.get("changed_by") != party["id"]
        and ("regulator" not in party["roles"])
    ):
        raise Refusal(
            "CERTIFICATE_NOT_YOURS",
            f"{identifier} was suspended by {record.get('changed_by')}; that party or a regulator "
            "may reinstate it.",
        )
    changed = {
        **record,
        "status": after,
        "reason": reason,
        "changed_by": party["id"],
        "changed_ms": session.now_ms,
    }
    session.records.put(certificate_key(identifier), changed)
    return changed
