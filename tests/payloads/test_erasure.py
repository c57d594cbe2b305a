"""Erasure: the payload is gone from the disk, and its existence can still be proven."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nodes.identity import Signer
from nodes.identity.certificates import (
    Authority,
    certificate_pem,
    issue_identity,
    new_authority,
)
from nodes.payloads import (
    ErasureReason,
    ErasureReceipt,
    PayloadErased,
    PayloadInvalid,
    PayloadRefused,
    PayloadStore,
    Reader,
)
from nodes.payloads.database import HEAD
from nodes.payloads.errors import ReceiptInvalid
from nodes.payloads.receipt import issue, verify
from tests.payloads.conftest import FARM, new_payload

Opener = Callable[[], PayloadStore]
OWNER = Reader(FARM, "FarmMSP", frozenset({"producer"}), "CO")


def trusts(authority: Authority) -> Callable[[str, bytes, datetime], bool]:
    """A verifier that knows one organisation by its root certificate."""

    def trusted(msp_id: str, pem: bytes, when: datetime) -> bool:
        certificate = x509.load_pem_x509_certificate(pem)
        try:
            certificate.verify_directly_issued_by(authority.certificate)
        except Exception:
            return False
        return (
            msp_id == "FarmMSP"
            and certificate.not_valid_before_utc <= when <= certificate.not_valid_after_utc
        )

    return trusted


@pytest.fixture
def erased(store: PayloadStore) -> ErasureReceipt:
    store._vault.clock_ms = lambda: int(datetime.now(UTC).timestamp() * 1000)
    return store.erase(store.put(new_payload()), OWNER, "retention-expired")


def test_the_receipt_proves_existence(erased: ErasureReceipt, authority: Authority) -> None:
    """The receipt, sent as JSON, verifies against what stands on the chain and nothing else."""
    receipt = ErasureReceipt.from_json(erased.to_json())
    on_chain = {"commitment": erased.commitment, "event_hash": erased.event_hash}
    verify(receipt, **on_chain, trusted=trusts(authority))
    with pytest.raises(ReceiptInvalid, match="another commitment"):
        verify(receipt, **on_chain | {"commitment": "00" * 32}, trusted=trusts(authority))
    with pytest.raises(ReceiptInvalid, match="another event"):
        verify(receipt, **on_chain | {"event_hash": "ab" * 32}, trusted=trusts(authority))
    other = new_authority("ca.farm.example", "farm.example", "CO")
    with pytest.raises(ReceiptInvalid, match="not issued"):
        verify(receipt, **on_chain, trusted=trusts(other))


@pytest.mark.parametrize(
    "change",
    [
        {"owner_party": "urn:tracemark:party:other"},
        {"stored_ms": 1},
        {"reason": "mistake"},
        {"requested_by": ""},
    ],
)
def test_an_altered_receipt_does_not_verify(
    erased: ErasureReceipt, authority: Authority, change: dict[str, object]
) -> None:
    """Every field is under the signature: reason, time and requester cannot be rewritten."""
    altered = replace(erased, **change)  # type: ignore[arg-type]
    with pytest.raises(ReceiptInvalid, match="altered"):
        verify(
            altered,
            commitment=erased.commitment,
            event_hash=erased.event_hash,
            trusted=trusts(authority),
        )


def test_a_receipt_outlives_its_certificate(authority: Authority) -> None:
    """A node certificate that expired after the erasure must not void the receipt."""
    now = datetime.now(UTC)
    short = issue_identity(
        authority,
        "node.farm.example",
        "peer",
        valid_from=now - timedelta(days=20),
        valid_until=now - timedelta(days=1),
    )
    signer = Signer("FarmMSP", certificate_pem(short.certificate), short.key)

    def receipt_of(days_ago: int) -> ErasureReceipt:
        erased_ms = int((now - timedelta(days=days_ago)).timestamp() * 1000)
        blank = ErasureReceipt("ab" * 32, "cd" * 32, FARM, 1, erased_ms, "mistake", FARM, "", "")
        return issue(blank, signer)

    known = {"commitment": "ab" * 32, "event_hash": "cd" * 32, "trusted": trusts(authority)}
    verify(receipt_of(10), **known)  # type: ignore[arg-type]
    with pytest.raises(ReceiptInvalid, match="not valid then"):
        verify(receipt_of(0), **known)  # type: ignore[arg-type]


def test_the_key_leaves_the_disk(open_store: Opener, tmp_path: Path) -> None:
    """A wrapped key lingering in a log or table file would let the node's key bring it back."""
    store = open_store()
    bystanders = store.put_many([new_payload() for _ in range(300)])
    commitment = store.put(new_payload())
    wrapped = (store._vault.db.get(HEAD, bytes.fromhex(commitment)) or b"")[1:69]
    files = tmp_path / "payloads" / "db"

    def holding() -> list[str]:  # never opens LOCK: closing it would drop the process's lock
        names = [f for f in files.iterdir() if f.is_file() and f.name != "LOCK"]
        return [f.name for f in names if wrapped in f.read_bytes()]

    assert holding()
    store.erase(commitment, OWNER)
    assert holding() == []
    assert store.get_many(bystanders, OWNER)
    store.close()
    assert holding() == []
    assert open_store().receipt(commitment) is not None


