"""Message building: bytes that were signed stay the bytes, hashes are Fabric's."""

from __future__ import annotations

import contextlib
from hashlib import sha256

import pytest
from fabric_protos.common import common_pb2
from fabric_protos.ledger.rwset import rwset_pb2
from fabric_protos.ledger.rwset.kvrwset import kv_rwset_pb2
from fabric_protos.peer import proposal_response_pb2
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st

from nodes.blocks import build_body, parse_body, split_block
from nodes.errors import LedgerCorrupt, MessageError
from nodes.ledger_keys import join_block, varint
from nodes.messages import (
    block_data_hash,
    block_header_bytes,
    block_header_hash,
    chaincode_response,
    milliseconds,
    new_proposal,
    parse_proposal,
    prepared_transaction,
    proposal_hash,
    response_payload,
    timestamp,
)
from nodes.orderlog import OrderLog
from nodes.rwset import (
    RangeRead,
    encode_transaction_set,
    namespace_set,
    pack_version,
    parse_transaction_set,
    state_key,
)
from nodes.transaction import VALID, parse_transaction

names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
versions = st.builds(pack_version, st.integers(0, 2**64 - 1), st.integers(0, 2**32 - 1))


@given(
    args=st.lists(st.binary(max_size=50), max_size=4),
    transient=st.dictionaries(names, st.binary(max_size=20), max_size=2),
    nonce=st.binary(min_size=1, max_size=24),
    timestamp_ms=st.integers(0, 4_000_000_000_000),
)
def test_proposal_round_trip(
    args: list[bytes], transient: dict[str, bytes], nonce: bytes, timestamp_ms: int
) -> None:
    data, tx_id = new_proposal(b"creator", "trace", "cc", args, transient, nonce, timestamp_ms)
    parsed = parse_proposal(data)
    assert parsed.tx_id == tx_id == sha256(nonce + b"creator").hexdigest()
    assert list(parsed.args) == args
    assert parsed.transient == transient
    assert parsed.timestamp_ms == timestamp_ms
    assert (parsed.channel, parsed.chaincode) == ("trace", "cc")


def test_transient_data_is_outside_the_proposal_hash() -> None:
    one, _ = new_proposal(b"c", "t", "cc", [b"f"], {"k": b"1"}, b"n", 5)
    two, _ = new_proposal(b"c", "t", "cc", [b"f"], {"k": b"2"}, b"n", 5)
    first, second = parse_proposal(one), parse_proposal(two)
    assert first.proposal_hash == second.proposal_hash
    assert first.proposal_hash == proposal_hash(
        first.channel_header_bytes, first.signature_header_bytes, first.payload_for_transaction
    )


@given(st.binary(max_size=200))
def test_rubbish_never_escapes_as_another_error(data: bytes) -> None:
    """A hostile envelope must become a code, a hostile proposal a MessageError."""
    parse_transaction(data)
    with contextlib.suppress(MessageError):
        parse_proposal(data)


@given(st.data())
def test_damaged_transactions_never_raise(data: st.DataObject) -> None:
    envelope = bytearray(_transaction().SerializeToString())
    for _ in range(data.draw(st.integers(1, 4))):
        envelope[data.draw(st.integers(0, len(envelope) - 1))] = data.draw(st.integers(0, 255))
    parse_transaction(bytes(envelope))


def test_whole_transaction_is_taken_apart() -> None:
    envelope = _transaction()
    parsed = parse_transaction(envelope.SerializeToString())
    assert (parsed.code, parsed.later_code) == (VALID, VALID)
    assert parsed.chaincode == "cc"
    assert parsed.sets[0].writes == ((b"k", state_key("cc", "k"), b"v"),)
    assert chaincode_response(envelope).payload == b"result"


def _transaction() -> common_pb2.Envelope:
    data, _ = new_proposal(b"creator", "trace", "cc", [b"f"], nonce=b"n", timestamp_ms=5)
    proposal = parse_proposal(data)
    results = encode_transaction_set([namespace_set("cc", {"k": None}, [], {"k": b"v"})])
    payload = response_payload(
        proposal.proposal_hash,
        "cc",
        "1",
        results,
        b"",
        proposal_response_pb2.Response(status=200, payload=b"result"),
    )
    endorsement = proposal_response_pb2.Endorsement(endorser=b"e", signature=b"s")
    return prepared_transaction(proposal, payload, [endorsement])


