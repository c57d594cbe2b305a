"""Proposal and submit checks: what a Fabric peer and orderer refuse, and with which status."""

from __future__ import annotations

import datetime as dt

import grpc
import pytest
from fabric_protos.common import common_pb2
from fabric_protos.gateway import gateway_pb2
from fabric_protos.peer import proposal_pb2

from chaincode.stub import Stub
from nodes.embedded import EmbeddedNetwork
from nodes.endorse import TIME_WINDOW_MS, now_ms
from nodes.errors import GatewayError
from nodes.identity.certificates import certificate_pem, issue_identity
from nodes.identity.folders import organisation_folder, read_authority
from nodes.identity.signer import Signer
from nodes.messages import new_proposal, sign_envelope, signed_proposal, transaction_id
from nodes.rwset import state_key
from tests.nodes.client import CHANNEL, Client, order, tx_id_of
from tests.nodes.forge import Forgery, node_signers


def endorse(network: EmbeddedNetwork, signed: proposal_pb2.SignedProposal) -> None:
    network.service.endorse(
        gateway_pb2.EndorseRequest(channel_id=CHANNEL, proposed_transaction=signed)
    )


def refused(network: EmbeddedNetwork, signed: proposal_pb2.SignedProposal) -> str:
    with pytest.raises(GatewayError) as error:
        endorse(network, signed)
    assert error.value.status == grpc.StatusCode.ABORTED
    detail = error.value.details[0]
    assert detail.address == "localhost:7051"
    assert detail.msp_id == "FarmMSP"
    return str(detail.message)


def changed(alice: Client, change) -> proposal_pb2.SignedProposal:  # type: ignore[no-untyped-def]
    """A proposal with its header changed, signed as it then is."""
    data, _ = alice.proposal("put", "k", "1")
    proposal = proposal_pb2.Proposal.FromString(data)
    header = common_pb2.Header.FromString(proposal.header)
    channel = common_pb2.ChannelHeader.FromString(header.channel_header)
    signature = common_pb2.SignatureHeader.FromString(header.signature_header)
    change(channel, signature)
    header.channel_header = channel.SerializeToString()
    header.signature_header = signature.SerializeToString()
    proposal.header = header.SerializeToString()
    return signed_proposal(alice.signer.sign, proposal.SerializeToString())


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda c, s: setattr(c, "type", 1), "header type"),
        (lambda c, s: setattr(c, "epoch", 3), "epoch"),
        (lambda c, s: setattr(s, "nonce", b""), "nonce"),
        (lambda c, s: setattr(s, "creator", b""), "creator"),
        (lambda c, s: setattr(c, "tx_id", "1" * 64), "txid"),
        (lambda c, s: setattr(c, "channel_id", "elsewhere"), "channel 'elsewhere' not found"),
        (lambda c, s: setattr(c, "extension", b""), "no chaincode"),
        (lambda c, s: setattr(c, "extension", b"\xff"), "cannot be decoded"),
    ],
)
def test_header_checks(network: EmbeddedNetwork, alice: Client, change, reason: str) -> None:  # type: ignore[no-untyped-def]
    assert reason in refused(network, changed(alice, change))


@pytest.mark.parametrize("offset_ms", [-TIME_WINDOW_MS - 5_000, TIME_WINDOW_MS + 5_000])
def test_timestamp_window(network: EmbeddedNetwork, alice: Client, offset_ms: int) -> None:
    """An old proposal that leaked must not be endorsed months later."""
    proposal, _ = alice.proposal("put", "k", "1", timestamp_ms=now_ms() + offset_ms)
    message = refused(network, signed_proposal(alice.signer.sign, proposal))
    assert "timestamp" in message


def test_forged_signature_and_identity(
    network: EmbeddedNetwork, alice: Client, bob: Client
) -> None:
    proposal, _ = alice.proposal("put", "k", "1")
    assert "signature is not valid" in refused(network, signed_proposal(bob.signer.sign, proposal))
    assert "signature is not valid" in refused(
        network, proposal_pb2.SignedProposal(proposal_bytes=proposal, signature=b"x")
    )
    stranger = Signer("MillMSP", alice.signer.certificate, alice.signer.key)
    assert "was not issued by MillMSP" in refused(
        network, Client(network, stranger).signed_proposal("put", "k", "1")
    )
    authority = read_authority(organisation_folder(network.home, "farm").path / "ca")
    as_ca = Signer("FarmMSP", certificate_pem(authority.certificate), authority.key)
    assert "CA certificate" in refused(
        network, Client(network, as_ca).signed_proposal("put", "k", "1")
    )


