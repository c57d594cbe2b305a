"""Blocks as bytes: build a body, find the envelopes in it, sign it, check it.

A block is kept in two pieces that together are a serialized ``common.Block``: the *body* (header
and data, fields 1 and 2, never changed after ordering) and the *metadata* (field 3, where every
node writes its own verdicts). So no node ever re-encodes an envelope.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from fabric_protos.common import common_pb2
from google.protobuf.message import DecodeError

from nodes.errors import LedgerCorrupt
from nodes.identity.signer import Signer
from nodes.ledger_keys import varint
from nodes.messages import block_header_bytes, new_nonce, signature_header

SIGNATURES: Final = int(common_pb2.BlockMetadataIndex.SIGNATURES)
LAST_CONFIG: Final = int(common_pb2.BlockMetadataIndex.LAST_CONFIG)
TRANSACTIONS_FILTER: Final = int(common_pb2.BlockMetadataIndex.TRANSACTIONS_FILTER)
COMMIT_HASH: Final = int(common_pb2.BlockMetadataIndex.COMMIT_HASH)
SLOTS: Final = 5
_TAG_HEADER: Final = 0x0A
_TAG_DATA: Final = 0x12
_TAG_METADATA: Final = 0x1A
_TAG_ENVELOPE: Final = 0x0A


@dataclass(frozen=True, slots=True)
class Body:
    """A block without metadata. `places` are (offset, length) of each envelope in `data`."""

    data: bytes
    number: int
    previous_hash: bytes
    data_hash: bytes
    header_bytes: bytes
    header_hash: bytes
    places: tuple[tuple[int, int], ...]

    def envelopes(self) -> list[bytes]:
        """The serialized envelopes."""
        data = self.data
        return [data[offset : offset + length] for offset, length in self.places]

    def computed_data_hash(self) -> bytes:
        """SHA-256 over the envelopes as they stand here."""
        digest = sha256()
        view = memoryview(self.data)
        for offset, length in self.places:
            digest.update(view[offset : offset + length])
        return digest.digest()


def build_body(number: int, previous_hash: bytes, envelopes: Sequence[bytes]) -> Body:
    """A new block's body from serialized envelopes."""
    digest = sha256()
    pieces: list[bytes] = []
    lengths: list[tuple[int, int]] = []
    for envelope in envelopes:
        digest.update(envelope)
        prefix = b"\x0a" + varint(len(envelope))
        pieces += (prefix, envelope)
        lengths.append((len(prefix), len(envelope)))
    header = common_pb2.BlockHeader(
        number=number, previous_hash=previous_hash, data_hash=digest.digest()
    )
    encoded = header.SerializeToString()
    size = sum(head_size + length for head_size, length in lengths)
    head = b"\x0a" + varint(len(encoded)) + encoded + b"\x12" + varint(size)
    offset = len(head)
    places = []
    for head_size, length in lengths:
        places.append((offset + head_size, length))
        offset += head_size + length
    return _body(b"".join((head, *pieces)), header, tuple(places))


def split_block(block: bytes) -> tuple[Body, list[bytes]]:
    """Body and metadata slots of a serialized Block; raises LedgerCorrupt."""
    try:
        tag, start, end = _field(block, 0)
        header_end = end
        if tag != _TAG_HEADER:
            raise ValueError("no header")
        if end < len(block) and block[end] == _TAG_DATA:
            _, _, end = _field(block, end)
        body = parse_body(block[:end])
        metadata: list[bytes] = []
        if end < len(block):
            tag, start, last = _field(block, end)
            if tag != _TAG_METADATA or last != len(block):
                raise ValueError("no metadata")
            metadata = list(common_pb2.BlockMetadata.FromString(block[start:last]).metadata)
    except (IndexError, ValueError, DecodeError) as error:
        raise LedgerCorrupt(f"a block cannot be decoded: {error}") from error
    assert header_end <= end
    return body, metadata + [b""] * (SLOTS - len(metadata))


