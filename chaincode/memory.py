"""A ledger in memory with Fabric's semantics, for tests, dry runs and replays.

:class:`MemoryLedger` holds committed state and history; :class:`MemoryStub` is one transaction on
it. Reads see the committed snapshot only, ranges are ordered by key bytes and plain ranges hide
composite keys, history comes newest first, the last chaincode event wins, and a commit fails
whose read set or ranges another commit has changed (MVCC_READ_CONFLICT, PHANTOM_READ_CONFLICT).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from chaincode.records import key as composite_key
from chaincode.stub import KeyModification, KeyValue, Page

_MAX = "\U0010ffff"


class CommitConflict(Exception):
    """The transaction read what another has since changed; `code` is Fabric's validation code."""

    def __init__(self, code: str, key: str) -> None:
        super().__init__(f"{code}: {key!a}")
        self.code = code
        self.key = key


@dataclass(slots=True)
class MemoryLedger:
    """Committed state: key to (value, version), and every version of each key."""

    channel: str = "trace"
    height: int = 0
    state: dict[str, tuple[bytes, int]] = field(default_factory=dict)
    history: dict[str, list[KeyModification]] = field(default_factory=dict)
    events: list[tuple[str, str, bytes]] = field(default_factory=list)
    _sorted: list[str] = field(default_factory=list)
    _dirty: bool = False

    def begin(
        self,
        tx_id: str,
        timestamp_ms: int,
        msp: str,
        certificate: bytes,
        transient: dict[str, bytes] | None = None,
    ) -> MemoryStub:
        """A transaction (or query) on the present state."""
        return MemoryStub(self, tx_id, timestamp_ms, msp, certificate, dict(transient or {}))

    def keys_between(self, start: str, end: str) -> list[str]:
        """Committed keys in [start, end) by their UTF-8 bytes."""
        if self._dirty:
            self._sorted = sorted(self.state, key=lambda name: name.encode("utf-8"))
            self._dirty = False
        low = bisect_left(self._sorted, start.encode(), key=lambda name: name.encode())
        high = bisect_left(self._sorted, end.encode(), key=lambda name: name.encode())
        return self._sorted[low:high]

    def commit(self, stub: MemoryStub) -> None:
        """Validate the transaction's reads and apply its writes. Raises CommitConflict."""
        for name, version in stub.reads.items():
            if self.state.get(name, (b"", -1))[1] != version:
                raise CommitConflict("MVCC_READ_CONFLICT", name)
        for start, end, seen in stub.ranges:
            if [(n, self.state[n][1]) for n in self.keys_between(start, end)] != seen:
                raise CommitConflict("PHANTOM_READ_CONFLICT", start)
        self.height += 1
        for name, value in stub.writes.items():
            if (name in self.state) != (value is not None):
                self._dirty = True
            if value is None:
                self.state.pop(name, None)
            else:
                self.state[name] = (value, self.height)
            self.history.setdefault(name, []).append(
                KeyModification(stub.tx_id, stub.timestamp_ms, value or b"", value is None)
            )
        if stub.event is not None:
            self.events.append((stub.tx_id, *stub.event))


@dataclass(slots=True)
class MemoryStub:
    """One transaction on a :class:`MemoryLedger`: an implementation of ``chaincode.stub.Stub``."""

    ledger: MemoryLedger
    tx_id: str
    timestamp_ms: int
    creator_msp: str
    creator_certificate: bytes
    transient: dict[str, bytes]
    reads: dict[str, int] = field(default_factory=dict)
    ranges: list[tuple[str, str, list[tuple[str, int]]]] = field(default_factory=list)
    writes: dict[str, bytes | None] = field(default_factory=dict)
    event: tuple[str, bytes] | None = None

    @property
    def channel(self) -> str:
        """Channel name."""
        return self.ledger.channel

    def get_state(self, key: str) -> bytes | None:
        """Committed value of `key`, or None."""
        found = self.ledger.state.get(_named(key))
        self.reads.setdefault(key, -1 if found is None else found[1])
        return None if found is None else found[0]

    def get_states(self, keys: Sequence[str]) -> list[bytes | None]:
        """Committed values of many keys, in the order asked."""
        return [self.get_state(key) for key in keys]

    def put_state(self, key: str, value: bytes) -> None:
        """Write `value` (not empty) at `key` (not empty) when the transaction commits."""
        if not value:
            raise ValueError("a value must not be empty")
        self.writes[_named(key)] = value

    def del_state(self, key: str) -> None:
        """Delete `key` when the transaction commits."""
        self.writes[_named(key)] = None

    def get_state_range(self, start: str, end: str) -> Iterator[KeyValue]:
        """Plain keys in [start, end); "" starts after the composite keys or ends at the last."""
        return self._scan(start or "\x01", end or _MAX)

    def get_state_by_partial_composite_key(
        self, object_type: str, attributes: Sequence[str]
    ) -> Iterator[KeyValue]:
        """Composite keys below a prefix of attributes."""
        prefix = _prefix(object_type, attributes)
        return self._scan(prefix, prefix + _MAX)

    def get_state_page(
        self, object_type: str, attributes: Sequence[str], page_size: int, bookmark: str
    ) -> Page:
        """One page of the same range; the bookmark is the first key of the next page."""
        prefix = _prefix(object_type, attributes)
        names = self.ledger.keys_between(bookmark or prefix, prefix + _MAX)
        records = tuple(KeyValue(n, self.ledger.state[n][0]) for n in names[:page_size])
        return Page(records, names[page_size] if len(names) > page_size else "")

    def get_history_for_key(self, key: str) -> Iterator[KeyModification]:
        """Every committed version of `key`, newest first."""
        return iter(self.ledger.history.get(_named(key), [])[::-1])

    def set_event(self, name: str, payload: bytes) -> None:
        """Set the transaction's one chaincode event."""
        if not name:
            raise ValueError("an event must have a name")
        self.event = (name, payload)

    def commit(self) -> None:
        """Commit to the ledger. Raises CommitConflict."""
        self.ledger.commit(self)

    def _scan(self, start: str, end: str) -> Iterator[KeyValue]:
        state = self.ledger.state
        names = self.ledger.keys_between(start, end)
        self.ranges.append((start, end, [(name, state[name][1]) for name in names]))
        return iter([KeyValue(name, state[name][0]) for name in names])


def _named(key: str) -> str:
    if not key:
        raise ValueError("a key must not be empty")
    return key


def _prefix(object_type: str, attributes: Sequence[str]) -> str:
    if not attributes:
        return "\x00" + object_type + "\x00"
    return composite_key(object_type, *attributes)