@pytest.mark.parametrize(
    ("start_days", "end_days", "reason"), [(-9, -1, "expired"), (1, 9, "not valid yet")]
)
def test_certificate_validity(
    network: EmbeddedNetwork, start_days: int, end_days: int, reason: str
) -> None:
    now = dt.datetime.now(dt.UTC)
    folder = organisation_folder(network.home, "farm")
    issued = issue_identity(
        read_authority(folder.path / "ca"),
        "late@farm.example",
        "client",
        valid_from=now + dt.timedelta(days=start_days),
        valid_until=now + dt.timedelta(days=end_days),
    )
    late = Client(network, Signer("FarmMSP", certificate_pem(issued.certificate), issued.key))
    assert reason in refused(network, late.signed_proposal("put", "k", "1"))
    # Blocks are judged without a clock: what was ordered in time stays valid on replay.
    forged = Forgery(late.signer, node_signers(network, "FarmMSP", "MillMSP"))
    assert order(network, forged.envelope()) == ["VALID"]
    with pytest.raises(GatewayError) as error:
        late.send(Forgery(late.signer, forged.endorsers).envelope())
    assert error.value.status == grpc.StatusCode.PERMISSION_DENIED


@pytest.mark.parametrize("units", ["", "manager"])
def test_identity_without_a_role(network: EmbeddedNetwork, units: str) -> None:
    authority = read_authority(organisation_folder(network.home, "farm").path / "ca")
    issued = issue_identity(authority, "odd@farm.example", units)
    odd = Client(network, Signer("FarmMSP", certificate_pem(issued.certificate), issued.key))
    assert "NodeOU" in refused(network, odd.signed_proposal("put", "k", "1"))


def test_used_transaction_id(network: EmbeddedNetwork, alice: Client) -> None:
    proposal, tx_id = alice.proposal("put", "k", "1")
    envelope = sign_envelope(alice.signer.sign, alice.endorse_bytes(proposal, tx_id))
    assert alice.send(envelope).result(20).result == 0
    message = refused(network, signed_proposal(alice.signer.sign, proposal))
    assert "duplicate transaction" in message


def test_size_limits(network: EmbeddedNetwork, alice: Client) -> None:
    huge, _ = alice.proposal("put", "k", "x" * (17 * 1024 * 1024))
    assert "at most" in refused(network, signed_proposal(alice.signer.sign, huge))


def test_rubbish_proposals(network: EmbeddedNetwork, alice: Client) -> None:
    with pytest.raises(GatewayError) as error:
        endorse(network, proposal_pb2.SignedProposal())
    assert error.value.status == grpc.StatusCode.INVALID_ARGUMENT
    assert "cannot be decoded" in refused(network, signed_proposal(alice.signer.sign, b"\xff"))


def test_unknown_chaincode(network: EmbeddedNetwork, alice: Client) -> None:
    with pytest.raises(GatewayError) as error:
        alice.endorse("put", "k", "1", chaincode="ghost")
    assert error.value.status == grpc.StatusCode.FAILED_PRECONDITION
    with pytest.raises(GatewayError) as error:
        alice.evaluate("get", "k", chaincode="ghost")
    assert "ghost not found" in str(error.value)


def test_endorsing_organisations(network: EmbeddedNetwork, alice: Client) -> None:
    """The client's own choice is followed, even where it does not satisfy the policy."""
    chosen = alice.signed("put", "k", "1", organisations=["ShopMSP"])
    assert alice.send(chosen).result(20).result == 10  # ENDORSEMENT_POLICY_FAILURE
    chosen = alice.signed("put", "k", "1", organisations=["ShopMSP", "MillMSP"])
    assert alice.send(chosen).result(20).result == 0
    with pytest.raises(GatewayError) as error:
        alice.endorse("put", "k", "1", organisations=["GhostMSP"])
    assert error.value.status == grpc.StatusCode.UNAVAILABLE


def test_endorsers_that_disagree(network: EmbeddedNetwork, alice: Client) -> None:
    """A contract that differs between nodes must not get a transaction endorsed by accident."""
    original = network.endorsers["MillMSP"]._handlers
    for name in ("MillMSP", "ShopMSP"):
        network.endorsers[name]._handlers = {
            "tracemark": lambda stub, function, args, name=name: name.encode()
        }
    try:
        with pytest.raises(GatewayError) as error:
            alice.endorse("put", "k", "1")
    finally:
        for name in ("MillMSP", "ShopMSP"):
            network.endorsers[name]._handlers = original
    assert error.value.status == grpc.StatusCode.ABORTED
    assert {d.message for d in error.value.details} == {"ProposalResponsePayloads do not match"}
    assert {d.msp_id for d in error.value.details} == {"MillMSP", "ShopMSP"}


