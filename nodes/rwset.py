"""Read-write sets: what a simulation read and wrote, as Fabric's messages and as used here.

``ledger/rwset/rwset.proto`` and ``kvrwset/kv_rwset.proto``. Namespaces, reads and writes are
sorted by key, so equal simulations give equal bytes. A version is 12 bytes inside a node: block
number and transaction number, big-endian (8 + 4).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from fabric_protos.ledger.rwset import rwset_pb2
from fabric_protos.ledger.rwset.kvrwset import kv_rwset_pb2
from google.protobuf.message import DecodeError

from nodes.errors import MessageError
from nodes.ledger_keys import varint

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


def namespace_set(
    namespace: str,
    reads: Mapping[str, bytes | None],
    ranges: Sequence[RangeRead],
    writes: Mapping[str, bytes | None],
) -> NamespaceSet:
    """One namespace's set; versions are 12 bytes, None means "there was none"; keys sorted."""
    prefix = state_prefix(namespace)
    return NamespaceSet(
        namespace=namespace,
        reads=tuple((prefix + key, version) for key, version in _by_key(reads)),
        ranges=tuple(ranges),
        writes=tuple((key, prefix + key, value) for key, value in _by_key(writes)),
    )


def encode_transaction_set(sets: Sequence[NamespaceSet]) -> bytes:
    """A serialized ``TxReadWriteSet``; namespaces in the order given (sorted by the caller).

    Written by hand, byte for byte what protobuf writes: this is on the path of every
    transaction, and building the messages costs several times as much.
    """
    return b"".join(_field(0x12, _encode_namespace(entry)) for entry in sets)


def _encode_namespace(entry: NamespaceSet) -> bytes:
    skip = len(state_prefix(entry.namespace))
    parts = []
    for key, version in entry.reads:
        read = _field(0x0A, key[skip:])
        if version is not None:
            block, number = unpack_version(version)
            read += _field(0x12, _number(0x08, block) + _number(0x10, number))
        parts.append(_field(0x0A, read))
    for info in entry.ranges:
        parts.append(_field(0x12, _range(info).SerializeToString()))
    for key, _, value in entry.writes:
        write = _field(0x0A, key)
        write += b"\x10\x01" if value is None else _field(0x1A, value)
        parts.append(_field(0x1A, write))
    name = entry.namespace.encode()
    return _field(0x0A, name) + _field(0x12, b"".join(parts))


def _field(tag: int, data: bytes) -> bytes:
    size = len(data)
    if size < 0x80:
        return bytes((tag, size)) + data
    return b"%c%b%b" % (tag, varint(size), data)


def _number(tag: int, value: int) -> bytes:
    return b"%c%b" % (tag, varint(value)) if value else b""


def _by_key(values: Mapping[str, bytes | None]) -> Iterator[tuple[bytes, bytes | None]]:
    for key in sorted(values):
        yield key.encode(), values[key]


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
