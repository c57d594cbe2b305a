"""Endorsement: check a proposal as a Fabric peer does, run the contract, sign the result.

Checks (``core/endorser``), each refused with its sentence: 1. the proposal decodes and is not too
large; 2. header type ENDORSER_TRANSACTION, epoch 0, nonce and creator there; 3. the transaction
id is SHA-256(nonce, creator); 4. the channel is this one; 5. the creator belongs to an MSP of the
channel, is neither expired nor revoked; 6. it signed the proposal, low-S; 7. the client's clock
is within 15 minutes of the node's; 8. the transaction id was not used before.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from fabric_protos.peer import proposal_pb2, proposal_response_pb2

from chaincode.stub import Stub
from nodes import lifecycle, qscc
from nodes.config import ChannelConfig
from nodes.errors import IdentityRefused, LedgerError, MessageError, NodeError
from nodes.identity.msp import Identity
from nodes.ledger import View
from nodes.lifecycle import Definition
from nodes.messages import (
    ENDORSER_TRANSACTION,
    ParsedProposal,
    parse_proposal,
    response_payload,
    transaction_id,
)
from nodes.node import Node
from nodes.rwset import encode_transaction_set
from nodes.simulation import Simulation
from nodes.transaction import Content
from nodes.verification import SignatureVerifier

log = logging.getLogger(__name__)

Handler = Callable[[Stub, str, list[str]], bytes]
"""A contract: (stub, function, arguments) -> result bytes; raises to refuse."""

TIME_WINDOW_MS: Final = 15 * 60 * 1000
MAX_PROPOSAL_BYTES: Final = 16 * 1024 * 1024
OK: Final = 200
ERROR: Final = 500
SYSTEM_VERSION: Final = "syscc"
_OK_RESPONSE: Final = proposal_response_pb2.Response(status=OK)


class ProposalRefused(NodeError):
    """A proposal is refused before any contract runs."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What running a proposal came to: reads and writes, result, version, endorsed content."""

    simulation: Simulation
    result: bytes
    version: str
    content: Content
    handler: Handler | None


@dataclass(slots=True)
class CheckedProposal:
    """A proposal that passed every check that is the same on all nodes.

    `outcome` is what the last endorser of this process came to, for the next to confirm.
    """

    parsed: ParsedProposal
    creator: Identity
    outcome: Outcome | None = None


def now_ms() -> int:
    """The node's clock, milliseconds UTC."""
    return time.time_ns() // 1_000_000


def check_proposal(
    signed: proposal_pb2.SignedProposal,
    config: ChannelConfig,
    verifier: SignatureVerifier,
    clock_ms: int,
) -> CheckedProposal:
    """Steps 1 to 7; raises ProposalRefused."""
    if len(signed.proposal_bytes) > MAX_PROPOSAL_BYTES:
        raise ProposalRefused(
            f"the proposal has {len(signed.proposal_bytes)} bytes; at most"
            f" {MAX_PROPOSAL_BYTES} are accepted"
        )
    try:
        parsed = parse_proposal(signed.proposal_bytes)
    except MessageError as error:
        raise ProposalRefused(str(error)) from error
    if parsed.header_type != ENDORSER_TRANSACTION:
        raise ProposalRefused(f"invalid header type {parsed.header_type}")
    if parsed.epoch:
        raise ProposalRefused("epoch is non-zero")
    if not parsed.nonce or not parsed.creator:
        raise ProposalRefused("nonce or creator is empty")
    expected = transaction_id(parsed.nonce, parsed.creator)
    if parsed.tx_id != expected:
        raise ProposalRefused(f"incorrectly computed txid '{parsed.tx_id}', expected '{expected}'")
    if not parsed.chaincode:
        raise ProposalRefused("no chaincode is named")
    if parsed.channel != config.channel:
        raise ProposalRefused(f"channel '{parsed.channel}' not found")
    creator = accept_creator(config, parsed.creator, clock_ms)
    if not verifier.verify(creator, signed.proposal_bytes, signed.signature):
        raise ProposalRefused(
            f"access denied: channel [{config.channel}] creator org [{creator.msp_id}]:"
            " the signature is not valid"
        )
    refuse_old(parsed.timestamp_ms, clock_ms)
    return CheckedProposal(parsed, creator)


def accept_creator(config: ChannelConfig, serialized: bytes, clock_ms: int) -> Identity:
    """The creator, when the channel accepts it now; raises ProposalRefused."""
    try:
        creator = config.msps.accept(serialized)
        creator.refuse_outside_validity(clock_ms)
    except IdentityRefused as error:
        raise ProposalRefused(f"access denied: channel [{config.channel}]: {error}") from error
    return creator


def refuse_old(timestamp_ms: int, clock_ms: int) -> None:
    """Raise ProposalRefused when a client's time is not within 15 minutes of the node's."""
    apart = abs(clock_ms - timestamp_ms)
    if apart > TIME_WINDOW_MS:
        raise ProposalRefused(
            f"the client's timestamp is {apart // 1000} s away from the node's clock;"
            f" at most {TIME_WINDOW_MS // 1000} s are accepted"
        )


