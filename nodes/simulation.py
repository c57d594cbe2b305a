"""Run a contract function on a snapshot and record what it read and wrote.

:class:`Simulation` is the embedded engine's :class:`chaincode.stub.Stub`. It never changes the
ledger; its result is a read-write set. As on Fabric: reads see the committed snapshot and not
the transaction's own writes; composite keys (which begin with U+0000) are hidden from plain
ranges; an empty key is refused; a paged query cannot be combined with writes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from fabric_protos.peer import chaincode_event_pb2

from chaincode.stub import KeyModification, KeyValue, Page
from nodes.identity.msp import Identity
from nodes.ledger import View
from nodes.messages import ParsedProposal
from nodes.rwset import (
    VERSION_BYTES,
    NamespaceSet,
    RangeRead,
    namespace_set,
    state_prefix,
)

_COMPOSITE: Final = "\0"
_FIRST_PLAIN: Final = "\x01"
_LAST: Final = "\U0010ffff"
_MAX_VALUE_BYTES: Final = 8 * 1024 * 1024


class Simulation:
    """One transaction (or query) of one namespace on one view."""

    __slots__ = (
        "_foreign",
        "_paged",
        "_prefix",
        "_ranges",
        "_reads",
        "_unrecorded",
        "_view",
        "_writes",
        "channel",
        "creator",
        "event",
        "namespace",
        "proposal",
        "timestamp_ms",
        "tx_id",
    )

    def __init__(
        self, view: View, namespace: str, proposal: ParsedProposal, creator: Identity
    ) -> None:
        self.namespace = namespace
        self.proposal = proposal
        self.creator = creator
        self.channel = proposal.channel
        self.tx_id = proposal.tx_id
        self.timestamp_ms = proposal.timestamp_ms
        self.event: tuple[str, bytes] | None = None
        self._view = view
        self._prefix = state_prefix(namespace)
        self._reads: dict[str, bytes | None] = {}
        self._writes: dict[str, bytes | None] = {}
        self._ranges: list[_RecordedRange] = []
        self._foreign: dict[str, dict[str, bytes | None]] = {}
        self._paged = False
        self._unrecorded = False

    # -- the transaction -------------------------------------------------------------------------

    @property
    def creator_msp(self) -> str:
        """MSP id of the proposal's creator."""
        return self.creator.msp_id

    @property
    def creator_certificate(self) -> bytes:
        """PEM certificate of the proposal's creator."""
        return self.creator.certificate

    @property
    def transient(self) -> dict[str, bytes]:
        """Transient data of the proposal."""
        return self.proposal.transient

    def set_event(self, name: str, payload: bytes) -> None:
        """Set the one event; the last call wins."""
        if not name:
            raise ValueError("event name can not be empty string")
        self.event = (name, payload)

    # -- single keys -----------------------------------------------------------------------------

    def get_state(self, key: str) -> bytes | None:
        """Committed value of `key`, or None."""
        if not key:
            raise ValueError("key must not be an empty string")
        raw = self._reads[key] = self._view.get(self._prefix + key.encode())
        return None if raw is None else raw[VERSION_BYTES:]

    def get_states(self, keys: Sequence[str]) -> list[bytes | None]:
        """Committed values of many keys, in the order asked."""
        return [self.get_state(key) for key in keys]

    def put_state(self, key: str, value: bytes) -> None:
        """Write `value` at `key` when the transaction commits."""
        self._refuse_write(key)
        if not value:
            raise ValueError(f"the value at {key!r} must not be empty")
        if len(value) > _MAX_VALUE_BYTES:
            raise ValueError(f"the value at {key!r} is larger than {_MAX_VALUE_BYTES} bytes")
        self._writes[key] = value

    def del_state(self, key: str) -> None:
        """Delete `key` when the transaction commits."""
        self._refuse_write(key)
        self._writes[key] = None

    def read_foreign(self, namespace: str, key: str) -> bytes | None:
        """Read a key of another namespace (the engine's own use), recorded like any read."""
        raw = self._view.get(state_prefix(namespace) + key.encode())
        self._foreign.setdefault(namespace, {})[key] = raw
        return None if raw is None else raw[VERSION_BYTES:]

    # -- ranges ----------------------------------------------------------------------------------

    def get_state_range(self, start: str, end: str) -> Iterator[KeyValue]:
        """Plain keys in [start, end); "" is the beginning or the end of all plain keys."""
        for bound in (start, end):
            if bound.startswith(_COMPOSITE):
                raise ValueError("a plain range cannot start or end at a composite key")
        return self._range(start or _FIRST_PLAIN, end)

    def get_state_by_partial_composite_key(
        self, object_type: str, attributes: Sequence[str]
    ) -> Iterator[KeyValue]:
        """Composite keys below a prefix of attributes."""
        prefix = composite_key(object_type, attributes)
        return self._range(prefix, prefix + _LAST)

    def get_state_page(
        self, object_type: str, attributes: Sequence[str], page_size: int, bookmark: str
    ) -> Page:
        """One page of the same range; the bookmark is the key that the next page starts at."""
        if self._writes:
            raise ValueError("a paged query cannot be combined with writes")
        if page_size < 1:
            raise ValueError("the page size must be at least 1")
        self._paged = True
        prefix = composite_key(object_type, attributes)
        if bookmark and not bookmark.startswith(prefix):
            raise ValueError("the bookmark does not belong to this query")
        records: list[KeyValue] = []
        for key, raw in self._scan(bookmark or prefix, prefix + _LAST):
            if len(records) == page_size:
                return Page(tuple(records), key)
            records.append(KeyValue(key, raw[VERSION_BYTES:]))
        return Page(tuple(records), "")

    def get_history_for_key(self, key: str) -> Iterator[KeyModification]:
        """Every committed version of `key`, newest first."""
        if not key:
            raise ValueError("key must not be an empty string")
        self._unrecorded = True
        for entry in self._view.history(self.namespace, key):
            yield KeyModification(entry.tx_id, entry.timestamp_ms, entry.value, entry.is_delete)

    # -- the result ------------------------------------------------------------------------------

    def same_reads(self, view: View) -> bool:
        """Whether another view would have answered every read of this simulation the same.

        False where the contract read something that is not recorded (history, pages).
        """
        if self._paged or self._unrecorded:
            return False
        get, prefix = view.get, self._prefix
        if any(get(prefix + key.encode()) != raw for key, raw in self._reads.items()):
            return False
        for namespace, reads in self._foreign.items():
            prefix = state_prefix(namespace)
            if any(get(prefix + key.encode()) != raw for key, raw in reads.items()):
                return False
        return all(read.holds_in(view) for read in self._ranges)

    def same_outcome(self, other: Simulation) -> bool:
        """Whether another simulation of the same proposal read, wrote and said the same."""
        return (
            self._reads == other._reads
            and self._writes == other._writes
            and self._foreign == other._foreign
            and self.event == other.event
            and self._range_reads() == other._range_reads()
        )

    def sets(self) -> tuple[NamespaceSet, ...]:
        """What was read and written so far, by namespace."""
        found = {
            namespace: namespace_set(namespace, _versions(reads), (), {})
            for namespace, reads in self._foreign.items()
        }
        found[self.namespace] = namespace_set(
            self.namespace, _versions(self._reads), self._range_reads(), self._writes
        )
        return tuple(found[namespace] for namespace in sorted(found))

    def event_bytes(self) -> bytes:
        """The serialized ``ChaincodeEvent``, or b"" where none was set."""
        if self.event is None:
            return b""
        name, payload = self.event
        event = chaincode_event_pb2.ChaincodeEvent(
            chaincode_id=self.namespace, tx_id=self.tx_id, event_name=name, payload=payload
        )
        return bytes(event.SerializeToString())

    def _range_reads(self) -> list[RangeRead]:
        return [read.as_read() for read in self._ranges]

    # -- inside ----------------------------------------------------------------------------------

    def _refuse_write(self, key: str) -> None:
        if not key:
            raise ValueError("key must not be an empty string")
        if self._paged:
            raise ValueError("a paged query cannot be combined with writes")

    def _scan(self, start: str, end: str, view: View | None = None) -> Iterator[tuple[str, bytes]]:
        prefix = self._prefix
        last = prefix + end.encode() if end else prefix[:-1] + b"\x01"
        for key, raw in (view or self._view).scan(prefix + start.encode(), last):
            yield key[len(prefix) :].decode(), raw

    def _range(self, start: str, end: str) -> Iterator[KeyValue]:
        return _RecordedRange(self, start, end)


