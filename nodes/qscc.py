"""The query system chaincode ``qscc``: blocks and transactions of a node (Fabric core/scc/qscc).

Arguments: function, channel, and for all but GetChainInfo a block number (decimal), header hash
(32 bytes) or transaction id. Results are serialized messages: BlockchainInfo, Block,
ProcessedTransaction.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from fabric_protos.common import common_pb2, ledger_pb2
from fabric_protos.peer import transaction_pb2

from nodes.node import Node
from nodes.simulation import Simulation

NAME: Final = "qscc"


def invoke(node: Node, simulation: Simulation, args: Sequence[bytes]) -> bytes:
    """Answer a query about the node's ledger; raises ValueError with the reason of a refusal."""
    if len(args) < 2:
        raise ValueError(f"Incorrect number of arguments, {len(args)}")
    function, channel = args[0].decode(errors="replace"), args[1].decode(errors="replace")
    if channel != simulation.channel:
        raise ValueError(f"Invalid chain ID, {channel}")
    if function == "GetChainInfo":
        return _chain_info(node)
    query = _QUERIES.get(function)
    if query is None:
        raise ValueError(f"Requested function {function} not found.")
    if len(args) < 3:
        raise ValueError(f"missing 3rd argument for {function}")
    return query(node, args[2])


def _chain_info(node: Node) -> bytes:
    tip = node.ledger.tip
    previous = b""
    if tip.height > 1:
        previous = node.ledger.block(tip.height - 1).header.previous_hash
    info = ledger_pb2.BlockchainInfo(
        height=tip.height, currentBlockHash=tip.header_hash, previousBlockHash=previous
    )
    return bytes(info.SerializeToString())


def _block_by_number(node: Node, argument: bytes) -> bytes:
    text = argument.decode(errors="replace")
    if not (text.isascii() and text.isdigit()) or int(text) >= 2**64:
        raise ValueError(f"Failed to parse block number with error {text!r} is not a number")
    number = int(text)
    if number == 2**64 - 1:
        number = node.ledger.height - 1
    if number >= node.ledger.height:
        raise ValueError(f"Failed to get block number {number}, error no such block number")
    return node.ledger.block_bytes(number)


def _block_by_hash(node: Node, argument: bytes) -> bytes:
    number = node.ledger.block_by_hash(argument)
    if number is None:
        raise ValueError(f"Failed to get block hash {argument.hex()}, error no such block hash")
    return node.ledger.block_bytes(number)


def _block_by_tx_id(node: Node, argument: bytes) -> bytes:
    position = node.ledger.position(argument.decode(errors="replace"))
    if position is None:
        raise ValueError(
            f"Failed to get block for txID {argument.decode(errors='replace')},"
            " error no such transaction ID"
        )
    return node.ledger.block_bytes(position.block)


def _transaction_by_id(node: Node, argument: bytes) -> bytes:
    position = node.ledger.position(argument.decode(errors="replace"))
    if position is None:
        raise ValueError(
            f"Failed to get transaction with id {argument.decode(errors='replace')},"
            " error no such transaction ID"
        )
    processed = transaction_pb2.ProcessedTransaction(
        transactionEnvelope=common_pb2.Envelope.FromString(node.ledger.envelope(position)),
        validationCode=position.code,
    )
    return bytes(processed.SerializeToString())


_QUERIES: Final[Mapping[str, Callable[[Node, bytes], bytes]]] = {
    "GetBlockByNumber": _block_by_number,
    "GetBlockByHash": _block_by_hash,
    "GetBlockByTxID": _block_by_tx_id,
    "GetTransactionByID": _transaction_by_id,
}
