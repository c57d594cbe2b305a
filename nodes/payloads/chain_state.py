"""Reading the contract's records from a node's own committed state.

:class:`StateReader` is the reading part of :class:`chaincode.stub.Stub`; :class:`ViewReader`
offers it over one node's ledger. Record shapes: `docs/design/contract.md`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any, Final, Protocol

from chaincode.codec import decode
from chaincode.records import key
from chaincode.stub import KeyModification, KeyValue
from nodes.ledger import View
from nodes.rwset import VERSION_BYTES, state_prefix

Record = dict[str, Any]
MAX_VERSIONS: Final = 200
_LAST: Final = "\U0010ffff"


class StateReader(Protocol):
    """Committed state of one namespace, as one block left it."""

    def get_state(self, key: str) -> bytes | None: ...

    def get_state_by_partial_composite_key(
        self, object_type: str, attributes: Sequence[str]
    ) -> Iterator[KeyValue]: ...

    def get_history_for_key(self, key: str) -> Iterator[KeyModification]: ...


StateSource = Callable[[], StateReader]
"""Gives the present state; every question is answered from one such snapshot."""


class ViewReader:
    """A :class:`StateReader` over a view of a node's ledger."""

    def __init__(self, view: View, namespace: str) -> None:
        self.snapshot = view
        self._view = view
        self._namespace = namespace
        self._prefix = state_prefix(namespace)

    def get_state(self, key: str) -> bytes | None:
        raw = self._view.get(self._prefix + key.encode())
        return None if raw is None else raw[VERSION_BYTES:]

    def get_state_by_partial_composite_key(
        self, object_type: str, attributes: Sequence[str]
    ) -> Iterator[KeyValue]:
        start = "\0" + "".join(part + "\0" for part in (object_type, *attributes))
        first, last = (self._prefix + text.encode() for text in (start, start + _LAST))
        for name, raw in self._view.scan(first, last):
            yield KeyValue(name[len(self._prefix) :].decode(), raw[VERSION_BYTES:])

    def get_history_for_key(self, key: str) -> Iterator[KeyModification]:
        for entry in self._view.history(self._namespace, key):
            yield KeyModification(entry.tx_id, entry.timestamp_ms, entry.value, entry.is_delete)


def record(state: StateReader, kind: str, *attributes: str) -> Record | None:
    """The record of a kind, or None; a None attribute cannot be asked for."""
    raw = state.get_state(key(kind, *attributes))
    return decode(raw) if raw else None


def below(state: StateReader, kind: str, *attributes: str) -> Iterator[Record]:
    """Up to MAX_VERSIONS records below a prefix of their key, in key order."""
    rows = state.get_state_by_partial_composite_key(kind, attributes)
    for row in islice(rows, MAX_VERSIONS):
        yield decode(row.value)


def versions(state: StateReader, kind: str, *attributes: str) -> list[tuple[int, Record]]:
    """The newest MAX_VERSIONS versions of a record, oldest first, with their times in ms UTC."""
    changes = islice(state.get_history_for_key(key(kind, *attributes)), MAX_VERSIONS)
    found = [(c.timestamp_ms, decode(c.value)) for c in changes if not c.is_delete]
    return found[::-1]
