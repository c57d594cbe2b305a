"""Read-write sets: what a simulation read and wrote, as Fabric's messages and as used here.

``ledger/rwset/rwset.proto`` and ``kvrwset/kv_rwset.proto``. Namespaces, reads and writes are
sorted by key, so equal simulations give equal bytes. A version is 12 bytes inside a node: block
number and transaction number, big-endian (8 + 4).
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from fabric_protos.ledger.rwset import rwset_pb2
from fabric_protos.ledger.rwset.kvrwset import kv_rwset_pb2
from google.protobuf.message import DecodeError

from nodes.errors import MessageError

VERSION_BYTES: Final = 12
pack_version = struct.Struct(">QI").pack
unpack_version = struct.Struct(">QI").unpack_from
_STATE: Final = b"s"


@dataclass(frozen=True, slots=True)
class RangeRead:
    """A range that was read: keys in [start, end), or up to and with `end` when not exhausted."""

    start: str
    end: str
    exhausted: bool
    results: tuple[tuple[str, bytes], ...]


@dataclass(frozen=True, slots=True)
class NamespaceSet:
    """One namespace of a transaction: database keys with versions, ranges, and writes.

    `reads` are (state key bytes, version or None); `writes` are (key, state key, value) with
    value None for a deletion.
    """

    namespace: str
    reads: tuple[tuple[bytes, bytes | None], ...]
    ranges: tuple[RangeRead, ...]
    writes: tuple[tuple[bytes, bytes, bytes | None], ...]


def state_key(namespace: str, key: str) -> bytes:
    """Where a node keeps the value of `key`."""
    return b"%b%b\0%b" % (_STATE, namespace.encode(), key.encode())


def state_prefix(namespace: str) -> bytes:
    """What all state keys of a namespace start with."""
    return b"%b%b\0" % (_STATE, namespace.encode())


def namespace_message(
    namespace: str,
    reads: Mapping[str, bytes | None],
    ranges: Sequence[RangeRead],
    writes: Mapping[str, bytes | None],
) -> rwset_pb2.NsReadWriteSet:
    """One namespace's set as a message; versions are 12 bytes, None means "there was none"."""
    kv = kv_rwset_pb2.KVRWSet(
        reads=[_read(key, reads[key]) for key in sorted(reads)],
        range_queries_info=[_range(read) for read in ranges],
        writes=[
            kv_rwset_pb2.KVWrite(key=key, value=value)
            if (value := writes[key]) is not None
            else kv_rwset_pb2.KVWrite(key=key, is_delete=True)
            for key in sorted(writes)
        ],
    )
    return rwset_pb2.NsReadWriteSet(namespace=namespace, rwset=kv.SerializeToString())


def transaction_set(namespaces: Sequence[rwset_pb2.NsReadWriteSet]) -> bytes:
    """A serialized ``TxReadWriteSet``; namespaces in the order given (sorted by the caller)."""
    return bytes(
        rwset_pb2.TxReadWriteSet(
            data_model=rwset_pb2.TxReadWriteSet.DataModel.KV, ns_rwset=namespaces
        ).SerializeToString()
    )


def parse_transaction_set(data: bytes) -> tuple[NamespaceSet, ...]:
    """Take a serialized ``TxReadWriteSet`` apart; raises MessageError."""
    try:
        outer = rwset_pb2.TxReadWriteSet.FromString(data)
        return tuple(_namespace(entry) for entry in outer.ns_rwset)
    except DecodeError as error:
        raise MessageError(f"the read-write set cannot be decoded: {error}") from error


def _namespace(entry: rwset_pb2.NsReadWriteSet) -> NamespaceSet:
    if entry.collection_hashed_rwset:
        raise MessageError("private data collections are not kept on this ledger")
    kv = kv_rwset_pb2.KVRWSet.FromString(entry.rwset)
    if kv.metadata_writes:
        raise MessageError("key metadata is not kept on this ledger")
    prefix = state_prefix(entry.namespace)
    writes = []
    for write in kv.writes:
        key = write.key.encode()
        writes.append((key, prefix + key, None if write.is_delete else write.value))
    return NamespaceSet(
        namespace=entry.namespace,
        reads=tuple((prefix + read.key.encode(), _version(read)) for read in kv.reads),
        ranges=tuple(_parse_range(info) for info in kv.range_queries_info),
        writes=tuple(writes),
    )


def _parse_range(info: kv_rwset_pb2.RangeQueryInfo) -> RangeRead:
    if info.HasField("reads_merkle_hashes"):
        raise MessageError("a range read by Merkle hashes is not made by these nodes")
    results = []
    for read in info.raw_reads.kv_reads:
        version = _version(read)
        if version is None:
            raise MessageError("a range read names a key without its version")
        results.append((read.key, version))
    return RangeRead(info.start_key, info.end_key, info.itr_exhausted, tuple(results))


def _read(key: str, version: bytes | None) -> kv_rwset_pb2.KVRead:
    if version is None:
        return kv_rwset_pb2.KVRead(key=key)
    block, number = unpack_version(version)
    return kv_rwset_pb2.KVRead(
        key=key, version=kv_rwset_pb2.Version(block_num=block, tx_num=number)
    )


def _version(read: kv_rwset_pb2.KVRead) -> bytes | None:
    if not read.HasField("version"):
        return None
    version = read.version
    if version.tx_num >= 2**32:
        raise MessageError("a version's transaction number is out of range")
    return pack_version(version.block_num, version.tx_num)


def _range(read: RangeRead) -> kv_rwset_pb2.RangeQueryInfo:
    return kv_rwset_pb2.RangeQueryInfo(
        start_key=read.start,
        end_key=read.end,
        itr_exhausted=read.exhausted,
        raw_reads=kv_rwset_pb2.QueryReads(
            kv_reads=[_read(key, version) for key, version in read.results]
        ),
    )
