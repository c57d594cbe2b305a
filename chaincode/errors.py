"""Why the contract says no.

    Refusal                 a rule was broken; carries code, sentence and where
    ├── IdentifierError     an identifier is malformed or its check digit is wrong
    ├── CodecError          bytes are not the JSON the contract accepts
    ├── UnitError           a quantity or unit cannot be read
    └── BatchRefusal        several events of one capture were refused together

Codes are stable: clients may compare them, sentences may change. :data:`CODES` is the one table;
``docs/reference/error-codes.md`` prints it and a test holds the two together. Findings (what
`report` policy records instead of refusing) use the same codes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import orjson

CODES: Final[dict[str, str]] = {
    # the call itself
    "UNKNOWN_FUNCTION": "The contract has no such function.",
    "BAD_ARGUMENT": "An argument is missing, has the wrong type or is out of bounds.",
    "BAD_JSON": "The argument is not the JSON the contract accepts.",
    "TOO_LARGE": "The argument is larger than the contract accepts.",
    "NOT_FOUND": "No such record is on the ledger.",
    # who is calling
    "BAD_CERTIFICATE": "The caller's certificate cannot be read.",
    "CALLER_UNKNOWN": "The caller acts for no registered party.",
    "CALLER_MSP_MISMATCH": "The caller's certificate comes from another organisation.",
    "PARTY_SUSPENDED": "The party is suspended.",
    "ROLE_NOT_ALLOWED": "The party has no role that allows this.",
    "ADMIN_REQUIRED": "Only an administrator of the organisation may do this.",
    "NOT_DELEGATED": "The caller has no delegation in force to act for this party.",
    "LICENCE_MISSING": "The party has no unexpired licence that covers this.",
    # participants
    "PARTY_EXISTS": "The party is already registered.",
    "PARTY_UNKNOWN": "The party is not registered.",
    "BAD_ROLE": "The role is not one of the network's roles.",
    "BOOTSTRAP_REQUIRED": "The registry is empty and must be opened by a regulator first.",
    "LOCATION_TAKEN": "The location belongs to another party.",
    "LICENCE_EXISTS": "The party already has a licence of this number.",
    "BAD_STATE": "The record is not in a state that allows this.",
    # identifiers and quantities
    "BAD_IDENTIFIER": "The identifier is malformed.",
    "BAD_CHECK_DIGIT": "The identifier's check digit is wrong.",
    "UNSAFE_CHARACTERS": "The text holds control, bidirectional or invisible characters.",
    "NOT_CANONICAL": "The identifier is not in canonical form.",
    "BAD_QUANTITY": "The quantity is not a positive plain decimal.",
    "UNKNOWN_UNIT": "The unit is not a UN/CEFACT Recommendation 20 code the contract knows.",
    "UNIT_MISMATCH": "The units measure different things and no conversion is declared.",
    "QUANTITY_REQUIRED": "This step needs a quantity.",
    # products
    "PRODUCT_OWNED": "Another party defined this product.",
    # events
    "BAD_PROJECTION": "The event's projection is not of the documented shape.",
    "BAD_HASH": "The event hash or commitment is malformed.",
    "HASH_CONFLICT": "The event hash is anchored with another projection.",
    "EVENT_ID_REUSED": "The event id already names another event.",
    "EVENT_IN_FUTURE": "The event time lies after the transaction time.",
    "OUT_OF_ORDER": "The event is older than the identifier's last movement.",
    "ALREADY_COMMISSIONED": "The identifier was commissioned before.",
    "UNKNOWN_IDENTIFIER": "The identifier was never commissioned.",
    "NOT_MAKER": "Only the maker may do this: who commissioned it, or whom its product names.",
    "NOT_HOLDER": "Only the holder may do this.",
    "NOT_OWNER": "Only the owner may do this.",
    "NOT_IN_TRANSIT": "The goods were not shipped.",
    "IN_TRANSIT": "The goods are in transit to a named receiver.",
    "RECEIVER_NOT_NAMED": "A shipment names its receiver.",
    "NOT_NAMED_RECEIVER": "Only the named receiver may receive.",
    "NOT_ENOUGH": "The party does not hold that much of the lot.",
    "NOT_ACTIVE": "The goods are destroyed, dispensed, recalled, stolen, retired or consumed.",
    "CHILD_OF_AGGREGATION": "The child of a closed aggregation does not move alone.",
    "NOT_A_CHILD": "The identifier is not in this aggregation.",
    "BAD_AGGREGATION": "The aggregation would contain itself or has no parent.",
    "YIELD_EXCEEDED": "The transformation puts out more than it takes in.",
    "YIELD_NOT_COMPARABLE": "Inputs and outputs cannot be compared by mass or unit.",
    "TRANSFORMATION_OWNED": "Another party opened this transformation.",
    "NO_INPUT": "The transformation has outputs and no input.",
    "VOIDS_UNKNOWN_EVENT": "The event declared erroneous is not on the ledger.",
    "VOID_NOT_ALLOWED": "Only the party that captured an event may declare it erroneous.",
    "VOID_NOT_REVERSED": "Later events depend on the voided event; its effects stay.",
    "EVENT_VOIDED": "The event was declared erroneous before it arrived.",
    # carbon
    "BAD_CARBON": "The carbon record is not of the documented shape.",
    "CARBON_ARITHMETIC": "Activity times factor is not the stated amount.",
    "CARBON_UNPLACED": "The carbon record's subject is not in the event or not on the ledger.",
    "CARBON_VERIFIED": "The carbon record was verified before.",
    "SELF_VERIFICATION": "Nobody verifies their own statement.",
    # certificates, delegation, grants
    "CERTIFICATE_EXISTS": "A certificate of this id is already anchored.",
    "CERTIFICATE_NOT_YOURS": "Only the issuer or a regulator may change a certificate.",
    "SUPERSEDED_BY_UNKNOWN": "The superseding certificate is not anchored.",
    "GRANT_NOT_YOURS": "Only a party that captured, made or holds something may give access.",
}


class Refusal(Exception):
    """A rule said no.

    `code` is a key of :data:`CODES`; `message` one sentence that names the rule, the identifier
    and what would be accepted; `where` a JSON pointer (RFC 6901) into the argument, or "".
    """

    __slots__ = ("code", "message", "where")

    def __init__(self, code: str, message: str = "", where: str = "") -> None:
        super().__init__(code, message, where)
        self.code = code
        self.message = message or CODES[code]
        self.where = where

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"

    def as_dict(self) -> dict[str, object]:
        """`{"code", "message", "where"}`: the shape of findings and of the wire error."""
        return {"code": self.code, "message": self.message, "where": self.where}

    def to_json(self) -> str:
        """Compact JSON for the chaincode response's message."""
        return orjson.dumps(self.as_dict(), option=orjson.OPT_SORT_KEYS).decode()


class IdentifierError(Refusal):
    """An identifier is malformed (BAD_IDENTIFIER, BAD_CHECK_DIGIT, UNSAFE_CHARACTERS)."""


class CodecError(Refusal):
    """Bytes are not acceptable JSON (BAD_JSON, TOO_LARGE)."""


class UnitError(Refusal):
    """A quantity or unit cannot be read (BAD_QUANTITY, UNKNOWN_UNIT, UNIT_MISMATCH)."""


class BatchRefusal(Refusal):
    """Events of one capture were refused; the whole transaction is.

    Speaks with the first error's code; `errors` holds `{"index", "code", "message", "where"}`
    for each refused event, in event order.
    """

    __slots__ = ("errors",)

    def __init__(self, errors: Sequence[dict[str, object]]) -> None:
        first = errors[0]
        super().__init__(str(first["code"]), str(first["message"]), str(first["where"]))
        self.errors = list(errors)

    def as_dict(self) -> dict[str, object]:
        return {**super().as_dict(), "errors": self.errors}