class _RecordedRange:
    """Iterates a range and remembers what was consumed of it."""

    __slots__ = ("_end", "_exhausted", "_seen", "_simulation", "_source", "_start")

    def __init__(self, simulation: Simulation, start: str, end: str) -> None:
        self._simulation = simulation
        self._start = start
        self._end = end
        self._source: Iterator[tuple[str, bytes]] | None = None
        self._seen: list[tuple[str, bytes]] = []
        self._exhausted = False

    def __iter__(self) -> Iterator[KeyValue]:
        return self

    def __next__(self) -> KeyValue:
        if self._exhausted:
            raise StopIteration
        if self._source is None:
            self._source = self._simulation._scan(self._start, self._end)
            self._simulation._ranges.append(self)
        entry = next(self._source, None)
        if entry is None:
            self._exhausted = True
            raise StopIteration
        self._seen.append(entry)
        return KeyValue(entry[0], entry[1][VERSION_BYTES:])

    def holds_in(self, view: View) -> bool:
        """Whether another view holds the same keys and values where this range was read."""
        rows = self._simulation._scan(self._start, self._end, view)
        if any(next(rows, None) != seen for seen in self._seen):
            return False
        return not self._exhausted or next(rows, None) is None

    def as_read(self) -> RangeRead:
        """What was consumed: the whole range, or up to and with the last key seen."""
        end = self._end if self._exhausted else self._seen[-1][0]
        rows = tuple((key, raw[:VERSION_BYTES]) for key, raw in self._seen)
        return RangeRead(self._start, end, self._exhausted, rows)


def _versions(reads: dict[str, bytes | None]) -> dict[str, bytes | None]:
    return {key: None if raw is None else raw[:VERSION_BYTES] for key, raw in reads.items()}


def composite_key(object_type: str, attributes: Sequence[str]) -> str:
    """Fabric's composite key: U+0000, object type, then each attribute, each closed by U+0000."""
    parts = (object_type, *attributes)
    for part in parts:
        if _COMPOSITE in part or _LAST in part:
            raise ValueError("a composite key's parts must not hold U+0000 or U+10FFFF")
    return _COMPOSITE + "".join(part + _COMPOSITE for part in parts)