def parse_body(data: bytes) -> Body:
    """Find header and envelopes in a body; raises LedgerCorrupt."""
    try:
        tag, start, end = _field(data, 0)
        if tag != _TAG_HEADER:
            raise ValueError("no header")
        header = common_pb2.BlockHeader.FromString(data[start:end])
        places = []
        if end < len(data):
            tag, at, end = _field(data, end)
            if tag != _TAG_DATA or end != len(data):
                raise ValueError("no data")
            while at < end:
                tag, start, at = _field(data, at)
                if tag != _TAG_ENVELOPE or at > end:
                    raise ValueError("no envelope")
                places.append((start, at - start))
    except (IndexError, ValueError, DecodeError) as error:
        raise LedgerCorrupt(f"a block body cannot be decoded: {error}") from error
    return _body(data, header, tuple(places))


def orderer_metadata(
    signer: Signer, body: Body, last_config: int
) -> tuple[list[bytes], bytes, bytes]:
    """Metadata slots that an orderer fills, its signature and the digest that was signed.

    The signature covers the OrdererBlockMetadata, the signature header and the block header's
    DER form (Fabric ``multichannel/blockwriter.go``).
    """
    value = common_pb2.OrdererBlockMetadata(
        last_config=common_pb2.LastConfig(index=last_config),
        consenter_metadata=common_pb2.Metadata().SerializeToString(),
    ).SerializeToString()
    creator = signature_header(signer.serialized, new_nonce())
    message = value + creator + body.header_bytes
    signature = signer.sign(message)
    slots = [b""] * SLOTS
    slots[SIGNATURES] = common_pb2.Metadata(
        value=value,
        signatures=[common_pb2.MetadataSignature(signature_header=creator, signature=signature)],
    ).SerializeToString()
    index = common_pb2.LastConfig(index=last_config).SerializeToString()
    slots[LAST_CONFIG] = common_pb2.Metadata(value=index).SerializeToString()
    return slots, signature, sha256(message).digest()


@dataclass(frozen=True, slots=True)
class BlockSignature:
    """One orderer's signature on a block: who, the digest signed, the signature."""

    creator: bytes
    digest: bytes
    signature: bytes


def block_signatures(body: Body, slots: Sequence[bytes]) -> tuple[int, list[BlockSignature]]:
    """Last configuration block and signatures in the metadata; raises LedgerCorrupt."""
    try:
        metadata = common_pb2.Metadata.FromString(slots[SIGNATURES])
        value = common_pb2.OrdererBlockMetadata.FromString(metadata.value)
        found = []
        for entry in metadata.signatures:
            header = common_pb2.SignatureHeader.FromString(entry.signature_header)
            message = metadata.value + entry.signature_header + body.header_bytes
            found.append(BlockSignature(header.creator, sha256(message).digest(), entry.signature))
    except (DecodeError, IndexError) as error:
        raise LedgerCorrupt(f"the signatures of block {body.number}: {error}") from error
    return int(value.last_config.index), found


def metadata_bytes(slots: Sequence[bytes]) -> bytes:
    """A serialized ``BlockMetadata``."""
    return bytes(common_pb2.BlockMetadata(metadata=slots).SerializeToString())


def metadata_slots(metadata: bytes) -> list[bytes]:
    """The slots of a serialized ``BlockMetadata``; raises LedgerCorrupt."""
    try:
        slots = list(common_pb2.BlockMetadata.FromString(metadata).metadata)
    except DecodeError as error:
        raise LedgerCorrupt(f"block metadata cannot be decoded: {error}") from error
    return slots + [b""] * (SLOTS - len(slots))


def _body(data: bytes, header: common_pb2.BlockHeader, places: tuple[tuple[int, int], ...]) -> Body:
    encoded = block_header_bytes(header)
    return Body(
        data=data,
        number=int(header.number),
        previous_hash=header.previous_hash,
        data_hash=header.data_hash,
        header_bytes=encoded,
        header_hash=sha256(encoded).digest(),
        places=places,
    )


def _field(data: bytes, at: int) -> tuple[int, int, int]:
    """Tag, start and end of a length-delimited field that begins at `at`."""
    tag = data[at]
    size = shift = 0
    while True:
        at += 1
        byte = data[at]
        size |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            break
        if shift > 35:
            raise ValueError("a length is too large")
    start = at + 1
    if start + size > len(data):
        raise ValueError("a field is cut off")
    return tag, start, start + size
