"""A Gateway client for tests: every stage by itself, so that each can be forged."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path

from fabric_protos.common import common_pb2
from fabric_protos.gateway import gateway_pb2
from fabric_protos.orderer import ab_pb2
from fabric_protos.peer import proposal_pb2

from nodes.embedded import EmbeddedNetwork
from nodes.endorse import now_ms
from nodes.identity import Signer, load_signer
from nodes.messages import (
    chaincode_response,
    new_proposal,
    seek_envelope,
    sign_envelope,
    signed_proposal,
)
from nodes.network import NetworkDescription, Organisation, parse_description
from nodes.node import CommittedBlock
from nodes.transaction import Code, parse_transaction
from tests.nodes.contract import invoke

CHANNEL = "trace"
CHAINCODE = "tracemark"
HANDLERS = {CHAINCODE: invoke, "other": invoke}


def organisation(name: str, port: int = 7051) -> dict[str, object]:
    """One organisation of a description."""
    return {
        "name": name,
        "msp_id": f"{name.capitalize()}MSP",
        "domain": f"{name}.example",
        "country": "NO",
        "node": {"port": port},
        "users": [{"name": "admin", "ou": "admin"}, {"name": "alice"}, {"name": "bob"}],
    }


def description(
    names: Sequence[str] = ("farm", "mill", "shop"), n: int = 2, **orderer: int
) -> NetworkDescription:
    """A network of these organisations, `n` of which must endorse."""
    return parse_description(
        {
            "name": "test",
            "organisations": [organisation(name, 7051 + index) for index, name in enumerate(names)],
            "policy": {"n": n, "of": len(names)},
            "orderer": orderer,
        }
    )


def new_organisation(name: str) -> Organisation:
    """An organisation to add later."""
    return Organisation.model_validate(organisation(name, 7099))


@dataclass
class Client:
    """Acts as one user on an open network."""

    network: EmbeddedNetwork
    signer: Signer

    @classmethod
    def of(cls, network: EmbeddedNetwork, org: str = "farm", user: str = "alice") -> Client:
        return cls(network, load_signer(network.home, org, user))

    def proposal(
        self,
        *args: str,
        chaincode: str = CHAINCODE,
        channel: str = CHANNEL,
        timestamp_ms: int | None = None,
        transient: dict[str, bytes] | None = None,
    ) -> tuple[bytes, str]:
        """A serialized proposal and its transaction id."""
        return new_proposal(
            self.signer.serialized,
            channel,
            chaincode,
            [arg.encode() for arg in args],
            transient=transient,
            timestamp_ms=now_ms() if timestamp_ms is None else timestamp_ms,
        )

    def evaluate(self, *args: str, chaincode: str = CHAINCODE) -> bytes:
        """A query's result."""
        proposal, tx_id = self.proposal(*args, chaincode=chaincode)
        return self.evaluate_bytes(proposal, tx_id)

    def evaluate_bytes(self, proposal: bytes, tx_id: str = "") -> bytes:
        request = gateway_pb2.EvaluateRequest(
            transaction_id=tx_id,
            channel_id=CHANNEL,
            proposed_transaction=signed_proposal(self.signer.sign, proposal),
        )
        return bytes(self.network.service.evaluate(request).result.payload)

    def endorse(
        self, *args: str, organisations: Sequence[str] = (), **options: object
    ) -> common_pb2.Envelope:
        """The prepared, unsigned transaction."""
        proposal, tx_id = self.proposal(*args, **options)  # type: ignore[arg-type]
        return self.endorse_bytes(proposal, tx_id, organisations)

    def endorse_bytes(
        self, proposal: bytes, tx_id: str, organisations: Sequence[str] = ()
    ) -> common_pb2.Envelope:
        request = gateway_pb2.EndorseRequest(
            transaction_id=tx_id,
            channel_id=CHANNEL,
            proposed_transaction=signed_proposal(self.signer.sign, proposal),
            endorsing_organizations=organisations,
        )
        return self.network.service.endorse(request).prepared_transaction

    def signed_proposal(self, *args: str) -> proposal_pb2.SignedProposal:
        """A signed proposal."""
        return signed_proposal(self.signer.sign, self.proposal(*args)[0])

    def signed(self, *args: str, **options: object) -> common_pb2.Envelope:
        """A signed transaction, ready to submit."""
        return sign_envelope(self.signer.sign, self.endorse(*args, **options))  # type: ignore[arg-type]

    def send(self, envelope: common_pb2.Envelope) -> Future[gateway_pb2.CommitStatusResponse]:
        """Submit a signed transaction."""
        tx_id = tx_id_of(envelope)
        future = self.network.service.commit_future(tx_id)
        self.network.service.submit(
            gateway_pb2.SubmitRequest(
                transaction_id=tx_id, channel_id=CHANNEL, prepared_transaction=envelope
            )
        )
        return future

    def submit(self, *args: str, **options: object) -> str:
        """Endorse, submit and wait; the validation code's name."""
        return code_name(self.send(self.signed(*args, **options)).result(20).result)

    def seek(
        self,
        start: int | None,
        stop: int | None = None,
        *,
        behavior: int = ab_pb2.SeekInfo.SeekBehavior.BLOCK_UNTIL_READY,
        timestamp_ms: int | None = None,
    ) -> common_pb2.Envelope:
        """A signed Deliver request."""
        envelope = seek_envelope(
            self.signer.sign,
            self.signer.serialized,
            CHANNEL,
            start,
            stop,
            timestamp_ms=now_ms() if timestamp_ms is None else timestamp_ms,
        )
        if behavior:
            payload = common_pb2.Payload.FromString(envelope.payload)
            seek = ab_pb2.SeekInfo.FromString(payload.data)
            seek.behavior = behavior
            payload.data = seek.SerializeToString()
            return sign_envelope(
                self.signer.sign, common_pb2.Envelope(payload=payload.SerializeToString())
            )
        return envelope

    def events(
        self, start: int | None = None, after: str = "", chaincode: str = CHAINCODE
    ) -> gateway_pb2.SignedChaincodeEventsRequest:
        """A signed ChaincodeEvents request."""
        request = gateway_pb2.ChaincodeEventsRequest(
            channel_id=CHANNEL,
            chaincode_id=chaincode,
            identity=self.signer.serialized,
            after_transaction_id=after,
        )
        if start is not None:
            request.start_position.specified.number = start
        data = request.SerializeToString()
        return gateway_pb2.SignedChaincodeEventsRequest(
            request=data, signature=self.signer.sign(data)
        )

    def status_request(self, tx_id: str) -> gateway_pb2.SignedCommitStatusRequest:
        """A signed CommitStatus request."""
        data = gateway_pb2.CommitStatusRequest(
            transaction_id=tx_id, channel_id=CHANNEL, identity=self.signer.serialized
        ).SerializeToString()
        return gateway_pb2.SignedCommitStatusRequest(request=data, signature=self.signer.sign(data))


