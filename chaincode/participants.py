"""The participant registry: who takes part, in which roles, with which licences.

A party is an id (its GLN, or a network-issued slug for those without a GS1 prefix) under one
X.509 organisation. The registry opens with a regulator registering itself; then a regulator
registers anyone, and an organisation's administrator its own parties in trading roles.
"""

from __future__ import annotations

from typing import Final

from chaincode.arguments import Arguments
from chaincode.errors import Refusal
from chaincode.identifiers import as_party, parse
from chaincode.licences import read_licence
from chaincode.records import Record, key
from chaincode.session import (
    ROLES,
    Session,
    is_regulator,
    party_key,
    put_party,
    require_active,
    require_party,
)

SELF_SERVICE_ROLES: Final = frozenset({"producer", "processor", "carrier", "warehouse", "retailer"})
_OPENED: Final = key("network", "info")


def register(session: Session, args: Arguments) -> Record:
    """participant:register. Raises PARTY_EXISTS, BOOTSTRAP_REQUIRED, ROLE_NOT_ALLOWED, ..."""
    party = _party_id(args)
    record: Record = {
        "id": party,
        "name": args.text("name"),
        "msp": args.text("msp", 100),
        "roles": _roles(args),
        "country": _country(args),
        "status": "active",
        "default": args.flag("default"),
        "licences": [],
        "locations": [],
        "time_ms": session.now_ms,
    }
    locations = args.texts("locations", 500, [])
    licences = [read_licence(item) for item in args.inners("licences", 100)]
    args.done()
    registrar = _registrar(session, record, bool(licences))
    before = session.records.get(party_key(party))
    if before is not None:
        if before["status"] != "suspended" or not is_regulator(session):
            raise Refusal(
                "PARTY_EXISTS",
                f"{party} is already registered; a new id is accepted (or, from a regulator, one "
                "that is suspended, which then passes to the organisation named).",
                "/id",
            )
        record["locations"] = before["locations"]
    record["registered_by"] = registrar
    record["licences"] = [{**item, "registered_by": registrar} for item in licences]
    numbers = {item["number"] for item in licences}
    if len(numbers) != len(licences):
        raise Refusal(
            "LICENCE_EXISTS",
            "A licence number is given twice; each number once is accepted.",
            "/licences",
        )
    for location in locations:
        _claim_location(session, record, location)
    default_key = key("msp", record["msp"])
    if record["default"] or session.records.get(default_key) is None:
        record["default"] = True
        session.records.put(default_key, {"msp": record["msp"], "default": party})
    session.records.put(party_key(party), record)
    return record


def suspend(session: Session, args: Arguments) -> Record:
    """participant:suspend, by a regulator."""
    return _set_status(session, args, "active", "suspended")


def reinstate(session: Session, args: Arguments) -> Record:
    """participant:reinstate, by a regulator."""
    return _set_status(session, args, "suspended", "active")


def set_roles(session: Session, args: Arguments) -> Record:
    """participant:setRoles, by a regulator, or by an administrator among self-service roles."""
    party, roles = args.party("id"), _roles(args)
    args.done()
    record = require_party(session.records, party)
    changed = frozenset(roles) ^ frozenset(record["roles"])
    if "regulator" in changed and session.party()["id"] == party:
        raise Refusal(
            "BAD_STATE",
            f"{party} may not give up the role regulator; another may take it.",
            "/roles",
        )
    if not is_regulator(session):
        _require_own_admin(session, record["msp"])
        _require_self_service(changed)
    return put_party(session, {**record, "roles": roles})


def add_location(session: Session, args: Arguments) -> Record:
    """participant:addLocation: a GLN where the party receives goods."""
    party, location = args.party("id"), args.text("location", 512)
    args.done()
    record = dict(require_party(session.records, party))
    if not is_regulator(session) and session.party()["id"] != party:
        _require_own_admin(session, record["msp"])
    record["locations"] = list(record["locations"])
    _claim_location(session, record, location)
    return put_party(session, record)


def get(session: Session, args: Arguments) -> Record:
    """participant:get"""
    party = args.party("id")
    args.done()
    found = session.records.get(party_key(party))
    if found is None:
        raise Refusal(
            "NOT_FOUND", f"{party} is not registered; a registered id is accepted.", "/id"
        )
    return found


def list_all(session: Session, args: Arguments) -> Record:
    """participant:list"""
    size, bookmark = args.page()
    args.done()
    return session.page("party", size, bookmark)


def _party_id(args: Arguments) -> str:
    if args.has("slug"):
        return as_party("urn:tracemark:party:" + args.text("slug", 40))
    party = args.party("gln" if args.has("gln") else "id")
    if parse(party).kind not in ("pgln", "party"):
        raise Refusal(
            "BAD_IDENTIFIER",
            f"{party} names no party; a 13-digit GLN or urn:tracemark:party:<slug> is accepted.",
            "/id",
        )
    return party


