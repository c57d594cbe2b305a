"""Rendered answers, kept as bytes and served again while nothing they depend on has changed.

An entry is fresh while the read model stands at the height it was made at. When the height moved,
the few rows the page depends on are compared; only if they differ is it made again. Time alone can
change a verdict (a certificate ends, a product expires), so an entry knows until when it may be
served; and never longer than a minute.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

Headers = list[tuple[bytes, bytes]]
LONGEST_MS = 60_000


@dataclass(slots=True)
class Entry:
    """One rendered answer. headers are ready for ASGI; height and version say what it stands on."""

    status: int
    body: bytes
    headers: Headers
    etag: bytes
    height: int
    version: Any
    watch: tuple[str, ...]
    until_ms: int


class PageCache:
    """At most `most_bytes` of entries, the least recently used going first; thread-safe."""

    def __init__(self, most_bytes: int = 64 << 20) -> None:
        self._most = most_bytes
        self._size = 0
        self._entries: OrderedDict[tuple[str, ...], Entry] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: tuple[str, ...]) -> Entry | None:
        """The entry under `key`, fresh or not."""
        with self._lock:
            entry = self._entries.get(key)
            if entry is not None:
                self._entries.move_to_end(key)
            return entry

    def put(self, key: tuple[str, ...], entry: Entry) -> None:
        """Keep an entry, replacing what was there."""
        with self._lock:
            old = self._entries.pop(key, None)
            self._size -= _weight(old) if old else 0
            self._entries[key] = entry
            self._size += _weight(entry)
            while self._size > self._most and len(self._entries) > 1:
                _, gone = self._entries.popitem(last=False)
                self._size -= _weight(gone)


def etag_of(body: bytes) -> bytes:
    """Strong entity tag of an answer's bytes."""
    return b'"' + hashlib.sha256(body).hexdigest()[:32].encode() + b'"'


def _weight(entry: Entry) -> int:
    return len(entry.body) + 1024 + 64 * len(entry.watch)
