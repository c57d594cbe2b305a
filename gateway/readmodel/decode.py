"""A Fabric block taken apart: what each transaction was, and what the valid ones wrote.

Only the write sets of VALID transactions in one namespace are kept; the rest of a transaction
(endorsements, read sets, arguments) is the validators' business. Records that are only the
contract's own indexes of others are left out too.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from fabric_protos.common import common_pb2
from fabric_protos.ledger.rwset import rwset_pb2
from fabric_protos.ledger.rwset.kvrwset import kv_rwset_pb2
from fabric_protos.msp import identities_pb2
from fabric_protos.peer import proposal_pb2, proposal_response_pb2, transaction_pb2
from google.protobuf.message import DecodeError

VALID = 0
_FILTER = common_pb2.TRANSACTIONS_FILTER
_INDEXES = ("\x00event-id\x00", "\x00grantee\x00", "\x00delegate\x00", "\x00certificate-of\x00")
_ENDORSER = common_pb2.ENDORSER_TRANSACTION


@dataclass(slots=True)
class Write:
    """One record written: composite key type ("" for a plain key), its parts, the new value.

    value: JSON bytes, or None where the key was deleted.
    """

    kind: str
    parts: tuple[str, ...]
    value: bytes | None


@dataclass(frozen=True, slots=True)
class DecodedTransaction:
    """One transaction: id, place in the block, Fabric validation code, creator, time, writes."""

    tx_id: str
    position: int
    code: int
    msp: str
    time_ms: int
    writes: tuple[Write, ...] = ()


@dataclass(frozen=True, slots=True)
class DecodedBlock:
    """One block; hashes are 64 hex characters ("" for the genesis block's previous hash)."""

    number: int
    hash: str
    previous_hash: str
    data_hash: str
    tx_count: int
    transactions: list[DecodedTransaction] = field(default_factory=list)


def decode_block(block: common_pb2.Block, namespace: str) -> DecodedBlock:
    """Take `block` apart. Transactions without an id (configuration) are counted, not listed."""
    header = block.header
    metadata = block.metadata.metadata
    flags = metadata[_FILTER] if len(metadata) > _FILTER else b""
    out = DecodedBlock(
        header.number,
        header_hash(header).hex(),
        header.previous_hash.hex(),
        header.data_hash.hex(),
        len(block.data.data),
    )
    for position, data in enumerate(block.data.data):
        code = flags[position] if position < len(flags) else 254  # NOT_VALIDATED
        try:
            transaction = _transaction(data, position, code, namespace)
        except DecodeError:
            if code == VALID:
                raise
            continue  # a malformed envelope, marked as such by the validators
        if transaction is not None:
            out.transactions.append(transaction)
    return out


def header_hash(header: common_pb2.BlockHeader) -> bytes:
    """SHA-256 over the DER sequence (number INTEGER, previous_hash, data_hash OCTET STRING)."""
    number = header.number
    digits = number.to_bytes(number.bit_length() // 8 + 1, "big")
    body = b"".join(
        (
            _der(0x02, digits),
            _der(0x04, header.previous_hash),
            _der(0x04, header.data_hash),
        )
    )
    return hashlib.sha256(_der(0x30, body)).digest()


def _der(tag: int, content: bytes) -> bytes:
    size = len(content)
    if size < 128:
        return bytes((tag, size)) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(length))) + length + content


def _transaction(
    data: bytes, position: int, code: int, namespace: str
) -> DecodedTransaction | None:
    envelope = common_pb2.Envelope.FromString(data)
    payload = common_pb2.Payload.FromString(envelope.payload)
    channel = common_pb2.ChannelHeader.FromString(payload.header.channel_header)
    if channel.type != _ENDORSER or not channel.tx_id:
        return None
    creator = common_pb2.SignatureHeader.FromString(payload.header.signature_header).creator
    msp = identities_pb2.SerializedIdentity.FromString(creator).mspid
    time_ms = channel.timestamp.seconds * 1000 + channel.timestamp.nanos // 1_000_000
    writes = _writes(payload.data, namespace) if code == VALID else ()
    return DecodedTransaction(channel.tx_id, position, code, msp, time_ms, writes)


def _writes(transaction: bytes, namespace: str) -> tuple[Write, ...]:
    out: list[Write] = []
    for action in transaction_pb2.Transaction.FromString(transaction).actions:
        payload = transaction_pb2.ChaincodeActionPayload.FromString(action.payload)
        response = proposal_response_pb2.ProposalResponsePayload.FromString(
            payload.action.proposal_response_payload
        )
        results = proposal_pb2.ChaincodeAction.FromString(response.extension).results
        for part in rwset_pb2.TxReadWriteSet.FromString(results).ns_rwset:
            if part.namespace == namespace:
                rwset = kv_rwset_pb2.KVRWSet.FromString(part.rwset)
                out.extend(
                    _write(write.key, None if write.is_delete else write.value)
                    for write in rwset.writes
                    if not write.key.startswith(_INDEXES)
                )
    return tuple(out)


def _write(key: str, value: bytes | None) -> Write:
    if not key.startswith("\x00"):
        return Write("", (key,), value)
    kind, *parts = key[1:].removesuffix("\x00").split("\x00")
    return Write(kind, tuple(parts), value)