def test_header_hash_is_fabrics_der() -> None:
    """Computed by hand: SEQUENCE { INTEGER 300, OCTET STRING 'aa', OCTET STRING 'bb' }."""
    header = common_pb2.BlockHeader(number=300, previous_hash=b"aa", data_hash=b"bb")
    expected = bytes.fromhex("300c" + "0202012c" + "04026161" + "04026262")
    assert block_header_bytes(header) == expected
    assert block_header_hash(header) == sha256(expected).digest()


@pytest.mark.parametrize(
    ("number", "encoded"),
    [(0, "020100"), (127, "02017f"), (128, "02020080"), (2**64 - 1, "020900" + "ff" * 8)],
)
def test_block_numbers_in_der(number: int, encoded: str) -> None:
    header = common_pb2.BlockHeader(number=number)
    assert bytes.fromhex(encoded) in block_header_bytes(header)


@given(st.lists(st.binary(min_size=1, max_size=300), max_size=5), st.integers(0, 2**40))
def test_block_bodies_are_serialized_blocks(envelopes: list[bytes], number: int) -> None:
    """Bodies built by hand must be what any protobuf library would read and write."""
    body = build_body(number, b"p" * 32, envelopes)
    block = common_pb2.Block.FromString(body.data)
    assert list(block.data.data) == envelopes
    assert block.header.number == number
    assert block.header.data_hash == block_data_hash(envelopes) == body.computed_data_hash()
    assert block_header_hash(block.header) == body.header_hash
    assert parse_body(body.data) == body
    assert body.envelopes() == envelopes
    whole = join_block(body.data, common_pb2.BlockMetadata(metadata=[b"s"]).SerializeToString())
    again, slots = split_block(whole)
    assert again == body
    assert slots[0] == b"s"
    if envelopes:
        canonical = common_pb2.Block.FromString(whole).SerializeToString()
        assert canonical == whole


@given(st.binary(max_size=100))
def test_damaged_blocks_are_reported(data: bytes) -> None:
    with contextlib.suppress(LedgerCorrupt):
        split_block(data)


@given(
    reads=st.dictionaries(names, st.none() | versions, max_size=4),
    writes=st.dictionaries(names, st.none() | st.binary(min_size=1, max_size=20), max_size=4),
    results=st.lists(st.tuples(names, versions), max_size=3),
    exhausted=st.booleans(),
)
def test_read_write_set_round_trip(
    reads: dict[str, bytes | None],
    writes: dict[str, bytes | None],
    results: list[tuple[str, bytes]],
    exhausted: bool,
) -> None:
    ranges = [RangeRead("a", "z", exhausted, tuple(results))]
    data = encode_transaction_set([namespace_set("ns", reads, ranges, writes)])
    (parsed,) = parse_transaction_set(data)
    assert dict(parsed.reads) == {state_key("ns", key): value for key, value in reads.items()}
    assert parsed.ranges == tuple(ranges)
    assert {key.decode(): value for key, _, value in parsed.writes} == writes
    # Byte for byte what protobuf writes.
    message = rwset_pb2.TxReadWriteSet.FromString(data)
    kv = kv_rwset_pb2.KVRWSet.FromString(message.ns_rwset[0].rwset)
    assert kv.SerializeToString() == message.ns_rwset[0].rwset
    assert message.SerializeToString() == data
    assert [key for key, _, _ in parsed.writes] == sorted(key.encode() for key in writes)


@given(st.integers(0, 4_000_000_000_000))
def test_timestamps(value: int) -> None:
    assert milliseconds(timestamp(value)) == value
    assert milliseconds(Timestamp(seconds=1, nanos=1_999_999)) == 1001


@given(st.integers(0, 2**63))
def test_varint(value: int) -> None:
    encoded = varint(value)
    decoded = sum((byte & 0x7F) << (7 * index) for index, byte in enumerate(encoded))
    assert decoded == value
    assert all(byte & 0x80 for byte in encoded[:-1])
    assert not encoded[-1] & 0x80


def test_log_refuses_a_gap(tmp_path) -> None:  # type: ignore[no-untyped-def]
    log = OrderLog(tmp_path)
    with pytest.raises(LedgerCorrupt):
        log.append(build_body(5, b"", [b"x"]), [b""] * 5)
    log.close()
