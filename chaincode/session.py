"""One call of the contract: its stub, its records, its caller and the caller's party.

Also the role checks every function shares. A party may be acted for by users of its own
organisation, and by parties it delegated a scope to.
"""

from __future__ import annotations

from typing import Final

from chaincode.caller import Caller, caller_of
from chaincode.codec import decode
from chaincode.errors import Refusal
from chaincode.records import Record, Records, key
from chaincode.stub import Stub

ROLES: Final = (
    "producer",
    "processor",
    "carrier",
    "warehouse",
    "certifier",
    "customs",
    "brand",
    "retailer",
    "regulator",
    "auditor",
)


def party_key(party: str) -> str:
    """State key of a party's record."""
    return key("party", party)


class Session:
    """What one call knows. The caller's party is looked up when first asked for."""

    __slots__ = ("_caller", "_party", "now_ms", "records", "stub")

    def __init__(self, stub: Stub) -> None:
        self.stub = stub
        self.records = Records(stub)
        self.now_ms = stub.timestamp_ms
        self._caller: Caller | None = None
        self._party: Record | None = None

    @property
    def caller(self) -> Caller:
        """The proposal's creator. Raises Refusal BAD_CERTIFICATE."""
        if self._caller is None:
            self._caller = caller_of(self.stub.creator_msp, self.stub.creator_certificate)
        return self._caller

    def page(self, object_type: str, page_size: int, bookmark: str) -> Record:
        """All records of a type, a page at a time: ``{"records", "bookmark"}``."""
        page = self.stub.get_state_page(object_type, [], page_size, bookmark)
        return {"records": [decode(item.value) for item in page.records], "bookmark": page.bookmark}

    def party(self) -> Record:
        """The active party the caller acts for.

        Raises Refusal CALLER_UNKNOWN, CALLER_MSP_MISMATCH, PARTY_SUSPENDED.
        """
        if self._party is None:
            self._party = self._find_party()
        return self._party

    def acting_for(self, actor: str | None, scope: str) -> Record:
        """The caller's party, or `actor` if it delegated `scope` to the caller's party."""
        own = self.party()
        if actor is None or actor == own["id"]:
            return own
        principal = require_active(self.records, actor)
        found = self.records.get(key("delegation", actor, own["id"]))
        if (
            found is None
            or found["status"] != "active"
            or found["expires_ms"] <= self.now_ms
            or scope not in found["scopes"]
        ):
            raise Refusal(
                "NOT_DELEGATED",
                f"{own['id']} may not act for {actor}: a delegation in force with the scope "
                f"{scope!a}, given by {actor}, would be accepted.",
                "/actor",
            )
        return principal

    def require_role(self, *roles: str) -> Record:
        """The caller's party, if it has one of `roles`. Raises Refusal ROLE_NOT_ALLOWED."""
        party = self.party()
        if not any(role in party["roles"] for role in roles):
            raise Refusal(
                "ROLE_NOT_ALLOWED",
                f"{party['id']} has the roles {', '.join(party['roles'])}; "
                f"{' or '.join(roles)} is accepted here.",
            )
        return party

    def _find_party(self) -> Record:
        caller = self.caller
        name = caller.party
        if name is None:
            default = self.records.get(key("msp", caller.msp))
            if default is None:
                raise Refusal(
                    "CALLER_UNKNOWN",
                    f"The caller's certificate names no party and {caller.msp} has no default "
                    "party; a user with the attribute tracemark.party is accepted.",
                )
            name = default["default"]
        found = self.records.get(party_key(name))
        if found is None:
            raise Refusal(
                "CALLER_UNKNOWN",
                f"The caller acts for {name}, which is not registered; a registered party is "
                "accepted.",
            )
        if found["msp"] != caller.msp:
            raise Refusal(
                "CALLER_MSP_MISMATCH",
                f"{name} belongs to {found['msp']}, not to {caller.msp}; a user of {found['msp']} "
                "is accepted.",
            )
        _require_not_suspended(found)
        return found


def require_party(records: Records, party: str, where: str = "/id") -> Record:
    """A registered party. Raises Refusal PARTY_UNKNOWN."""
    found = records.get(party_key(party))
    if found is None:
        raise Refusal(
            "PARTY_UNKNOWN", f"{party} is not registered; a registered party is accepted.", where
        )
    return found


def require_active(records: Records, party: str, where: str = "/actor") -> Record:
    """A registered party that is not suspended."""
    found = require_party(records, party, where)
    _require_not_suspended(found)
    return found


def is_regulator(session: Session) -> bool:
    """Whether the caller's party is a regulator (an unregistered administrator is not)."""
    try:
        return "regulator" in session.party()["roles"]
    except Refusal as error:
        if error.code == "CALLER_UNKNOWN" and session.caller.is_admin:
            return False
        raise


def put_party(session: Session, record: Record) -> Record:
    """Write a party's record."""
    session.records.put(party_key(record["id"]), record)
    return record


def _require_not_suspended(party: Record) -> None:
    if party["status"] != "active":
        raise Refusal(
            "PARTY_SUSPENDED",
            f"{party['id']} is suspended ({party.get('reason', 'no reason given')}); nothing is "
            "accepted from it until a regulator reinstates it.",
        )