def tx_id_of(envelope: common_pb2.Envelope) -> str:
    """The transaction id an envelope claims."""
    return parse_transaction(envelope.SerializeToString()).tx_id


def code_name(code: int) -> str:
    """A TxValidationCode's name."""
    return str(Code.Name(code))


def order(network: EmbeddedNetwork, *envelopes: common_pb2.Envelope | bytes) -> list[str]:
    """Order exactly these envelopes as one block, past every check of the service.

    What a faulty or hostile orderer could do; the nodes alone have to judge. Returns the codes.
    """
    batch = [
        parse_transaction(envelope if isinstance(envelope, bytes) else envelope.SerializeToString())
        for envelope in envelopes
    ]
    seen: list[CommittedBlock] = []
    stop = network.subscribe_blocks(seen.append)
    network.on_worker(lambda: network.process(batch))
    stop()
    return [code_name(code) for code in seen[-1].codes]


def result_of(envelope: common_pb2.Envelope) -> bytes:
    """The contract's result inside a prepared transaction."""
    return bytes(chaincode_response(envelope).payload)


def agree(network: EmbeddedNetwork) -> None:
    """Every node has the same height, blocks' verdicts and state."""
    ledgers = [node.ledger for node in network.nodes.values()]
    assert len({ledger.tip for ledger in ledgers}) == 1
    assert len({ledger.state_digest() for ledger in ledgers}) == 1


def reopen(network: EmbeddedNetwork) -> EmbeddedNetwork:
    """Close and open again."""
    network.close()
    return EmbeddedNetwork.open(network.home, HANDLERS)


def open_home(home: Path) -> EmbeddedNetwork:
    """Open with the test contract."""
    return EmbeddedNetwork.open(home, HANDLERS)
