"""qscc: the ledger's own queries, with Fabric's messages and hashes."""

from __future__ import annotations

from hashlib import sha256

import pytest
from fabric_protos.common import common_pb2, ledger_pb2
from fabric_protos.peer import transaction_pb2

from nodes.checked import update_bytes
from nodes.embedded import EmbeddedNetwork
from nodes.endorse import now_ms
from nodes.errors import GatewayError
from nodes.messages import block_data_hash, block_header_hash, new_proposal
from tests.nodes.client import Client, order, tx_id_of


def query(client: Client, function: str, *args: str) -> bytes:
    return client.evaluate(function, "trace", *args, chaincode="qscc")


def test_chain_info(network: EmbeddedNetwork, alice: Client) -> None:
    assert alice.submit("put", "k", "1") == "VALID"
    info = ledger_pb2.BlockchainInfo.FromString(query(alice, "GetChainInfo"))
    last = common_pb2.Block.FromString(query(alice, "GetBlockByNumber", str(info.height - 1)))
    assert info.height == network.height
    assert info.currentBlockHash == block_header_hash(last.header)
    assert info.previousBlockHash == last.header.previous_hash


def test_blocks_are_chained(network: EmbeddedNetwork, alice: Client) -> None:
    for number in range(3):
        assert alice.submit("put", f"k{number}", "1") == "VALID"
    previous = b""
    for number in range(network.height):
        block = common_pb2.Block.FromString(query(alice, "GetBlockByNumber", str(number)))
        assert block.header.previous_hash == previous
        assert block.header.data_hash == block_data_hash(block.data.data)
        previous = block_header_hash(block.header)


def test_lookups_agree(network: EmbeddedNetwork, alice: Client, bob: Client) -> None:
    good, bad = alice.signed("set", "k", "1"), bob.signed("set", "k", "2")
    order(network, good, bad)
    by_number = query(alice, "GetBlockByNumber", str(network.height - 1))
    for envelope, code in ((good, 0), (bad, 11)):
        assert query(alice, "GetBlockByTxID", tx_id_of(envelope)) == by_number
        processed = transaction_pb2.ProcessedTransaction.FromString(
            query(alice, "GetTransactionByID", tx_id_of(envelope))
        )
        assert processed.validationCode == code
        assert processed.transactionEnvelope == envelope


def test_block_by_hash(network: EmbeddedNetwork, alice: Client) -> None:
    tip = network.node("FarmMSP").ledger.tip
    proposal, tx_id = new_proposal(
        alice.signer.serialized,
        "trace",
        "qscc",
        [b"GetBlockByHash", b"trace", tip.header_hash],
        timestamp_ms=now_ms(),
    )
    block = common_pb2.Block.FromString(alice.evaluate_bytes(proposal, tx_id))
    assert block.header.number == tip.height - 1


def test_commit_hashes_are_chained(network: EmbeddedNetwork, alice: Client) -> None:
    """The commit hash covers verdicts and the last hash: a changed verdict shows for ever."""
    assert alice.submit("put", "k", "1") == "VALID"
    ledger = network.node("FarmMSP").ledger
    hashes = [
        common_pb2.Metadata.FromString(ledger.block(number).metadata.metadata[4]).value
        for number in range(ledger.height)
    ]
    assert hashes[0] == b""
    assert all(len(value) == 32 for value in hashes[1:])
    assert ledger.tip.commit_hash == hashes[-1]
    version = (ledger.height - 1, 0)
    updates = update_bytes(version[0], {"tracemark": {b"k": (0, b"1")}})
    assert hashes[-1] == sha256(b"\x01\x00" + updates + hashes[-2]).digest()


@pytest.mark.parametrize(
    "args",
    [
        ("GetBlockByNumber", "99"),
        ("GetBlockByNumber", "minus one"),
        ("GetTransactionByID", "0" * 64),
        ("GetBlockByTxID", "0" * 64),
        ("GetBlockByHash", "0" * 32),
        ("GetNothing", "1"),
        ("GetBlockByNumber",),
    ],
)
def test_refusals(alice: Client, args: tuple[str, ...]) -> None:
    with pytest.raises(GatewayError):
        query(alice, *args)


def test_other_channel(alice: Client) -> None:
    with pytest.raises(GatewayError):
        alice.evaluate("GetChainInfo", "elsewhere", chaincode="qscc")
