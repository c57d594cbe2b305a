"""The store keeps what it was given, hands it only to whom the rules name, and notes it."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nodes.payloads import (
    NewPayload,
    PayloadConflict,
    PayloadCorrupted,
    PayloadErased,
    PayloadInvalid,
    PayloadRefused,
    PayloadStore,
    PayloadUnknown,
    Reader,
    Residency,
    StoreBusy,
    StoredPayload,
    StoreUnavailable,
    commitment_of,
)
from nodes.payloads.errors import KeyFileError
from tests.payloads.conftest import FARM, Clock, new_payload

Opener = Callable[[], PayloadStore]
OWNER = Reader(FARM, "FarmMSP", frozenset({"producer"}), "CO")
STRANGER = Reader("urn:tracemark:party:stranger", "OtherMSP", frozenset({"retailer"}), "DE")


def test_commitment_is_the_documented_hash() -> None:
    """A commitment computed any other way would not match the one on the chain."""
    salt, payload = bytes(range(32)), b"price: 7"
    expected = hashlib.sha256(b"tracemark/payload/v1\x00" + salt + payload).hexdigest()
    assert commitment_of(payload, salt) == expected


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(payload=st.binary(max_size=4000), salt=st.binary(min_size=32, max_size=32))
def test_what_is_put_comes_back(store: PayloadStore, payload: bytes, salt: bytes) -> None:
    """Any bytes, the empty ones too, come back unchanged with their salt."""
    new = NewPayload(payload, salt, "ab" * 32, FARM)
    found = store.get(store.put(new), OWNER)
    assert (found.payload, found.salt, found.commitment) == (
        payload,
        salt,
        commitment_of(payload, salt),
    )


def test_survives_reopening(open_store: Opener) -> None:
    """A payload acknowledged before the store was closed is there after it is opened."""
    payloads = [new_payload() for _ in range(50)]
    commitments = open_store().put_many(payloads)
    store = open_store()
    for new, found in zip(payloads, store.get_many(commitments, OWNER), strict=True):
        assert isinstance(found, StoredPayload)
        assert found.payload == new.payload


def test_nothing_is_readable_on_the_disk(store: PayloadStore, tmp_path: Path) -> None:
    """Payload or salt in clear in any file of the database would defeat the encryption."""
    new = new_payload("a secret price of 7.25 per kilogram")
    store.put(new)
    store.close()
    for file in (tmp_path / "payloads" / "db").iterdir():
        content = file.read_bytes()
        assert b"secret price" not in content
        assert new.salt not in content


def test_storing_twice_changes_nothing(store: PayloadStore) -> None:
    """A retry after a lost answer must not fail and must not change the stored time."""
    new = new_payload()
    first = store.put(new)
    before = store.describe(first)
    assert store.put(new) == first
    assert store.describe(first) == before


def test_terms_cannot_be_loosened_by_storing_again(store: PayloadStore) -> None:
    """Storing confidential bytes again as open must not open them."""
    new = new_payload(residency="confidential")
    commitment = store.put(new)
    with pytest.raises(PayloadConflict, match="residency"):
        store.put(replace(new, residency="open"))
    assert store.describe(commitment).residency is Residency.CONFIDENTIAL


def test_a_batch_is_stored_whole_or_not_at_all(store: PayloadStore) -> None:
    """One bad payload among good ones leaves none of them behind."""
    good, bad = new_payload(), replace(new_payload(), salt=b"short")
    with pytest.raises(PayloadInvalid, match="32 bytes"):
        store.put_many([good, bad])
    conflicting = new_payload(residency="confidential")
    store.put(conflicting)
    with pytest.raises(PayloadConflict):
        store.put_many([good, replace(conflicting, residency="open")])
    with pytest.raises(PayloadUnknown):
        store.describe(commitment_of(good.payload, good.salt))


@pytest.mark.parametrize(
    "change",
    [{"residency": "secret"}, {"event_hash": "not a hash"}, {"salt": b""}],
)
def test_invalid_terms_are_refused(store: PayloadStore, change: dict[str, str]) -> None:
    """A residency or hash nobody knows would make the payload unreadable or unfindable."""
    with pytest.raises(PayloadInvalid):
        store.put(replace(new_payload(), **change))  # type: ignore[arg-type]


def test_a_stranger_is_refused_and_noted(store: PayloadStore) -> None:
    """The refusal names its rule, and the attempt stands in the log."""
    commitment = store.put(new_payload(residency="partners"))
    with pytest.raises(PayloadRefused) as refused:
        store.get(commitment, STRANGER)
    assert refused.value.decision.rule == "NO_RELATION"
    last = list(store.reads())[-1]
    assert (last.action, last.rule, last.party) == ("refuse", "NO_RELATION", STRANGER.party)


def test_every_read_is_noted_without_its_content(store: PayloadStore) -> None:
    """The log says who, what, which rule and when; nothing of the payload is in it."""
    new = new_payload("Ana Maria, lot 7")
    commitment = store.put(new)
    store.get(commitment, OWNER)
    store.get_many([commitment, commitment], STRANGER)
    entries = list(store.reads())
    assert [entry.rule for entry in entries] == ["OWNER", "OPEN", "OPEN"]
    assert [entry.seq for entry in entries] == [0, 1, 2]
    assert all(entry.event_hash == new.event_hash for entry in entries)
    assert "Ana" not in repr(entries)
    assert new.salt.hex() not in repr(entries)
    assert store.log_faults() == []


def test_the_log_goes_on_after_reopening(open_store: Opener) -> None:
    """A second run that started its chain anew would look like a cut log."""
    commitment = open_store().put(new_payload())
    for _ in range(3):
        open_store().get(commitment, OWNER)
    store = open_store()
    assert [entry.seq for entry in store.reads()] == [0, 1, 2]
    assert store.log_faults() == []


def test_who_may_see_the_log(store: PayloadStore) -> None:
    """An owner sees who read its payloads, an auditor everything, a stranger nothing."""
    mine = store.put(new_payload())
    other = store.put(new_payload(owner_party="urn:tracemark:party:mill"))
    store.get_many([mine, other], STRANGER)
    owner_elsewhere = replace(OWNER, msp_id="OtherMSP")
    auditor = replace(STRANGER, roles=frozenset({"auditor"}))
    assert [e.commitment for e in store.reads_for(owner_elsewhere)] == [mine]
    assert [e.commitment for e in store.reads_for(auditor)] == [mine, other]
    assert list(store.reads_for(STRANGER)) == []
    assert [e.commitment for e in store.reads_for(Reader(None, "FarmMSP"))] == [mine, other]


def test_unknown_commitments(store: PayloadStore) -> None:
    """Asking for what is not there is an error of its own, not a crash or an empty payload."""
    with pytest.raises(PayloadUnknown):
        store.get("00" * 32, OWNER)
    with pytest.raises(PayloadInvalid):
        store.get("../../etc", OWNER)


def test_rotation_keeps_every_payload(open_store: Opener, tmp_path: Path) -> None:
    """After a rotation everything opens with the new key, and the old one is gone."""
    store = open_store()
    commitments = store.put_many([new_payload() for _ in range(2100)])
    key_file = tmp_path / "payloads" / "node.key"
    before = key_file.read_bytes()
    assert store.rotate_key() == 2100
    assert store.rotate_key() == 2100
    commitments.append(store.put(new_payload()))
    store = open_store()
    assert all(isinstance(x, StoredPayload) for x in store.get_many(commitments, OWNER))
    store.close()
    key_file.write_bytes(before)
    old = open_store()
    with pytest.raises(PayloadCorrupted):
        old.get(commitments[0], OWNER)


def test_interrupted_rotation_is_finished_at_opening(open_store: Opener) -> None:
    """A crash between the new key and the last rewrapped head must lose nothing."""
    store = open_store()
    commitments = store.put_many([new_payload() for _ in range(30)])
    store._vault.keyring.add()
    commitments += store.put_many([new_payload() for _ in range(30)])
    store = open_store()
    assert len(store._vault.keyring.ids) == 1
    assert all(isinstance(x, StoredPayload) for x in store.get_many(commitments, OWNER))


def test_rotation_keeps_the_old_key_while_a_head_is_damaged(open_store: Opener) -> None:
    """Dropping the old key would make a damaged head unrecoverable even from a backup."""
    store = open_store()
    good, bad = store.put_many([new_payload(), new_payload()])
    key = bytes.fromhex(bad)
    batch = store._vault.db.batch()
    head = bytearray(store._vault.db.get("head", key) or b"")
    head[40] ^= 1
    batch.put("head", key, bytes(head))
    store._vault.db.write(batch, sync=True)
    with pytest.raises(PayloadCorrupted, match=bad):
        store.rotate_key()
    store = open_store()
    assert len(store._vault.keyring.ids) == 2
    assert store.verify(good).commitment == good


def test_key_file_is_private_and_guarded(open_store: Opener, tmp_path: Path) -> None:
    """A key others can read, a damaged key and a lost key are each refused by name."""
    store = open_store()
    store.put(new_payload())
    key_file = tmp_path / "payloads" / "node.key"
    assert key_file.stat().st_mode & 0o777 == 0o600
    store.close()
    key_file.chmod(0o644)
    with pytest.raises(KeyFileError, match="chmod 600"):
        open_store()
    key_file.chmod(0o600)
    content = key_file.read_text()
    place = content.index('"key": "') + 12
    key_file.write_text(
        content[:place] + ("A" if content[place] != "A" else "B") + content[place + 1 :]
    )
    with pytest.raises(KeyFileError, match="damaged"):
        open_store()
    key_file.unlink()
    with pytest.raises(KeyFileError, match="missing"):
        open_store()


def test_one_process_at_a_time(open_store: Opener, tmp_path: Path, store: PayloadStore) -> None:
    """Two writers on one database would corrupt it."""
    with pytest.raises(StoreBusy):
        PayloadStore(tmp_path / "payloads", store._vault.signer)


def test_a_newer_format_is_not_touched(open_store: Opener) -> None:
    """An older program must not write into a store it does not understand."""
    store = open_store()
    batch = store._vault.db.batch()
    batch.put("meta", b"format", b"2")
    store._vault.db.write(batch, sync=True)
    with pytest.raises(StoreUnavailable, match="format"):
        open_store()


def test_many_threads(store: PayloadStore) -> None:
    """Concurrent writers and readers lose nothing and keep the log's chain whole."""

    def work(_: int) -> list[str]:
        commitments = store.put_many([new_payload() for _ in range(20)])
        for commitment in commitments:
            store.get(commitment, OWNER)
        return commitments

    with ThreadPoolExecutor(8) as pool:
        written = [c for batch in pool.map(work, range(16)) for c in batch]
    assert sorted(written) == list(store.commitments())
    assert len(list(store.reads())) == len(written)
    assert store.log_faults() == []


