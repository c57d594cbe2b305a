"""Stage 1: a proposal, which a node runs without changing anything (evaluate or endorse).

A proposal can be signed here with an identity at hand, or elsewhere: `to_bytes` and `digest` go
out, the signature comes in (Fabric's offline signing). The bytes are
``gateway.ProposedTransaction`` as in the official Gateway clients, so that any of them can take
over at any stage.

Transaction id: hex SHA-256 over a 24-byte nonce and the serialized creator.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping, Sequence

from fabric_protos.gateway import gateway_pb2
from fabric_protos.peer import proposal_pb2

from gateway.ledger.errors import EndorseError, EvaluateError, TransportError
from gateway.ledger.port import LedgerTransport, SigningIdentity
from gateway.ledger.transaction import Transaction
from nodes.messages import new_proposal


class Proposal:
    """A proposed transaction on its way to being signed, then evaluated or endorsed."""

    __slots__ = ("_channel", "_proposed", "_transport")

    def __init__(
        self, transport: LedgerTransport, channel: str, proposed: gateway_pb2.ProposedTransaction
    ) -> None:
        self._transport = transport
        self._channel = channel
        self._proposed = proposed

    @property
    def tx_id(self) -> str:
        return str(self._proposed.transaction_id)

    @property
    def is_signed(self) -> bool:
        return bool(self._proposed.proposal.signature)

    def to_bytes(self) -> bytes:
        """The serialized ``gateway.ProposedTransaction``, with its signature once there is one."""
        return bytes(self._proposed.SerializeToString())

    @property
    def digest(self) -> bytes:
        """32-byte SHA-256 of the proposal: what an offline ECDSA key signs (as prehashed)."""
        return hashlib.sha256(self._proposed.proposal.proposal_bytes).digest()

    def sign(self, signer: SigningIdentity) -> Proposal:
        proposal = self._proposed.proposal
        proposal.signature = signer.sign(proposal.proposal_bytes)
        return self

    def set_signature(self, signature: bytes) -> Proposal:
        """Add a signature made elsewhere: DER ECDSA over `digest`, low-S."""
        self._proposed.proposal.signature = signature
        return self

    def evaluate(self) -> bytes:
        """Run as a query on one node.

        :returns: the contract's result bytes. :raises EvaluateError: refused or not reachable.
        """
        request = gateway_pb2.EvaluateRequest(
            transaction_id=self._proposed.transaction_id,
            channel_id=self._channel,
            proposed_transaction=self._proposed.proposal,
            target_organizations=self._proposed.endorsing_organizations,
        )
        try:
            return bytes(self._transport.evaluate(request).result.payload)
        except TransportError as error:
            raise EvaluateError(error, self.tx_id) from error

    def endorse(self) -> Transaction:
        """Have enough organisations run and sign it.

        :returns: the transaction to sign and submit. :raises EndorseError: refused, not enough
            endorsements, or not reachable.
        """
        request = gateway_pb2.EndorseRequest(
            transaction_id=self._proposed.transaction_id,
            channel_id=self._channel,
            proposed_transaction=self._proposed.proposal,
            endorsing_organizations=self._proposed.endorsing_organizations,
        )
        try:
            response = self._transport.endorse(request)
        except TransportError as error:
            raise EndorseError(error, self.tx_id) from error
        prepared = gateway_pb2.PreparedTransaction(
            transaction_id=self._proposed.transaction_id, envelope=response.prepared_transaction
        )
        return Transaction(self._transport, self._channel, prepared, self._header_bytes())

    def _header_bytes(self) -> bytes:
        proposal = proposal_pb2.Proposal.FromString(self._proposed.proposal.proposal_bytes)
        return bytes(proposal.header)


def new_proposed_transaction(
    channel: str,
    chaincode: str,
    creator: bytes,
    args: Sequence[bytes],
    transient: Mapping[str, bytes] | None = None,
    organizations: Sequence[str] = (),
) -> gateway_pb2.ProposedTransaction:
    """An unsigned proposal, stamped with this machine's clock.

    :param creator: ``msp.SerializedIdentity`` bytes of whoever will sign.
    :param args: function name and its arguments, UTF-8.
    :param transient: data the contract sees but the ledger never stores.
    :param organizations: MSP ids that must endorse; empty lets the gateway choose.
    """
    proposal_bytes, tx_id = new_proposal(
        creator, channel, chaincode, args, transient, timestamp_ms=time.time_ns() // 1_000_000
    )
    return gateway_pb2.ProposedTransaction(
        transaction_id=tx_id,
        proposal=proposal_pb2.SignedProposal(proposal_bytes=proposal_bytes),
        endorsing_organizations=organizations,
    )
