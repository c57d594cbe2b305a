"""Grants to read off-chain payloads, and the record of a regulator's read.

A grant's scope is an identifier or one event; the giver must have captured the event, or made,
held or defined what the identifier names. Whether a grant opens a payload is decided where the
payload lies; the ledger says who gave what to whom, until when, and on which legal basis.
"""

from __future__ import annotations

from typing import Final

from chaincode import codec
from chaincode.arguments import HASH, HEX_64, Arguments
from chaincode.balances import balance_key
from chaincode.errors import Refusal
from chaincode.identifiers import parse
from chaincode.items import item_key
from chaincode.lots import lot_key
from chaincode.products import product_key
from chaincode.records import Record, key
from chaincode.session import Session, require_party
from chaincode.voiding import event_key

# an observed balance is empty: seeing goods is not having them
_STOCK: Final = ("on_hand", "produced", "consumed", "lost", "removed")


def give(session: Session, args: Arguments) -> Record:
    """grant:give"""
    grantee, scope = args.party("grantee"), _scope(args)
    record: Record = {"scope": scope, "grantee": grantee, "status": "active"}
    if args.has("expires_ms"):
        record["expires_ms"] = args.time("expires_ms")
        if record["expires_ms"] <= session.now_ms:
            raise Refusal("BAD_ARGUMENT", "A grant must end in the future.", "/expires_ms")
    if args.has("legal_basis"):
        record["legal_basis"] = args.text("legal_basis", 500)
    args.done()
    party = session.party()
    require_party(session.records, grantee, "/grantee")
    if not _related(session, party["id"], scope):
        raise Refusal(
            "GRANT_NOT_YOURS",
            f"{party['id']} neither captured, made, held nor defined {scope}; a grant by a party "
            "that did is accepted.",
            "/scope",
        )
    record["granter"], record["time_ms"] = party["id"], session.now_ms
    names = {"scope": scope, "granter": party["id"], "grantee": grantee}
    session.records.put(key("grant", scope, party["id"], grantee), record)
    session.records.put(key("grantee", grantee, scope, party["id"]), names)
    return record


def revoke(session: Session, args: Arguments) -> Record:
    """grant:revoke, by the giver"""
    grantee, scope = args.party("grantee"), _scope(args)
    args.done()
    name = key("grant", scope, session.party()["id"], grantee)
    record = session.records.get(name)
    if record is None or record["status"] != "active":
        raise Refusal(
            "NOT_FOUND",
            f"No grant of {scope} to {grantee} is in force; one's own is accepted.",
            "/scope",
        )
    record = {**record, "status": "revoked", "revoked_ms": session.now_ms}
    session.records.put(name, record)
    return record


def list_all(session: Session, args: Arguments) -> Record:
    """grant:list by scope or by grantee"""
    stub = session.stub
    if args.has("grantee"):
        grantee = args.party("grantee")
        args.done()
        rows = [
            codec.decode(item.value)
            for item in stub.get_state_by_partial_composite_key("grantee", [grantee])
        ]
        names = [key("grant", row["scope"], row["granter"], row["grantee"]) for row in rows]
        session.records.prefetch(names)
        found = [session.records.get(name) for name in names]
        return {"records": [record for record in found if record is not None]}
    scope = _scope(args)
    args.done()
    rows = [
        codec.decode(item.value)
        for item in stub.get_state_by_partial_composite_key("grant", [scope])
    ]
    return {"records": rows}


def record_access(session: Session, args: Arguments) -> Record:
    """access:record: a regulator, customs authority or auditor read confidential data, and why"""
    event, legal_basis = args.event_hash("event"), args.text("legal_basis", 500)
    args.done()
    party = session.require_role("regulator", "customs", "auditor")
    if session.records.get(event_key(event)) is None:
        raise Refusal(
            "NOT_FOUND", f"Event {event} is not anchored; an anchored event is accepted.", "/event"
        )
    record: Record = {
        "event": event,
        "party": party["id"],
        "msp": session.caller.msp,
        "legal_basis": legal_basis,
        "time_ms": session.now_ms,
        "tx_id": session.stub.tx_id,
    }
    session.records.put(key("access", event, session.stub.tx_id), record)
    return record


def _scope(args: Arguments) -> str:
    """An event hash as hex, or a canonical identifier."""
    text = args.text("scope", 512)
    match = HASH.match(text)
    if match:
        return match.group(1)
    return text if HEX_64.match(text) else parse(text).uri


def _related(session: Session, party: str, scope: str) -> bool:
    records = session.records
    if HEX_64.match(scope):
        event = records.get(event_key(scope))
        return event is not None and party in (event["party"], event.get("submitted_by"))
    found = parse(scope)
    if found.gtin is not None:
        product = records.get(product_key(found.gtin))
        if product is not None and product["owner"] == party:
            return True
    item = records.get(item_key(scope)) or {}
    lot = records.get(lot_key(scope)) or {}
    if party in (item.get("maker"), item.get("holder"), item.get("owner"), lot.get("maker")):
        return True
    balance = records.get(balance_key(scope, party)) or {}
    return any(name in balance for name in _STOCK)
