"""Licences: what an authority says a party may do, and until when.

Entered by a regulator, customs authority or auditor; never by the licensed party itself.
"""

from __future__ import annotations

from chaincode.arguments import Arguments
from chaincode.errors import Refusal
from chaincode.records import Record
from chaincode.session import Session, is_regulator, put_party, require_party


def add_licence(session: Session, args: Arguments) -> Record:
    """participant:addLicence, by a regulator, auditor or customs authority."""
    party, licence = args.party("id"), read_licence(args.inner("licence"))
    args.done()
    registrar = session.require_role("regulator", "customs", "auditor")["id"]
    record = require_party(session.records, party)
    if party == registrar and not is_regulator(session):
        raise Refusal(
            "ROLE_NOT_ALLOWED",
            f"{party} may not license itself; another authority's entry is accepted.",
            "/id",
        )
    if any(item["number"] == licence["number"] for item in record["licences"]):
        raise Refusal(
            "LICENCE_EXISTS",
            f"{party} already has the licence {licence['number']}; a new number is accepted.",
            "/licence/number",
        )
    licences = [*record["licences"], {**licence, "registered_by": registrar}]
    return put_party(session, {**record, "licences": licences})


def revoke_licence(session: Session, args: Arguments) -> Record:
    """participant:revokeLicence, by a regulator or the authority that entered it."""
    party, number = args.party("id"), args.text("number", 100)
    args.done()
    own = session.require_role("regulator", "customs", "auditor")
    record = require_party(session.records, party)
    found = [item for item in record["licences"] if item["number"] == number]
    if not found:
        raise Refusal(
            "NOT_FOUND",
            f"{party} has no licence {number}; one of its licences is accepted.",
            "/number",
        )
    if "regulator" not in own["roles"] and found[0]["registered_by"] != own["id"]:
        raise Refusal(
            "ROLE_NOT_ALLOWED",
            f"Licence {number} was entered by {found[0]['registered_by']}; that party or a "
            "regulator is accepted.",
        )
    licences = [
        {**item, "status": "revoked"} if item["number"] == number else item
        for item in record["licences"]
    ]
    return put_party(session, {**record, "licences": licences})


def licence_for(party: Record, kind: str, now_ms: int) -> Record | None:
    """The first licence in force that covers `kind` (a role or a certificate type)."""
    for licence in party["licences"]:
        if (
            licence["kind"] == kind
            and licence["status"] == "active"
            and licence["valid_from_ms"] <= now_ms < licence["valid_until_ms"]
        ):
            found: Record = licence
            return found
    return None


def read_licence(args: Arguments) -> Record:
    """A licence's argument object, as the record keeps it."""
    record: Record = {
        "number": args.text("number", 100),
        "kind": args.text("kind", 100),
        "issuer": args.text("issuer", 200),
        "valid_from_ms": args.time("valid_from_ms"),
        "valid_until_ms": args.time("valid_until_ms"),
        "status": "active",
    }
    args.done()
    if record["valid_until_ms"] <= record["valid_from_ms"]:
        raise Refusal(
            "BAD_ARGUMENT", "A licence must end after it begins.", "/licence/valid_until_ms"
        )
    return record
