"""The RocksDB database of one payload store: its column families, batches and errors.

====== ============================== =====================================================
family key                            value
====== ============================== =====================================================
head   commitment (32 bytes)          terms and wrapped key, or the receipt of an erasure
body   commitment (32 bytes)          nonce and AES-256-GCM ciphertext
queue  stored_ms (8, big-endian)      payloads not yet seen on the chain
       and commitment (32 bytes)
log    sequence number (8)            the read log
meta   name                           format version, signed log head, unfinished work
====== ============================== =====================================================

Heads are apart from bodies so that compaction can drop an erased key from the disk by rewriting
a few hundred bytes per payload instead of the payloads. Nothing is compressed: bodies are
ciphertext, and a test looks for erased keys in the raw files.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rocksdict import (
    AccessType,
    BlockBasedOptions,
    BottommostLevelCompaction,
    Checkpoint,
    CompactOptions,
    DBCompressionType,
    Options,
    Rdict,
    WriteBatch,
    WriteOptions,
)

from nodes.payloads.errors import StoreBusy, StoreUnavailable

HEAD, BODY, QUEUE, LOG, META = "head", "body", "queue", "log", "meta"
FAMILIES = (HEAD, BODY, QUEUE, LOG, META)

_log = logging.getLogger(__name__)


class Batch:
    """Writes that happen together or not at all."""

    def __init__(self, handles: dict[str, Any]) -> None:
        self._batch = WriteBatch(raw_mode=True)
        self._handles = handles

    def put(self, family: str, key: bytes, value: bytes) -> None:
        self._batch.put(key, value, self._handles[family])

    def delete(self, family: str, key: bytes) -> None:
        self._batch.delete(key, self._handles[family])


class PayloadDatabase:
    """An open database; thread-safe as RocksDB is."""

    def __init__(self, directory: Path, *, read_only: bool = False) -> None:
        """Open or create the database in `directory`; raises StoreBusy or StoreUnavailable.

        `read_only` changes no file, takes no lock, and sees the database as it is now.
        """
        access = AccessType.read_only(False) if read_only else AccessType.read_write()
        try:
            if not read_only:
                directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            families = {name: _options(read_only) for name in FAMILIES}
            self._db = Rdict(str(directory), _options(read_only), families, access)
        except OSError as exc:
            raise StoreUnavailable(
                f"the payload store {directory} cannot be used: {exc.strerror}"
            ) from exc
        except Exception as exc:
            raise _open_error(directory, exc) from exc
        self.directory = directory
        self._families = {name: self._db.get_column_family(name) for name in FAMILIES}
        self._handles = {name: self._db.get_column_family_handle(name) for name in FAMILIES}
        self._synced, self._unsynced = WriteOptions(), WriteOptions()
        self._synced.sync = True

    def batch(self) -> Batch:
        """An empty batch; it can be written once. Raises StoreUnavailable when closed."""
        self._family(META)
        return Batch(self._handles)

    def write(self, batch: Batch, *, sync: bool) -> None:
        """Commit `batch` atomically; with `sync` it is on the disk when this returns.

        Raises StoreUnavailable (a full disk, a failing one): then nothing of it is written.
        """
        try:
            self._db.write(batch._batch, self._synced if sync else self._unsynced)
        except Exception as exc:
            raise StoreUnavailable(f"the payload store cannot be written: {exc}") from exc

    def sync(self) -> None:
        """Put everything written so far on the disk; raises StoreUnavailable."""
        try:
            self._db.flush_wal(True)
        except Exception as exc:
            raise StoreUnavailable(f"the payload store cannot be synced: {exc}") from exc

    def get(self, family: str, key: bytes) -> bytes | None:
        return self.get_many(family, [key])[0]

    def get_many(self, family: str, keys: list[bytes]) -> list[bytes | None]:
        """Values in the order asked; raises StoreUnavailable when a block fails its checksum."""
        try:
            found: list[bytes | None] = self._family(family).get(keys)
        except StoreUnavailable:
            raise
        except Exception as exc:
            raise StoreUnavailable(f"the payload store cannot be read: {exc}") from exc
        return found

    def rows(
        self, family: str, start: bytes = b"", *, backwards: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        """Rows in key order from `start` on (or from the end), over a consistent snapshot."""
        rows = self._family(family).iter()
        try:
            if backwards:
                rows.seek_to_last()
            else:
                rows.seek(start)
            while rows.valid():
                yield rows.key(), rows.value()
                rows.prev() if backwards else rows.next()
            rows.status()
        except Exception as exc:
            raise StoreUnavailable(f"the payload store cannot be read: {exc}") from exc

    def shred(self, keys: list[bytes]) -> None:
        """Make deleted or replaced heads leave the disk: flush, drop the logs, rewrite.

        After this no live file of the database holds the old values; blocks that the file
        system or the drive keeps of deleted files are outside the database's reach.
        """
        forced = CompactOptions()
        forced.set_bottommost_level_compaction(BottommostLevelCompaction.force())
        try:
            for family in self._families.values():
                family.flush(True)
            for key in keys:
                self._family(HEAD).compact_range(key, key + b"\0", forced)
        except Exception as exc:
            raise StoreUnavailable(f"the payload store cannot be compacted: {exc}") from exc

    def copy_to(self, directory: Path) -> None:
        """A consistent copy of the open database in `directory`, which must not exist."""
        try:
            Checkpoint(self._db).create_checkpoint(str(directory))
        except Exception as exc:
            raise StoreUnavailable(f"the payload store cannot be copied: {exc}") from exc

    def _family(self, name: str) -> Any:
        family = self._families.get(name)
        if family is None:
            raise StoreUnavailable(f"the payload store {self.directory} is closed")
        return family

    def close(self) -> None:
        """Close the database and give up its lock; harmless when it is closed."""
        families = list(self._families.values())
        if not families:
            return
        self._families.clear()
        self._handles.clear()
        for part in (*families, self._db):
            try:
                part.close()
            except Exception as exc:  # closing flushes; what is not flushed is in the synced log
                _log.warning("payload store not flushed: %s", exc)


def _options(read_only: bool) -> Any:
    options = Options(raw_mode=True)
    options.create_if_missing(True)
    options.create_missing_column_families(True)
    options.set_compression_type(DBCompressionType.none())
    options.set_keep_log_file_num(2)
    # Whoever only reads opens every file at once: the owner may delete one at any time.
    options.set_max_open_files(-1 if read_only else 256)
    options.set_write_buffer_size(16 * 1024 * 1024)
    # Storing asks for each new commitment whether it is there; the filter mostly says no.
    tables = BlockBasedOptions()
    tables.set_bloom_filter(10, False)
    options.set_block_based_table_factory(tables)
    return options


def _open_error(directory: Path, exc: Exception) -> StoreUnavailable:
    text = str(exc)
    if "lock" in text.lower() and "LOCK" in text:
        return StoreBusy(f"the payload store {directory} is open in another process")
    return StoreUnavailable(f"the payload store {directory} cannot be opened: {text}")
