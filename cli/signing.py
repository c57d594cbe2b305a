"""Signing on the user's own machine: nothing is signed that was not checked byte for byte.

The gateway prepares proposal and transaction (``/v1/ledger``) and never sees the key. It could
answer with something else than was asked for, so before each signature this side builds what the
answer has to be and compares:

1. the proposal is the one that function, argument, own certificate, channel and chaincode make
   with the gateway's nonce and time, and its time is near this machine's,
2. the transaction carries that proposal's headers and input, and its endorsements name its hash.

Which endorsers signed, and whether they are enough, every node checks when it commits.
"""

from __future__ import annotations

import json
import time
from base64 import b64decode, b64encode
from dataclasses import dataclass
from typing import Any, Final

from cryptography import x509
from fabric_protos.common import common_pb2
from fabric_protos.gateway import gateway_pb2
from fabric_protos.msp import identities_pb2
from fabric_protos.peer import proposal_response_pb2, transaction_pb2
from google.protobuf.message import DecodeError, Message

from chaincode.codec import dumps
from cli.client import Client
from cli.errors import NotFound, Refused, Unexpected, Unreachable
from nodes.errors import MessageError
from nodes.identity.signer import Signer
from nodes.messages import (
    ParsedProposal,
    chaincode_response,
    new_proposal,
    parse_proposal,
    prepared_transaction,
)

MOST_SKEW_MS: Final = 15 * 60 * 1000  # what a node allows between a proposal's time and its own
WAIT_S: Final = 30


@dataclass(frozen=True, slots=True)
class Call:
    """What the user asks for: a contract function with its argument, on a channel."""

    function: str
    argument: dict[str, Any]
    channel: str
    chaincode: str


@dataclass(frozen=True, slots=True)
class SignedProposal:
    """A proposal that was checked and signed; `raw` is the ``gateway.ProposedTransaction``."""

    parsed: ParsedProposal
    raw: bytes
    signature: bytes

    def body(self) -> dict[str, str]:
        """The request body of the next stage."""
        return {"proposal": _text(self.raw), "signature": _text(self.signature)}


