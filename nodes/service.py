"""Fabric's Gateway and Deliver services over the embedded network.

The one service object: the gRPC server and in-process callers use the same methods with Fabric's
messages. Status codes and sentences follow ``fabric/internal/pkg/gateway``. Everything runs in
the caller's thread up to the sequencer's queue; one thread of the network does the rest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from threading import Lock
from typing import TYPE_CHECKING, Final, TypeVar

import grpc
from fabric_protos.common import common_pb2, policies_pb2
from fabric_protos.gateway import gateway_pb2
from fabric_protos.peer import events_pb2, proposal_response_pb2

from nodes import lifecycle, qscc
from nodes.endorse import (
    OK,
    CheckedProposal,
    Endorser,
    ProposalRefused,
)
from nodes.errors import GatewayError, LedgerError
from nodes.identity.msp import Identity
from nodes.ledger import View
from nodes.messages import (
    prepared_transaction,
)
from nodes.node import Node
from nodes.requests import (
    check_endorsable,
    check_reader,
    check_seek,
    check_submitted,
    decode_request,
)
from nodes.streams import Stream, chaincode_events, deliver, status
from nodes.transaction import Content, parse_transaction

if TYPE_CHECKING:
    from nodes.embedded import EmbeddedNetwork

M = TypeVar("M")
Status = grpc.StatusCode
_REMEMBERED: Final = 4096
_REMEMBERED_BYTES: Final = 64 << 20
_EARLIER_THAN_SIGNATURE: Final = "the transaction is malformed"


class GatewayService:
    """Thread-safe and synchronous; raises nodes.errors.GatewayError."""

    def __init__(self, network: EmbeddedNetwork) -> None:
        self._network = network
        self._endorsed: dict[str, Content] = {}
        self._endorsed_bytes = 0
        self._remembering = Lock()

    # -- evaluate and endorse --------------------------------------------------------------------

    def evaluate(self, request: gateway_pb2.EvaluateRequest) -> gateway_pb2.EvaluateResponse:
        """Run a query on one node's snapshot: the caller's organisation's, or one asked for."""
        try:
            proposal = check_endorsable(self._network, request.proposed_transaction)
        except ProposalRefused as error:
            raise GatewayError(
                Status.FAILED_PRECONDITION,
                f"evaluate call to endorser returned error: {error}",
                [self._detail(self._network.running_nodes()[0], str(error))],
            ) from error
        candidates, views = self._candidates(proposal, request.target_organizations)
        details: list[gateway_pb2.ErrorDetail] = []
        for endorser in candidates:
            node = endorser.node
            try:
                answer = endorser.process(proposal, views[node.msp_id], sign=False)
            except ProposalRefused as error:
                raise GatewayError(
                    Status.FAILED_PRECONDITION,
                    f"evaluate call to endorser returned error: {error}",
                    [self._detail(node, str(error))],
                ) from error
            except LedgerError as error:
                details.append(self._detail(node, str(error)))
                continue
            if answer.response.status == OK:
                return gateway_pb2.EvaluateResponse(result=answer.response)
            message = _chaincode_message(answer)
            raise GatewayError(
                Status.UNKNOWN,
                f"evaluate call to endorser returned error: {message}",
                [self._detail(node, message)],
            )
        raise GatewayError(
            Status.ABORTED,
            "failed to evaluate transaction, see attached details for more info",
            details,
        )

    def endorse(self, request: gateway_pb2.EndorseRequest) -> gateway_pb2.EndorseResponse:
        """Collect the endorsements that the policy needs, compare them, and return the
        transaction for the client to sign. A contract's refusal is ABORTED with details.
        """
        signed = request.proposed_transaction
        try:
            proposal = check_endorsable(self._network, signed)
        except ProposalRefused as error:
            node = self._network.running_nodes()[0]
            raise GatewayError(
                Status.ABORTED,
                "failed to endorse transaction, see attached details for more info",
                [self._detail(node, str(error))],
            ) from error
        sequencer = self._network.sequencer
        sequencer.expect(proposal.parsed.tx_id)
        try:
            payload, endorsements = self._collect(proposal, request.endorsing_organizations)
        except BaseException:
            sequencer.forget(proposal.parsed.tx_id)
            raise
        if proposal.outcome is not None and proposal.outcome.content.payload == payload:
            self._remember(proposal.parsed.tx_id, proposal.outcome.content)
        envelope = prepared_transaction(proposal.parsed, payload, endorsements)
        return gateway_pb2.EndorseResponse(prepared_transaction=envelope)

    def _collect(
        self, proposal: CheckedProposal, organisations: Sequence[str]
    ) -> tuple[bytes, list[proposal_response_pb2.Endorsement]]:
        candidates, views = self._candidates(proposal, organisations)
        wanted = self._policy(proposal.parsed.chaincode)
        payload = b""
        endorsements: list[proposal_response_pb2.Endorsement] = []
        signers: list[Identity] = []
        details: list[gateway_pb2.ErrorDetail] = []
        for endorser in candidates:
            node = endorser.node
            try:
                answer = endorser.process(proposal, views[node.msp_id], sign=True)
            except (ProposalRefused, LedgerError) as error:
                details.append(self._detail(node, str(error)))
                continue
            if answer.response.status != OK:
                details.append(self._detail(node, _chaincode_message(answer)))
                if not endorsements:
                    # Every node runs the same contract: the first refusal decides.
                    raise GatewayError(
                        Status.ABORTED,
                        "failed to endorse transaction, see attached details for more info",
                        details,
                    )
                continue
            if payload and answer.payload != payload:
                details.append(self._detail(node, "ProposalResponsePayloads do not match"))
                continue
            payload = answer.payload
            endorsements.append(answer.endorsement)
            signers.append(self._network.config.msps.accept(answer.endorsement.endorser))
            if not organisations and self._network.checker.satisfied(*wanted, signers):
                return payload, endorsements
        if organisations and len(endorsements) == len(candidates):
            return payload, endorsements
        raise GatewayError(
            Status.ABORTED,
            "failed to collect enough transaction endorsements, see attached details for more info",
            details,
        )

    # -- submit and commit status ----------------------------------------------------------------

    def submit(self, request: gateway_pb2.SubmitRequest) -> gateway_pb2.SubmitResponse:
        """Hand a signed transaction to the sequencer.

        Returning means accepted for ordering, as on Fabric: durable is what `commit_future` or
        `commit_status` reports. Sending the same envelope again is safe (DUPLICATE_TXID).
        """
        envelope = request.prepared_transaction
        if not envelope.payload:
            raise GatewayError(Status.INVALID_ARGUMENT, "a prepared transaction is required")
        if not envelope.signature:
            raise GatewayError(Status.INVALID_ARGUMENT, "prepared transaction must be signed")
        known = self._recall(request.transaction_id)
        transaction = parse_transaction(envelope.SerializeToString(), known)
        check_submitted(self._network, transaction)
        self._network.sequencer.submit(transaction)
        return gateway_pb2.SubmitResponse()

    def commit_future(self, tx_id: str) -> Future[gateway_pb2.CommitStatusResponse]:
        """Resolves when the transaction is durable on every running node, whatever its code.

        Each call gives a future of its own. It fails with GatewayError UNAVAILABLE when the
        network stops first: the transaction may or may not be recorded, and can be sent again.
        """
        self._network.refuse_when_closed()
        return self._network.commits.future(tx_id)

    def commit_status(
        self, request: gateway_pb2.SignedCommitStatusRequest, timeout: float | None = None
    ) -> gateway_pb2.CommitStatusResponse:
        """Wait at most `timeout` seconds for a transaction's code, then DEADLINE_EXCEEDED."""
        inner = decode_request(
            gateway_pb2.CommitStatusRequest, request.request, "a commit status request"
        )
        if not inner.transaction_id:
            raise GatewayError(Status.INVALID_ARGUMENT, "transaction ID should not be empty")
        check_reader(
            self._network, inner.channel_id, inner.identity, request.request, request.signature
        )
        future = self.commit_future(inner.transaction_id)
        try:
            return future.result(timeout)
        except FutureTimeout as error:
            future.cancel()
            raise GatewayError(
                Status.DEADLINE_EXCEEDED, f"transaction {inner.transaction_id} is not committed yet"
            ) from error

    # -- streams ---------------------------------------------------------------------------------

    def chaincode_events(
        self, request: gateway_pb2.SignedChaincodeEventsRequest
    ) -> Stream[gateway_pb2.ChaincodeEventsResponse]:
        """Events of valid transactions from a block on, or after a transaction."""
        inner = decode_request(
            gateway_pb2.ChaincodeEventsRequest, request.request, "a chaincode events request"
        )
        reader = check_reader(
            self._network, inner.channel_id, inner.identity, request.request, request.signature
        )
        progress = self._network.progress
        node = self._network.node_for(reader.msp_id)
        first = progress.height
        position = None
        if inner.after_transaction_id:
            position = node.ledger.position(inner.after_transaction_id)
        kind = inner.start_position.WhichOneof("Type")
        if position is not None:
            first = position.block
        elif kind == "specified":
            first = int(inner.start_position.specified.number)
        elif kind not in (None, "next_commit"):
            raise GatewayError(Status.INVALID_ARGUMENT, f"invalid start position type: {kind}")
        return Stream(
            progress,
            lambda stream: chaincode_events(
                stream, progress, node, inner.chaincode_id, first, inner.after_transaction_id
            ),
        )

    def deliver(
        self, envelope: common_pb2.Envelope, filtered: bool = False
    ) -> Stream[events_pb2.DeliverResponse]:
        """Blocks, full or filtered, as the signed SeekInfo asks; ends with a status.

        A request that is malformed or not allowed gets the status BAD_REQUEST or FORBIDDEN.
        """
        progress = self._network.progress
        checked = check_seek(self._network, envelope)
        if isinstance(checked, int):
            refused = status(checked)
            return Stream(progress, lambda stream: iter((refused,)))
        seek, node = checked
        return Stream(progress, lambda stream: deliver(stream, progress, node, seek, filtered))

    # -- choosing nodes --------------------------------------------------------------------------

    def _candidates(
        self, proposal: CheckedProposal, organisations: Sequence[str]
    ) -> tuple[list[Endorser], Mapping[str, View]]:
        """Endorsers in the order to ask them, and the one height they all read at."""
        network = self._network
        views = network.views
        endorsers = {
            msp_id: endorser for msp_id, endorser in network.endorsers.items() if msp_id in views
        }
        if organisations:
            missing = [name for name in organisations if name not in endorsers]
            if missing:
                raise GatewayError(
                    Status.UNAVAILABLE,
                    f"no running nodes of organisations {', '.join(missing)}",
                )
            return [endorsers[name] for name in dict.fromkeys(organisations)], views
        if not endorsers:
            raise GatewayError(Status.UNAVAILABLE, "no node is running")
        own = (
            [endorsers.pop(proposal.creator.msp_id)]
            if (proposal.creator.msp_id in endorsers)
            else []
        )
        others = list(endorsers.values())
        if others:
            # The rest take turns by transaction id, so that load and scrutiny spread.
            turn = int(proposal.parsed.tx_id[:8], 16) % len(others)
            others = others[turn:] + others[:turn]
        return own + others, views

    def _policy(self, chaincode: str) -> tuple[policies_pb2.SignaturePolicyEnvelope, bytes]:
        network = self._network
        config = network.config
        if chaincode == lifecycle.NAMESPACE:
            return config.lifecycle_policy(), config.digest
        if chaincode == qscc.NAME:
            raise GatewayError(Status.FAILED_PRECONDITION, "qscc can only be evaluated")
        definition = network.running_nodes()[0].definitions.by_name.get(chaincode)
        if definition is None:
            raise GatewayError(
                Status.FAILED_PRECONDITION,
                f"no chaincode {chaincode!r} is defined on channel {config.channel}",
            )
        return definition.policy, config.digest + definition.digest

    def _remember(self, tx_id: str, content: Content) -> None:
        """Keep what was endorsed until it is submitted; what never is makes room for the next."""
        with self._remembering:
            self._forget(tx_id)
            self._endorsed[tx_id] = content
            self._endorsed_bytes += len(content.payload)
            while len(self._endorsed) > _REMEMBERED or self._endorsed_bytes > _REMEMBERED_BYTES:
                self._forget(next(iter(self._endorsed)))

    def _recall(self, tx_id: str) -> Content | None:
        with self._remembering:
            return self._forget(tx_id)

    def _forget(self, tx_id: str) -> Content | None:
        content = self._endorsed.pop(tx_id, None)
        if content is not None:
            self._endorsed_bytes -= len(content.payload)
        return content

    def _detail(self, node: Node, message: str) -> gateway_pb2.ErrorDetail:
        return gateway_pb2.ErrorDetail(address=node.address, msp_id=node.msp_id, message=message)


def _chaincode_message(answer: proposal_response_pb2.ProposalResponse) -> str:
    return f"chaincode response {answer.response.status}, {answer.response.message}"
