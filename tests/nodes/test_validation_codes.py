"""Every validation code, provoked by a forged or conflicting transaction in a real block.

A code that were not given would let a hostile client or orderer change the state; each case here
goes past the service, straight into a block, and no node may write anything for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)
from fabric_protos.common import common_pb2
from fabric_protos.peer import (
    chaincode_event_pb2,
    proposal_response_pb2,
    transaction_pb2,
)

from nodes.embedded import EmbeddedNetwork
from nodes.identity.signature import ORDER
from nodes.identity.signer import Signer, signer_from_msp
from nodes.messages import (
    CONFIG_UPDATE,
    endorse_payload,
    parse_proposal,
    prepared_transaction,
    sign_envelope,
)
from nodes.network import init_network
from nodes.rwset import encode_transaction_set, namespace_set, pack_version
from tests.nodes.client import Client, agree, description, order
from tests.nodes.forge import (
    Forgery,
    change_action,
    change_channel_header,
    change_payload,
    change_transaction,
    node_signers,
    twice,
)


@pytest.fixture
def forgery(network: EmbeddedNetwork, alice: Client) -> Forgery:
    """A transaction that is valid unless a test spoils it."""
    return Forgery(alice.signer, node_signers(network, "FarmMSP", "MillMSP"))


@pytest.fixture(autouse=True)
def _nodes_agree(network: EmbeddedNetwork) -> Iterator[None]:
    yield
    agree(network)


def value(alice: Client) -> bytes:
    return alice.evaluate("get", "forged")


def test_unspoiled_forgery_is_valid(
    network: EmbeddedNetwork, alice: Client, forgery: Forgery
) -> None:
    assert order(network, forgery.envelope()) == ["VALID"]
    assert value(alice) == b"1"


def test_nil_envelope_and_rubbish(network: EmbeddedNetwork) -> None:
    assert order(network, b"", b"\xff\xff", common_pb2.Envelope(payload=b"\xff\xff")) == [
        "NIL_ENVELOPE",
        "INVALID_OTHER_REASON",
        "BAD_PAYLOAD",
    ]


def test_bad_common_header(network: EmbeddedNetwork, alice: Client, forgery: Forgery) -> None:
    envelope = forgery.envelope()

    def no_nonce(payload: common_pb2.Payload) -> None:
        header = common_pb2.SignatureHeader(creator=alice.signer.serialized)
        payload.header.signature_header = header.SerializeToString()

    def cut(payload: common_pb2.Payload) -> None:
        payload.header.channel_header = b"\x0a\xff"

    codes = order(
        network,
        change_channel_header(envelope, alice.signer, lambda h: setattr(h, "epoch", 1)),
        change_channel_header(envelope, alice.signer, lambda h: setattr(h, "type", 5)),
        change_payload(envelope, alice.signer, no_nonce),
        change_payload(envelope, alice.signer, cut),
    )
    assert codes == ["BAD_COMMON_HEADER"] * 4


def test_bad_creator_signature(
    network: EmbeddedNetwork, alice: Client, bob: Client, forgery: Forgery, tmp_path: Path
) -> None:
    unsigned = forgery.unsigned()
    good = sign_envelope(alice.signer.sign, unsigned)
    r, s = decode_dss_signature(good.signature)
    twin = common_pb2.Envelope(payload=good.payload, signature=encode_dss_signature(r, ORDER - s))
    init_network(description(), tmp_path / "elsewhere")
    folder = tmp_path / "elsewhere" / "organizations" / "farm" / "users" / "alice" / "msp"
    stranger = signer_from_msp("FarmMSP", folder)
    nobody = Signer("NoMSP", alice.signer.certificate, alice.signer.key)
    codes = order(
        network,
        common_pb2.Envelope(payload=good.payload, signature=b"not a signature"),
        sign_envelope(bob.signer.sign, unsigned),
        twin,
        Forgery(stranger, forgery.endorsers).envelope(),
        Forgery(nobody, forgery.endorsers).envelope(),
    )
    assert codes == ["BAD_CREATOR_SIGNATURE"] * 5
    assert value(alice) == b""


def test_bad_proposal_txid(network: EmbeddedNetwork, alice: Client, forgery: Forgery) -> None:
    forged = change_channel_header(
        forgery.envelope(), alice.signer, lambda header: setattr(header, "tx_id", "0" * 64)
    )
    assert order(network, forged) == ["BAD_PROPOSAL_TXID"]
    assert network.node("FarmMSP").ledger.position("0" * 64) is None


def test_invalid_endorser_transaction(
    network: EmbeddedNetwork, alice: Client, forgery: Forgery
) -> None:
    signer = alice.signer
    other = forgery.envelope()

    def no_action(transaction: transaction_pb2.Transaction) -> None:
        del transaction.actions[:]

    def two_actions(transaction: transaction_pb2.Transaction) -> None:
        transaction.actions.append(transaction.actions[0])

    def another_header(transaction: transaction_pb2.Transaction) -> None:
        header = common_pb2.SignatureHeader(creator=signer.serialized, nonce=b"another")
        transaction.actions[0].header = header.SerializeToString()

    def no_data(payload: common_pb2.Payload) -> None:
        payload.data = b"\xff"

    codes = order(
        network,
        change_transaction(other, signer, no_action),
        change_transaction(other, signer, two_actions),
        change_transaction(other, signer, another_header),
        change_payload(other, signer, no_data),
        # The same endorsed content under a header that was never endorsed.
        change_channel_header(other, signer, lambda h: setattr(h, "version", 7)),
    )
    assert codes == ["INVALID_ENDORSER_TRANSACTION"] * 5


def test_unsupported_payload(network: EmbeddedNetwork, alice: Client, forgery: Forgery) -> None:
    forged = change_channel_header(
        forgery.envelope(), alice.signer, lambda header: setattr(header, "type", CONFIG_UPDATE)
    )
    assert order(network, forged) == ["UNSUPPORTED_TX_PAYLOAD"]


def test_target_chain_not_found(network: EmbeddedNetwork, forgery: Forgery) -> None:
    forgery.channel = "elsewhere"
    assert order(network, forgery.envelope()) == ["TARGET_CHAIN_NOT_FOUND"]


def test_endorsement_policy_failure(
    network: EmbeddedNetwork, alice: Client, forgery: Forgery
) -> None:
    farm, _ = forgery.endorsers
    mill_user = Client.of(network, "mill").signer

    def tampered(envelope: common_pb2.Envelope) -> common_pb2.Envelope:
        results = encode_transaction_set(
            [namespace_set("tracemark", {}, [], {"forged": b"tampered"})]
        )
        return change_action(
            envelope, alice.signer, lambda action: setattr(action, "results", results)
        )

    envelopes = [
        Forgery(alice.signer, endorsers).envelope()
        for endorsers in (
            [],
            [farm],
            [farm, farm],  # one organisation twice is still one
            [farm, mill_user],  # a user is not a node
            [farm, Signer("MillMSP", farm.certificate, farm.key)],  # farm's key under mill's name
        )
    ]
    envelopes.append(tampered(forgery.envelope()))
    assert order(network, *envelopes) == ["ENDORSEMENT_POLICY_FAILURE"] * 6
    assert value(alice) == b""


def test_unsigned_endorsement_does_not_spoil_the_others(
    network: EmbeddedNetwork, forgery: Forgery
) -> None:
    """Fabric drops an endorsement that does not verify; the rest may still be enough."""
    shop = network.node("ShopMSP").signer
    forgery.endorsers = [
        *forgery.endorsers,
        Signer("ShopMSP", shop.certificate, forgery.creator.key),
    ]
    assert order(network, forgery.envelope()) == ["VALID"]


def test_duplicate_txid(network: EmbeddedNetwork, alice: Client, forgery: Forgery) -> None:
    forgery.nonce = b"n" * 24
    envelope = forgery.envelope()
    forgery.writes = {"forged": b"2"}
    forgery.endorsers = list(reversed(forgery.endorsers))
    again = forgery.envelope()
    assert order(network, envelope, envelope, again) == [
        "VALID",
        "DUPLICATE_TXID",
        "DUPLICATE_TXID",
    ]
    assert order(network, again) == ["DUPLICATE_TXID"]
    assert value(alice) == b"1"


def test_refused_transaction_cannot_be_replayed(
    network: EmbeddedNetwork, alice: Client, forgery: Forgery
) -> None:
    """A transaction once found invalid stays so, even when its conflict is gone."""
    forgery.reads = {"other": pack_version(9, 9)}
    stale = forgery.envelope()
    assert order(network, stale) == ["MVCC_READ_CONFLICT"]
    assert order(network, stale) == ["DUPLICATE_TXID"]


def test_mvcc_read_conflict(network: EmbeddedNetwork, alice: Client, bob: Client) -> None:
    first, second = alice.signed("set", "k", "alice"), bob.signed("set", "k", "bob")
    assert order(network, first, second) == ["VALID", "MVCC_READ_CONFLICT"]
    stale = bob.signed("set", "k", "stale")
    assert alice.submit("set", "k", "fresh") == "VALID"
    assert order(network, stale) == ["MVCC_READ_CONFLICT"]
    assert alice.evaluate("get", "k") == b"fresh"


def test_conflict_with_a_deleted_key(network: EmbeddedNetwork, alice: Client) -> None:
    assert alice.submit("put", "k", "1") == "VALID"
    stale = alice.signed("set", "k", "2")
    assert alice.submit("delete", "k") == "VALID"
    assert order(network, stale) == ["MVCC_READ_CONFLICT"]
    assert alice.evaluate("get", "k") == b""


def test_an_invalid_transaction_is_no_conflict(
    network: EmbeddedNetwork, alice: Client, bob: Client
) -> None:
    spoiled = alice.signed("set", "k", "alice")
    spoiled = common_pb2.Envelope(payload=spoiled.payload, signature=b"bad")
    assert order(network, spoiled, bob.signed("set", "k", "bob")) == [
        "BAD_CREATOR_SIGNATURE",
        "VALID",
    ]


def test_phantom_read_conflict(network: EmbeddedNetwork, alice: Client, bob: Client) -> None:
    assert alice.submit("put", "a1", "x") == "VALID"
    counted = [bob.signed("count", "a", "b", f"n{index}") for index in range(4)]
    assert order(network, alice.signed("put", "a2", "x"), counted[0]) == [
        "VALID",
        "PHANTOM_READ_CONFLICT",
    ]
    assert order(network, counted[1]) == ["PHANTOM_READ_CONFLICT"]
    # Deleting what was counted is noticed as well, in the block and after it.
    counted = [bob.signed("count", "a", "b", f"n{index}") for index in range(2)]
    assert order(network, alice.signed("delete", "a1"), counted[0]) == [
        "VALID",
        "PHANTOM_READ_CONFLICT",
    ]
    assert order(network, counted[1]) == ["PHANTOM_READ_CONFLICT"]
    # A change outside the range is none.
    counted = [bob.signed("count", "a", "b", "n")]
    assert order(network, alice.signed("put", "b", "x"), counted[0]) == ["VALID", "VALID"]


def test_range_read_in_part(network: EmbeddedNetwork, alice: Client, bob: Client) -> None:
    """Who stopped at the first key depends on what is up to that key, and on nothing after."""
    assert alice.submit("put", "m5", "x") == "VALID"
    first = [bob.signed("first", "m", "n", f"f{index}") for index in range(2)]
    assert order(network, alice.signed("put", "m7", "x"), first[0]) == ["VALID", "VALID"]
    assert order(network, alice.signed("put", "m3", "x"), first[1]) == [
        "VALID",
        "PHANTOM_READ_CONFLICT",
    ]


def test_range_that_was_empty(network: EmbeddedNetwork, alice: Client, bob: Client) -> None:
    counted = bob.signed("count", "e", "f", "n")
    assert order(network, alice.signed("put", "e", "x"), counted) == [
        "VALID",
        "PHANTOM_READ_CONFLICT",
    ]


def test_bad_response_payload_and_rwset(
    network: EmbeddedNetwork, alice: Client, forgery: Forgery
) -> None:
    no_action = _rebound(forgery, extension=b"\xff\xff")
    forgery.results = b"\xff\xff"
    assert order(network, no_action, forgery.envelope()) == ["BAD_RESPONSE_PAYLOAD", "BAD_RWSET"]


def test_bad_header_extension(network: EmbeddedNetwork, alice: Client, forgery: Forgery) -> None:
    envelope = _rebound(forgery, lambda header: setattr(header, "extension", b"\xff\xff"))
    assert order(network, envelope) == ["BAD_HEADER_EXTENSION"]


def test_no_chaincode_in_the_header(network: EmbeddedNetwork, forgery: Forgery) -> None:
    envelope = _rebound(forgery, lambda header: setattr(header, "extension", b""))
    assert order(network, envelope) == ["INVALID_OTHER_REASON"]


def test_illegal_and_invalid_writesets(network: EmbeddedNetwork, forgery: Forgery) -> None:
    results = encode_transaction_set([namespace_set("tracemark", {}, [], {"k": b"1"})])
    forgery.results = twice(results)
    illegal = forgery.envelope()
    forgery.results = encode_transaction_set([namespace_set("tracemark", {}, [], {"": b"1"})])
    invalid = forgery.envelope()
    assert order(network, illegal, invalid) == ["ILLEGAL_WRITESET", "INVALID_WRITESET"]


def test_invalid_chaincode(network: EmbeddedNetwork, forgery: Forgery) -> None:
    undefined = Forgery(
        forgery.creator,
        forgery.endorsers,
        namespace="ghost",
        chaincode="ghost",
        response_chaincode="ghost",
    )
    another = Forgery(forgery.creator, forgery.endorsers, response_chaincode="other")
    foreign = Forgery(forgery.creator, forgery.endorsers, namespace="qscc")
    unversioned = Forgery(forgery.creator, forgery.endorsers, version="")
    codes = order(network, *(f.envelope() for f in (undefined, another, foreign, unversioned)))
    assert codes == ["INVALID_CHAINCODE"] * 4


def test_expired_chaincode(network: EmbeddedNetwork, forgery: Forgery) -> None:
    forgery.version = "0.9"
    assert order(network, forgery.envelope()) == ["EXPIRED_CHAINCODE"]


def test_definition_written_without_a_majority(network: EmbeddedNetwork, forgery: Forgery) -> None:
    """The namespace that holds the policies is itself guarded by a majority of nodes."""
    forgery.namespace = "_lifecycle"
    forgery.writes = {"namespaces/fields/tracemark/Sequence": b"1"}
    forgery.endorsers = forgery.endorsers[:1]
    assert order(network, forgery.envelope()) == ["ENDORSEMENT_POLICY_FAILURE"]


def test_event_of_another_chaincode(network: EmbeddedNetwork, forgery: Forgery) -> None:
    forgery.event = chaincode_event_pb2.ChaincodeEvent(
        chaincode_id="other", event_name="capture"
    ).SerializeToString()
    assert order(network, forgery.envelope()) == ["INVALID_OTHER_REASON"]


def test_invalid_config_transaction(network: EmbeddedNetwork) -> None:
    """An orderer cannot make up a configuration: its update must be signed."""
    orderer = network.sequencer.signer
    genesis = network.node("FarmMSP").ledger.block(0)
    envelope = common_pb2.Envelope.FromString(genesis.data.data[0])

    def sign_as_orderer(payload: common_pb2.Payload) -> None:
        header = common_pb2.SignatureHeader(creator=orderer.serialized, nonce=b"n" * 24)
        payload.header.signature_header = header.SerializeToString()

    forged = change_payload(envelope, orderer, sign_as_orderer)
    before = network.config.config.sequence
    assert order(network, forged) == ["INVALID_CONFIG_TRANSACTION"]
    assert network.config.config.sequence == before


def _rebound(
    forgery: Forgery,
    change: Callable[[common_pb2.ChannelHeader], None] = lambda header: None,
    extension: bytes | None = None,
) -> common_pb2.Envelope:
    """A transaction endorsed over a changed channel header."""
    parsed = parse_proposal(forgery.proposal())
    header = common_pb2.ChannelHeader.FromString(parsed.channel_header_bytes)
    change(header)
    parsed = replace(parsed, channel_header_bytes=header.SerializeToString())
    payload = forgery.payload(parsed.proposal_hash)
    if extension is not None:
        payload = proposal_response_pb2.ProposalResponsePayload(
            proposal_hash=parsed.proposal_hash, extension=extension
        ).SerializeToString()
    endorsements = [endorse_payload(s.sign, s.serialized, payload) for s in forgery.endorsers]
    return sign_envelope(forgery.creator.sign, prepared_transaction(parsed, payload, endorsements))