def test_submit_checks(network: EmbeddedNetwork, alice: Client, bob: Client) -> None:
    prepared = alice.endorse("put", "k", "1")
    signed = sign_envelope(alice.signer.sign, prepared)
    cases = [
        (common_pb2.Envelope(), grpc.StatusCode.INVALID_ARGUMENT),
        (prepared, grpc.StatusCode.INVALID_ARGUMENT),
        (sign_envelope(bob.signer.sign, prepared), grpc.StatusCode.PERMISSION_DENIED),
        (
            common_pb2.Envelope(payload=b"\xff", signature=b"x"),
            grpc.StatusCode.INVALID_ARGUMENT,
        ),
    ]
    for envelope, status in cases:
        with pytest.raises(GatewayError) as error:
            network.service.submit(gateway_pb2.SubmitRequest(prepared_transaction=envelope))
        assert error.value.status == status
    assert alice.send(signed).result(20).result == 0
    again = alice.send(signed).result(20)
    assert again.result == 0, "who sends again learns what became of the first"


def test_commit_status(network: EmbeddedNetwork, alice: Client, bob: Client) -> None:
    envelope = alice.signed("put", "k", "1")
    tx_id = tx_id_of(envelope)
    with pytest.raises(GatewayError) as error:
        network.service.commit_status(alice.status_request(tx_id), timeout=0)
    assert error.value.status == grpc.StatusCode.DEADLINE_EXCEEDED
    alice.send(envelope).result(20)
    answer = network.service.commit_status(bob.status_request(tx_id), timeout=5)
    assert (answer.result, answer.block_number) == (0, network.height - 1)
    forged = alice.status_request(tx_id)
    forged.signature = bob.signer.sign(forged.request)
    with pytest.raises(GatewayError) as error:
        network.service.commit_status(forged)
    assert error.value.status == grpc.StatusCode.PERMISSION_DENIED
    with pytest.raises(GatewayError) as error:
        network.service.commit_status(alice.status_request(""))
    assert error.value.status == grpc.StatusCode.INVALID_ARGUMENT


def test_futures_are_independent(network: EmbeddedNetwork, alice: Client) -> None:
    """One waiter that gives up must not take the answer from another."""
    envelope = alice.signed("put", "k", "1")
    first, second = (network.service.commit_future(tx_id_of(envelope)) for _ in range(2))
    assert first.cancel()
    alice.send(envelope)
    assert second.result(20).result == 0


def test_transaction_id_is_not_free_to_choose() -> None:
    proposal, tx_id = new_proposal(b"creator", "c", "cc", [b"f"], nonce=b"n" * 24)
    assert tx_id == transaction_id(b"n" * 24, b"creator")
    assert tx_id.encode() in proposal


def test_node_whose_state_differs_does_not_endorse(network: EmbeddedNetwork, alice: Client) -> None:
    """A node confirms an outcome from its own state: a damaged value must not slip through."""
    assert alice.submit("put", "k", "1") == "VALID"
    key = state_key("tracemark", "k")
    for name in ("MillMSP", "ShopMSP"):
        node = network.node(name)
        raw = node.ledger.get(key)
        assert raw is not None
        node.ledger._db[key] = raw[:12] + b"damaged"
        network.views[name] = node.ledger.view()
    with pytest.raises(GatewayError) as error:
        alice.endorse("set", "k", "2")
    assert {d.message for d in error.value.details} == {"ProposalResponsePayloads do not match"}
    # What does not read the key is confirmed as before.
    assert alice.submit("put", "other", "1") == "VALID"


def test_contract_that_is_not_deterministic_is_found_out(
    network: EmbeddedNetwork, alice: Client
) -> None:
    numbers = iter(range(10_000))

    def moody(stub: Stub, function: str, args: list[str]) -> bytes:
        return str(next(numbers)).encode()

    for endorser in network.endorsers.values():
        endorser._handlers = {"tracemark": moody}

    def many() -> None:
        for _ in range(300):
            alice.endorse("put", "k", "1")

    with pytest.raises(GatewayError, match="do not match"):
        many()


def test_history_reads_are_run_on_every_node(network: EmbeddedNetwork, alice: Client) -> None:
    """What is not in the read set cannot be confirmed by it."""
    assert alice.submit("put", "k", "1") == "VALID"
    runs: list[str] = []
    original = network.endorsers["FarmMSP"]._handlers["tracemark"]

    def counting(stub: Stub, function: str, args: list[str]) -> bytes:
        runs.append(function)
        return original(stub, function, args)

    for endorser in network.endorsers.values():
        endorser._handlers = {"tracemark": counting}
    for _ in range(10):
        alice.endorse("history", "k")
    assert len(runs) == 20
