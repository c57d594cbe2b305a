"""The transaction's view of the ledger: reads cached, own writes visible, flushed once.

A ledger's reads never see the transaction's own writes (Fabric), so the rules work on this
overlay. A mark can be rolled back to, so that one refused event of a capture leaves no trace.
Records are dicts that must not be changed in place: copy, change, :meth:`Records.put`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

from chaincode.codec import decode, encode
from chaincode.stub import Stub

Record = dict[str, Any]

_UNREAD: Final = object()


def key(kind: str, *attributes: str) -> str:
    """A Fabric composite key: U+0000, then each part followed by U+0000."""
    return "\x00" + kind + "\x00" + "\x00".join(attributes) + "\x00"


class Records:
    """Read-through cache and write overlay over one stub."""

    __slots__ = ("_base", "_journal", "_overlay", "stub")

    def __init__(self, stub: Stub) -> None:
        self.stub = stub
        self._base: dict[str, Record | None] = {}
        self._overlay: dict[str, Record | None] = {}
        self._journal: list[tuple[str, Any]] = []

    def prefetch(self, keys: Iterable[str]) -> None:
        """Read many keys in one round trip; keys already read are not read again."""
        base = self._base
        wanted = [k for k in dict.fromkeys(keys) if k not in base]
        if not wanted:
            return
        for name, raw in zip(wanted, self.stub.get_states(wanted), strict=True):
            base[name] = decode(raw) if raw else None

    def get(self, name: str) -> Record | None:
        """The record as this transaction sees it, or None."""
        found = self._overlay.get(name, _UNREAD)
        if found is not _UNREAD:
            return found  # type: ignore[return-value]
        base = self._base
        if name in base:
            return base[name]
        raw = self.stub.get_state(name)
        record = base[name] = decode(raw) if raw else None
        return record

    def written(self, name: str) -> bool:
        """Whether this transaction wrote the key."""
        return name in self._overlay

    def put(self, name: str, record: Record | None) -> None:
        """Write (or, with None, delete) the record in the overlay."""
        overlay = self._overlay
        self._journal.append((name, overlay.get(name, _UNREAD)))
        overlay[name] = record

    def mark(self) -> int:
        """A point to roll back to."""
        return len(self._journal)

    def rollback(self, mark: int) -> None:
        """Forget every write since `mark`."""
        journal, overlay = self._journal, self._overlay
        while len(journal) > mark:
            name, before = journal.pop()
            if before is _UNREAD:
                del overlay[name]
            else:
                overlay[name] = before

    def changes_since(self, mark: int) -> Iterator[tuple[str, Record | None, Record | None]]:
        """Each key written since `mark`, once: its record before and now."""
        seen = set()
        for name, before in self._journal[mark:]:
            if name not in seen:
                seen.add(name)
                old = self._base.get(name) if before is _UNREAD else before
                yield name, old, self._overlay[name]

    def flush(self) -> int:
        """Hand every write to the ledger, in the order first written; returns how many."""
        stub = self.stub
        for name, record in self._overlay.items():
            if record is not None:
                stub.put_state(name, encode(record))
            elif self._base.get(name) is not None:
                stub.del_state(name)
        return len(self._overlay)
