"""One node's ledger: blocks, transaction index, state with versions, history — one RocksDB.

A block becomes part of the ledger by one write batch, or not at all, and counts once synced.
Keys (all integers big-endian):

======================================  ========================================================
``b`` number:8                          the block without metadata: serialized header and data
``m`` number:8                          its ``BlockMetadata`` with this node's verdicts
``x`` header hash:32                    number:8
``t`` transaction id                    number:8 index:4 code:1 offset:4 length:4 (in ``b``)
``s`` namespace 00 key                  version:12 value
``h`` namespace 00 size:4 key ~number:8 ~index:4   deleted:1 time ms:8 transaction id:64 value
``H``                                   height:8 header hash:32 last config block:8 commit hash
======================================  ========================================================

Who decides what is written: :mod:`nodes.validate`. Reads for contracts go through a
:class:`View`, a snapshot that stays as it is while blocks are committed.
"""

from __future__ import annotations

import logging
import os
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final
from weakref import WeakSet

from fabric_protos.common import common_pb2
from rocksdict import (
    AccessType,
    BlockBasedOptions,
    Cache,
    DbClosedError,
    DBCompressionType,
    Options,
    Rdict,
    ReadOptions,
    WriteBatch,
    WriteOptions,
)

from nodes.errors import LedgerCorrupt, LedgerError
from nodes.ledger_keys import (
    LAST_32,
    LAST_64,
    Operation,
    Tip,
    history_prefix,
    history_struct,
    join_block,
    pack_number,
    pack_tip,
    position_struct,
    unpack_tip,
)
from nodes.rwset import VERSION_BYTES, state_prefix

__all__ = [
    "HistoricValue",
    "Ledger",
    "Tip",
    "TransactionPosition",
    "View",
    "history_prefix",
    "join_block",
]

log = logging.getLogger(__name__)
_HEIGHT: Final = b"H"
_NOT_FOUND: Final = "key not found"
_MEGABYTE: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class TransactionPosition:
    """Where a transaction stands: block, index in it, validation code, place in its bytes."""

    block: int
    index: int
    code: int
    offset: int
    length: int


@dataclass(frozen=True, slots=True)
class HistoricValue:
    """One committed version of a key."""

    tx_id: str
    timestamp_ms: int
    is_delete: bool
    value: bytes
    block: int
    index: int


