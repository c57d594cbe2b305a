"""How a node's database keys and values are laid out; the table stands in :mod:`nodes.ledger`."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

LAST_64: Final = 2**64 - 1
LAST_32: Final = 2**32 - 1
pack_number = struct.Struct(">Q").pack
position_struct: Final = struct.Struct(">QIBII")
history_struct: Final = struct.Struct(">BQ64s")

Operation = tuple[bytes, bytes | None]
"""A database key and its new value, or None to delete it."""


@dataclass(frozen=True, slots=True)
class Tip:
    """How far a ledger goes. `commit_hash` is empty before block 1."""

    height: int
    header_hash: bytes
    config_block: int
    commit_hash: bytes


def transaction_entry(
    tx_id: str, block: int, index: int, code: int, offset: int, length: int
) -> Operation:
    """The index entry of a transaction."""
    return b"t" + tx_id.encode(), position_struct.pack(block, index, code, offset, length)


def history_prefix(namespace: str, key: bytes) -> bytes:
    """What the history entries of a key start with."""
    return b"h%b\0%b%b" % (namespace.encode(), struct.pack(">I", len(key)), key)


def history_entry(
    namespace: str,
    key: bytes,
    block: int,
    index: int,
    timestamp_ms: int,
    tx_id: bytes,
    value: bytes | None,
) -> Operation:
    """The history entry of a write; `tx_id` are its 64 characters, ASCII."""
    place = struct.pack(">QI", LAST_64 - block, LAST_32 - index)
    head = history_struct.pack(value is None, max(timestamp_ms, 0), tx_id)
    return history_prefix(namespace, key) + place, head + (value or b"")


def join_block(body: bytes, metadata: bytes) -> bytes:
    """A serialized Block from header and data (fields 1, 2) and a serialized metadata (3)."""
    return b"%b\x1a%b%b" % (body, varint(len(metadata)), metadata)


def varint(value: int) -> bytes:
    """Protobuf's base-128 integer."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def pack_tip(tip: Tip) -> bytes:
    return struct.pack(">QQ", tip.height, tip.config_block) + tip.header_hash + tip.commit_hash


def unpack_tip(raw: bytes) -> Tip:
    """The tip that :func:`pack_tip` encoded."""
    height, config_block = struct.unpack_from(">QQ", raw)
    return Tip(height, raw[16:48], config_block, raw[48:])