def test_rotation_under_load(open_store: Opener) -> None:
    """A payload stored or read just then must not miss the key that is being dropped."""
    store = open_store()
    done = threading.Event()
    first = store.put_many([new_payload() for _ in range(200)])

    def read() -> set[type]:
        found = set()
        while not done.is_set():
            found |= {type(outcome) for outcome in store.get_many(first, OWNER)}
        return found

    def write() -> list[str]:
        written = []
        while not done.is_set():
            written += store.put_many([new_payload() for _ in range(5)])
        return written

    with ThreadPoolExecutor(4) as pool:
        reader = pool.submit(read)
        writers = [pool.submit(write) for _ in range(3)]
        for _ in range(12):
            store.rotate_key()
        done.set()
        written = [c for writer in writers for c in writer.result()]
        assert reader.result() == {StoredPayload}
    store = open_store()
    outcomes = store.get_many(written, OWNER)
    assert {type(outcome) for outcome in outcomes} == {StoredPayload}


def test_one_payload_from_many_sides(store: PayloadStore) -> None:
    """Storing, reading and erasing the same payload at once ends erased, never half of it."""
    for _ in range(20):
        new = new_payload()
        commitment = store.put(new)

        def erase(commitment: str = commitment) -> str:
            return store.erase(commitment, OWNER).commitment

        def store_again(new: NewPayload = new) -> str:
            with suppress(PayloadErased):
                store.put(new)
            return commitment_of(new.payload, new.salt)

        def read(commitment: str = commitment) -> str:
            outcome = store.get_many([commitment], OWNER)[0]
            assert isinstance(outcome, (StoredPayload, PayloadErased))
            return commitment

        with ThreadPoolExecutor(3) as pool:
            tasks = [pool.submit(task) for task in (store_again, erase, read)]
            assert {task.result() for task in tasks} == {commitment}
        assert store.receipt(commitment) is not None
    assert "mismatch" not in {entry.action for entry in store.reads()}
    assert store.log_faults() == []