class View:
    """The state as one block left it; reads are thread-safe and never see later blocks."""

    __slots__ = ("__weakref__", "_snapshot", "height")

    def __init__(self, snapshot: object, height: int) -> None:
        self._snapshot: object | None = snapshot
        self.height = height

    def release(self) -> None:
        """Let go of the snapshot; later reads raise LedgerError."""
        self._snapshot = None

    def get(self, key: bytes) -> bytes | None:
        """Version (12 bytes) followed by the value at a state key, or None."""
        try:
            return self._snapshot[key]  # type: ignore[no-any-return, index]
        except Exception as error:  # rocksdict has no class of its own for a missing key
            if error.args and error.args[0] == _NOT_FOUND:
                return None
            if self._snapshot is None:
                raise LedgerError("the ledger is closed") from error
            raise LedgerError(f"reading the state failed: {error}") from error

    def scan(self, start: bytes, end: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Keys in [start, end) with their raw values, in key order."""
        if self._snapshot is None:
            raise LedgerError("the ledger is closed")
        return _scan(self._snapshot, start, end)

    def history(self, namespace: str, key: str) -> Iterator[HistoricValue]:
        """Every version of a key that this view knows, newest first."""
        prefix = history_prefix(namespace, key.encode())
        end = prefix + b"\xff" * 13
        for raw_key, raw in self.scan(prefix, end):
            block, index = struct.unpack_from(">QI", raw_key, len(prefix))
            deleted, timestamp_ms, tx_id = history_struct.unpack_from(raw)
            yield HistoricValue(
                tx_id=tx_id.decode(),
                timestamp_ms=timestamp_ms,
                is_delete=bool(deleted),
                value=raw[history_struct.size :],
                block=LAST_64 - block,
                index=LAST_32 - index,
            )


class Ledger:
    """The ledger of one node. One writer; any number of readers."""

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        """Open or create; raises LedgerError when the storage cannot be opened."""
        self.path = path
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
        access = AccessType.read_only(False) if read_only else AccessType.read_write()
        try:
            self._db = Rdict(str(path), _options(), access_type=access)
        except Exception as error:
            raise LedgerError(f"the ledger in {path} cannot be opened: {error}") from error
        self._unsynced = WriteOptions()
        self._log_name = ""
        self._log_file = -1
        # A snapshot keeps the database open, so closing has to release those still held.
        self._views: WeakSet[View] = WeakSet()
        self._tip = self._read_tip()

    # -- reading ---------------------------------------------------------------------------------

    @property
    def tip(self) -> Tip:
        """Height and last hashes."""
        return self._tip

    @property
    def height(self) -> int:
        """Number of committed blocks."""
        return self._tip.height

    def view(self) -> View:
        """A snapshot of the committed state."""
        try:
            view = View(self._db.snapshot(), self._tip.height)
        except Exception as error:
            raise LedgerError(f"no snapshot of {self.path} can be taken: {error}") from error
        self._views.add(view)
        return view

    def get(self, key: bytes) -> bytes | None:
        """The committed raw value at a database key."""
        try:
            return self._db.get(key)  # type: ignore[no-any-return]
        except Exception as error:
            raise LedgerError(f"reading {self.path} failed: {error}") from error

    def scan(self, start: bytes, end: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Committed keys in [start, end) with their raw values, in key order."""
        return _scan(self._db, start, end)

    def state(self, namespace: str) -> Iterator[tuple[str, bytes, bytes]]:
        """All of a namespace: key, 12-byte version, value; in key order."""
        prefix = state_prefix(namespace)
        for key, raw in self.scan(prefix, prefix[:-1] + b"\x01"):
            yield key[len(prefix) :].decode(), raw[:VERSION_BYTES], raw[VERSION_BYTES:]

    def state_digest(self) -> bytes:
        """SHA-256 over every state and history entry: equal on nodes that agree."""
        digest = sha256()
        for first in (b"h", b"s"):
            for key, raw in self.scan(first, bytes([first[0] + 1])):
                digest.update(struct.pack(">II", len(key), len(raw)) + key + raw)
        return digest.digest()

    def block_body(self, number: int) -> bytes:
        """Serialized header and data of a block; raises LedgerError when there is no such block."""
        body = self.get(b"b" + pack_number(number))
        if body is None:
            raise LedgerError(f"there is no block {number}; the height is {self.height}")
        return body

    def block_metadata(self, number: int) -> bytes:
        """Serialized ``BlockMetadata`` of a block, with the validation codes."""
        metadata = self.get(b"m" + pack_number(number))
        if metadata is None:
            raise LedgerError(f"there is no block {number}; the height is {self.height}")
        return metadata

    def block_bytes(self, number: int) -> bytes:
        """A serialized ``common.Block``."""
        return join_block(self.block_body(number), self.block_metadata(number))

    def block(self, number: int) -> common_pb2.Block:
        """A ``common.Block``."""
        return common_pb2.Block.FromString(self.block_bytes(number))

    def block_by_hash(self, header_hash: bytes) -> int | None:
        """The number of the block with this header hash."""
        raw = self.get(b"x" + header_hash)
        return None if raw is None else int.from_bytes(raw, "big")

    def position(self, tx_id: str) -> TransactionPosition | None:
        """Where a transaction stands, or None when it was never in a block."""
        raw = self.get(b"t" + tx_id.encode())
        return None if raw is None else TransactionPosition(*position_struct.unpack(raw))

    def envelope(self, position: TransactionPosition) -> bytes:
        """The serialized Envelope at a position."""
        body = self.block_body(position.block)
        return body[position.offset : position.offset + position.length]

    # -- writing ---------------------------------------------------------------------------------

    def append(
        self, tip: Tip, body: bytes, metadata: bytes, operations: Sequence[Operation]
    ) -> None:
        """Write the next block, whole or not at all; durable after `sync`; raises LedgerError.

        `tip` is the ledger's tip after this block; `operations` are state, history and index.
        """
        number = tip.height - 1
        if number != self._tip.height:
            raise LedgerCorrupt(f"block {number} does not follow height {self._tip.height}")
        batch = WriteBatch(raw_mode=True)
        put, delete = batch.put, batch.delete
        for key, value in operations:
            if value is None:
                delete(key)
            else:
                put(key, value)
        put(b"b" + pack_number(number), body)
        put(b"m" + pack_number(number), metadata)
        put(b"x" + tip.header_hash, pack_number(number))
        put(_HEIGHT, pack_tip(tip))
        try:
            self._db.write(batch, self._unsynced)
        except Exception as error:
            raise LedgerError(f"writing block {number} to {self.path} failed: {error}") from error
        self._tip = tip

    def sync(self) -> None:
        """Return once every appended block is on disk; raises LedgerError.

        The batch stands in RocksDB's newest write-ahead log; syncing that file here, rather than
        in the write, lets go of the interpreter lock and lets all nodes sync at the same time.
        """
        try:
            newest = max(name for name in os.listdir(self.path) if name.endswith(".log"))
            if newest != self._log_name:
                self._open_log(newest)
            os.fdatasync(self._log_file)
        except (OSError, ValueError) as error:
            raise LedgerError(f"syncing {self.path} failed: {error}") from error

    def _open_log(self, name: str) -> None:
        if self._log_file >= 0:
            os.close(self._log_file)
            self._log_file = -1
        self._log_file = os.open(self.path / name, os.O_RDONLY)
        self._log_name = name
        folder = os.open(self.path, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def flush(self) -> None:
        """Move what is in memory into table files, so that the next open is quick."""
        self._db.flush()

    def close(self) -> None:
        """Close the storage and release every view."""
        for view in list(self._views):
            view.release()
        if self._log_file >= 0:
            os.close(self._log_file)
            self._log_file, self._log_name = -1, ""
        try:
            self._db.close()
        except DbClosedError:
            return
        except Exception as error:
            # Closing flushes; on a full disk it cannot, and the write-ahead log still has it all.
            log.warning("closing %s: %s", self.path, error)

    def _read_tip(self) -> Tip:
        raw = self.get(_HEIGHT)
        if raw is None:
            return Tip(0, b"", 0, b"")
        return unpack_tip(raw)


def _scan(source: object, start: bytes, end: bytes) -> Iterator[tuple[bytes, bytes]]:
    options = ReadOptions()
    options.set_iterate_upper_bound(end)
    try:
        cursor = source.iter(options)  # type: ignore[attr-defined]
        cursor.seek(start)
        while cursor.valid():
            yield cursor.key(), cursor.value()
            cursor.next()
        cursor.status()
    except Exception as error:
        raise LedgerError(f"reading a range failed: {error}") from error


def _options() -> Options:
    options = Options(raw_mode=True)
    options.create_if_missing(True)
    options.set_write_buffer_size(64 * _MEGABYTE)
    options.set_max_background_jobs(2)
    options.set_keep_log_file_num(2)
    options.set_compression_type(DBCompressionType.lz4())
    # Whole blocks go to blob files: compaction then never copies them again.
    options.set_enable_blob_files(True)
    options.set_min_blob_size(64 * 1024)
    options.set_blob_compression_type(DBCompressionType.lz4())
    tables = BlockBasedOptions()
    tables.set_block_cache(Cache(64 * _MEGABYTE))
    tables.set_bloom_filter(10, False)
    options.set_block_based_table_factory(tables)
    return options
