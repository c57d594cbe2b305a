"""The contract's one entry: dispatch a function, write what it decided, answer with JSON.

Nothing is written unless the whole call succeeded. A query that finds its way into a submitted
transaction writes nothing. An unexpected exception is a defect and passes through: the engine
turns it into an error response and nothing is endorsed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from chaincode import (
    carbon,
    certificates,
    codec,
    delegation,
    footprint,
    grants,
    licences,
    participants,
    products,
    queries,
)
from chaincode.arguments import Arguments
from chaincode.capture import capture
from chaincode.errors import Refusal
from chaincode.projection import VERSION
from chaincode.records import Record, key
from chaincode.session import Session
from chaincode.stub import Stub

CONTRACT: Final = "tracemark"
CONTRACT_VERSION: Final = "1.0"

Rule = Callable[[Session, Arguments], Record]


def _info(session: Session, args: Arguments) -> Record:
    """network:info"""
    args.done()
    opened = session.records.get(key("network", "info"))
    info: Record = {
        "contract": CONTRACT,
        "version": CONTRACT_VERSION,
        "projection": VERSION,
        "functions": FUNCTIONS,
    }
    if opened is not None:
        info["opened_by"] = opened["opened_by"]
        info["opened_ms"] = opened["time_ms"]
    return info


COMMANDS: Final[dict[str, Rule]] = {
    "participant:register": participants.register,
    "participant:suspend": participants.suspend,
    "participant:reinstate": participants.reinstate,
    "participant:setRoles": participants.set_roles,
    "participant:addLicence": licences.add_licence,
    "participant:revokeLicence": licences.revoke_licence,
    "participant:addLocation": participants.add_location,
    "delegation:grant": delegation.grant,
    "delegation:revoke": delegation.revoke,
    "product:define": products.define,
    "carbon:verify": carbon.verify,
    "certificate:anchor": certificates.anchor,
    "certificate:suspend": certificates.suspend,
    "certificate:reinstate": certificates.reinstate,
    "certificate:revoke": certificates.revoke,
    "certificate:supersede": certificates.supersede,
    "grant:give": grants.give,
    "grant:revoke": grants.revoke,
    "access:record": grants.record_access,
}
QUERIES: Final[dict[str, Rule]] = {
    "participant:get": participants.get,
    "participant:list": participants.list_all,
    "delegation:list": delegation.list_all,
    "product:get": products.get,
    "product:list": products.list_all,
    "event:get": queries.get_event,
    "carbon:footprint": footprint.footprint,
    "certificate:get": certificates.get,
    "certificate:list": certificates.list_all,
    "item:get": queries.get_item,
    "item:history": queries.get_history,
    "item:balances": queries.get_balances,
    "item:trace": queries.trace,
    "grant:list": grants.list_all,
    "network:info": _info,
}
CAPTURE: Final = "event:capture"
FUNCTIONS: Final = sorted([CAPTURE, *COMMANDS, *QUERIES])


def invoke(stub: Stub, function: str, args: list[str]) -> bytes:
    """Run one function of the contract.

    `args`: a list with one JSON text (or none for {}). Returns the result as canonical JSON
    bytes. Raises Refusal; then nothing was written to the stub.
    """
    session = Session(stub)
    if function == CAPTURE:
        result = capture(session, args)
        session.records.flush()
        return codec.encode(result)
    command = COMMANDS.get(function)
    if command is not None:
        result = command(session, Arguments.of(args))
        session.records.flush()
        stub.set_event(function.partition(":")[0], codec.encode(_named(result)))
        return codec.encode(result)
    query = QUERIES.get(function)
    if query is None:
        raise Refusal(
            "UNKNOWN_FUNCTION",
            f"The contract has no function {function[:60]!a}; network:info lists its functions.",
        )
    return codec.encode(query(session, Arguments.of(args)))


def _named(result: Record) -> Record:
    """The chaincode event's payload: what the record is called."""
    names = ("id", "gtin", "hash", "event", "scope", "principal", "delegate", "grantee")
    return {name: result[name] for name in names if name in result}
