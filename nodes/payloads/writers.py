"""Who may write what at the same time.

Payloads are stored by many threads at once, so that RocksDB syncs their batches together. Two
things must not meet: two writers of one commitment (an erasure and a late second storing), and a
writer that still wraps by the old key and a rotation that is about to drop it.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager


class Writers:
    """Writers in progress, by the keys they write."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._busy: set[bytes] = set()
        self._alone = False

    @contextmanager
    def writing(self, keys: Collection[bytes]) -> Iterator[None]:
        """Write these keys together with writers of others, with nobody of the same."""
        mine = set(keys)
        with self._changed:
            self._changed.wait_for(lambda: not self._alone and not mine & self._busy)
            self._busy |= mine
        try:
            yield
        finally:
            with self._changed:
                self._busy -= mine
                self._changed.notify_all()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Wait until nobody writes, and let nobody begin meanwhile."""
        with self._changed:
            self._changed.wait_for(lambda: not self._alone)
            self._alone = True
            self._changed.wait_for(lambda: not self._busy)
        try:
            yield
        finally:
            with self._changed:
                self._alone = False
                self._changed.notify_all()
