"""Transactions made by hand: any content, endorsed and signed by whomever the test likes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from fabric_protos.common import common_pb2
from fabric_protos.ledger.rwset import rwset_pb2
from fabric_protos.peer import (
    proposal_pb2,
    proposal_response_pb2,
    transaction_pb2,
)

from nodes.embedded import EmbeddedNetwork
from nodes.endorse import now_ms
from nodes.identity import Signer
from nodes.messages import (
    endorse_payload,
    new_proposal,
    parse_proposal,
    prepared_transaction,
    response_payload,
    sign_envelope,
)
from nodes.rwset import RangeRead, encode_transaction_set, namespace_set
from tests.nodes.client import CHAINCODE, CHANNEL


@dataclass
class Forgery:
    """A transaction to be: change any field, then `envelope()`."""

    creator: Signer
    endorsers: Sequence[Signer]
    reads: dict[str, bytes | None] = field(default_factory=dict)
    ranges: list[RangeRead] = field(default_factory=list)
    writes: dict[str, bytes | None] = field(default_factory=lambda: {"forged": b"1"})
    namespace: str = CHAINCODE
    chaincode: str = CHAINCODE
    response_chaincode: str = CHAINCODE
    version: str = "1.0"
    channel: str = CHANNEL
    event: bytes = b""
    results: bytes | None = None
    nonce: bytes | None = None

    def proposal(self) -> bytes:
        proposal, _ = new_proposal(
            self.creator.serialized,
            self.channel,
            self.chaincode,
            [b"put"],
            nonce=self.nonce,
            timestamp_ms=now_ms(),
        )
        return proposal

    def payload(self, proposal_hash: bytes) -> bytes:
        results = self.results
        if results is None:
            results = encode_transaction_set(
                [namespace_set(self.namespace, self.reads, self.ranges, self.writes)]
            )
        return response_payload(
            proposal_hash,
            self.response_chaincode,
            self.version,
            results,
            self.event,
            proposal_response_pb2.Response(status=200),
        )

    def unsigned(self) -> common_pb2.Envelope:
        parsed = parse_proposal(self.proposal())
        payload = self.payload(parsed.proposal_hash)
        endorsements = [
            endorse_payload(signer.sign, signer.serialized, payload) for signer in self.endorsers
        ]
        return prepared_transaction(parsed, payload, endorsements)

    def envelope(self) -> common_pb2.Envelope:
        return sign_envelope(self.creator.sign, self.unsigned())


def node_signers(network: EmbeddedNetwork, *msp_ids: str) -> list[Signer]:
    """The nodes' own keys."""
    return [network.node(msp_id).signer for msp_id in msp_ids]


def change_payload(
    envelope: common_pb2.Envelope, signer: Signer, change: Callable[[common_pb2.Payload], None]
) -> common_pb2.Envelope:
    """The envelope with its payload changed and signed again."""
    payload = common_pb2.Payload.FromString(envelope.payload)
    change(payload)
    return sign_envelope(signer.sign, common_pb2.Envelope(payload=payload.SerializeToString()))


def change_channel_header(
    envelope: common_pb2.Envelope,
    signer: Signer,
    change: Callable[[common_pb2.ChannelHeader], None],
) -> common_pb2.Envelope:
    """The envelope with its channel header changed and signed again."""

    def apply(payload: common_pb2.Payload) -> None:
        header = common_pb2.ChannelHeader.FromString(payload.header.channel_header)
        change(header)
        payload.header.channel_header = header.SerializeToString()

    return change_payload(envelope, signer, apply)


def change_transaction(
    envelope: common_pb2.Envelope,
    signer: Signer,
    change: Callable[[transaction_pb2.Transaction], None],
) -> common_pb2.Envelope:
    """The envelope with its transaction changed and signed again."""

    def apply(payload: common_pb2.Payload) -> None:
        transaction = transaction_pb2.Transaction.FromString(payload.data)
        change(transaction)
        payload.data = transaction.SerializeToString()

    return change_payload(envelope, signer, apply)


def change_action(
    envelope: common_pb2.Envelope,
    signer: Signer,
    change: Callable[[proposal_pb2.ChaincodeAction], None],
) -> common_pb2.Envelope:
    """The envelope with the endorsed ChaincodeAction changed; endorsements stay as they were."""

    def apply(transaction: transaction_pb2.Transaction) -> None:
        content = transaction_pb2.ChaincodeActionPayload.FromString(transaction.actions[0].payload)
        response = proposal_response_pb2.ProposalResponsePayload.FromString(
            content.action.proposal_response_payload
        )
        action = proposal_pb2.ChaincodeAction.FromString(response.extension)
        change(action)
        response.extension = action.SerializeToString()
        content.action.proposal_response_payload = response.SerializeToString()
        transaction.actions[0].payload = content.SerializeToString()

    return change_transaction(envelope, signer, apply)


def twice(results: bytes) -> bytes:
    """The same namespaces a second time in one TxReadWriteSet."""
    message = rwset_pb2.TxReadWriteSet.FromString(results)
    message.ns_rwset.extend(list(message.ns_rwset))
    return bytes(message.SerializeToString())
