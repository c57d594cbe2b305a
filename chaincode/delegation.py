"""Delegation: one party acts for another, on the record, for a time.

A co-operative captures events for a farmer: the event shows both. Revoking takes effect with
the block that carries it. An administrator of the principal's organisation may grant for a
principal that has no key of its own.
"""

from __future__ import annotations

from typing import Final

from chaincode import codec
from chaincode.arguments import Arguments
from chaincode.errors import Refusal
from chaincode.records import Record, key
from chaincode.session import Session, require_active, require_party

SCOPES: Final = ("event:capture", "certificate:anchor", "product:define", "carbon:verify")
MAX_TERM_MS: Final = 5 * 366 * 86_400_000


def grant(session: Session, args: Arguments) -> Record:
    """delegation:grant"""
    delegate, scopes = args.party("delegate"), args.texts("scopes", len(SCOPES))
    expires_ms = args.time("expires_ms")
    named = args.party("principal") if args.has("principal") else None
    args.done()
    for scope in scopes:
        if scope not in SCOPES:
            raise Refusal(
                "BAD_ARGUMENT",
                f"{scope[:40]!a} cannot be delegated; {', '.join(SCOPES)} are accepted.",
                "/scopes",
            )
    if not session.now_ms < expires_ms <= session.now_ms + MAX_TERM_MS:
        raise Refusal(
            "BAD_ARGUMENT",
            "A delegation must end in the future and within five years.",
            "/expires_ms",
        )
    principal, granted_by = _principal(session, named)
    require_active(session.records, delegate, "/delegate")
    if delegate == principal:
        raise Refusal("BAD_ARGUMENT", "A party needs no delegation to itself.", "/delegate")
    record: Record = {
        "principal": principal,
        "delegate": delegate,
        "scopes": sorted(scopes),
        "expires_ms": expires_ms,
        "status": "active",
        "granted_by": granted_by,
        "time_ms": session.now_ms,
    }
    session.records.put(key("delegation", principal, delegate), record)
    session.records.put(
        key("delegate", delegate, principal), {"principal": principal, "delegate": delegate}
    )
    return record


def revoke(session: Session, args: Arguments) -> Record:
    """delegation:revoke, by the principal (or its organisation's administrator), or a regulator."""
    delegate = args.party("delegate")
    named = args.party("principal") if args.has("principal") else None
    args.done()
    principal, _ = _principal(session, named, regulator=True)
    name = key("delegation", principal, delegate)
    record = session.records.get(name)
    if record is None or record["status"] != "active":
        raise Refusal(
            "NOT_FOUND",
            f"{principal} has no delegation to {delegate} in force; one in force is accepted.",
            "/delegate",
        )
    record = {**record, "status": "revoked", "revoked_ms": session.now_ms}
    session.records.put(name, record)
    return record


def list_all(session: Session, args: Arguments) -> Record:
    """delegation:list: what a party gave and received."""
    party = args.party("party")
    args.done()
    stub = session.stub
    given = [
        codec.decode(item.value)
        for item in stub.get_state_by_partial_composite_key("delegation", [party])
    ]
    received = []
    for item in stub.get_state_by_partial_composite_key("delegate", [party]):
        pair = codec.decode(item.value)
        record = session.records.get(key("delegation", pair["principal"], pair["delegate"]))
        if record is not None:
            received.append(record)
    return {"given": given, "received": received}


def _principal(session: Session, named: str | None, regulator: bool = False) -> tuple[str, str]:
    """The principal, and who granted: the caller's party, or its organisation's administrator."""
    if named is None:
        own = str(session.party()["id"])
        return own, own
    record = require_party(session.records, named, "/principal")
    caller = session.caller
    if caller.msp == record["msp"] and caller.is_admin:
        return named, f"admin:{caller.msp}"
    party = session.party()
    if party["id"] == named or (regulator and "regulator" in party["roles"]):
        return named, str(party["id"])
    raise Refusal(
        "NOT_DELEGATED",
        f"{named} itself, or an administrator of {record['msp']}, is accepted here.",
        "/principal",
    )
