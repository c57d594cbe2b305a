"""Fabric blocks with given write sets, for tests of the projection alone.

Everything a decoder reads is there and real (headers, hashes, rwsets); signatures are not, since
projecting never looks at them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
from fabric_protos.common import common_pb2
from fabric_protos.ledger.rwset import rwset_pb2
from fabric_protos.ledger.rwset.kvrwset import kv_rwset_pb2
from fabric_protos.msp import identities_pb2
from fabric_protos.peer import proposal_pb2, proposal_response_pb2, transaction_pb2

from gateway.readmodel.decode import header_hash

NAMESPACE = "tracemark"
Writes = Mapping[tuple[str, ...], Any]


def key(*parts: str) -> str:
    """A Fabric composite key."""
    return "\x00" + "".join(f"{part}\x00" for part in parts)


@dataclass(slots=True)
class Tx:
    """One transaction: writes by key parts (None deletes; bytes as they are), code, time."""

    tx_id: str
    writes: Writes = field(default_factory=dict)
    code: int = 0
    time_ms: int = 1_700_000_000_000
    msp: str = "Org1MSP"


class Chain:
    """Makes consecutive blocks."""

    def __init__(self) -> None:
        self.number = 0
        self.previous = b""

    def block(self, *transactions: Tx) -> common_pb2.Block:
        data = [envelope(tx) for tx in transactions]
        block = common_pb2.Block()
        block.header.number = self.number
        block.header.previous_hash = self.previous
        block.header.data_hash = hashlib.sha256(b"".join(data)).digest()
        block.data.data.extend(data)
        block.metadata.metadata.extend([b"", b"", bytes(tx.code for tx in transactions), b"", b""])
        self.number += 1
        self.previous = header_hash(block.header)
        return block


def envelope(tx: Tx) -> bytes:
    writes = [
        kv_rwset_pb2.KVWrite(
            key=key(*parts) if len(parts) > 1 else parts[0],
            is_delete=value is None,
            value=b"" if value is None else _value(value),
        )
        for parts, value in sorted(tx.writes.items())
    ]
    rwset = rwset_pb2.TxReadWriteSet(
        ns_rwset=[
            rwset_pb2.NsReadWriteSet(
                namespace=NAMESPACE,
                rwset=kv_rwset_pb2.KVRWSet(writes=writes).SerializeToString(),
            ),
            rwset_pb2.NsReadWriteSet(
                namespace="_lifecycle",
                rwset=kv_rwset_pb2.KVRWSet(
                    writes=[kv_rwset_pb2.KVWrite(key="x", value=b"not ours")]
                ).SerializeToString(),
            ),
        ]
    )
    action = proposal_pb2.ChaincodeAction(results=rwset.SerializeToString())
    response = proposal_response_pb2.ProposalResponsePayload(extension=action.SerializeToString())
    payload = transaction_pb2.ChaincodeActionPayload(
        action=transaction_pb2.ChaincodeEndorsedAction(
            proposal_response_payload=response.SerializeToString()
        )
    )
    transaction = transaction_pb2.Transaction(
        actions=[transaction_pb2.TransactionAction(payload=payload.SerializeToString())]
    )
    channel = common_pb2.ChannelHeader(
        type=common_pb2.ENDORSER_TRANSACTION, channel_id="trace", tx_id=tx.tx_id
    )
    channel.timestamp.FromMilliseconds(tx.time_ms)
    creator = identities_pb2.SerializedIdentity(mspid=tx.msp, id_bytes=b"certificate")
    header = common_pb2.Header(
        channel_header=channel.SerializeToString(),
        signature_header=common_pb2.SignatureHeader(
            creator=creator.SerializeToString()
        ).SerializeToString(),
    )
    body = common_pb2.Payload(header=header, data=transaction.SerializeToString())
    return bytes(common_pb2.Envelope(payload=body.SerializeToString()).SerializeToString())


def _value(value: Any) -> bytes:
    return value if isinstance(value, bytes) else orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def digest(text: str) -> str:
    """64 hex characters that stand for `text`."""
    return hashlib.sha256(text.encode()).hexdigest()


def event(
    name: str,
    tx: str,
    *,
    index: int = 0,
    time_ms: int = 1_700_000_000_000,
    party: str = "urn:tracemark:party:farm",
    findings: Sequence[Mapping[str, str]] = (),
    carbon: Sequence[Mapping[str, Any]] = (),
    voided_by: str = "",
    **projection: Any,
) -> dict[str, Any]:
    """An event record as the contract writes it."""
    record: dict[str, Any] = {
        "hash": f"ni:///sha-256;{digest(name)}?ver=CBV2.0",
        "commitment": digest("payload " + name),
        "projection": {"v": 1, "type": "ObjectEvent", "time_ms": time_ms, **projection},
        "party": party,
        "msp": "Org1MSP",
        "tx_id": tx,
        "time_ms": time_ms + 1000,
        "index": index,
        "findings": list(findings),
        "carbon": list(carbon),
    }
    if voided_by:
        record["voided_by"] = voided_by
    return record
