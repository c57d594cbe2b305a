"""The sequencer's log: every ordered block, appended and synced before any node sees it.

One file of records: length (4 bytes, big-endian), CRC-32 of the rest (4 bytes), serialized Block
with the orderer's metadata. A record counts once it is whole; a torn tail, as a crash or a full
disk leaves it, is cut off on open and after a failed write.
"""

from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path
from typing import Final

from nodes.blocks import Body, metadata_bytes, split_block
from nodes.errors import LedgerCorrupt, LedgerError
from nodes.ledger_keys import join_block

_HEAD: Final = struct.Struct(">II")
FILE: Final = "blocks.log"


class OrderLog:
    """Append-only blocks 1, 2, ... (block 0 is the genesis file). One writer."""

    def __init__(self, folder: Path) -> None:
        """Open or create; cuts a torn tail; raises LedgerError, LedgerCorrupt."""
        self.path = folder / FILE
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._file = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)
            self._offsets, self._end = self._scan()
            os.ftruncate(self._file, self._end)
            directory = os.open(folder, os.O_RDONLY)
            os.fsync(directory)
            os.close(directory)
        except OSError as error:
            raise LedgerError(f"the sequencer's log {self.path}: {error}") from error

    @property
    def height(self) -> int:
        """The number that the next block will have."""
        return len(self._offsets) + 1

    def append(self, body: Body, slots: list[bytes]) -> None:
        """Append block `height` and return once it is on disk; raises LedgerError."""
        if body.number != self.height:
            raise LedgerCorrupt(f"block {body.number} does not follow height {self.height}")
        block = join_block(body.data, metadata_bytes(slots))
        record = _HEAD.pack(len(block), zlib.crc32(block)) + block
        try:
            written = os.pwrite(self._file, record, self._end)
            while written < len(record):
                written += os.pwrite(self._file, record[written:], self._end + written)
            os.fdatasync(self._file)
        except OSError as error:
            self._cut_back()
            raise LedgerError(f"block {body.number} could not be logged: {error}") from error
        self._offsets.append(self._end)
        self._end += len(record)

    def read(self, number: int) -> tuple[Body, list[bytes]]:
        """Body and metadata slots of block `number` >= 1; raises LedgerError."""
        if not 1 <= number < self.height:
            raise LedgerError(f"the sequencer's log has no block {number}")
        offset = self._offsets[number - 1]
        size, checksum = _HEAD.unpack(os.pread(self._file, _HEAD.size, offset))
        block = os.pread(self._file, size, offset + _HEAD.size)
        if len(block) != size or zlib.crc32(block) != checksum:
            raise LedgerCorrupt(f"block {number} of {self.path} is damaged")
        return split_block(block)

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)

    def _cut_back(self) -> None:
        try:
            os.ftruncate(self._file, self._end)
        except OSError:
            return  # the torn record is cut on the next open

    def _scan(self) -> tuple[list[int], int]:
        offsets: list[int] = []
        end = 0
        total = os.fstat(self._file).st_size
        while end + _HEAD.size <= total:
            size, checksum = _HEAD.unpack(os.pread(self._file, _HEAD.size, end))
            after = end + _HEAD.size + size
            if after > total or size == 0:
                break
            # Only the last record can be torn; the others were synced before it was begun.
            if after == total or after + _HEAD.size > total or not self._has_record(after, total):
                block = os.pread(self._file, size, end + _HEAD.size)
                if zlib.crc32(block) != checksum:
                    break
            offsets.append(end)
            end = after
        return offsets, end

    def _has_record(self, at: int, total: int) -> bool:
        size, _ = _HEAD.unpack(os.pread(self._file, _HEAD.size, at))
        return bool(0 < size <= total - at - _HEAD.size)