class Endorser:
    """Runs proposals on one node. Thread-safe."""

    def __init__(
        self, node: Node, handlers: Mapping[str, Handler], verifier: SignatureVerifier
    ) -> None:
        self.node = node
        self._handlers = handlers
        self._verifier = verifier

    def process(
        self, proposal: CheckedProposal, view: View, *, sign: bool
    ) -> proposal_response_pb2.ProposalResponse:
        """Run the proposal on `view`.

        The answer has status 200 and the result, with `sign` also the payload that was endorsed
        and the endorsement; or status >= 400 and the contract's message. Raises
        ProposalRefused, LedgerError.
        """
        parsed = proposal.parsed
        if self.node.failure is not None:
            raise LedgerError(f"the node of {self.node.msp_id} has stopped: {self.node.failure}")
        if self.node.ledger.position(parsed.tx_id) is not None:  # 8
            raise ProposalRefused(f"duplicate transaction found [{parsed.tx_id}]")
        payload = self._confirmed(proposal, view) if sign else None
        if payload is None:
            simulation = Simulation(view, parsed.chaincode, parsed, proposal.creator)
            version, failure = self._version(simulation)
            if failure:
                return _error(failure)
            try:
                result = self._run(simulation, parsed)
            except LedgerError:
                raise
            except (Exception, SystemExit) as error:
                return _error(_reason(error))
            if not isinstance(result, bytes):
                return _error(f"the contract returned {type(result).__name__}, not bytes")
            response = proposal_response_pb2.Response(status=OK, payload=result)
            if not sign:
                return proposal_response_pb2.ProposalResponse(version=1, response=response)
            payload = self._payload(proposal, simulation, response, version)
        return proposal_response_pb2.ProposalResponse(
            version=1, response=_OK_RESPONSE, payload=payload, endorsement=self._endorse(payload)
        )

    def _confirmed(self, proposal: CheckedProposal, view: View) -> bytes | None:
        """The payload another node of this process came to, when this node's state and contract
        cannot but give the same: the same contract object, and every recorded read answered with
        the same bytes by this node's own state. One in sixteen is run again all the same, so
        that a contract which is not deterministic is found out.
        """
        outcome = proposal.outcome
        if (
            outcome is None
            or outcome.handler is not self._handlers.get(proposal.parsed.chaincode)
            or outcome.handler is None
            or proposal.parsed.tx_id.startswith("0")
            or not outcome.simulation.same_reads(view)
        ):
            return None
        return outcome.content.payload

    def _payload(
        self,
        proposal: CheckedProposal,
        simulation: Simulation,
        response: proposal_response_pb2.Response,
        version: str,
    ) -> bytes:
        other = proposal.outcome
        if (
            other is not None
            and response.payload == other.result
            and version == other.version
            and simulation.same_outcome(other.simulation)
        ):
            return other.content.payload
        parsed = proposal.parsed
        sets, event = simulation.sets(), simulation.event_bytes()
        payload = response_payload(
            parsed.proposal_hash,
            parsed.chaincode,
            version,
            encode_transaction_set(sets),
            event,
            response,
        )
        content = Content(payload, parsed.chaincode, version, sets, event)
        handler = self._handlers.get(parsed.chaincode)
        proposal.outcome = Outcome(simulation, response.payload, version, content, handler)
        return payload

    def _endorse(self, payload: bytes) -> proposal_response_pb2.Endorsement:
        signer = self.node.signer
        digest = sha256(payload + signer.serialized).digest()
        signature = signer.sign_digest(digest)
        config = self.node.config
        if config is not None:
            # Our own signature needs no check when the transaction comes back in a block.
            identity = config.msps.accept(signer.serialized)
            self._verifier.remember(identity.point, digest, signature)
        return proposal_response_pb2.Endorsement(endorser=signer.serialized, signature=signature)

    def _version(self, simulation: Simulation) -> tuple[str, str]:
        """The chaincode's version, or why it cannot run. The read guards the transaction
        against a definition that changes before it commits.
        """
        name = simulation.namespace
        if name in (lifecycle.NAMESPACE, qscc.NAME):
            return SYSTEM_VERSION, ""
        definition: Definition | None = self.node.definitions.by_name.get(name)
        if definition is None or name not in self._handlers:
            return "", (
                f"make sure the chaincode {name} has been successfully defined on channel"
                f" {simulation.channel} and try again: chaincode {name} not found"
            )
        simulation.read_foreign(lifecycle.NAMESPACE, lifecycle.sequence_key(name))
        return definition.version, ""

    def _run(self, simulation: Simulation, parsed: ParsedProposal) -> bytes:
        if parsed.chaincode == lifecycle.NAMESPACE:
            return lifecycle.invoke(simulation, parsed.args)
        if parsed.chaincode == qscc.NAME:
            return qscc.invoke(self.node, simulation, parsed.args)
        function, *arguments = _texts(parsed.args)
        return self._handlers[parsed.chaincode](simulation, function, arguments)


def _texts(args: Sequence[bytes]) -> list[str]:
    if not args:
        raise ValueError("no function is named")
    try:
        return [arg.decode("utf-8") for arg in args]
    except UnicodeDecodeError as error:
        raise ValueError("the arguments are not UTF-8") from error


def _error(message: str) -> proposal_response_pb2.ProposalResponse:
    return proposal_response_pb2.ProposalResponse(
        response=proposal_response_pb2.Response(status=ERROR, message=message)
    )


def _reason(error: BaseException) -> str:
    """A refusal's JSON, a ValueError's sentence, or the kind of an unexpected fault."""
    to_json = getattr(error, "to_json", None)
    if callable(to_json):
        told = to_json()
        if isinstance(told, bytes):
            return told.decode()
        return told if isinstance(told, str) else json.dumps(told, separators=(",", ":"))
    if isinstance(error, (ValueError, NodeError)):
        return str(error)
    log.error("a contract failed with %s", type(error).__name__, exc_info=error)
    return f"the contract failed: {type(error).__name__}: {error}"