def test_interrupted_shredding_is_finished_at_opening(
    open_store: Opener, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A crash after the receipt and before the compaction must not leave the key on the disk."""
    store = open_store()
    commitment = store.put(new_payload())
    wrapped = (store._vault.db.get(HEAD, bytes.fromhex(commitment)) or b"")[1:69]
    monkeypatch.setattr("nodes.payloads.erasure.finish", lambda vault: None)
    store.erase(commitment, OWNER)
    monkeypatch.undo()
    store = open_store()
    store.close()
    names = (tmp_path / "payloads" / "db").iterdir()
    assert not [f for f in names if f.is_file() and wrapped in f.read_bytes()]


def test_who_may_erase(store: PayloadStore) -> None:
    """Neither a partner nor another organisation's administrator can destroy evidence."""
    commitment = store.put(new_payload())
    for requester in (
        replace(OWNER, party="urn:tracemark:party:mill"),
        replace(OWNER, active=False),
        Reader(None, "FarmMSP"),
        Reader(None, "OtherMSP", administrator=True),
    ):
        with pytest.raises(PayloadRefused) as refused:
            store.erase(commitment, requester)
        assert refused.value.decision.rule == "NOT_OWNER"
    administrator = Reader(None, "FarmMSP", administrator=True)
    receipt = store.erase(commitment, administrator, ErasureReason.COURT_ORDER)
    assert receipt.reason == "court-order"
    assert [e.action for e in store.reads()] == ["refuse"] * 4 + ["erase"]
    assert store.log_faults() == []


def test_erasing_again_gives_the_same_receipt(open_store: Opener) -> None:
    """A retry must not produce a second, later word on the same erasure."""
    store = open_store()
    commitment = store.put(new_payload())
    first = store.erase(commitment, OWNER)
    again = open_store()
    assert again.erase(commitment, OWNER, "mistake") == first
    with pytest.raises(PayloadErased) as erased:
        again.get(commitment, OWNER)
    assert erased.value.receipt == first


def test_reasons_are_a_closed_list(store: PayloadStore) -> None:
    """Free text would invite personal data into a receipt that is kept for ever."""
    with pytest.raises(PayloadInvalid, match="court-order"):
        store.erase(store.put(new_payload()), OWNER, "Mr Gomez asked for it")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    document=st.recursive(
        st.none() | st.integers() | st.text(max_size=5),
        lambda inner: st.dictionaries(
            st.sampled_from(["type", "node", "commitment", "signature", "stored_ms"]), inner
        ),
        max_leaves=6,
    )
)
def test_receipts_that_are_none(document: object) -> None:
    """Whatever JSON arrives in a receipt's place, the answer is ReceiptInvalid."""
    with pytest.raises(ReceiptInvalid):
        ErasureReceipt.from_json(document)  # type: ignore[arg-type]