def _registrar(session: Session, record: Record, licensed: bool) -> str:
    """Who may register this; opens the registry where it is empty."""
    records = session.records
    if records.get(_OPENED) is None:
        return _open(session, record)
    if is_regulator(session):
        return str(session.party()["id"])
    _require_own_admin(session, record["msp"])
    _require_self_service(frozenset(record["roles"]))
    if licensed:
        raise Refusal(
            "ROLE_NOT_ALLOWED",
            "An administrator may not enter licences; a regulator's entry is accepted.",
            "/licences",
        )
    return f"admin:{session.caller.msp}"


def _open(session: Session, record: Record) -> str:
    caller = session.caller
    if not caller.is_admin:
        raise Refusal(
            "ADMIN_REQUIRED",
            "The registry is empty; an administrator (OU admin) of the regulator's organisation "
            "is accepted.",
        )
    if record["msp"] != caller.msp or "regulator" not in record["roles"]:
        raise Refusal(
            "BOOTSTRAP_REQUIRED",
            f"The first party must be a regulator of the caller's own organisation {caller.msp}.",
        )
    session.records.put(
        _OPENED,
        {"opened_by": record["id"], "time_ms": session.now_ms, "tx_id": session.stub.tx_id},
    )
    return str(record["id"])


def _require_own_admin(session: Session, msp: str) -> None:
    caller = session.caller
    if not caller.is_admin or caller.msp != msp:
        raise Refusal(
            "ADMIN_REQUIRED",
            f"A regulator, or an administrator (OU admin) of {msp}, is accepted here.",
        )
    default = session.records.get(key("msp", msp))
    if default is not None:  # a suspended organisation does not start anew under another name
        require_active(session.records, default["default"])


def _require_self_service(roles: frozenset[str]) -> None:
    beyond = sorted(roles - SELF_SERVICE_ROLES)
    if beyond:
        raise Refusal(
            "ROLE_NOT_ALLOWED",
            f"Only a regulator may give or take the role {beyond[0]}; an administrator may give "
            f"{', '.join(sorted(SELF_SERVICE_ROLES))}.",
            "/roles",
        )


def _claim_location(session: Session, record: Record, text: str) -> None:
    bare = text.isascii() and text.isdigit()  # 13 digits are a GLN here
    found = parse(f"https://id.gs1.org/414/{text}" if bare else text)
    if found.kind not in ("gln", "other"):
        raise Refusal(
            "BAD_IDENTIFIER", f"{text} is no location; a GLN (414) is accepted.", "/location"
        )
    name = key("location", found.uri)
    taken = session.records.get(name)
    if taken is not None and taken["party"] != record["id"] and is_regulator(session):
        loser = require_party(session.records, taken["party"])
        rest = [item for item in loser["locations"] if item != found.uri]
        put_party(session, {**loser, "locations": rest})
    elif taken is not None and taken["party"] != record["id"]:
        raise Refusal(
            "LOCATION_TAKEN",
            f"{found.uri} belongs to {taken['party']}; a location of the party's own is accepted.",
            "/location",
        )
    named = as_party(found.uri)
    if named not in (record["id"], found.uri) and session.records.get(party_key(named)):
        raise Refusal(
            "LOCATION_TAKEN",
            f"{found.uri} is the number of the party {named}; a location of the party's own is "
            "accepted.",
            "/location",
        )
    session.records.put(name, {"location": found.uri, "party": record["id"]})
    if found.uri not in record["locations"]:
        record["locations"].append(found.uri)


def _set_status(session: Session, args: Arguments, before: str, after: str) -> Record:
    party, reason = args.party("id"), args.text("reason", 500)
    args.done()
    own = session.require_role("regulator")
    record = require_party(session.records, party)
    if party == own["id"]:
        raise Refusal(
            "BAD_STATE",
            f"{party} may not suspend or reinstate itself; another regulator may.",
            "/id",
        )
    if record["status"] != before:
        raise Refusal(
            "BAD_STATE",
            f"{party} is {record['status']}; a party that is {before} is accepted.",
            "/id",
        )
    return put_party(session, {**record, "status": after, "reason": reason})


def _roles(args: Arguments) -> list[str]:
    roles = args.texts("roles", len(ROLES))
    for role in roles:
        if role not in ROLES:
            raise Refusal(
                "BAD_ROLE", f"{role[:40]!a} is no role; {', '.join(ROLES)} are accepted.", "/roles"
            )
    return sorted(roles)


def _country(args: Arguments) -> str:
    country = args.text("country", 2)
    if not (len(country) == 2 and country.isascii() and country.isalpha() and country.isupper()):
        raise Refusal(
            "BAD_ARGUMENT",
            f"{country!a} is no country; ISO 3166-1 alpha-2 is accepted.",
            "/country",
        )
    return country
