"""The home's lock, for those who work on a home that no network has open."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nodes.embedded import _take_lock


@contextmanager
def home_lock(home: Path) -> Iterator[None]:
    """Hold the lock that an open network holds; raises AlreadyOpen, DescriptionError."""
    descriptor = _take_lock(home.resolve())
    try:
        yield
    finally:
        os.close(descriptor)
