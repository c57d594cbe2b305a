"""Stored bytes that changed are noticed before they are handed out, whichever byte it was."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nodes.payloads import PayloadCorrupted, PayloadStore, Reader
from nodes.payloads.database import BODY, HEAD, LOG, META
from tests.payloads.conftest import FARM, new_payload

OWNER = Reader(FARM, "FarmMSP")


def put_raw(store: PayloadStore, family: str, key: bytes, value: bytes) -> None:
    batch = store._vault.db.batch()
    batch.put(family, key, value)
    store._vault.db.write(batch, sync=True)


def raw(store: PayloadStore, family: str, key: bytes) -> bytes:
    value = store._vault.db.get(family, key)
    assert value is not None
    return value


@settings(max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(family=st.sampled_from([HEAD, BODY]), place=st.integers(0, 10_000), bit=st.integers(0, 7))
def test_any_flipped_bit_is_refused(store: PayloadStore, family: str, place: int, bit: int) -> None:
    """A bit flipped in the wrapped key, the terms, the nonce or the body is never served."""
    commitment = store.put(new_payload(residency="partners", country="CO"))
    key = bytes.fromhex(commitment)
    stored = bytearray(raw(store, family, key))
    stored[place % len(stored)] ^= 1 << bit
    put_raw(store, family, key, bytes(stored))
    with pytest.raises(PayloadCorrupted):
        store.get(commitment, OWNER)
    last = list(store.reads())[-1]
    assert (last.action, last.commitment) == ("mismatch", commitment)
    assert store.log_faults() == []


def test_payloads_cannot_be_exchanged(store: PayloadStore) -> None:
    """Head and body of another payload, both genuine, are not accepted in this one's place."""
    one, two = store.put_many([new_payload(), new_payload(residency="confidential")])
    for family in (HEAD, BODY):
        put_raw(store, family, bytes.fromhex(two), raw(store, family, bytes.fromhex(one)))
        with pytest.raises(PayloadCorrupted):
            store.get(two, OWNER)
    put_raw(store, HEAD, bytes.fromhex(two), b"")
    with pytest.raises(PayloadCorrupted):
        store.get(two, OWNER)


def test_a_missing_body_is_corruption(store: PayloadStore) -> None:
    """A head without its body is reported, not read as an empty payload."""
    commitment = store.put(new_payload())
    batch = store._vault.db.batch()
    batch.delete(BODY, bytes.fromhex(commitment))
    store._vault.db.write(batch, sync=True)
    with pytest.raises(PayloadCorrupted, match="missing"):
        store.get(commitment, OWNER)


@pytest.mark.parametrize("harm", ["alter", "cut the end", "take out", "swap", "forge the head"])
def test_a_tampered_read_log_is_noticed(store: PayloadStore, harm: str) -> None:
    """Whoever hides a read has to break the chain or the signed head."""
    commitment = store.put(new_payload())
    for _ in range(5):
        store.get(commitment, OWNER)
    keys = [seq.to_bytes(8, "big") for seq in range(5)]
    batch = store._vault.db.batch()
    if harm == "alter":
        batch.put(LOG, keys[2], raw(store, LOG, keys[2]).replace(b"OWNER", b"GRANT"))
    elif harm == "cut the end":
        batch.delete(LOG, keys[4])
    elif harm == "take out":
        batch.delete(LOG, keys[1])
    elif harm == "swap":
        batch.put(LOG, keys[1], raw(store, LOG, keys[2]))
        batch.put(LOG, keys[2], raw(store, LOG, keys[1]))
    else:
        head = raw(store, META, b"log-head")
        batch.put(META, b"log-head", (3).to_bytes(8, "big") + head[8:])
    store._vault.db.write(batch, sync=True)
    directory, signer = store.directory, store._vault.signer
    store.close()
    with PayloadStore(directory, signer) as again:
        assert again.log_faults()