def test_orphans_are_found_and_collected(store: PayloadStore, clock: Clock, tmp_path: Path) -> None:
    """An abandoned payload goes after its grace time; an anchored or young one never does."""
    anchored, orphan = new_payload(), new_payload()
    kept, lost = store.put_many([anchored, orphan])

    class Chain:
        asked = 0

        def anchored(self, pairs: list[tuple[str, str]]) -> list[bool]:
            self.asked += len(pairs)
            return [commitment == kept for _, commitment in pairs]

    store.facts = chain = Chain()  # type: ignore[assignment]
    hour = 3600 * 1000
    assert store.orphans(hour) == []
    clock.now_ms += 2 * hour
    young = store.put(new_payload())
    assert [o.commitment for o in store.orphans(hour)] == [lost]
    assert [o.commitment for o in store.collect_orphans(hour)] == [lost]
    asked = chain.asked
    assert store.collect_orphans(hour) == []
    assert chain.asked == asked, "what is settled is not asked again"
    assert sorted(store.commitments()) == sorted([kept, young])
    assert next(e for e in store.reads() if e.action == "collect").commitment == lost
    with pytest.raises(PayloadInvalid, match="grace"):
        store.orphans(60_000)


def test_an_erased_payload_does_not_come_back(store: PayloadStore) -> None:
    """Storing the same bytes again after an erasure would undo it."""
    new = new_payload()
    commitment = store.put(new)
    store.erase(commitment, OWNER)
    with pytest.raises(PayloadErased):
        store.put(new)
    with pytest.raises(PayloadErased):
        store.get(commitment, OWNER)
