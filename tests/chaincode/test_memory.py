"""The in-memory ledger has Fabric's semantics, so that tests on it mean something.

Would catch: reads that see the transaction's own writes, conflicts that go unnoticed, composite
keys that leak into plain ranges, history in the wrong order.
"""

from __future__ import annotations

import pytest

from chaincode.memory import CommitConflict, MemoryLedger, MemoryStub
from chaincode.records import Records, key


def begin(ledger: MemoryLedger, tx: str = "1") -> MemoryStub:
    return ledger.begin(tx, int(tx), "OrgMSP", b"pem")


def put(ledger: MemoryLedger, tx: str, **values: str) -> None:
    stub = begin(ledger, tx)
    for name, value in values.items():
        stub.put_state(name, value.encode())
    stub.commit()


def test_reads_see_the_committed_state_only() -> None:
    ledger = MemoryLedger()
    stub = begin(ledger)
    stub.put_state("a", b"1")
    assert stub.get_state("a") is None
    stub.commit()
    assert begin(ledger).get_states(["a", "b"]) == [b"1", None]


def test_a_changed_read_is_a_conflict() -> None:
    ledger = MemoryLedger()
    put(ledger, "1", a="1")
    late = begin(ledger, "2")
    late.get_state("a")
    late.put_state("b", b"1")
    put(ledger, "3", a="2")
    with pytest.raises(CommitConflict) as caught:
        late.commit()
    assert caught.value.code == "MVCC_READ_CONFLICT"
    assert "b" not in ledger.state


def test_a_read_of_nothing_conflicts_with_a_creation() -> None:
    ledger = MemoryLedger()
    late = begin(ledger)
    late.get_state("a")
    put(ledger, "2", a="1")
    with pytest.raises(CommitConflict):
        late.commit()


def test_a_changed_range_is_a_phantom() -> None:
    ledger = MemoryLedger()
    late = begin(ledger)
    assert list(late.get_state_by_partial_composite_key("t", ["x"])) == []
    other = begin(ledger, "2")
    other.put_state(key("t", "x", "y"), b"1")
    other.commit()
    with pytest.raises(CommitConflict) as caught:
        late.commit()
    assert caught.value.code == "PHANTOM_READ_CONFLICT"


def test_ranges_are_ordered_by_bytes_and_hide_composite_keys() -> None:
    ledger = MemoryLedger()
    put(ledger, "1", b="1", a="1", é="1", Z="1")
    stub = begin(ledger, "2")
    stub.put_state(key("t", "x"), b"1")
    stub.commit()
    assert [row.key for row in begin(ledger).get_state_range("", "")] == ["Z", "a", "b", "é"]
    assert [row.key for row in begin(ledger).get_state_range("a", "b")] == ["a"]


def test_a_prefix_matches_whole_attributes() -> None:
    ledger = MemoryLedger()
    stub = begin(ledger)
    for name in (key("t", "lot"), key("t", "lot", "1"), key("t", "lot2", "1")):
        stub.put_state(name, b"1")
    stub.commit()
    rows = list(begin(ledger).get_state_by_partial_composite_key("t", ["lot"]))
    assert [row.key for row in rows] == [key("t", "lot"), key("t", "lot", "1")]


def test_pages_cover_a_range_once() -> None:
    ledger = MemoryLedger()
    stub = begin(ledger)
    names = [key("t", f"{number:02d}") for number in range(7)]
    for name in names:
        stub.put_state(name, b"1")
    stub.commit()
    seen, bookmark = [], ""
    for _ in range(3):
        page = begin(ledger).get_state_page("t", [], 3, bookmark)
        seen += [row.key for row in page.records]
        bookmark = page.bookmark
    assert seen == names
    assert bookmark == ""


def test_history_is_newest_first_with_deletions() -> None:
    ledger = MemoryLedger()
    put(ledger, "1", a="1")
    put(ledger, "2", a="2")
    stub = begin(ledger, "3")
    stub.del_state("a")
    stub.commit()
    found = list(begin(ledger).get_history_for_key("a"))
    assert [(row.tx_id, row.value, row.is_delete) for row in found] == [
        ("3", b"", True),
        ("2", b"2", False),
        ("1", b"1", False),
    ]
    assert begin(ledger).get_state("a") is None


def test_the_last_event_wins_and_empty_names_are_refused() -> None:
    ledger = MemoryLedger()
    stub = begin(ledger)
    stub.set_event("one", b"1")
    stub.set_event("two", b"2")
    stub.commit()
    assert ledger.events == [("1", "two", b"2")]
    for call in (lambda: stub.put_state("", b"1"), lambda: stub.put_state("a", b"")):
        with pytest.raises(ValueError, match="empty"):
            call()
    with pytest.raises(ValueError, match="name"):
        stub.set_event("", b"")


def test_records_roll_back_to_a_mark() -> None:
    ledger = MemoryLedger()
    put(ledger, "1", a='{"n":1}', b='{"n":1}')
    records = Records(begin(ledger, "2"))
    records.put("a", {"n": 2})
    mark = records.mark()
    records.put("a", {"n": 3})
    records.put("b", None)
    records.put("c", {"n": 1})
    changes = {name: (old, new) for name, old, new in records.changes_since(mark)}
    assert changes["a"] == ({"n": 2}, {"n": 3})
    records.rollback(mark)
    assert (records.get("a"), records.get("b"), records.get("c")) == ({"n": 2}, {"n": 1}, None)
    assert records.flush() == 1
    assert records.stub.writes == {"a": b'{"n":2}'}  # type: ignore[attr-defined]