def propose(client: Client, signer: Signer, call: Call) -> SignedProposal:
    """Have a proposal prepared, check it and sign it. `signer.msp_id` "" takes the gateway's.

    Raises Unexpected (``NOT_AS_ASKED``) when the gateway prepared something else.
    """
    answer = client.post(
        "/v1/ledger/proposals",
        {
            "function": call.function,
            "argument": call.argument,
            "certificate": signer.certificate.decode(),
        },
    )
    raw = _bytes(answer, "proposal")
    proposal = _decode(gateway_pb2.ProposedTransaction, raw).proposal.proposal_bytes
    try:
        parsed = parse_proposal(proposal)
    except MessageError as error:
        raise _differs(f"the proposal cannot be read: {error}") from error
    _require_own_identity(parsed.creator, signer)
    expected, tx_id = new_proposal(
        parsed.creator,
        call.channel,
        call.chaincode,
        [call.function.encode(), dumps(call.argument)],
        nonce=parsed.nonce,
        timestamp_ms=parsed.timestamp_ms,
    )
    if proposal != expected or answer.get("tx_id") != tx_id:
        raise _differs("the proposal is not the one that was asked for")
    if abs(parsed.timestamp_ms - time.time_ns() // 1_000_000) > MOST_SKEW_MS:
        raise _differs("the proposal's time is more than 15 minutes from this machine's")
    return SignedProposal(parsed, raw, signer.sign(proposal))


def query(client: Client, signer: Signer, call: Call) -> Any:
    """The result of a function that changes nothing, as one node answers it."""
    proposal = propose(client, signer, call)
    return client.post("/v1/ledger/evaluations", proposal.body())["result"]


def submit(client: Client, signer: Signer, call: Call) -> dict[str, Any]:
    """Endorse, check, sign and submit; ``{"tx_id", "block", "result"}`` once it is in a block.

    Raises Refused when the contract refuses it or the transaction is invalid in its block,
    Unexpected (``NOT_AS_ASKED``) before anything wrong is signed, Unreachable (with the
    transaction id) when its outcome is not known yet.
    """
    proposal = propose(client, signer, call)
    tx_id = proposal.parsed.tx_id
    answer = client.post("/v1/ledger/endorsements", proposal.body())
    raw = _bytes(answer, "transaction")
    envelope = _decode(gateway_pb2.PreparedTransaction, raw).envelope
    result = _require_same_transaction(envelope, proposal.parsed)
    signature = signer.sign(envelope.payload)
    client.post(
        "/v1/ledger/submissions", {"transaction": _text(raw), "signature": _text(signature)}
    )
    try:
        outcome = client.get(f"/v1/ledger/transactions/{tx_id}", {"wait_s": WAIT_S})
    except NotFound as error:
        raise Unreachable(
            f"transaction {tx_id} was submitted and is in no block yet",
            code="COMMIT_UNKNOWN",
            hint=f"ask again with `tracemark ledger status {tx_id}`",
        ) from error
    if not outcome["valid"]:
        raise Refused(
            f"transaction {tx_id} is in block {outcome['block']} and invalid; it changed nothing",
            code=outcome["validation_code"],
        )
    return {"tx_id": tx_id, "block": outcome["block"], "result": result}


def _require_own_identity(creator: bytes, signer: Signer) -> None:
    identity = _decode(identities_pb2.SerializedIdentity, creator)
    try:
        named = x509.load_pem_x509_certificate(identity.id_bytes)
    except ValueError as error:
        raise _differs("the proposal's creator has no certificate") from error
    if named != x509.load_pem_x509_certificate(signer.certificate):
        raise _differs("the proposal names another certificate than the one it was asked for")
    if signer.msp_id and identity.mspid != signer.msp_id:
        raise _differs(f"the proposal names the MSP {identity.mspid}, not {signer.msp_id}")


def _require_same_transaction(envelope: common_pb2.Envelope, proposal: ParsedProposal) -> Any:
    """The contract's result in an envelope that carries out exactly `proposal`."""
    payload = _decode(common_pb2.Payload, envelope.payload)
    transaction = _decode(transaction_pb2.Transaction, payload.data)
    if len(transaction.actions) != 1:
        raise _differs("the transaction does not have exactly one action")
    action = _decode(transaction_pb2.ChaincodeActionPayload, transaction.actions[0].payload).action
    rebuilt = prepared_transaction(
        proposal, action.proposal_response_payload, list(action.endorsements)
    )
    if rebuilt.payload != envelope.payload:
        raise _differs("the transaction's headers or input differ from the proposal's")
    response = _decode(
        proposal_response_pb2.ProposalResponsePayload, action.proposal_response_payload
    )
    if response.proposal_hash != proposal.proposal_hash:
        raise _differs("the endorsements are of another proposal")
    try:
        text = bytes(chaincode_response(envelope).payload)
        return json.loads(text) if text else None
    except (MessageError, ValueError) as error:
        raise _differs(f"the contract's answer cannot be read: {error}") from error


def _differs(what: str) -> Unexpected:
    return Unexpected(
        f"{what}; it was not signed",
        code="NOT_AS_ASKED",
        hint="the gateway answered something else than was asked for: do not trust it before "
        "you know why (another --channel or --chaincode is one harmless reason)",
    )


def _decode(kind: type[Any], data: bytes) -> Any:
    try:
        found: Message = kind.FromString(data)
    except DecodeError as error:
        raise _differs("the gateway's answer is no message of Fabric's protocol") from error
    return found


def _bytes(answer: Any, name: str) -> bytes:
    try:
        return b64decode(answer[name], validate=True)
    except (KeyError, TypeError, ValueError) as error:
        raise _differs(f"the gateway's answer has no {name}") from error


def _text(data: bytes) -> str:
    return b64encode(data).decode()
